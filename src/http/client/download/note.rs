//! What a part is a part of: which URL, in which version. It lies beside the part, so that a later download can ask for the
//! rest of the same thing.
//!
//! ```text
//!  url-sha256: 6ca1..       a URL may hold secrets
//!  ETag: "5f3-1a2b"         or Last-Modified
//! ```

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::http::headers::Headers;

const URL: &str = "url-sha256";

/// A note that is longer is not ours.
const LONGEST: u64 = 8 * 1024;

/// How much older than the response a date must be: within one second there may be two versions (RFC 9110, 8.8.2.2).
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    url: String,
    /// `ETag` or `Last-Modified`.
    field: String,
    validator: String,
}

impl Note {
    /// Of what a response is the beginning of. `None`: one could not go on with it.
    pub(super) fn of(url: &str, headers: &Headers) -> Option<Note> {
        if headers.list_has("Accept-Ranges", "none") {
            return None;
        }
        let (field, validator) = match headers.get("ETag").filter(|tag| tag.starts_with('"')) {
            Some(tag) => ("ETag", tag),
            None => ("Last-Modified", settled_date(headers)?),
        };
        Some(Note { url: url_digest(url), field: field.to_owned(), validator: validator.to_owned() })
    }

    /// One that was written.
    pub(super) fn read(path: &Path) -> Option<Note> {
        let mut text = String::new();
        File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
        // The last line is complete, or it was not written to its end.
        let (first, second) = text.strip_suffix('\n')?.split_once('\n')?;
        let (name, url) = first.split_once(": ")?;
        let (field, validator) = second.split_once(": ")?;
        let known = name == URL && ["ETag", "Last-Modified"].contains(&field) && !validator.contains('\n');
        known.then(|| Note { url: url.to_owned(), field: field.to_owned(), validator: validator.to_owned() })
    }

    pub(super) fn is_of(&self, url: &str) -> bool {
        self.url == url_digest(url)
    }

    /// What `If-Range` is to say.
    pub(super) fn validator(&self) -> &str {
        &self.validator
    }

    /// Whether a response may be of the same version: it does not say another one.
    pub(super) fn agrees_with(&self, headers: &Headers) -> bool {
        headers.get(&self.field).is_none_or(|found| found == self.validator)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{URL}: {}\n{}: {}\n", self.url, self.field, self.validator)
    }
}

fn url_digest(url: &str) -> String {
    hex(&Sha256::digest(url.as_bytes()).into())
}

fn settled_date(headers: &Headers) -> Option<&str> {
    let modified = headers.get("Last-Modified")?;
    let (then, now) = (httpdate::parse_http_date(modified).ok()?, headers.get("Date")?);
    let age = httpdate::parse_http_date(now).ok()?.duration_since(then).ok()?;
    (age >= SETTLED).then_some(modified)
}

/// What a `Content-Range` says: `bytes 10-19/100`, `bytes 10-19/*`, `bytes */100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The first byte and the last.
    pub(super) range: Option<(u64, u64)>,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn of(headers: &Headers) -> Option<ContentRange> {
        let mut values = headers.get_all("Content-Range");
        let text = std::str::from_utf8(values.next()?).ok()?;
        if values.next().is_some() {
            return None;
        }
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let range = match range {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                Some((number(first)?, number(last)?))
            }
        };
        let in_order = range.is_none_or(|(first, last)| first <= last && total.is_none_or(|total| last < total));
        (unit.eq_ignore_ascii_case("bytes") && in_order).then_some(ContentRange { range, total })
    }

    /// Whether it is all from this byte on, as far as it says.
    pub(super) fn is_rest(self, from: u64) -> bool {
        self.range.is_some_and(|(first, last)| {
            first == from && self.total.is_none_or(|total| last.checked_add(1) == Some(total))
        })
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of 64 hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.trim().chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|two| two[0] << 4 | two.get(1).copied().unwrap_or(0)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value).unwrap();
        }
        headers
    }

    #[test]
    fn a_content_range_is_what_it_says_or_none() {
        let of = |text: &str| {
            ContentRange::of(&headers(&[("Content-Range", text)])).map(|found| (found.range, found.total))
        };
        assert_eq!(of("bytes 10-19/100"), Some((Some((10, 19)), Some(100))));
        assert_eq!(of("BYTES 0-0/*"), Some((Some((0, 0)), None)));
        assert_eq!(of("bytes */100"), Some((None, Some(100))));
        for bad in
            ["", "bytes", "bytes 1-2", "bytes 2-1/9", "bytes 1-9/9", "lines 1-2/9", "bytes +1-2/9", "bytes 1-/9"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of("bytes 0-99999999999999999999/*"), None);
        let twice = headers(&[("Content-Range", "bytes 0-1/2"), ("Content-Range", "bytes 0-1/2")]);
        assert_eq!(ContentRange::of(&twice), None);
    }

    #[test]
    fn only_what_names_one_version_is_noted() {
        let date = ("Date", "Thu, 26 Nov 2026 08:00:01 GMT");
        let validator = |fields: &[(&str, &str)]| Note::of("u", &headers(fields)).map(|note| note.validator);
        assert_eq!(validator(&[("ETag", "\"a\"")]).as_deref(), Some("\"a\""));
        assert_eq!(validator(&[("ETag", "W/\"a\"")]), None);
        assert_eq!(validator(&[("ETag", "\"a\""), ("Accept-Ranges", "none")]), None);
        let old = ("Last-Modified", "Thu, 26 Nov 2026 08:00:00 GMT");
        assert_eq!(validator(&[old, date]).as_deref(), Some(old.1));
        assert_eq!(validator(&[old]), None);
        assert_eq!(validator(&[("Last-Modified", date.1), date]), None);
        assert_eq!(validator(&[("Last-Modified", "yesterday"), date]), None);
    }

    #[test]
    fn a_note_that_was_cut_off_or_changed_is_none() {
        let folder = std::env::temp_dir().join(format!("ropewalk-note-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("note");
        let note = Note::of("http://a/", &headers(&[("ETag", "\"a\"")])).unwrap();
        let text = note.to_string();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(Note::read(&path), Some(note.clone()));
        assert!(note.is_of("http://a/") && !note.is_of("http://b/"));
        for end in 0..text.len() {
            std::fs::write(&path, &text[..end]).unwrap();
            assert_eq!(Note::read(&path), None, "{end}");
        }
        std::fs::write(&path, format!("{text}more\n")).unwrap();
        assert_eq!(Note::read(&path), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn sixty_four_hexadecimal_digits_are_a_digest() {
        let text = "00ff".repeat(16);
        assert_eq!(from_hex(&text.to_uppercase()).map(|bytes| hex(&bytes)), Some(text.clone()));
        for bad in ["", "00", &text[1..], &text.replace('0', "g"), &format!("{text}00"), &text.replace("00", "é")]
        {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
