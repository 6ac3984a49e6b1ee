//! Which bytes of something a request asks for (RFC 9110, sections 13 and 14): one range, no more.

use std::ops::Range;

use http::{HeaderMap, header};

/// What is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The client has it.
    Nothing,
    /// Everything.
    All,
    /// These.
    Part(Range<u64>),
    /// None of them is there.
    Beyond,
}

/// What a request asks of something with this tag and this many bytes. What cannot be understood, or
/// asks for several parts, asks for everything.
pub(super) fn asked(headers: &HeaderMap, tag: &str, size: u64) -> Asked {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = |it: &str| it.trim().trim_start_matches("W/") == tag;
    if let Some(known) = text(header::IF_NONE_MATCH)
        && (known.trim() == "*" || known.split(',').any(is_ours))
    {
        return Asked::Nothing;
    }
    // A part of what is not there any more would not fit to the others: strong comparison.
    let fits = text(header::IF_RANGE).is_none_or(|it| it.trim() == tag);
    let range = text(header::RANGE).filter(|_| fits).and_then(|it| it.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|it| it.trim().split_once('-')) else {
        return Asked::All;
    };
    let number = |digits: &str| {
        let digits = digits.trim();
        let fine = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Beyond what can be counted is beyond the end.
        fine.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Asked::All,
        (Some(first), _) if !last.trim().is_empty() && number(last).is_none() => {
            let _ = first;
            Asked::All
        }
        (Some(first), _) if first >= size => Asked::Beyond,
        (Some(first), last) => {
            Asked::Part(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
        }
        (None, Some(0)) => Asked::Beyond,
        (None, Some(count)) if first.trim().is_empty() => {
            Asked::Part(size.saturating_sub(count)..size)
        }
        (None, _) => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(header::HeaderName, &'static str)]) -> Asked {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name, value.parse().unwrap());
        }
        asked(&headers, "\"f\"", 100)
    }

    #[test]
    fn one_range_is_given_and_everything_else_is_all() {
        use Asked::*;
        assert_eq!(of(&[]), All);
        for (range, expected) in [
            ("bytes=0-", Part(0..100)),
            ("bytes=0-0", Part(0..1)),
            ("bytes=10-19", Part(10..20)),
            ("bytes=99-200", Part(99..100)),
            ("bytes=5-99999999999999999999999", Part(5..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-500", Part(0..100)),
            ("bytes=100-", Beyond),
            ("bytes=99999999999999999999999-", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=9-5", All),
            ("bytes=0-1,5-6", All),
            ("bytes=a-b", All),
            ("bytes=1-b", All),
            ("bytes=-", All),
            ("bytes=+1-2", All),
            ("lines=1-2", All),
        ] {
            assert_eq!(of(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions_are_held_against_the_tag() {
        let range = (header::RANGE, "bytes=0-0");
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"f\"")]), Asked::Nothing);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\", W/\"f\"")]), Asked::Nothing);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "*")]), Asked::Nothing);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\"")]), Asked::All);
        assert_eq!(of(&[range.clone(), (header::IF_RANGE, "\"f\"")]), Asked::Part(0..1));
        assert_eq!(of(&[range.clone(), (header::IF_RANGE, "W/\"f\"")]), Asked::All);
        assert_eq!(of(&[range, (header::IF_RANGE, "\"old\"")]), Asked::All);
    }
}
