//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455, 9.1), for both sides.
//!
//! ```text
//!  permessage-deflate; client_max_window_bits; server_max_window_bits="10", x-other
//!  name                key                     key                    value  the next
//! ```

use crate::http::{Headers, is_token};

/// One of the extensions that a peer names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'h> {
    pub(super) name: &'h str,
    pub(super) parameters: Vec<(&'h str, Option<String>)>,
}

/// All that the header fields name, in order.
///
/// # Errors
///
/// The value that is not of this grammar: who receives it must fail the connection.
pub(super) fn extensions(headers: &Headers) -> Result<Vec<Extension<'_>>, String> {
    let mut found = Vec::new();
    for value in headers.get_all("Sec-WebSocket-Extensions") {
        let before = found.len();
        let whole = std::str::from_utf8(value).ok().and_then(|text| Scanner(text).list(&mut found));
        // A list has at least one member.
        if whole.is_none() || found.len() == before {
            return Err(value.escape_ascii().to_string());
        }
    }
    Ok(found)
}

/// What is left of a value.
struct Scanner<'h>(&'h str);

impl<'h> Scanner<'h> {
    /// `None` if it is not of the grammar.
    fn list(mut self, found: &mut Vec<Extension<'h>>) -> Option<()> {
        loop {
            // Empty members say nothing (RFC 9110, 5.6.1.2).
            while self.takes(',') {}
            if self.0.is_empty() {
                return Some(());
            }
            let mut extension = Extension { name: self.token()?, parameters: Vec::new() };
            while self.takes(';') {
                let key = self.token()?;
                let value = if self.takes('=') { Some(self.value()?) } else { None };
                extension.parameters.push((key, value));
            }
            found.push(extension);
            if !self.0.is_empty() && !self.0.starts_with(',') {
                return None;
            }
        }
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Whether this comes next, spaces aside; then it is used.
    fn takes(&mut self, mark: char) -> bool {
        self.skip_spaces();
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        self.skip_spaces();
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'h str> {
        let end = self.0.find([',', ';', '=', ' ', '\t']).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip_spaces();
        is_token(token.as_bytes()).then_some(token)
    }

    /// A token, with or without quotes.
    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.0.strip_prefix('"') else { return self.token().map(str::to_owned) };
        let (mut value, mut chars) = (String::new(), quoted.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(chars.next()?),
                other => value.push(other),
            }
        }
        self.0 = chars.as_str();
        self.skip_spaces();
        is_token(value.as_bytes()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<String> {
        let mut headers = Headers::new();
        headers.append("Sec-WebSocket-Extensions", value).ok()?;
        let found = extensions(&headers).ok()?;
        let parameters = |extension: &Extension<'_>| {
            let one = |(key, value): &(&str, Option<String>)| match value {
                Some(value) => format!(";{key}={value}"),
                None => format!(";{key}"),
            };
            extension.parameters.iter().map(one).collect::<String>()
        };
        Some(found.iter().map(|one| format!("{}{}", one.name, parameters(one))).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn names_parameters_and_quotes_are_read() {
        let good = [
            ("a", "a"),
            ("a,b", "a,b"),
            (" , a ,, b , ", "a,b"),
            ("a;b;c=1", "a;b;c=1"),
            ("a ; b = \"1\" , c;d=\"\\2\"", "a;b=1,c;d=2"),
            ("a\t;\tb=x,a;b", "a;b=x,a;b"),
        ];
        for (value, found) in good {
            assert_eq!(parsed(value).as_deref(), Some(found), "{value}");
        }
    }

    #[test]
    fn whatever_is_not_of_the_grammar_is_refused() {
        let bad = [
            "",
            ",",
            ";",
            "a;",
            "a;;b",
            "a b",
            "a=1",
            "a;=1",
            "a;b=",
            "a;b=1 2",
            "a;b=\"",
            "a;b=\"1",
            "a;b=\"\"",
            "a;b=\"x y\"",
            "a;b=\"1\"2",
            "a;b=\"1\\",
            "\"a\"",
            "a;b=1;",
            "a(b)",
            "a, /",
            "\u{e9}",
        ];
        for value in bad {
            assert_eq!(parsed(value), None, "{value}");
        }
    }
}
