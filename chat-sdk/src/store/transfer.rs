//! Moving everything from one store to another, of whatever kind: what a store holds, one record
//! after the other, and how they are taken in.
//!
//! The log is not copied but restored, event by event and by the contract of [`Store`]: so every
//! number, key and time is the same in the new store, or the import says where it is not.

use std::{collections::BTreeMap, num::NonZeroU16};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Mark, Open, Reader, Refusal, Store, StoreError, Write, Written};
use crate::{
    auth::accounts::{Account, AccountRole, AccountStore, CreateWhen, Creation},
    model::{
        Body, ConversationId, CredentialId, Entrance, Epoch, Event, Marker, Seq, Timestamp, UserId,
    },
};

/// The only version of the format so far.
const VERSION: u32 = 1;
/// Writes that are committed together.
const BATCH: usize = 256;
/// The place of [`Body::Created`].
const FIRST: Seq = Seq::new(1);
/// Records that wait for whoever takes them.
const AHEAD: usize = 256;

/// A part of what a store holds. As JSON it is one line of an export.
///
/// They come in this order: `Begin`; accounts; revoked tokens; then of each conversation all
/// markers and all events; `End`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// What this is.
    Begin {
        /// Of the format: 1.
        version: u32,
        /// The life that was exported, for people. The new store begins one of its own.
        epoch: Epoch,
    },
    /// An account, its password hash included.
    Account(#[serde(with = "AccountForm")] Account),
    /// A token that does not hold.
    Revoked {
        /// It.
        token: CredentialId,
        /// Until then it has to be remembered.
        expires_at: Timestamp,
    },
    /// Of somebody who is or was a member.
    Marker {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// How far.
        #[serde(flatten)]
        marker: Marker,
    },
    /// The next event of a log.
    Event(Event),
    /// That was all.
    End {
        /// How many records came before.
        records: u64,
    },
}

/// An [`Account`] in an export: nowhere else does one leave the process.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Account")]
struct AccountForm {
    user: UserId,
    name: String,
    name_key: String,
    display_name: String,
    password_hash: String,
    #[serde(with = "RoleForm")]
    role: AccountRole,
    disabled: bool,
    generation: u32,
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AccountRole", rename_all = "snake_case")]
enum RoleForm {
    User,
    Admin,
}

/// What a store holds at one moment, one record after the other. Dropping it ends the export.
#[derive(Debug)]
pub struct Export(mpsc::Receiver<Result<Record, StoreError>>);

impl Export {
    /// The next record. `None`: there are no more; without an [`Record::End`] before it, something
    /// broke that could not be told.
    pub async fn next(&mut self) -> Option<Result<Record, StoreError>> {
        self.0.recv().await
    }
}

/// Where a store puts its records.
#[derive(Debug)]
pub(super) struct Exporter {
    records: u64,
    sender: mpsc::Sender<Result<Record, StoreError>>,
}

/// Whoever asked for the export does not want it any more.
#[derive(Debug)]
pub(super) struct NobodyWaits;

impl Exporter {
    pub(super) fn new() -> (Self, Export) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        (Self { records: 0, sender }, Export(receiver))
    }

    pub(super) const fn begin(epoch: Epoch) -> Record {
        Record::Begin { version: VERSION, epoch }
    }

    /// For stores that work on threads.
    pub(super) fn put_blocking(&mut self, record: Record) -> Result<(), NobodyWaits> {
        self.records += 1;
        self.sender.blocking_send(Ok(record)).map_err(|_| NobodyWaits)
    }

    /// For stores that work in tasks.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "of PostgreSQL's alone"))]
    pub(super) async fn put(&mut self, record: Record) -> Result<(), NobodyWaits> {
        self.records += 1;
        self.sender.send(Ok(record)).await.map_err(|_| NobodyWaits)
    }

    /// The last word, for stores that work on threads.
    pub(super) fn end_blocking(self, how: Result<(), StoreError>) {
        let last = how.map(|()| Record::End { records: self.records });
        // Nobody may be waiting for it any more.
        let _ = self.sender.blocking_send(last);
    }

    /// The last word, for stores that work in tasks.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "of PostgreSQL's alone"))]
    pub(super) async fn end(self, how: Result<(), StoreError>) {
        let last = how.map(|()| Record::End { records: self.records });
        let _ = self.sender.send(last).await;
    }
}

