//! Changing a group or channel: adding, removing, leaving, roles, title, topic, who may come in.

use super::{ChangeError, Peers, Setting, all_exist, error::contract, members_max};
use crate::{
    erased::Ports,
    limits::Limits,
    model::{
        Access, Body, ConversationId, Event, History, LinkId, Role, Timestamp, Title, Topic, UserId,
    },
    policy::Verdict,
    store::{Append, Write, Written},
};

/// A change of a group or channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// These become members, with this role or, else, that of [`Kind::newcomer`](crate::model::Kind::newcomer).
    Add(Vec<UserId>, Option<Role>),
    /// This one no longer is.
    Remove(UserId),
    /// The one who asks no longer is.
    Leave,
    /// This one has this role.
    SetRole(UserId, Role),
    /// It is called this.
    SetTitle(Title),
    /// It is about this.
    SetTopic(Topic),
    /// It is about nothing in particular.
    ClearTopic,
    /// These may come in by themselves from now on.
    SetAccess(Access),
    /// Who comes in from now on sees this of what was before.
    SetHistory(History),
    /// Nobody comes in by this link any more.
    RevokeLink(LinkId),
}

/// What has to be committed for a change.
pub(crate) async fn plan(
    ports: &Ports,
    peers: &Peers,
    limits: &Limits,
    now: Timestamp,
    by: Option<&UserId>,
    conversation: ConversationId,
    change: Change,
) -> Result<Vec<Write>, ChangeError> {
    let kind = match peers.of(ports, conversation).await? {
        None => return Err(ChangeError::NotMember),
        Some(Setting::Direct(one, other)) => {
            // To a stranger it does not exist.
            let inside = by.is_none_or(|by| *by == one || *by == other);
            return Err(if inside { ChangeError::Direct } else { ChangeError::NotMember });
        }
        Some(Setting::Shared(kind)) => kind,
    };
    let requires = match &change {
        Change::Leave => Role::Reader,
        // Everybody may leave, or step down.
        Change::Remove(user) | Change::SetRole(user, _) if Some(user) == by => Role::Reader,
        Change::Add(..)
        | Change::Remove(_)
        | Change::SetRole(..)
        | Change::SetTitle(_)
        | Change::SetTopic(_)
        | Change::ClearTopic
        | Change::SetAccess(_)
        | Change::SetHistory(_)
        | Change::RevokeLink(_) => Role::Admin,
    };
    let body = match change {
        Change::Leave => Body::Left,
        Change::Remove(user) if Some(&user) == by => Body::Left,
        Change::Remove(user) => Body::Removed { user },
        Change::SetRole(user, role) => Body::Role { user, role },
        Change::SetTitle(title) => Body::Title { title },
        Change::SetTopic(topic) => Body::Topic { topic: Some(topic) },
        Change::ClearTopic => Body::Topic { topic: None },
        Change::SetAccess(access) => Body::Access { access },
        Change::SetHistory(history) => Body::History { history },
        Change::RevokeLink(link) => Body::Unlinked { link },
        Change::Add(users, role) => {
            if users.len() > limits.users_per_change_max {
                return Err(ChangeError::TooMany(limits.users_per_change_max));
            }
            let role = role.unwrap_or_else(|| kind.newcomer());
            let most = members_max(limits, kind);
            let users = newcomers(ports, most, by, conversation, users).await?;
            if users.is_empty() {
                return Ok(Vec::new());
            }
            Body::Added { users, role }
        }
    };
    Ok(vec![Write::Append(Append {
        conversation,
        by: by.cloned(),
        requires,
        key: None,
        at: now,
        body,
    })])
}

/// Those who are not members yet and may be added.
async fn newcomers(
    ports: &Ports,
    most: usize,
    by: Option<&UserId>,
    conversation: ConversationId,
    users: Vec<UserId>,
) -> Result<Vec<UserId>, ChangeError> {
    let Some(by) = by else { return Ok(users) };
    // Asked on behalf of the one who adds: a stranger learns nothing, not even who exists.
    let Some(group) = ports.store.conversation(by, conversation).await? else {
        return Err(ChangeError::NotMember);
    };
    if group.role < Role::Admin {
        return Err(ChangeError::RoleTooLow);
    }
    if group.member_count as usize + users.len() > most {
        return Err(ChangeError::TooMany(most));
    }
    let mut new: Vec<UserId> = Vec::new();
    for user in users {
        let member = ports.store.conversation(&user, conversation).await?.is_some();
        if !member && !new.contains(&user) {
            new.push(user);
        }
    }
    if !all_exist(ports, &new).await? {
        return Err(ChangeError::UnknownUser);
    }
    match ports.policy.may_gather(by, &new).await {
        Verdict::Allow => Ok(new),
        Verdict::Deny(reason) => Err(ChangeError::Denied(reason)),
    }
}

/// What the store's answer means; `None`: there was nothing to change.
pub(crate) fn conclude(written: Vec<Written>) -> Result<Option<Event>, ChangeError> {
    match written.into_iter().next() {
        None => Ok(None),
        Some(Written::Event { event, .. }) => Ok(Some(event)),
        Some(Written::Refused(refusal)) => Err(refusal.into()),
        Some(Written::Marker { .. }) => Err(contract("a marker for a change").into()),
    }
}
