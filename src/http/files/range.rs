//! Which bytes are wanted (RFC 9110, 14.1.2).

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, several, or one that makes no sense and is ignored.
    Whole,
    /// At least one byte.
    Part { start: u64, length: u64 },
    /// Only such that are not there.
    None,
}

/// What a Range field wants of so many bytes.
pub(super) fn wanted(field: &str, size: u64) -> Wanted {
    let Some((unit, ranges)) = field.split_once('=') else { return Wanted::Whole };
    // Of nothing there is no part; whoever asks for one gets the nothing, as of other servers.
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') || size == 0 {
        return Wanted::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::Whole };
    let (first, last) = (number(first), number(last));
    match (first, last) {
        (Some(Some(first)), Some(Some(last))) if first > last => Wanted::Whole,
        (Some(Some(first)), Some(_)) if first >= size => Wanted::None,
        (Some(Some(first)), Some(last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Wanted::Part { start: first, length: end - first }
        }
        // The last bytes, of which there may be fewer.
        (Some(None), Some(Some(count))) => match count.min(size) {
            0 => Wanted::None,
            length => Wanted::Part { start: size - length, length },
        },
        _ => Wanted::Whole,
    }
}

/// A number, or nothing; `None` is something else. One that is too large for 64 bits is beyond every file.
#[allow(clippy::option_option)]
fn number(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_of_what_there_is_or_ignored() {
        let part = |start, length| Wanted::Part { start, length };
        let table = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 10)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=2-99", part(2, 8)),
            ("bytes=9-99999999999999999999", part(9, 1)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("Bytes = 1-2", part(1, 2)),
            ("bytes=10-", Wanted::None),
            ("bytes=-0", Wanted::None),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=1", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(wanted(field, 10), expected, "{field}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Whole);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Whole);
    }
}