/// An import that did not work out. What was taken in before stays; the same import can be tried
/// again, and goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreError),
    /// Made by a newer program, or nothing that was exported.
    #[error("this is not an export of version {VERSION}")]
    Version,
    /// Not all of it came.
    #[error("the export is cut off: {found} records, and no end")]
    CutOff {
        /// How many came.
        found: u64,
    },
    /// A record stands where it must not.
    #[error("record {place} is out of order")]
    OutOfOrder {
        /// Which one, from 1.
        place: u64,
    },
    /// The store has something else in its place already.
    #[error("the store holds another event {seq} of conversation {conversation} already")]
    OtherEvent {
        /// In this log.
        conversation: ConversationId,
        /// At this place.
        seq: Seq,
    },
    /// The store refuses an event that another store has accepted.
    #[error("event {seq} of conversation {conversation} was refused: {why:?}")]
    Refused {
        /// In this log.
        conversation: ConversationId,
        /// At this place.
        seq: Seq,
        /// Why.
        why: Refusal,
    },
    /// The store has another account of this name.
    #[error("the store holds another account {name} already")]
    OtherAccount {
        /// The name.
        name: String,
    },
}

/// What was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Accounts.
    pub accounts: u64,
    /// Conversations.
    pub conversations: u64,
    /// Events.
    pub events: u64,
    /// Those of the events that were there already, from an import that was cut off.
    pub known: u64,
}

/// Takes records into a store, which no node uses meanwhile.
///
/// ```
/// # use chat_sdk::{MemoryStore, SqliteStore, store::transfer::{Import, ImportError}};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (old, new) = (SqliteStore::in_memory().unwrap(), MemoryStore::new());
/// let mut export = old.export().await?;
/// let mut import = Import::into(&new);
/// while let Some(record) = export.next().await {
///     import.take(record?).await?;
/// }
/// assert_eq!(import.finish().await?.conversations, 0);
/// # Ok::<(), ImportError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Import<'a, S> {
    store: &'a S,
    /// Records taken.
    taken: u64,
    at: At,
    counts: Imported,
}

#[derive(Debug)]
enum At {
    Begin,
    /// Between conversations, before the first or behind the last.
    Between,
    Log(Box<Log>),
    End,
}

/// The conversation that is being taken in.
#[derive(Debug)]
struct Log {
    conversation: ConversationId,
    markers: BTreeMap<UserId, Marker>,
    /// The last event that came.
    last: Seq,
    /// Up to here the store had it before.
    head: Seq,
    /// Events that are there already, to be compared.
    known: Vec<Event>,
    writes: Vec<Write>,
    /// What each of the writes must become; `None` of a marker.
    expected: Vec<Option<Event>>,
}

