//! Writing a message, to a user or into a conversation.

use super::{Peers, SendError, Setting, all_exist, error::contract, open};
use crate::{
    erased::Ports,
    limits::Limits,
    model::{
        Body, ClientKey, ContentType, ConversationId, Event, File, FileId, FileName, InvalidText,
        Message, Role, Text, Timestamp, UserId,
    },
    policy::Verdict,
    store::{Append, FileQuery, StoreError, Write, Written},
};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To a user, in the direct conversation, which is opened if need be.
    User(UserId),
    /// Into this conversation.
    Conversation(ConversationId),
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who writes; `None`: the system, which can write into a conversation only.
    pub from: Option<UserId>,
    /// Where to.
    pub to: To,
    /// The writer's name for it.
    pub key: Option<ClientKey>,
    /// What.
    pub message: Message,
    /// What comes with it: complete files of the writer that were not sent before, in their order.
    pub files: Vec<FileId>,
}

impl Draft {
    /// A message of a user.
    #[must_use]
    pub fn new(from: UserId, to: To, message: impl Into<Message>) -> Self {
        Self::of(Some(from), to, message.into())
    }

    /// A message of the system, into a conversation.
    #[must_use]
    pub fn system(conversation: ConversationId, message: impl Into<Message>) -> Self {
        Self::of(None, To::Conversation(conversation), message.into())
    }

    fn of(from: Option<UserId>, to: To, message: Message) -> Self {
        let files = message.files.iter().map(|file| file.id).collect();
        Self { from, to, key: None, message, files }
    }

    /// With this name, so that it can be sent again without being doubled.
    #[must_use]
    pub fn key(mut self, key: ClientKey) -> Self {
        self.key = Some(key);
        self
    }

    /// With these files. Its text may be [`Text::none`] then.
    #[must_use]
    pub fn files(mut self, files: impl IntoIterator<Item = FileId>) -> Self {
        self.files = files.into_iter().collect();
        self
    }
}

/// A message that stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// It.
    pub event: Event,
    /// Whether it stood there already: the key had been used for it.
    pub duplicate: bool,
}

/// What has to be committed, all in one batch, for this message.
pub(crate) async fn plan(
    ports: &Ports,
    peers: &Peers,
    limits: &Limits,
    now: Timestamp,
    draft: Draft,
) -> Result<Vec<Write>, SendError> {
    let Draft { from, to, key, mut message, files } = draft;
    if message.text.is_none() && files.is_empty() {
        return Err(SendError::TooLong(InvalidText::Empty));
    }
    check_length(&message.text, limits).map_err(SendError::TooLong)?;
    if files.len() > limits.files_per_message_max {
        return Err(SendError::TooManyFiles(limits.files_per_message_max));
    }
    message.files = described(ports, from.as_ref(), files).await?;
    let mut writes = Vec::with_capacity(2);
    let conversation = match (&from, to) {
        (Some(from), To::User(to)) => {
            if *from == to {
                return Err(SendError::ToOneself);
            }
            let conversation = ConversationId::direct(from, &to);
            if peers.remembered(conversation).is_none() {
                if !all_exist(ports, std::slice::from_ref(&to)).await? {
                    return Err(SendError::UnknownUser);
                }
                writes.push(Write::Open(open::direct(from, &to, now)));
            }
            allowed(ports.policy.may_message(from, &to).await)?;
            conversation
        }
        (None, To::User(_)) => {
            return Err(SendError::Denied("the system writes into conversations".to_owned()));
        }
        (None, To::Conversation(conversation)) => conversation,
        (Some(from), To::Conversation(conversation)) => {
            match peers.of(ports, conversation).await? {
                None => return Err(SendError::NotMember),
                Some(Setting::Shared(_)) => {
                    allowed(
                        ports.policy.may_send(from, conversation, message.text.as_str()).await,
                    )?;
                }
                Some(Setting::Direct(one, other)) => {
                    let to = if *from == one { &other } else { &one };
                    allowed(ports.policy.may_message(from, to).await)?;
                }
            }
            conversation
        }
    };
    writes.push(Write::Append(Append {
        conversation,
        by: from,
        requires: Role::Member,
        key,
        at: now,
        body: Body::Message(message),
    }));
    Ok(writes)
}

/// What the store's answer to [`plan`] means.
pub(crate) fn conclude(peers: &Peers, written: Vec<Written>) -> Result<Sent, SendError> {
    let mut last = None;
    for written in written {
        if let Written::Event { event, .. } = &written
            && matches!(event.body, Body::Created { .. })
        {
            peers.remember(event.conversation, Setting::of(&event.body)?);
        }
        last = Some(written);
    }
    match last {
        Some(Written::Event { event, fresh }) => Ok(Sent { event, duplicate: !fresh }),
        Some(Written::Refused(refusal)) => Err(refusal.into()),
        Some(Written::Marker { .. }) | None => Err(contract("no answer to a message").into()),
    }
}

/// What the log shall say of these files. Whether the message may have them is decided when it is
/// committed; of one that is not there, nothing is said that could be committed, but for a message
/// that stands in the log already by its key.
async fn described(
    ports: &Ports,
    by: Option<&UserId>,
    files: Vec<FileId>,
) -> Result<Vec<File>, StoreError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let found = ports.store.files(FileQuery::Ids(files.clone())).await?;
    let describe = |id: FileId| {
        let own = found.iter().find(|it| it.file.id == id && Some(&it.owner) == by);
        own.map_or_else(|| nothing(id), |it| it.file.clone())
    };
    Ok(files.into_iter().map(describe).collect())
}

/// A file that nobody has: none is without bytes.
fn nothing(id: FileId) -> File {
    let (name, content_type) = (FileName::clean(""), ContentType::UNKNOWN);
    File { id, name, content_type, size: 0, width: None, height: None, thumbnail: false }
}

fn allowed(verdict: Verdict) -> Result<(), SendError> {
    match verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny(reason) => Err(SendError::Denied(reason)),
    }
}

pub(super) fn check_length(text: &Text, limits: &Limits) -> Result<(), InvalidText> {
    if text.as_str().len() > limits.text_bytes_max {
        return Err(InvalidText::TooManyBytes(limits.text_bytes_max));
    }
    if text.as_str().chars().count() > limits.text_chars_max {
        return Err(InvalidText::TooManyChars(limits.text_chars_max));
    }
    Ok(())
}
