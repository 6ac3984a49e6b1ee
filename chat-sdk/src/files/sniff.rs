//! What bytes are, by how they begin. What their uploader calls them is not asked.
//!
//! A short table: it decides what a browser may show by itself, and a few words for people. Whatever is
//! not in it is only ever saved.

use crate::model::ContentType;

/// How many of the first bytes are looked at.
pub(crate) const HEAD_BYTES: usize = 4096;

/// What a browser may show without saving it: formats that cannot carry a program, and that are taken
/// for nothing else when they are announced as what they are.
const SHOWN: [&str; 14] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
    "audio/aac",
    "audio/mp4",
    "audio/webm",
    "video/mp4",
    "video/webm",
    "video/ogg",
];

/// Whether a browser may show it in place.
pub(crate) fn is_shown(content_type: &ContentType) -> bool {
    SHOWN.contains(&content_type.as_str())
}

/// Whether there is a chance of a small picture.
#[cfg(any(test, feature = "images"))]
pub(crate) fn is_picture(content_type: &ContentType) -> bool {
    SHOWN[..4].contains(&content_type.as_str())
}

/// What a file is that begins like this.
pub(crate) fn sniff(head: &[u8]) -> ContentType {
    ContentType::known(
        by_magic(head).or_else(|| by_text(head)).unwrap_or("application/octet-stream"),
    )
}

fn by_magic(head: &[u8]) -> Option<&'static str> {
    let at = |place: usize, magic: &[u8]| head.get(place..).is_some_and(|it| it.starts_with(magic));
    let simple: [(&[u8], &str); 16] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"fLaC", "audio/flac"),
        (b"ID3", "audio/mpeg"),
        (b"%PDF-", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (b"PK\x05\x06", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"\x28\xb5\x2f\xfd", "application/zstd"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        (b"\x7fELF", "application/x-executable"),
        (b"MZ", "application/x-executable"),
        (b"\0\0\x01\0", "image/x-icon"),
        (b"BM", "image/bmp"),
    ];
    if at(0, b"RIFF") {
        return match head.get(8..12) {
            Some(b"WEBP") => Some("image/webp"),
            Some(b"WAVE") => Some("audio/wav"),
            Some(b"AVI ") => Some("video/x-msvideo"),
            _ => None,
        };
    }
    if at(4, b"ftyp") {
        return Some(match head.get(8..12) {
            Some(b"M4A " | b"M4B ") => "audio/mp4",
            Some(b"avif" | b"avis") => "image/avif",
            Some(b"heic" | b"heix" | b"mif1" | b"msf1") => "image/heic",
            Some(b"qt  ") => "video/quicktime",
            _ => "video/mp4",
        });
    }
    if at(0, b"OggS") {
        let has = |mark: &[u8]| head.windows(mark.len()).take(256).any(|it| it == mark);
        return Some(if has(b"theora") { "video/ogg" } else { "audio/ogg" });
    }
    if at(0, b"\x1a\x45\xdf\xa3") {
        let has = |mark: &[u8]| head.windows(mark.len()).take(64).any(|it| it == mark);
        return Some(if has(b"webm") { "video/webm" } else { "video/x-matroska" });
    }
    // A frame of MPEG audio, layer III, or of ADTS: eleven or twelve bits set, and no reserved value.
    if let [0xff, second, third, ..] = head {
        if second & 0xe6 == 0xe2 && third & 0xf0 != 0xf0 && third & 0x0c != 0x0c {
            return Some("audio/mpeg");
        }
        if second & 0xf6 == 0xf0 {
            return Some("audio/aac");
        }
    }
    simple.iter().find(|(magic, _)| at(0, magic)).map(|(_, name)| *name)
}

/// Text, and whether somebody might take it for a document with programs in it.
fn by_text(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut.
        Err(why) if why.error_len().is_none() => {
            std::str::from_utf8(&head[..why.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.is_empty() || text.contains(|c: char| c.is_control() && !"\t\n\r\u{c}".contains(c)) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let begins = lower.trim_start();
    let named = |name: &str| lower.contains(&format!("<{name}"));
    if begins.starts_with('<') && named("svg") {
        return Some("image/svg+xml");
    }
    let html =
        ["!doctype html", "html", "head", "body", "script", "iframe", "title", "style", "a ", "p>"];
    if begins.starts_with('<') && html.iter().any(|name| named(name)) {
        return Some("text/html");
    }
    if begins.starts_with("<?xml") || begins.starts_with("<!") {
        return Some("text/xml");
    }
    Some("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_they_are() {
        for (head, name) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
            (b"\0\0\0\x18ftypmp42", "video/mp4"),
            (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0OpusHead", "audio/ogg"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\x80theora", "video/ogg"),
            (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
            (b"\xff\xfb\x90\x64", "audio/mpeg"),
            (b"\xff\xf1\x50\x80", "audio/aac"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"PK\x03\x04\x14\0", "application/zip"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "image/svg+xml"),
            (b"<?xml version='1.0'?>\n<!-- x -->\n<SVG onload='x()'/>", "image/svg+xml"),
            (b"\xef\xbb\xbf  <!DOCTYPE html><body>", "text/html"),
            (b"<script>alert(1)</script>", "text/html"),
            (b"<?xml version='1.0'?><feed/>", "text/xml"),
            ("Grüße".as_bytes(), "text/plain"),
            (&"Grüße".as_bytes()[..4], "text/plain"),
            (b"a\0b", "application/octet-stream"),
            (b"\xfe\xfe\xfe", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(sniff(head).as_str(), name, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn nothing_that_can_carry_a_program_is_shown() {
        for name in [
            "image/svg+xml",
            "text/html",
            "text/xml",
            "text/plain",
            "application/pdf",
            "application/octet-stream",
            "application/xhtml+xml",
        ] {
            assert!(!is_shown(&ContentType::known(name)), "{name}");
        }
        assert!(is_shown(&ContentType::known("image/png")));
        assert!(is_picture(&ContentType::known("image/webp")));
        assert!(!is_picture(&ContentType::known("audio/mpeg")));
    }
}
