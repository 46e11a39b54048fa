//! Values as text.

use super::event::Val;
use std::any::{Any, TypeId, type_name};
use std::fmt::{self, Write};

/// The most characters of a preview.
const MOST: usize = 80;

/// A program's way to show a value.
type Show = dyn Fn(&dyn Any) -> String;

/// How a program wants its values of one type shown.
pub(crate) struct Shows {
    pub(crate) of: TypeId,
    pub(crate) show: Box<Show>,
}

/// The text of a value, for as long as an event is told. Short ones take no allocation.
#[derive(Debug)]
pub(crate) enum Shown {
    Nothing,
    Short { text: [u8; SHORT], length: usize },
    Long(String),
}

/// How many bytes a short text has.
const SHORT: usize = 40;

impl Default for Shown {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn default() -> Shown {
        Shown::Nothing
    }
}

/// So many numbers, from 0, are there as texts: most that a program counts with are small.
const SMALL: usize = 1000;

/// Three digits for each of them.
static SMALL_DIGITS: [u8; 3 * SMALL] = {
    let mut digits = [0; 3 * SMALL];
    let mut n = 0;
    while n < SMALL {
        digits[3 * n] = b'0' + (n / 100) as u8;
        digits[3 * n + 1] = b'0' + (n / 10 % 10) as u8;
        digits[3 * n + 2] = b'0' + (n % 10) as u8;
        n += 1;
    }
    digits
};

static SMALL_TEXTS: &str = match std::str::from_utf8(&SMALL_DIGITS) {
    Ok(texts) => texts,
    Err(_) => "",
};

/// The text of a number, if it is one of those.
#[inline]
fn small(n: i64) -> Option<&'static str> {
    // A negative one is a large one.
    if n as u64 >= SMALL as u64 {
        return None;
    }
    let n = n as usize;
    let zeros = usize::from(n < 10) + usize::from(n < 100);
    SMALL_TEXTS.get(3 * n + zeros..3 * n + 3)
}

/// The text of a value for which it is there.
#[inline]
fn ready<T: 'static>(value: &T) -> Option<&'static str> {
    let any: &dyn Any = value;
    macro_rules! number {
        ($($t:ty),*) => { $( if let Some(v) = any.downcast_ref::<$t>() {
            return small(*v as i64);
        } )* };
    }
    if any.is::<()>() {
        return Some("()");
    }
    number!(i32, i64, i8, i16, isize, u8, u16, u32, u64, usize);
    None
}

impl Shown {
    /// A value as an event shows it: for the types everybody uses; for others the type's name in angle brackets.
    #[inline]
    pub(crate) fn val<T: 'static>(&mut self, value: &T) -> Val<'_> {
        match ready(value) {
            Some(text) => Val::Ok { text, ty: type_name::<T>() },
            None => self.made(value, type_name::<T>()),
        }
    }