impl<'a, S: Store + AccountStore> Import<'a, S> {
    /// Into this store.
    pub const fn into(store: &'a S) -> Self {
        Self {
            store,
            taken: 0,
            at: At::Begin,
            counts: Imported { accounts: 0, conversations: 0, events: 0, known: 0 },
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// See [`ImportError`]. Nothing more should be given then.
    pub async fn take(&mut self, record: Record) -> Result<(), ImportError> {
        self.taken += 1;
        let out_of_order = ImportError::OutOfOrder { place: self.taken };
        match (&self.at, record) {
            (At::Begin, Record::Begin { version: VERSION, .. }) => self.at = At::Between,
            (At::Begin, _) => return Err(ImportError::Version),
            (At::End, _) | (_, Record::Begin { .. }) => return Err(out_of_order),
            (_, Record::Account(account)) => self.account(account).await?,
            (_, Record::Revoked { token, expires_at }) => {
                self.store.revoke_token(&token, expires_at).await?;
            }
            (_, Record::Marker { conversation, user, marker }) => {
                let log = self.log(conversation).await?;
                if log.last > Seq::ZERO {
                    return Err(out_of_order);
                }
                log.markers.insert(user, marker);
            }
            (_, Record::Event(event)) => self.event(event, out_of_order).await?,
            (_, Record::End { records }) => {
                self.close_log().await?;
                if records != self.taken - 1 {
                    return Err(ImportError::CutOff { found: self.taken - 1 });
                }
                self.at = At::End;
            }
        }
        Ok(())
    }

    /// That was all.
    ///
    /// # Errors
    /// [`ImportError::CutOff`] if it was not.
    pub async fn finish(self) -> Result<Imported, ImportError> {
        match self.at {
            At::End => Ok(self.counts),
            At::Begin | At::Between | At::Log(_) => Err(ImportError::CutOff { found: self.taken }),
        }
    }

    async fn account(&mut self, account: Account) -> Result<(), ImportError> {
        let name = account.name_key.clone();
        let creation = self.store.create_account(account.clone(), CreateWhen::NameFree).await?;
        if creation != Creation::Created {
            let there = self.store.account_by_name(&name).await?;
            if there.as_ref() != Some(&account) {
                return Err(ImportError::OtherAccount { name: account.name });
            }
        }
        self.counts.accounts += 1;
        Ok(())
    }

    /// The conversation that is being taken in: this one.
    async fn log(&mut self, conversation: ConversationId) -> Result<&mut Log, ImportError> {
        let goes_on = matches!(&self.at, At::Log(log) if log.conversation == conversation);
        if !goes_on {
            self.close_log().await?;
            let heads = self.store.heads(&[conversation]).await?.heads;
            let head = heads.first().map_or(Seq::ZERO, |(_, head)| *head);
            self.counts.conversations += 1;
            self.at = At::Log(Box::new(Log {
                conversation,
                markers: BTreeMap::new(),
                last: Seq::ZERO,
                head,
                known: Vec::new(),
                writes: Vec::new(),
                expected: Vec::new(),
            }));
        }
        match &mut self.at {
            At::Log(log) => Ok(log),
            At::Begin | At::Between | At::End => unreachable!("it was opened above"),
        }
    }

    async fn event(&mut self, event: Event, out_of_order: ImportError) -> Result<(), ImportError> {
        let store = self.store;
        let log = self.log(event.conversation).await?;
        if event.seq != log.last.next() {
            return Err(out_of_order);
        }
        log.last = event.seq;
        let mut known = 0;
        if event.seq <= log.head {
            log.known.push(event);
            if log.known.len() >= BATCH {
                known = log.compare(store).await?;
            }
        } else {
            log.write(event);
            if log.writes.len() >= BATCH {
                log.commit(store).await?;
            }
        }
        self.counts.events += 1;
        self.counts.known += known;
        Ok(())
    }

    /// The conversation that was being taken in is complete.
    async fn close_log(&mut self) -> Result<(), ImportError> {
        if let At::Log(mut log) = std::mem::replace(&mut self.at, At::Between) {
            self.counts.known += log.compare(self.store).await?;
            log.commit(self.store).await?;
            for (user, marker) in std::mem::take(&mut log.markers) {
                log.mark(user, marker);
            }
            log.commit(self.store).await?;
        }
        Ok(())
    }
}

impl Log {
    fn mark(&mut self, user: UserId, marker: Marker) {
        let conversation = self.conversation;
        self.writes.push(Write::Mark(Mark { conversation, user, marker }));
        self.expected.push(None);
    }

    fn write(&mut self, event: Event) {
        // Who leaves keeps their marker, which can be set as long as they are there.
        let leaves = event.departure();
        if let Some((user, marker)) = leaves.and_then(|user| self.markers.get_key_value(user)) {
            self.mark(user.clone(), *marker);
        }
        self.writes.push(match event.clone() {
            Event {
                conversation,
                seq: FIRST,
                at,
                from: by,
                key,
                body: Body::Created { kind, title, members, access, history },
            } => {
                let entrance = Entrance { access, history };
                Write::Open(Open { conversation, kind, title, by, key, members, entrance, at })
            }
            event => Write::Restore(event),
        });
        self.expected.push(Some(event));
    }

    async fn commit(&mut self, store: &impl Store) -> Result<(), ImportError> {
        let writes = std::mem::take(&mut self.writes);
        let written = store.write(writes).await?;
        for (expected, written) in self.expected.drain(..).zip(written) {
            let Some(expected) = expected else { continue };
            let Event { conversation, seq, .. } = expected;
            match written {
                Written::Event { event, .. } if event == expected => {}
                Written::Refused(why) => {
                    return Err(ImportError::Refused { conversation, seq, why });
                }
                Written::Event { .. } | Written::Marker { .. } => {
                    return Err(ImportError::OtherEvent { conversation, seq });
                }
            }
        }
        Ok(())
    }

    /// How many of those that should be there already are the same.
    async fn compare(&mut self, store: &impl Store) -> Result<u64, ImportError> {
        let mut count = 0;
        let mut known = std::mem::take(&mut self.known).into_iter().peekable();
        while let Some(first) = known.peek() {
            let (after, upto) = (first.seq.previous(), Seq::MAX.min(self.head));
            let page = NonZeroU16::new(BATCH as u16).unwrap_or(NonZeroU16::MIN);
            let there = store.read(Reader::System, self.conversation, after, upto, page).await?;
            let there = there.unwrap_or_default();
            if there.is_empty() {
                let seq = first.seq;
                return Err(ImportError::OtherEvent { conversation: self.conversation, seq });
            }
            for there in there {
                let Some(event) = known.next() else { break };
                if event != there {
                    let Event { conversation, seq, .. } = event;
                    return Err(ImportError::OtherEvent { conversation, seq });
                }
                count += 1;
            }
        }
        Ok(count)
    }
}
