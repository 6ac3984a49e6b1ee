//! How far somebody is in a conversation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Seq;

/// How far a user has received and read a conversation: two places in its log that only grow,
/// with `read` ≤ `received`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = Positions)]
pub struct Marker {
    /// The last event that reached one of the user's devices.
    pub received: Seq,
    /// The last event that the user has seen.
    pub read: Seq,
}

impl Marker {
    /// Both, each the larger one, never beyond `head`; what is read counts as received.
    ///
    /// Commutative, associative and idempotent, so that markers may arrive in any order and
    /// any number of times.
    #[must_use]
    pub fn merge(self, other: Self, head: Seq) -> Self {
        let read = self.read.max(other.read).min(head);
        let received = self.received.max(other.received).min(head).max(read);
        Self { received, read }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker() -> impl Strategy<Value = Marker> {
        (0u64..20, 0u64..20).prop_map(|(received, read)| Marker {
            received: Seq::new(received),
            read: Seq::new(read),
        })
    }

    proptest! {
        #[test]
        fn markers_arriving_in_any_order_and_number_end_the_same(
            mut arrivals in proptest::collection::vec(marker(), 1..8),
            repeats in proptest::collection::vec(0usize..8, 0..8),
        ) {
            let head = Seq::new(15);
            let end = |all: &[Marker]| all.iter().fold(Marker::default(), |m, n| m.merge(*n, head));
            let first = end(&arrivals);
            for index in repeats {
                arrivals.push(arrivals[index % arrivals.len()]);
            }
            arrivals.reverse();
            prop_assert_eq!(end(&arrivals), first);
        }

        #[test]
        fn a_marker_never_goes_back_nor_beyond_the_head(a in marker(), b in marker(), head in 0u64..25) {
            let head = Seq::new(head);
            let before = a.merge(Marker::default(), head);
            let after = before.merge(b, head);
            prop_assert!(after.read >= before.read && after.received >= before.received);
            prop_assert!(after.read <= after.received && after.received <= head);
        }
    }
}
