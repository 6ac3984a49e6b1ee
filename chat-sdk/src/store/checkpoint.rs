//! How our stores spell a [`Checkpoint`]: the number of a commit, and whose.

use super::Checkpoint;
use crate::{
    env::{Random, SystemRandom},
    model::Epoch,
};

/// Writes and reads the checkpoints of one life of the data. Those of another life are not ours,
/// although their numbers may look like it.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    life: String,
}

impl Stamps {
    /// Of the life that this epoch names.
    pub(super) fn of(epoch: &Epoch) -> Self {
        // A digest, because an epoch may be as long as a checkpoint.
        let digest = ring::digest::digest(&ring::digest::SHA256, epoch.as_str().as_bytes());
        Self { life: hex(&digest.as_ref()[..6]) }
    }

    /// The moment after the commit with this number.
    pub(super) fn checkpoint(&self, stamp: u64) -> Checkpoint {
        Checkpoint(format!("{stamp}-{}", self.life))
    }

    /// The number of the commit, if the checkpoint is one of ours and not beyond `last`.
    pub(super) fn stamp(&self, checkpoint: &Checkpoint, last: u64) -> Option<u64> {
        let (stamp, life) = checkpoint.0.split_once('-')?;
        let stamp = stamp.parse().ok()?;
        (life == self.life && stamp <= last).then_some(stamp)
    }
}

/// The number in a checkpoint, whosever it is: for asking first and judging it by what comes back.
#[cfg(feature = "postgres")]
pub(super) fn number(checkpoint: &Checkpoint) -> Option<u64> {
    checkpoint.0.split_once('-')?.0.parse().ok()
}

/// A name for a new life.
pub(super) fn random_epoch() -> Epoch {
    let mut bytes = [0; 8];
    SystemRandom::default().fill(&mut bytes);
    Epoch::new(hex(&bytes)).expect("hexadecimal digits make an epoch")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_known_only_in_its_own_life_and_past() {
        let stamps = Stamps::of(&Epoch::new("one").unwrap());
        let checkpoint = stamps.checkpoint(7);
        assert_eq!(stamps.stamp(&checkpoint, 7), Some(7));
        assert_eq!(stamps.stamp(&checkpoint, 6), None);
        assert_eq!(Stamps::of(&Epoch::new("two").unwrap()).stamp(&checkpoint, 7), None);
        for odd in ["", "7", "-", "x", "7-", "-7", &format!("+{}", checkpoint.0)[..2]] {
            assert_eq!(stamps.stamp(&Checkpoint(odd.to_owned()), 9), None, "{odd:?}");
        }
    }

    #[test]
    fn the_longest_checkpoint_is_within_the_contract() {
        let stamps = Stamps::of(&Epoch::new("e".repeat(64)).unwrap());
        assert!(stamps.checkpoint(u64::MAX).0.len() <= 64);
    }
}
