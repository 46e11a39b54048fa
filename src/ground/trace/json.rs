//! JSON, as far as a trace needs it: one object a line, with whole numbers only.

use super::event::{Asked, Id};
use std::borrow::Cow;

/// How deep lists and objects may lie in each other. A trace needs 3.
const DEPTH: u32 = 16;

/// A value that was read. What a trace has no use for (`null`, other numbers) is `Other`.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'l> {
    Other,
    Bool(bool),
    Number(u64),
    Text(Cow<'l, str>),
    List(List<'l>),
    Map(Map<'l>),
}

/// A list; where it is one of ids, or of sources and what they are watched for, that too.
#[derive(Debug, Default, PartialEq)]
pub(super) struct List<'l> {
    pub(super) items: Vec<Value<'l>>,
    pub(super) ids: Vec<Id>,
    pub(super) asked: Vec<Asked>,
}

/// An object, in its order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Map<'l>(pub(super) Vec<(Cow<'l, str>, Value<'l>)>);

impl<'l> Map<'l> {
    pub(super) fn get(&self, key: &str) -> Option<&Value<'l>> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&List<'l>> {
        match self.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Reads one object. `None` if the line is none.
pub(super) fn parse(line: &str) -> Option<Map<'_>> {
    let mut parser = Parser { line, at: 0 };
    let value = parser.value(0)?;
    parser.space();
    match value {
        Value::Map(map) if parser.at == line.len() => Some(map),
        _ => None,
    }
}

struct Parser<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Parser<'l> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes over one byte, after spaces, if it is that one.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn value(&mut self, depth: u32) -> Option<Value<'l>> {
        if depth == DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'"' => self.text().map(Value::Text),
            b'{' => self.map(depth).map(Value::Map),
            b'[' => self.list(depth).map(Value::List),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let words = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Other)];
                let rest = &self.line[self.at..];
                let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
                self.at += word.len();
                Some(value)
            }
        }
    }

    fn number(&mut self) -> Option<Value<'l>> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let text = &self.line[start..self.at];
        match text.parse() {
            Ok(n) => Some(Value::Number(n)),
            Err(_) => text.parse::<f64>().ok().map(|_| Value::Other),
        }
    }

    fn map(&mut self, depth: u32) -> Option<Map<'l>> {
        self.at += 1;
        let mut map = Map::default();
        if self.takes(b'}') {
            return Some(map);
        }
        loop {
            self.space();
            let key = self.text()?;
            if !self.takes(b':') {
                return None;
            }
            map.0.push((key, self.value(depth + 1)?));
            if self.takes(b'}') {
                return Some(map);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn list(&mut self, depth: u32) -> Option<List<'l>> {
        self.at += 1;
        let mut items = Vec::new();
        if !self.takes(b']') {
            loop {
                items.push(self.value(depth + 1)?);
                if self.takes(b']') {
                    break;
                }
                if !self.takes(b',') {
                    return None;
                }
            }
        }
        let ids = items.iter().map_while(id).collect();
        let asked = items.iter().map_while(asked).collect();
        Some(List { items, ids, asked })
    }

    fn text(&mut self) -> Option<Cow<'l, str>> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        let rest = &self.line[self.at..];
        let plain = rest.find(['"', '\\'])?;
        if rest.as_bytes()[plain] == b'"' {
            self.at += plain + 1;
            return Some(Cow::Borrowed(&rest[..plain]));
        }
        let mut text = String::from(&rest[..plain]);
        self.at += plain;
        loop {
            let rest = &self.line[self.at..];
            let plain = rest.find(['"', '\\'])?;
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Some(Cow::Owned(text));
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => char::from(byte),
            b'u' => {
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                // The first half of a pair.
                if !self.line[self.at..].starts_with("\\u") {
                    return None;
                }
                self.at += 2;
                let second = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second);
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.line.get(self.at..self.at + 4)?;
        self.at += 4;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    }
}

fn id(value: &Value<'_>) -> Option<Id> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn asked(value: &Value<'_>) -> Option<Asked> {
    match value {
        Value::List(List { items, .. }) => match &items[..] {
            [i, Value::Text(how)] => Some(Asked { i: id(i)?, r: how.contains('r'), w: how.contains('w') }),
            _ => None,
        },
        _ => None,
    }
}

/// Writes a text in quotes. Control characters are escaped, and so are those that would turn a line around or break it
/// where the file is shown.
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(is_special) {
        out.push_str(&rest[..at]);
        let Some(c) = rest[at..].chars().next() else { break };
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c => {
                const HEX: [u8; 16] = *b"0123456789abcdef";
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(char::from(HEX[(c as usize >> shift) & 15]));
                }
            }
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
    out.push('"');
}

/// All of these lie below 0x10000.
fn is_special(c: char) -> bool {
    matches!(c,
        '"' | '\\' | '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

pub(super) fn write_number(out: &mut String, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}
