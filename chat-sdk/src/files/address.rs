//! Addresses that carry their own permission, for what cannot send a credential: an image, a video.
//!
//! Each is for one user, one file and some minutes. It says who asks; whether they may is asked again
//! when it is used.

use ring::hmac;

use crate::model::{FileId, Timestamp, UserId};

/// What of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Content,
    /// The small picture.
    Thumbnail,
}

impl Part {
    /// As it stands in a path.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// Signs addresses and knows its own again.
#[derive(Clone)]
pub(crate) struct Signer(hmac::Key);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

impl Signer {
    pub(crate) fn new(key: &[u8]) -> Self {
        // Of its own for this one use, whatever else the host uses the key for.
        let of = hmac::Key::new(hmac::HMAC_SHA256, key);
        let own = hmac::sign(&of, b"chat: addresses of files, 1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    /// The signature, as it stands in an address.
    pub(crate) fn sign(
        &self,
        file: FileId,
        part: Part,
        user: &UserId,
        expires_at: Timestamp,
    ) -> String {
        let tag = hmac::sign(&self.0, said(file, part, user, expires_at).as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether we signed this, and it holds now.
    #[must_use]
    pub(crate) fn holds(
        &self,
        file: FileId,
        part: Part,
        user: &UserId,
        expires_at: Timestamp,
        signature: &str,
        now: Timestamp,
    ) -> bool {
        let digits = signature.as_bytes();
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok().filter(|it| !it.starts_with('+'))?;
            u8::from_str_radix(text, 16).ok()
        };
        let Some(tag) = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>() else {
            return false;
        };
        let said = said(file, part, user, expires_at);
        hmac::verify(&self.0, said.as_bytes(), &tag).is_ok() && now < expires_at
    }
}

/// A user's id has no line break, so that no two of these are the same.
fn said(file: FileId, part: Part, user: &UserId, expires_at: Timestamp) -> String {
    format!("{file}\n{}\n{}\n{user}", part.name(), expires_at.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_user_one_file_one_part_and_a_time() {
        let signer = Signer::new(&[7; 32]);
        let (file, other) = (FileId::from_bytes([1; 16]), FileId::from_bytes([2; 16]));
        let (ann, eve) = (UserId::new("ann").unwrap(), UserId::new("eve").unwrap());
        let at = Timestamp::from_millis;
        let signature = signer.sign(file, Part::Content, &ann, at(1_000));
        let holds = |file, part, user, until, now| {
            signer.holds(file, part, user, at(until), &signature, at(now))
        };
        assert!(holds(file, Part::Content, &ann, 1_000, 999));
        assert!(!holds(file, Part::Content, &ann, 1_000, 1_000), "it has ended");
        assert!(!holds(file, Part::Content, &ann, 9_000, 999), "another end");
        assert!(!holds(file, Part::Content, &eve, 1_000, 999));
        assert!(!holds(other, Part::Content, &ann, 1_000, 999));
        assert!(!holds(file, Part::Thumbnail, &ann, 1_000, 999));
        let elsewhere = Signer::new(&[8; 32]);
        assert!(!elsewhere.holds(file, Part::Content, &ann, at(1_000), &signature, at(999)));
        for bad in ["", "0", "zz", "é", "+f", &signature[2..], &format!("{signature}00")] {
            assert!(!signer.holds(file, Part::Content, &ann, at(1_000), bad, at(999)), "{bad}");
        }
    }
}
