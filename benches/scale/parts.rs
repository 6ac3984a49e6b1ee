//! How evenly the parts of the bus lie on the masters of a Redis Cluster.
//!
//! The same arithmetic as `chat-sdk/src/bus/redis/channel.rs`, which keeps it to itself.

pub(crate) const PARTS: usize = 128;
const SLOTS: usize = 16_384;

/// The part in which the servers' words to each other are.
pub(crate) fn part_of_nodes() -> usize {
    usize::from(crc16(b"n")) % PARTS
}

/// Which master has a part, if each has an equal range of slots, as `redis-cli --cluster create`
/// makes it.
fn master_of(part: usize, masters: usize) -> usize {
    let slot = usize::from(crc16(part.to_string().as_bytes())) % SLOTS;
    slot * masters / SLOTS
}

/// What each master carries, if this is what each part does.
pub(crate) fn on_masters(parts: &[f64; PARTS], masters: usize) -> Vec<f64> {
    let mut loads = vec![0.0; masters];
    for (part, load) in parts.iter().enumerate() {
        loads[master_of(part, masters)] += load;
    }
    loads
}

/// CRC-16/XMODEM, by which Redis Cluster divides keys into slots.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_masters_share_evenly_and_many_do_not() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let most = |masters| {
            let loads = on_masters(&[1.0; PARTS], masters);
            assert_eq!(loads.iter().sum::<f64>(), 128.0);
            loads.into_iter().fold(0.0, f64::max)
        };
        assert_eq!((most(1), most(2), most(4)), (128.0, 64.0, 32.0));
        // Counted by another program.
        assert_eq!((most(6), most(12), most(24), most(64)), (27.0, 17.0, 10.0, 4.0));
    }
}
