//! Once in a while, and whenever there is a doubt: does everybody here follow what they are a
//! member of?
//!
//! The position check looks after conversations that are followed. A conversation that nobody told
//! this node of is not: the bus lost the news of it, or the commit that made it ended in an error
//! although it happened. Only adds: the end of a membership is an event of a log that is followed.
//!
//! So it is here that resume tokens are vouched for. A token says of *every* conversation of a user
//! how far a device is; one that it was never told of would be among them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use tracing::warn;

use super::{Node, lock};
use crate::{
    model::UserId,
    policy::Verdict,
    store::{Checkpoint, StoreError, Write},
};

/// Of whom it is not certain that they follow everything.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    about: Mutex<About>,
    rung: Notify,
}

#[derive(Debug)]
enum About {
    Some(BTreeSet<UserId>),
    Everybody,
}

impl Default for About {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Doubts {
    /// About these.
    pub(super) fn raise(&self, users: impl IntoIterator<Item = UserId>) {
        if let About::Some(about) = &mut *lock(&self.about) {
            about.extend(users);
        }
        self.rung.notify_one();
    }

    /// About everybody who is connected.
    pub(super) fn raise_all(&self) {
        *lock(&self.about) = About::Everybody;
        self.rung.notify_one();
    }
}

/// Whom these writes make members.
pub(super) fn newcomers(writes: &[Write]) -> Vec<UserId> {
    let users = writes.iter().filter_map(|write| match write {
        Write::Open(open) => Some(&open.members[..]),
        Write::Append(append) => Some(append.body.arrivals(append.by.as_ref())),
        Write::Restore(event) => Some(event.body.arrivals(event.from.as_ref())),
        Write::Mark(_) => None,
    });
    users.flatten().cloned().collect()
}

/// How many users are asked about in one query.
const USERS_MAX: usize = 1_000;

/// What is known from the last time that everybody was looked after.
#[derive(Debug, Default)]
struct Round {
    /// Up to here, memberships have been looked at of everybody who was connected.
    settled: Option<Checkpoint>,
    /// Those who were about to join then: what they joined by may be older.
    joining: BTreeSet<UserId>,
}

/// Looks after everybody until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut round = Round::default();
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.doubts.rung.notified() => {}
            () = tokio::time::sleep(node.limits.membership_check) => node.doubts.raise_all(),
        }
        let about = std::mem::take(&mut *lock(&node.doubts.about));
        let looked = match about {
            About::Some(users) => look_after(&node, users).await,
            About::Everybody => look_after_everybody(&node, &mut round).await,
        };
        if let Err(why) = looked {
            warn!(error = &why as &dyn std::error::Error, "membership check failed");
            tokio::select! {
                biased;
                () = node.stop.cancelled() => return,
                () = tokio::time::sleep(node.limits.position_check) => {}
            }
        }
    }
}

/// One after the other: no hurry, and no herd at the store's door.
async fn look_after(node: &Arc<Node>, users: BTreeSet<UserId>) -> Result<(), StoreError> {
    let mut users = users.into_iter();
    while let Some(user) = users.next() {
        if let Err(why) = check(node, &user).await {
            node.doubts.raise(std::iter::once(user).chain(users));
            return Err(why);
        }
    }
    Ok(())
}

/// Most have not moved since they were looked after the last time, and are vouched for at the cost
/// of one query for a thousand.
async fn look_after_everybody(node: &Arc<Node>, round: &mut Round) -> Result<(), StoreError> {
    // Before anything is asked: what is found out is of this moment or of a later one.
    let position = lock(&node.checkpoint).clone();
    let (everybody, joining) = {
        let registry = lock(&node.registry);
        (registry.everybody(), registry.joining())
    };
    let mut suspects = std::mem::replace(&mut round.joining, joining);
    match (&round.settled, &position) {
        (Some(since), Some(position)) => {
            let everybody: Vec<_> = everybody.into_iter().collect();
            for users in everybody.chunks(USERS_MAX) {
                let moved = node.in_time(node.ports.store.moved(users, since)).await;
                match moved {
                    Ok(moved) => suspects.extend(moved),
                    Err(why) => {
                        round.joining.extend(suspects);
                        node.doubts.raise_all();
                        return Err(why);
                    }
                }
                let mut registry = lock(&node.registry);
                for user in users.iter().filter(|user| !suspects.contains(*user)) {
                    registry.vouch(user, position);
                }
            }
        }
        (None, _) | (_, None) => suspects = everybody,
    }
    let looked = look_after(node, suspects).await;
    if looked.is_ok() {
        round.settled = position.map(|position| position.checkpoint);
    }
    looked
}

/// Lets the connections of a user follow what they are a member of and do not follow. Where nothing
/// was missing, the last position is vouched for.
async fn check(node: &Arc<Node>, user: &UserId) -> Result<(), StoreError> {
    if lock(&node.registry).joined(user).is_empty() {
        return Ok(());
    }
    // Before the memberships: they are those of this moment or of a later one.
    let position = lock(&node.checkpoint).clone();
    let memberships = node.in_time(node.ports.store.memberships(user, None)).await?;
    for membership in memberships.current {
        let conversation = membership.conversation;
        let mut missing = lock(&node.registry).joined(user);
        missing.retain(|mailbox| !mailbox.follows(conversation));
        if missing.is_empty()
            || node.ports.policy.may_read(user, conversation).await != Verdict::Allow
        {
            continue;
        }
        for mailbox in &missing {
            metrics::counter!("chat_memberships_found_total").increment(1);
            node.enrol_behind(user, conversation, mailbox, membership.head);
        }
    }
    // Who began to follow something meanwhile is left out by the time of the position.
    if let Some(position) = &position {
        lock(&node.registry).vouch(user, position);
    }
    Ok(())
}
