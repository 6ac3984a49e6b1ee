//! What is spoken of: ids, events, conversations, markers, identities.
//!
//! Plain values and their own rules. Knows no storage, no wire, no clock.

pub mod conversation;
pub mod entrance;
pub mod event;
pub mod file;
pub mod id;
pub mod identity;
pub mod marker;
pub mod message;
pub mod text;
pub mod time;

pub use conversation::{Kind, Member, Membership, Memberships, Receipts, Role, Summary};
pub use entrance::{Access, Entrance, History, Link, LinkId, LinkToken, Listing};
pub use event::{Body, Event};
pub use file::{BlobId, ContentType, File, FileId, FileName};
pub use id::{ClientKey, ConversationId, CredentialId, Epoch, InvalidId, Seq, UserId};
pub use identity::{Identity, Profile};
pub use marker::Marker;
pub use message::{Amendment, Edit, Emoji, Message, MessageState, Reaction};
pub use text::{InvalidText, Text, Title, Topic};
pub use time::Timestamp;
