//! Header fields.
//!
//! A type of its own, and not the `http` crate's map: messages have some ten fields, in which a walk is faster than a
//! hash; the order and the spelling that came stay to be seen; and all of them are two allocations.
//!
//! ```text
//!  text    Host:example\r\nAccept:*/*\r\n..      names and values lie somewhere in it
//!  fields  [name, value] [name, value]
//! ```

use std::error::Error;
use std::fmt;

use super::method::is_token;

/// The fields of a message's head, or its trailers: names with values, in their order.
///
/// Names are compared without case. Values are bytes, in practice ASCII: [`get`](Headers::get) gives text,
/// [`get_bytes`](Headers::get_bytes) whatever came. No value has a line break or another control character in it, whoever
/// made it.
///
/// ```
/// use ropewalk::http::Headers;
///
/// let mut headers = Headers::new();
/// headers.append("Content-Type", "text/plain")?;
/// headers.append("Accept-Encoding", "gzip, br")?;
/// assert_eq!(headers.get("content-type"), Some("text/plain"));
/// assert_eq!(headers.list("Accept-Encoding").collect::<Vec<_>>(), ["gzip", "br"]);
/// assert!(headers.append("X-Bad", "one\r\nInjected: two").is_err());
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field's name and value lie.
#[derive(Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..self.length as usize]
    }
}

impl Headers {
    /// No fields.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Of fields that a parser has looked at, which lie in `text`.
    pub(super) fn parsed<'t>(
        text: &'t [u8],
        fields: impl ExactSizeIterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Headers {
        let origin = text.as_ptr() as usize;
        // Both are parts of `text`, whose length is limited to far less than this.
        let span =
            |part: &[u8]| Span { start: (part.as_ptr() as usize - origin) as u32, length: part.len() as u32 };
        Headers {
            fields: fields.map(|(name, value)| Field { name: span(name), value: span(value) }).collect(),
            text: text.to_vec(),
        }
    }

    /// Joins values that were continued on another line: the line break becomes spaces (RFC 9112, 5.2).
    pub(super) fn unfold(&mut self) {
        for field in &self.fields {
            let value = &mut self.text[field.value.start as usize..][..field.value.length as usize];
            value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            // A name is a token, and so ASCII.
            let name = std::str::from_utf8(field.name.of(&self.text)).unwrap_or_default();
            (name, field.value.of(&self.text))
        })
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.of(&self.text).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.of(&self.text))
    }

    /// The value of the first field of this name.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The value of the first field of this name, if it is UTF-8, which ASCII is.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The members of all fields of this name, which are lists with commas (RFC 9110, 5.6.1). Empty ones are left out,
    /// and so is what is no text. Commas in quotes are not minded.
    pub fn list<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.get_all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
    }

    /// Whether a list has this member, without case.
    pub fn list_has(&self, name: &str, member: &str) -> bool {
        self.list(name).any(|found| found.eq_ignore_ascii_case(member))
    }

    /// Adds a field behind the others. There may be others of this name.
    ///
    /// # Errors
    ///
    /// The name is no token, or the value has a control character: a line break in it would be the start of another field.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let value = value.as_ref();
        if !is_token(name.as_bytes()) {
            return Err(InvalidHeader { name: name.escape_debug().to_string(), value: None });
        }
        let control = value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f);
        // No head is as long as that.
        if control || self.text.len() + name.len() + value.len() > u32::MAX as usize {
            return Err(InvalidHeader { name: name.to_owned(), value: Some(value.escape_ascii().to_string()) });
        }
        self.add(name.as_bytes(), value.trim_ascii());
        Ok(())
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.add_text(name), self.add_text(value));
        self.fields.push(Field { name, value });
    }

    fn add_text(&mut self, part: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(part);
        Span { start, length: part.len() as u32 }
    }

    /// Puts a field in place of all of this name.
    ///
    /// # Errors
    ///
    /// As for [`append`](Headers::append); nothing is changed then.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let before = self.fields.len();
        self.append(name, value)?;
        let mut at = 0;
        let text = &self.text;
        self.fields.retain(|field| {
            at += 1;
            at > before || !field.name.of(text).eq_ignore_ascii_case(name.as_bytes())
        });
        Ok(())
    }

    /// Removes all fields of this name. Answers whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let (before, text) = (self.fields.len(), &self.text);
        self.fields.retain(|field| !field.name.of(text).eq_ignore_ascii_case(name.as_bytes()));
        self.fields.len() < before
    }

    /// Writes them as they stand in a message, without the empty line behind them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for field in &self.fields {
            out.extend_from_slice(field.name.of(&self.text));
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value.of(&self.text));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Equal are those with the same fields in the same order; names without case.
impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|(one, two)| one.0.eq_ignore_ascii_case(two.0) && one.1 == two.1)
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            map.entry(&format_args!("{name}"), &format_args!("{}", value.escape_ascii()));
        }
        map.finish()
    }
}

/// A header field that cannot be sent: its name is no token, or its value has a control character.
///
/// ```
/// use ropewalk::http::Headers;
///
/// let mut headers = Headers::new();
/// let error = headers.append("Location", "/\r\nSet-Cookie: admin=1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"the header field Location cannot have the value "/\r\nSet-Cookie: admin=1": it has a control character"#
/// );
/// assert_eq!(headers.append("a b", "").unwrap_err().to_string(), r#""a b" cannot be the name of a header field"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    name: String,
    value: Option<String>,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => write!(f, "\"{}\" cannot be the name of a header field", self.name),
            Some(value) => {
                write!(
                    f,
                    "the header field {} cannot have the value \"{value}\": it has a control character",
                    self.name
                )
            }
        }
    }
}

impl Error for InvalidHeader {}
