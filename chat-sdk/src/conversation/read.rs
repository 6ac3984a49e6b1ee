//! Reading: pages of a log, conversations, members.

use std::num::NonZeroU16;

use super::{ReadError, all_exist};
use crate::{
    erased::Ports,
    model::{ConversationId, Member, Receipts, Seq, Summary, UserId},
    policy::Verdict,
    sabotage::{self, Defect},
    store::{Events, Only, Page, Reader},
};

/// A page of a log, as this user may see it.
pub(crate) async fn page(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
    page: Page,
    only: Only,
    limit: NonZeroU16,
) -> Result<Events, ReadError> {
    let leaks = sabotage::on(Defect::LeakToOutsiders);
    let reader = if leaks { Reader::System } else { Reader::User(user) };
    let events = ports.store.page(reader, conversation, page, only, limit).await?;
    let events = events.ok_or(ReadError::NotMember)?;
    // Asked after membership: a stranger learns nothing from the host's rule either.
    allowed(ports, user, conversation).await?;
    Ok(events)
}

/// A page of the messages with another user; empty if nothing was said yet.
pub(crate) async fn page_with(
    ports: &Ports,
    user: &UserId,
    with: &UserId,
    from: Page,
    limit: NonZeroU16,
) -> Result<Events, ReadError> {
    let conversation = ConversationId::direct(user, with);
    match page(ports, user, conversation, from, Only::Messages, limit).await {
        Err(ReadError::NotMember) if user == with => Ok(Events::default()),
        Err(ReadError::NotMember) => {
            if all_exist(ports, std::slice::from_ref(with)).await? {
                Ok(Events::default())
            } else {
                Err(ReadError::UnknownUser)
            }
        }
        answer => answer,
    }
}

/// One conversation, as this user sees it.
pub(crate) async fn conversation(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
) -> Result<Summary, ReadError> {
    let summary = ports.store.conversation(user, conversation).await?;
    let mut summary = summary.ok_or(ReadError::NotMember)?;
    if sabotage::on(Defect::UnreadDrifts) && summary.unread.is_multiple_of(3) {
        summary.unread += 1;
    }
    allowed(ports, user, conversation).await?;
    Ok(summary)
}

/// How many others have received and read up to this place.
pub(crate) async fn receipts(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
    place: Seq,
) -> Result<Receipts, ReadError> {
    let receipts = ports.store.receipts(Reader::User(user), conversation, place).await?;
    let receipts = receipts.ok_or(ReadError::NotMember)?;
    allowed(ports, user, conversation).await?;
    Ok(receipts)
}

/// A page of the members.
pub(crate) async fn members(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
    after: Option<&UserId>,
    limit: NonZeroU16,
) -> Result<Vec<Member>, ReadError> {
    let reader = Reader::User(user);
    let members = ports.store.members(reader, conversation, after, limit).await?;
    let members = members.ok_or(ReadError::NotMember)?;
    allowed(ports, user, conversation).await?;
    Ok(members)
}

async fn allowed(
    ports: &Ports,
    user: &UserId,
    conversation: ConversationId,
) -> Result<(), ReadError> {
    match ports.policy.may_read(user, conversation).await {
        Verdict::Allow => Ok(()),
        Verdict::Deny(reason) => Err(ReadError::Denied(reason)),
    }
}
