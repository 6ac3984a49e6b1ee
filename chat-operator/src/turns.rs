//! Whose turn it is to get a newer operator's pod template: one cluster after the other, so that a
//! template that does not work is seen in one.

use std::sync::{Mutex, PoisonError};

use kube::runtime::reflector::ObjectRef;

use crate::crd::ChatCluster;

/// The turn. It is given to whoever asks first, and kept until that one says that it is done.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Option<ObjectRef<ChatCluster>>>);

impl Turns {
    /// Whether it is this one's turn; takes it if it is nobody's.
    pub(crate) fn take(&self, cluster: &ObjectRef<ChatCluster>) -> bool {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *turn.get_or_insert_with(|| cluster.clone()) == *cluster
    }

    /// This one is done, or it is gone. Nothing happens if it is another's turn.
    pub(crate) fn done(&self, cluster: &ObjectRef<ChatCluster>) {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.as_ref() == Some(cluster) {
            *turn = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other_and_whoever_has_it_keeps_it() {
        let (turns, one, other) = (
            Turns::default(),
            ObjectRef::new("one").within("a"),
            ObjectRef::new("one").within("b"),
        );
        assert!(turns.take(&one) && turns.take(&one));
        assert!(!turns.take(&other));
        turns.done(&other);
        assert!(!turns.take(&other), "it is not the other's to give away");
        turns.done(&one);
        assert!(turns.take(&other) && !turns.take(&one));
    }
}
