//! Questions and answers of finger: text in, text out.

/// What somebody wants to know, RFC 1288 2.3.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question<'a> {
    /// `{Q1}` without a user: who is there at all?
    All { long: bool },
    /// `{Q1}` with one.
    About { user: &'a str, long: bool },
    /// `{Q2}`: to be asked of another host.
    Forward,
}

impl Question<'_> {
    /// A line without its end. With `/W` in front it asks for the long form.
    pub(crate) fn parse(line: &str) -> Question<'_> {
        let line = line.trim();
        let (long, user) = match line.get(..2) {
            Some(w) if w.eq_ignore_ascii_case("/W") && line[2..].chars().next().is_none_or(|c| c == ' ') => {
                (true, line[2..].trim_start())
            }
            _ => (false, line),
        };
        if user.contains('@') {
            Question::Forward
        } else if user.is_empty() {
            Question::All { long }
        } else {
            Question::About { user, long }
        }
    }
}

/// The answer to a question from a directory, whose lines are `login:full name:what else there is to say`.
pub(crate) fn answer(directory: &str, question: &Question<'_>) -> String {
    let (user, long) = match *question {
        // RFC 1288 3.2.1: an answer that may well be given.
        Question::Forward => return "Finger forwarding service denied\r\n".into(),
        Question::All { long } => (None, long),
        Question::About { user, long } => (Some(user), long),
    };
    let mut answer = String::new();
    for line in directory.lines().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.splitn(3, ':').map(str::trim);
        let [login, name, more] = [(); 3].map(|()| fields.next().unwrap_or_default());
        // RFC 1288 2.5.2 leaves open what a name may be: the login, or any word of the full name.
        let is_meant = |user: &str| {
            login == user || name.split_whitespace().any(|word| word.to_lowercase() == user.to_lowercase())
        };
        if user.is_none_or(is_meant) {
            answer += &printable(&format!("{login:<16} {name}"));
            answer += "\r\n";
            if long && !more.is_empty() {
                answer += &printable(&format!("    {more}"));
                answer += "\r\n";
            }
        }
    }
    match user {
        Some(user) if answer.is_empty() => format!("{}: no such user\r\n", printable(user)),
        None if answer.is_empty() => "Nobody is here\r\n".into(),
        _ => answer,
    }
}

/// RFC 1288 3.3: nothing that could be an order to a terminal goes out, or is shown.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}
