//! Coming in by oneself: by a link, or because the conversation is public.

use std::num::NonZeroU16;

use super::{ChangeError, JoinError, Peers, ReadError, Setting, error::contract, members_max};
use crate::{
    erased::Ports,
    limits::Limits,
    model::{
        Access, Body, ConversationId, Event, Kind, Link, LinkToken, Listing, Role, Timestamp,
        Title, UserId,
    },
    policy::Verdict,
    store::{Append, Refusal, Write, Written},
};

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Who makes it: an admin or owner; `None`: the host.
    pub by: Option<UserId>,
    /// Where it leads.
    pub conversation: ConversationId,
    /// From when on nobody comes in by it; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// How many may come in by it; `None`: any number.
    pub uses_max: Option<u32>,
}

/// How somebody comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Door {
    /// By a link.
    Link(LinkToken),
    /// Because it is public.
    Public(ConversationId),
}

/// What has to be committed for a link, and what it will be.
pub(crate) async fn plan_link(
    ports: &Ports,
    peers: &Peers,
    limits: &Limits,
    now: Timestamp,
    new: NewLink,
) -> Result<(LinkToken, Link, Vec<Write>), ChangeError> {
    let NewLink { by, conversation, expires_at, uses_max } = new;
    if let Some(by) = &by {
        // Asked on their behalf: a stranger learns nothing.
        let summary = ports.store.conversation(by, conversation).await?;
        let summary = summary.ok_or(ChangeError::NotMember)?;
        if summary.kind == Kind::Direct {
            return Err(ChangeError::Direct);
        }
        if summary.role < Role::Admin {
            return Err(ChangeError::RoleTooLow);
        }
    } else {
        match peers.of(ports, conversation).await? {
            Some(Setting::Shared(_)) => {}
            Some(Setting::Direct(..)) => return Err(ChangeError::Direct),
            None => return Err(ChangeError::NotMember),
        }
    }
    if expires_at.is_some_and(|end| end <= now) || uses_max == Some(0) {
        return Err(ChangeError::EndedLink);
    }
    if ports.store.links(conversation).await?.len() >= limits.links_max {
        return Err(ChangeError::TooManyLinks(limits.links_max));
    }
    let mut random = [0; 16];
    ports.random.fill(&mut random);
    let token = LinkToken::fresh(random);
    let link = Link { link: token.link(), by, at: now, expires_at, uses_max, uses: 0 };
    let write = Write::Append(Append {
        conversation,
        by: link.by.clone(),
        requires: Role::Admin,
        key: None,
        at: now,
        body: Body::Linked { link: link.link.clone(), expires_at, uses_max },
    });
    Ok((token, link, vec![write]))
}

/// The links of a conversation, for its admins.
pub(crate) async fn links(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
) -> Result<Vec<Link>, ReadError> {
    let summary = ports.store.conversation(user, conversation).await?;
    if summary.ok_or(ReadError::NotMember)?.role < Role::Admin {
        return Err(ReadError::RoleTooLow);
    }
    Ok(ports.store.links(conversation).await?)
}

/// What stands behind a door, and whether the user is in there already.
pub(crate) async fn look_in(
    ports: &Ports,
    now: Timestamp,
    user: &UserId,
    door: &Door,
) -> Result<(Listing, bool), JoinError> {
    let (conversation, open) = match door {
        Door::Public(conversation) => (*conversation, None),
        Door::Link(token) => {
            let (conversation, link) =
                ports.store.link(&token.link()).await?.ok_or(JoinError::NoSuchLink)?;
            (conversation, Some(link.is_open(now)))
        }
    };
    let listing = ports.store.listing(conversation).await?.ok_or(JoinError::NotMember)?;
    let member = ports.store.conversation(user, conversation).await?.is_some();
    match open {
        // Who is in is told so although the link has ended.
        _ if member => Ok((listing, true)),
        Some(false) => Err(JoinError::NoSuchLink),
        None if listing.access != Access::Public => Err(JoinError::NotMember),
        Some(true) | None => Ok((listing, false)),
    }
}

/// What has to be committed for somebody to come in, and where; nothing if they are in.
pub(crate) async fn plan_join(
    ports: &Ports,
    limits: &Limits,
    now: Timestamp,
    user: &UserId,
    door: Door,
) -> Result<(ConversationId, Vec<Write>), JoinError> {
    let (listing, member) = look_in(ports, now, user, &door).await?;
    let conversation = listing.conversation;
    if member {
        return Ok((conversation, Vec::new()));
    }
    if let Verdict::Deny(reason) = ports.policy.may_join(user, conversation).await {
        return Err(JoinError::Denied(reason));
    }
    let most = members_max(limits, listing.kind);
    if listing.member_count >= most as u64 {
        return Err(JoinError::Full(most));
    }
    let link = match door {
        Door::Link(token) => Some(token.link()),
        Door::Public(_) => None,
    };
    let write = Write::Append(Append {
        conversation,
        by: Some(user.clone()),
        requires: Role::Reader,
        key: None,
        at: now,
        body: Body::Joined { link, role: listing.kind.newcomer() },
    });
    Ok((conversation, vec![write]))
}

/// What the store's answer means; `None`: they were in already.
pub(crate) fn conclude(written: Vec<Written>) -> Result<Option<Event>, JoinError> {
    match written.into_iter().next() {
        None | Some(Written::Refused(Refusal::NoChange)) => Ok(None),
        Some(Written::Event { event, .. }) => Ok(Some(event)),
        Some(Written::Refused(refusal)) => Err(refusal.into()),
        Some(Written::Marker { .. }) => Err(contract("a marker for a joining").into()),
    }
}

/// A page of the public conversations.
pub(crate) async fn public(
    ports: &Ports,
    after: Option<(Title, ConversationId)>,
    limit: NonZeroU16,
) -> Result<Vec<Listing>, ReadError> {
    Ok(ports.store.public(after, limit).await?)
}
