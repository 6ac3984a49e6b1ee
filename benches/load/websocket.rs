//! As much of WebSocket framing (RFC 6455) as both ends of a measurement need, on bytes. Knows
//! nothing of handshakes, and puts no fragments together: nobody here sends any.

/// More than any frame of a server that is measured.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text or binary: the whole of a message.
    Message,
    Ping,
    Pong,
    Close,
}

/// A frame at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    /// Bytes from the beginning of this frame to that of the next one.
    pub(crate) taken: usize,
}

/// What these bytes are not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WebSocket frame of this peer: it begins with {0:02x?}")]
pub(crate) struct NotAFrame([u8; 2]);

/// The first frame, as soon as all of it is there. `masked`: it comes from a client, all of whom mask
/// with zeros here.
pub(crate) fn frame(bytes: &[u8], masked: bool) -> Result<Option<Frame<'_>>, NotAFrame> {
    let Some([first, second]) = bytes.first_chunk().copied() else { return Ok(None) };
    let refused = NotAFrame([first, second]);
    let kind = match first {
        0x81 | 0x82 => Kind::Message,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8a => Kind::Pong,
        _ => return Err(refused),
    };
    if (second & 0x80 != 0) != masked {
        return Err(refused);
    }
    let (start, length) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(long) => (4, u64::from(u16::from_be_bytes([long[0], long[1]]))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..).and_then(|rest| rest.first_chunk()) {
            Some(long) => (10, u64::from_be_bytes(*long)),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(refused);
    }
    let start = if masked { start + 4 } else { start };
    let taken = start + usize::try_from(length).map_err(|_| refused)?;
    Ok(bytes.get(start..taken).map(|payload| Frame { kind, payload, taken }))
}

const TEXT: u8 = 0x81;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// Writes a text frame of a client, masked with zeros: a server has the same work with any mask.
pub(crate) fn write_client_text(payload: &[u8], out: &mut Vec<u8>) {
    write_head(TEXT, 0x80, payload.len(), out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Answers a ping.
pub(crate) fn write_client_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_head(PONG, 0x80, payload.len(), out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Ends a connection, with the protocol's code.
pub(crate) fn write_client_close(code: u16, out: &mut Vec<u8>) {
    write_head(CLOSE, 0x80, 2, out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&code.to_be_bytes());
}

/// Writes a text frame of a server.
pub(crate) fn write_server_text(payload: &[u8], out: &mut Vec<u8>) {
    write_head(TEXT, 0, payload.len(), out);
    out.extend_from_slice(payload);
}

fn write_head(first: u8, mask: u8, length: usize, out: &mut Vec<u8>) {
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => out.push(mask | short),
        (_, Ok(long)) => {
            out.push(mask | 126);
            out.extend_from_slice(&long.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_length_comes_back_as_it_went() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for masked in [false, true] {
                let mut bytes = Vec::new();
                if masked {
                    write_client_text(&payload, &mut bytes);
                } else {
                    write_server_text(&payload, &mut bytes);
                }
                let end = bytes.len();
                bytes.extend(b"next");
                let frame = frame(&bytes, masked).unwrap().unwrap();
                assert_eq!((frame.kind, frame.taken), (Kind::Message, end), "{length}");
                assert!(frame.payload == payload);
            }
        }
    }

    #[test]
    fn a_part_of_a_frame_is_waited_for() {
        for length in [0, 5, 300, 70_000] {
            let mut bytes = Vec::new();
            write_server_text(&vec![b'x'; length], &mut bytes);
            for end in 0..bytes.len() {
                assert_eq!(frame(&bytes[..end], false), Ok(None), "{length}: {end}");
            }
        }
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 6455, 5.7: "Hello" of a server, and a ping with it.
        let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(
            frame(&hello, false),
            Ok(Some(Frame { kind: Kind::Message, payload: b"Hello", taken: 7 }))
        );
        let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(frame(&ping, false).unwrap().unwrap().kind, Kind::Ping);
    }

    #[test]
    fn what_no_such_peer_says_is_refused() {
        // Fragments, reserved bits, a server that masks, a client that does not, a frame beyond all.
        for (bytes, masked) in [
            (&[0x01, 0x00][..], false),
            (&[0xc1, 0x00], false),
            (&[0x81, 0x80], false),
            (&[0x81, 0x00], true),
            (&[0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], false),
        ] {
            assert!(frame(bytes, masked).is_err(), "{bytes:02x?}");
        }
    }
}
