//! Cuts credentials out of a finished log line: the last of several fences, so it would rather cut
//! too much.

use std::borrow::Cow;

const CUT: &str = "[redacted]";

/// Words that stand before a credential, in lower case. In `"token":"x"`, `token: "x"` and
/// `token=x` the value is what follows the word and its punctuation.
const NAMED: &[&str] = &["token", "password", "secret", "ticket", "signature"];

/// What gives a credential away wherever it stands, in lower case, and how much of it is not the
/// credential: a scheme of HTTP, a one-time code in a link, a step of a session, and the beginning
/// of every JWT, which is base64 of `{"`.
const MARKS: &[(&str, usize)] =
    &[("bearer ", 7), ("?code=", 6), ("&code=", 6), ("authenticate(", 13), ("eyj", 0)];

/// How serde begins and ends the repetition of a text that stood where something else was wanted;
/// people send their password to the wrong place.
const MISPLACED: (&[&str], &str) =
    (&["invalid type: string ", "invalid value: string "], ", expected");

/// The line without credentials.
pub(super) fn redact(line: &str) -> Cow<'_, str> {
    // Byte by byte the same length, so that places in one are places in the other.
    let lower = line.to_ascii_lowercase();
    let mut kept = String::new();
    let mut done = 0;
    while let Some((start, end)) = next_credential(line, &lower, done) {
        kept.push_str(&line[done..start]);
        kept.push_str(CUT);
        done = end;
    }
    if done == 0 {
        return Cow::Borrowed(line);
    }
    kept.push_str(&line[done..]);
    Cow::Owned(kept)
}

/// Where the next credential at or after `from` stands.
fn next_credential(line: &str, lower: &str, from: usize) -> Option<(usize, usize)> {
    let marked = MARKS.iter().filter_map(|(mark, lead)| {
        lower[from..].match_indices(mark).find_map(|(at, _)| {
            let start = from + at + lead;
            let start = start + line[start..].find(|c| !matches!(c, '"' | '\\'))?;
            found(line, start, value_end(line, start))
        })
    });
    let named = NAMED.iter().filter_map(|word| {
        lower[from..]
            .match_indices(word)
            .find_map(|(at, _)| named_value(line, from + at + word.len()))
    });
    let misplaced = MISPLACED.0.iter().filter_map(|lead| {
        let start = from + line[from..].find(lead)? + lead.len();
        let end = line[start..].find(MISPLACED.1).map_or(line.len(), |length| start + length);
        found(line, start, end)
    });
    marked.chain(named).chain(misplaced).min()
}

/// A credential, unless there is nothing, or nothing any more.
fn found(line: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    (start < end && !line[start..].starts_with(CUT)).then_some((start, end))
}

/// The value of a name that ends at `at`, if this is a name: `="`, `":"` and the like lead to it.
fn named_value(line: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &line[at..];
    let punctuation = rest.find(|c: char| !matches!(c, '"' | '\\' | ':' | '=' | ' ' | '\''))?;
    let lead = &rest[..punctuation];
    // Without one of these it is a word of a sentence.
    if !lead.contains([':', '=']) {
        return None;
    }
    let start = at + punctuation;
    let quoted = lead.ends_with(['"', '\'']);
    let end = if quoted { quoted_end(line, start) } else { value_end(line, start) };
    found(line, start, end)
}

/// Where a value that stands between quotes ends; it may hold anything else.
fn quoted_end(line: &str, start: usize) -> usize {
    line[start..].find(['"', '\'', '\\']).map_or(line.len(), |length| start + length)
}

fn value_end(line: &str, start: usize) -> usize {
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '&' | ',' | ')' | '}' | ']' | ';')
    };
    line[start..].find(ends).map_or(line.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_cut(line: &str, expected: &str) {
        assert_eq!(redact(line), expected);
        assert_eq!(redact(expected), expected, "cutting twice is cutting once");
    }

    #[test]
    fn credentials_are_cut_wherever_they_stand() {
        check_cut("GET /ws?token=abc&x=1 done", "GET /ws?token=[redacted]&x=1 done");
        check_cut("a token=abc", "a token=[redacted]");
        check_cut(r#"{"token":"a b","x":1}"#, r#"{"token":"[redacted]","x":1}"#);
        check_cut(r#"Hello { token: "abc" }"#, r#"Hello { token: "[redacted]" }"#);
        check_cut(r#"{\"password\":\"hunter 2\"}"#, r#"{\"password\":\"[redacted]\"}"#);
        check_cut("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]");
        check_cut(r#""authorization": "bearer abc""#, r#""authorization": "bearer [redacted]""#);
        check_cut("chat.v1, eyJhbGciOi.eyJzdWIi.c2ln, x", "chat.v1, [redacted], x");
        check_cut(
            r#"session output=Authenticate("abc")"#,
            r#"session output=Authenticate("[redacted]")"#,
        );
        check_cut(r#"Authenticate(\"abc\")"#, r#"Authenticate(\"[redacted]\")"#);
        check_cut("at /setup?code=1234 now", "at /setup?code=[redacted] now");
        check_cut("TOKEN=abc password=def", "TOKEN=[redacted] password=[redacted]");
    }

    #[test]
    fn sentences_stay() {
        for line in [
            "the token does not hold",
            "password changed user=u_7",
            "closed code=4008 reason=slow",
            "ключ token",
            "",
        ] {
            assert_eq!(redact(line), line);
        }
    }
}
