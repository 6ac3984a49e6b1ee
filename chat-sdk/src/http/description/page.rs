//! The page to try the routes with: one file without anything from elsewhere.

use std::sync::LazyLock;

use http::HeaderValue;

pub(super) const HTML: &str = include_str!("page.html");

/// What the page may do: run the one script and wear the one style that are in it, and ask the server
/// that it comes from.
pub(super) fn policy() -> HeaderValue {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest("script"),
            digest("style"),
        )
    });
    HeaderValue::from_static(&POLICY)
}

/// Of what stands between the tags, in base64.
fn digest(tag: &str) -> String {
    let inside = HTML.split_once(&format!("<{tag}>")).and_then(|(_, rest)| {
        let (inside, _) = rest.split_once(&format!("</{tag}>"))?;
        Some(inside)
    });
    let inside = inside.expect("the page has one script and one style");
    base64(ring::digest::digest(&ring::digest::SHA256, inside.as_bytes()).as_ref())
}

/// RFC 4648, section 4. The crate for it comes with other features alone.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let letter = (bits >> (18 - 6 * n)) as usize & 63;
            text.push(if n <= chunk.len() { char::from(LETTERS[letter]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_page_has_nothing_that_its_policy_forbids() {
        for forbidden in ["http://", "https://", "src=", "style=", "onclick", "innerHTML", "eval("]
        {
            assert!(!HTML.contains(forbidden), "{forbidden}");
        }
    }
}
