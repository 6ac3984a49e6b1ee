//! Opening a conversation: the direct one of two users, a new group or a new channel.

use super::{OpenError, Peers, Setting, all_exist, error::contract};
use crate::{
    env::Random,
    erased::Ports,
    limits::Limits,
    model::{Body, ClientKey, ConversationId, Event, Kind, Timestamp, Title, UserId},
    policy::Verdict,
    store::{Open, Write, Written},
};

/// A group to be made.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Who makes it and becomes its owner.
    pub by: UserId,
    /// What it is called.
    pub title: Title,
    /// Who else is in it; the maker may be named or not.
    pub members: Vec<UserId>,
    /// The maker's name for the write: a repetition gives the same group.
    pub key: Option<ClientKey>,
    /// Whether it is a channel: then the others only read, until they are given another role.
    pub channel: bool,
}

/// The direct conversation of two users.
pub(super) fn direct(by: &UserId, with: &UserId, now: Timestamp) -> Open {
    let (low, high) = if by <= with { (by, with) } else { (with, by) };
    Open {
        conversation: ConversationId::direct(by, with),
        kind: Kind::Direct,
        title: None,
        by: Some(by.clone()),
        key: None,
        members: vec![low.clone(), high.clone()],
        at: now,
    }
}

/// What has to be committed to open the direct conversation of two users.
pub(crate) async fn plan_direct(
    ports: &Ports,
    now: Timestamp,
    by: &UserId,
    with: &UserId,
) -> Result<Vec<Write>, OpenError> {
    if by == with {
        return Err(OpenError::ToOneself);
    }
    if !all_exist(ports, std::slice::from_ref(with)).await? {
        return Err(OpenError::UnknownUser);
    }
    if let Verdict::Deny(reason) = ports.policy.may_message(by, with).await {
        return Err(OpenError::Denied(reason));
    }
    Ok(vec![Write::Open(direct(by, with, now))])
}

/// What has to be committed to make a group.
pub(crate) async fn plan_group(
    ports: &Ports,
    limits: &Limits,
    now: Timestamp,
    group: NewGroup,
) -> Result<Vec<Write>, OpenError> {
    let NewGroup { by, title, members, key, channel } = group;
    let mut everybody = vec![by.clone()];
    for member in members {
        if !everybody.contains(&member) {
            everybody.push(member);
        }
        if everybody.len() > limits.users_per_change_max {
            return Err(OpenError::TooMany(limits.users_per_change_max));
        }
    }
    if !all_exist(ports, &everybody[1..]).await? {
        return Err(OpenError::UnknownUser);
    }
    if let Verdict::Deny(reason) = ports.policy.may_gather(&by, &everybody[1..]).await {
        return Err(OpenError::Denied(reason));
    }
    let conversation = match &key {
        Some(key) => ConversationId::group(&by, key),
        None => fresh_id(&*ports.random, now),
    };
    Ok(vec![Write::Open(Open {
        conversation,
        kind: if channel { Kind::Channel } else { Kind::Group },
        title: Some(title),
        by: Some(by),
        key,
        members: everybody,
        at: now,
    })])
}

fn fresh_id(random: &dyn Random, now: Timestamp) -> ConversationId {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    ConversationId::fresh(now, bytes)
}

/// What the store's answer means: the first event, and whether it was written now.
pub(crate) fn conclude(
    peers: &Peers,
    planned: &Write,
    written: Vec<Written>,
) -> Result<(Event, bool), OpenError> {
    match (planned, written.into_iter().next()) {
        (Write::Open(open), Some(Written::Event { event, fresh })) => {
            let setting = Setting::of(&event.body)?;
            let Body::Created { kind, title, members } = &event.body else {
                return Err(contract("a log that does not begin with its creation").into());
            };
            // A group's id follows from the maker and the key: another group under it is a
            // key that was used before for something else.
            let same = match open.kind {
                Kind::Direct => true,
                Kind::Group | Kind::Channel => {
                    *kind == open.kind && *title == open.title && same_users(members, &open.members)
                }
            };
            if !same {
                return Err(OpenError::KeyConflict);
            }
            peers.remember(event.conversation, setting);
            Ok((event, fresh))
        }
        _ => Err(contract("no answer to an opening").into()),
    }
}

fn same_users(one: &[UserId], other: &[UserId]) -> bool {
    one.len() == other.len() && one.iter().all(|user| other.contains(user))
}
