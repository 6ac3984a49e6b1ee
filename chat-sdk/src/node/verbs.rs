//! The verbs of a node, as connections, REST and the host call them: plan, commit, conclude.

use std::{num::NonZeroU16, sync::Arc};

use super::{Node, lock, log_writer::Committing};
use crate::{
    conversation::{
        AmendError, ChangeError, OpenError, ReadError, SendError,
        amend::{self, Amend},
        error::CommitError,
        members::{self, Change},
        open::{self, NewGroup},
        read,
        send::{self, Draft, Sent},
    },
    model::{ConversationId, Event, Marker, Member, Receipts, Seq, Summary, UserId},
    store::{Events, Mark, Only, Page, Write, Written},
};

impl Node {
    /// What has to be committed for a message, which counts as one that its author sent.
    pub(crate) async fn plan_send(&self, draft: Draft) -> Result<Vec<Write>, SendError> {
        if let Some(from) = &draft.from {
            let taken = lock(&self.rates).take(from, self.now());
            taken.map_err(SendError::RateLimited)?;
        }
        let now = self.ports.clock.now();
        self.in_time(send::plan(&self.ports, &self.peers, &self.limits, now, draft)).await
    }

    /// What was planned was written and is committed: everybody is told.
    #[cfg(feature = "postgres")]
    pub(crate) fn conclude_send(
        self: &Arc<Self>,
        written: Vec<Written>,
    ) -> Result<Sent, SendError> {
        for written in &written {
            super::log_writer::deliver(self, written, None);
        }
        send::conclude(&self.peers, written)
    }

    /// Plans a message and puts it into the queue: what comes after this call comes after it in the
    /// log.
    pub(crate) async fn begin_send(
        self: &Arc<Self>,
        draft: Draft,
    ) -> Result<impl Future<Output = Result<Sent, SendError>> + use<>, SendError> {
        let committing = self.commit(self.plan_send(draft).await?)?;
        let node = self.clone();
        Ok(async move { send::conclude(&node.peers, committing.wait().await?) })
    }

    pub(crate) async fn send(self: &Arc<Self>, draft: Draft) -> Result<Sent, SendError> {
        self.begin_send(draft).await?.await
    }

    pub(crate) fn commit(&self, writes: Vec<Write>) -> Result<Committing, CommitError> {
        self.writer.commit(writes)
    }

    pub(crate) async fn open_direct(
        self: &Arc<Self>,
        by: &UserId,
        with: &UserId,
    ) -> Result<(Event, bool), OpenError> {
        let now = self.ports.clock.now();
        let writes = self.in_time(open::plan_direct(&self.ports, now, by, with)).await?;
        self.open(writes).await
    }

    pub(crate) async fn open_group(
        self: &Arc<Self>,
        group: NewGroup,
    ) -> Result<(Event, bool), OpenError> {
        let now = self.ports.clock.now();
        let plan = open::plan_group(&self.ports, &self.limits, now, group);
        let writes = self.in_time(plan).await?;
        self.open(writes).await
    }

    async fn open(self: &Arc<Self>, writes: Vec<Write>) -> Result<(Event, bool), OpenError> {
        let planned = writes.first().cloned().expect("an opening is one write");
        let written = self.commit(writes)?.wait().await?;
        open::conclude(&self.peers, &planned, written)
    }

    pub(crate) async fn change(
        self: &Arc<Self>,
        by: Option<&UserId>,
        conversation: ConversationId,
        change: Change,
    ) -> Result<Option<Event>, ChangeError> {
        let now = self.ports.clock.now();
        let (ports, peers, limits) = (&self.ports, &self.peers, &self.limits);
        let plan = members::plan(ports, peers, limits, now, by, conversation, change);
        let writes = self.in_time(plan).await?;
        members::conclude(self.commit(writes)?.wait().await?)
    }

    /// Puts a change of a message into the queue.
    pub(crate) async fn begin_amend(
        &self,
        amend: Amend,
    ) -> Result<impl Future<Output = Result<Option<Event>, AmendError>> + use<>, AmendError> {
        if let Some(by) = &amend.by {
            let taken = lock(&self.rates).take(by, self.now());
            taken.map_err(AmendError::RateLimited)?;
        }
        let now = self.ports.clock.now();
        let (ports, peers, limits) = (&self.ports, &self.peers, &self.limits);
        let plan = amend::plan(ports, peers, limits, now, amend);
        let writes = self.in_time(plan).await?;
        let committing = self.commit(writes)?;
        Ok(async move { amend::conclude(committing.wait().await?) })
    }

    /// Puts a marker into the queue.
    pub(crate) fn begin_mark(
        &self,
        user: &UserId,
        conversation: ConversationId,
        marker: Marker,
    ) -> Result<impl Future<Output = Result<Marker, ChangeError>> + use<>, ChangeError> {
        let mark = Mark { conversation, user: user.clone(), marker };
        let committing = self.commit(vec![Write::Mark(mark)])?;
        Ok(async move {
            match committing.wait().await?.into_iter().next() {
                Some(Written::Marker { marker, .. }) => Ok(marker),
                Some(Written::Refused(refusal)) => Err(refusal.into()),
                Some(Written::Event { .. }) | None => Err(ChangeError::NotMember),
            }
        })
    }

    pub(crate) async fn page(
        &self,
        user: &UserId,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Events, ReadError> {
        let events = read::page(&self.ports, user, conversation, page, only, limit);
        self.in_time(events).await
    }

    pub(crate) async fn page_with(
        &self,
        user: &UserId,
        with: &UserId,
        page: Page,
        limit: NonZeroU16,
    ) -> Result<Events, ReadError> {
        self.in_time(read::page_with(&self.ports, user, with, page, limit)).await
    }

    pub(crate) async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Summary, ReadError> {
        self.in_time(read::conversation(&self.ports, user, conversation)).await
    }

    pub(crate) async fn members(
        &self,
        user: &UserId,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Member>, ReadError> {
        let members = read::members(&self.ports, user, conversation, after, limit);
        self.in_time(members).await
    }

    pub(crate) async fn receipts_of(
        &self,
        user: &UserId,
        conversation: ConversationId,
        place: Seq,
    ) -> Result<Receipts, ReadError> {
        self.in_time(read::receipts(&self.ports, user, conversation, place)).await
    }
}
