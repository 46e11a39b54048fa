//! The program and the styles of a page without what only their readers need: comments, indents, spaces that say nothing.
//!
//! No name changes, and each declaration of the outermost level keeps a line of its own: an error that a browser reports
//! still says where it is. It knows as much of JavaScript as our own scripts use: each statement ends with `;`, and none
//! is empty; no list ends with a hole.

use std::iter::Peekable;
use std::str::Chars;

/// A style sheet.
pub(super) fn css(text: &str) -> String {
    let mut out = Squeezed {
        text: String::with_capacity(text.len()),
        says: |a, b| ![a, b].iter().any(|c| "{};:,>".contains(*c)),
    };
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => out.copy_quoted(c, &mut rest),
            '/' if rest.peek() == Some(&'*') => skip_comment(&mut rest),
            // ` :hover` is another selector than `:hover`.
            c if c.is_whitespace() && rest.peek() == Some(&':') => out.space(rest.peek().map(|_| 'a')),
            c if c.is_whitespace() => out.space(next_black(&mut rest)),
            c => out.mark(c),
        }
    }
    out.text
}

/// A script. Its end leaves a line's end, so that another may follow.
pub(super) fn script(text: &str) -> String {
    let mut out = Squeezed {
        text: String::with_capacity(text.len()),
        says: |a, b| (word(a) && word(b)) || (a == b && "+-/".contains(a)),
    };
    code(&mut text.chars().peekable(), &mut out);
    out.text.push('\n');
    out.text
}

/// Code up to its end, or to the `}` that closes what was open before it.
fn code(rest: &mut Peekable<Chars<'_>>, out: &mut Squeezed) {
    let mut open = 0;
    while let Some(c) = rest.next() {
        match c {
            '"' | '\'' => out.copy_quoted(c, rest),
            '`' => template(rest, out),
            '/' if rest.peek() == Some(&'*') => skip_comment(rest),
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|c| *c != '\n').is_some() {},
            '/' if out.awaits_a_value() => pattern(rest, out),
            c if c.is_whitespace() => {
                let new_line = c == '\n' && rest.peek().is_some_and(|c| !c.is_whitespace() && *c != '/');
                let next = next_black(rest);
                if new_line && open == 0 && next.is_some_and(char::is_alphabetic) && out.text.ends_with([';', '}'])
                {
                    out.text.push('\n');
                } else {
                    out.space(next);
                }
            }
            '}' if open == 0 => return,
            c => {
                match c {
                    '{' => open += 1,
                    '}' => open -= 1,
                    _ => {}
                }
                out.mark(c);
            }
        }
    }
}

/// Between backticks each character counts, but for the code in `${}`.
fn template(rest: &mut Peekable<Chars<'_>>, out: &mut Squeezed) {
    out.text.push('`');
    while let Some(c) = rest.next() {
        out.text.push(c);
        match c {
            '\\' => out.text.extend(rest.next()),
            '`' => return,
            '$' if rest.next_if_eq(&'{').is_some() => {
                out.text.push('{');
                code(rest, out);
                out.text.push('}');
            }
            _ => {}
        }
    }
}

/// A regular expression; in a class a slash does not end it.
fn pattern(rest: &mut Peekable<Chars<'_>>, out: &mut Squeezed) {
    out.text.push('/');
    let mut class = false;
    while let Some(c) = rest.next() {
        out.text.push(c);
        match c {
            '\\' => out.text.extend(rest.next()),
            '[' => class = true,
            ']' => class = false,
            '/' if !class => return,
            _ => {}
        }
    }
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn skip_comment(rest: &mut Peekable<Chars<'_>>) {
    let mut before = ' ';
    for c in rest.skip(1) {
        if before == '*' && c == '/' {
            return;
        }
        before = c;
    }
}

/// Goes on to the next character that is no space, and says which it is.
fn next_black(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    rest.peek().copied()
}

struct Squeezed {
    text: String,
    /// Whether a space between these two says something.
    says: fn(char, char) -> bool,
}

impl Squeezed {
    fn mark(&mut self, c: char) {
        let says_nothing = match c {
            '}' => self.text.ends_with([';', ',']),
            ')' | ']' => self.text.ends_with(','),
            _ => false,
        };
        if says_nothing {
            self.text.pop();
        }
        self.text.push(c);
    }

    /// A space, if it parts two words, or two signs that would become one.
    fn space(&mut self, next: Option<char>) {
        let Some((before, next)) = self.text.chars().next_back().zip(next) else { return };
        if !before.is_whitespace() && (self.says)(before, next) {
            self.text.push(' ');
        }
    }

    fn copy_quoted(&mut self, quote: char, rest: &mut Peekable<Chars<'_>>) {
        self.text.push(quote);
        while let Some(c) = rest.next() {
            self.text.push(c);
            match c {
                '\\' => self.text.extend(rest.next()),
                c if c == quote => return,
                _ => {}
            }
        }
    }

    /// Whether a value comes next, so that a slash begins a pattern and is no division.
    fn awaits_a_value(&self) -> bool {
        let text = self.text.trim_end();
        text.is_empty() || text.ends_with("return") || text.ends_with(|c| "(,=:[!&|?{};>".contains(c))
    }
}

#[cfg(test)]
mod tests {
    use super::{css, script};

    #[test]
    fn comments_and_spaces_go_and_names_stay() {
        let text = "// What it is.\nconst a = 1, b = {\n  long: 2, /* why */\n};\n\n/** More. */\nfunction f(x) {\n  return x in b;\n}\n";
        assert_eq!(script(text), "const a=1,b={long:2};\nfunction f(x){return x in b}\n");
        assert_eq!(script("let a = b + +c - -d;"), "let a=b+ +c- -d;\n");
    }

    #[test]
    fn texts_and_patterns_are_left_alone() {
        for text in
            ["f(\"a  // b ; }\")", "f('it  \\'s')", "f(/[^/\"  ]  \\/;/)", "f(`a  ${g(`b  ${c}  d`)}  // e`)"]
        {
            assert_eq!(script(text), format!("{text}\n"));
        }
        assert_eq!(script("f(`x ${ a + `y  ${ b }` } z`)"), "f(`x ${a+`y  ${b}`} z`)\n");
        assert_eq!(script("x = a / b; y = /  \\// ;"), "x=a/b;y=/  \\//;\n");
    }

    #[test]
    fn a_selector_keeps_the_spaces_that_say_something() {
        let text = "/* Rows. */\n.a :hover,\n.b > .c { color: var(--x); width: calc(1px + 2px) !important; }\n@media (x: 1) and (y) { a::before { content: \"{ ; }\"; } }\n";
        let short = ".a :hover,.b>.c{color:var(--x);width:calc(1px + 2px) !important}@media (x:1) and (y){a::before{content:\"{ ; }\"}}";
        assert_eq!(css(text), short);
    }
}
