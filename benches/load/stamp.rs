//! The mark that every message carries in its text: whose it is and which in their row. Found again
//! by a scan of the bytes, whatever they are wrapped in.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What a stamp begins with; nothing that any protocol writes by itself, and the same in JSON.
const MARK: &[u8] = b"~~";
const DIGITS: usize = 16;
/// Bytes of a stamp as text: the least that a message has.
pub(crate) const STAMP_BYTES: usize = MARK.len() + DIGITS;
const COUNT_BITS: u32 = 40;

/// A sender and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// `source` below 2^24, `count` below 2^40: a year at 30,000 a second.
    pub(crate) fn new(source: usize, count: u64) -> Self {
        let source = source as u64;
        assert!(source < 1 << (64 - COUNT_BITS) && count < 1 << COUNT_BITS, "beyond a stamp");
        Self(source << COUNT_BITS | count)
    }

    pub(crate) fn source(self) -> usize {
        (self.0 >> COUNT_BITS) as usize
    }

    pub(crate) fn count(self) -> u64 {
        self.0 & ((1 << COUNT_BITS) - 1)
    }

    /// Only the digits: for keys and ids.
    pub(crate) fn write_digits(self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for shift in (0..DIGITS as u32).rev() {
            out.push(HEX[(self.0 >> (shift * 4) & 0xf) as usize]);
        }
    }

    /// Reads what [`write_digits`](Self::write_digits) wrote, at the beginning of `bytes`.
    pub(crate) fn read_digits(bytes: &[u8]) -> Option<Self> {
        let mut value = 0_u64;
        for digit in bytes.get(..DIGITS)? {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | u64::from(digit);
        }
        Some(Self(value))
    }

    /// A text of `size` bytes, and no less than a stamp, that begins with it.
    pub(crate) fn write_text(self, size: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        self.write_digits(out);
        out.resize(out.len() + size.saturating_sub(STAMP_BYTES), b'x');
    }

    /// The first one in these bytes.
    pub(crate) fn find(bytes: &[u8]) -> Option<Self> {
        static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));
        let mut rest = bytes;
        while let Some(at) = FINDER.find(rest) {
            if let Some(stamp) = Self::read_digits(&rest[at + MARK.len()..]) {
                return Some(stamp);
            }
            // By one only: in three marks' halves in a row, the second may begin it.
            rest = &rest[at + 1..];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_whatever_it_is_wrapped() {
        for stamp in [Stamp::new(0, 0), Stamp::new(7, 81), Stamp::new((1 << 24) - 1, (1 << 40) - 1)]
        {
            for (before, after) in
                [("", ""), ("{\"title\":\"~~boats~~~\",\"text\":\"", "\"}"), ("~", "~~")]
            {
                let mut bytes = before.as_bytes().to_vec();
                stamp.write_text(40, &mut bytes);
                bytes.extend(after.as_bytes());
                assert_eq!(bytes.len(), before.len() + 40 + after.len());
                assert_eq!(Stamp::find(&bytes), Some(stamp), "{before}");
            }
        }
        assert_eq!(Stamp::new(7, 81).source(), 7);
        assert_eq!(Stamp::new(7, 81).count(), 81);
    }

    #[test]
    fn what_is_no_stamp_is_not_found() {
        for bytes in ["", "~~", "~~000000000000000", "~~000000000000000g", "0000000000000051"] {
            assert_eq!(Stamp::find(bytes.as_bytes()), None, "{bytes}");
        }
    }
}