    #[inline(never)] // no parameter of type: compiled once
    fn made(&mut self, value: &dyn Any, ty: &'static str) -> Val<'_> {
        if !self.known(value) {
            // It takes everything.
            let _ = write!(self, "<{ty}>");
        }
        Val::Ok { text: self.text(), ty }
    }

    /// A value of the type `ty` as the program wants it shown.
    pub(crate) fn own(&mut self, text: &str, ty: &'static str) -> Val<'_> {
        let text = text.chars().take(MOST + 1);
        text.flat_map(|c| if c.is_control() { Escaped::Yes(c.escape_default()) } else { Escaped::No(Some(c)) })
            .for_each(|c| self.push(c));
        self.cut();
        Val::Ok { text: self.text(), ty }
    }

    /// Answers whether it is one of the types that are known.
    fn known(&mut self, any: &dyn Any) -> bool {
        let ty = any.type_id(); // asked once
        macro_rules! debug {
            ($($t:ty),*) => { $( if ty == TypeId::of::<$t>() && let Some(v) = any.downcast_ref::<$t>() {
                let _ = write!(self, "{v:?}");
                return true;
            } )* };
        }
        macro_rules! whole {
            ($($t:ty),*) => { $( if ty == TypeId::of::<$t>() && let Some(v) = any.downcast_ref::<$t>() {
                self.digits(v.unsigned_abs() as u64, *v < 0);
                return true;
            } )* };
        }
        macro_rules! natural {
            ($($t:ty),*) => { $( if ty == TypeId::of::<$t>() && let Some(v) = any.downcast_ref::<$t>() {
                self.digits(*v as u64, false);
                return true;
            } )* };
        }
        if let Some(v) = any.downcast_ref::<String>() {
            self.quoted(v);
            return true;
        }
        if let Some(v) = any.downcast_ref::<&'static str>() {
            self.quoted(v);
            return true;
        }
        whole!(i32, i64, i8, i16, isize);
        natural!(u8, u16, u32, u64, usize);
        if let Some(v) = any.downcast_ref::<Vec<u8>>() {
            let _ = write!(self, "<{} bytes>", v.len());
            return true;
        }
        debug!(bool, char, i128, u128, f32, f64, std::time::Duration, Option<i32>, Option<i64>, Option<bool>);
        debug!(std::net::SocketAddr, std::net::IpAddr);
        if let Some(v) = any.downcast_ref::<Option<String>>() {
            match v {
                None => self.push_str("None"),
                Some(v) => {
                    self.push_str("Some(");
                    self.quoted(v);
                    self.push(')');
                }
            }
            return true;
        }
        if let Some(v) = any.downcast_ref::<Vec<String>>() {
            let _ = write!(self, "<{} strings>", v.len());
            return true;
        }
        false
    }

    fn digits(&mut self, mut n: u64, negative: bool) {
        let mut digits = [0; 21];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        if negative {
            at -= 1;
            digits[at] = b'-';
        }
        self.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
    }

    /// The beginning of a text, as Rust writes it.
    fn quoted(&mut self, text: &str) {
        let start = text.char_indices().nth(MOST).map_or(text, |(end, _)| &text[..end]);
        let _ = write!(self, "{start:?}");
        self.cut();
    }

    #[inline]
    fn text(&self) -> &str {
        match self {
            Shown::Nothing => "",
            // Only whole texts were copied there.
            Shown::Short { text, length } => std::str::from_utf8(&text[..*length]).unwrap_or_default(),
            Shown::Long(text) => text,
        }
    }

    fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    fn push_str(&mut self, more: &str) {
        if let Shown::Nothing = self {
            *self = Shown::Short { text: [0; SHORT], length: 0 };
        }
        if let Shown::Short { text, length } = self
            && let Some(room) = text.get_mut(*length..*length + more.len())
        {
            room.copy_from_slice(more.as_bytes());
            *length += more.len();
            return;
        }
        let mut long = match std::mem::take(self) {
            Shown::Long(text) => text,
            short => short.text().to_owned(),
        };
        long.push_str(more);
        *self = Shown::Long(long);
    }

    /// What is longer than a preview loses its end.
    fn cut(&mut self) {
        // What is in the short place is short.
        if let Shown::Long(text) = self
            && let Some((end, _)) = text.char_indices().nth(MOST)
        {
            let dots = text[..end].char_indices().rev().nth(2).map_or(end, |(at, _)| at);
            text.truncate(dots);
            text.push_str("...");
        }
    }
}

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

/// A character, or its escape.
enum Escaped {
    No(Option<char>),
    Yes(std::char::EscapeDefault),
}

impl Iterator for Escaped {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Escaped::No(c) => c.take(),
            Escaped::Yes(escape) => escape.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, Val};

    fn shown<T: 'static>(value: T) -> String {
        match Shown::default().val(&value) {
            Val::Ok { text, .. } => text.to_owned(),
            Val::Err(f) => panic!("{f}"),
        }
    }

    #[test]
    fn values_are_shown_as_rust_writes_them_and_at_most_80_characters_of_them() {
        assert_eq!(shown(()), "()");
        assert_eq!(
            (shown(i64::MIN), shown(-7_i8), shown(u64::MAX)),
            (i64::MIN.to_string(), "-7".into(), u64::MAX.to_string())
        );
        for n in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 12345] {
            assert_eq!((shown(n), shown(-n)), (n.to_string(), (-n).to_string()));
        }
        assert_eq!((shown(1.5), shown(true), shown('x')), ("1.5".into(), "true".into(), "'x'".into()));
        assert_eq!(shown("a\n\u{1b}[0m"), r#""a\n\u{1b}[0m""#);
        assert_eq!(shown(Some("x".to_owned())), r#"Some("x")"#);
        assert_eq!(shown(vec![1_u8, 2]), "<2 bytes>");
        assert!(shown(vec![1_u16]).starts_with("<alloc::vec::Vec<u16>"));
        for n in [38, 39, 40, 78, 79, 80, 81, 1_000_000] {
            let text = shown("\u{e9}".repeat(n));
            assert_eq!(text.chars().count(), (n + 2).min(80), "{text}");
            assert_eq!(text.ends_with("..."), n > 78);
        }
    }

    #[test]
    fn what_a_program_shows_is_cut_and_escaped_too() {
        let mut place = Shown::default();
        let Val::Ok { text, .. } = place.own(&"\u{1b}".repeat(500), "u8") else { panic!("a value") };
        assert_eq!(text.chars().count(), 80);
        assert!(text.starts_with("\\u{1b}\\u{1b}") && text.ends_with("..."));
    }
}
