//! From a path to what it names, segment by segment; never by prefix.

use std::{borrow::Cow, collections::HashMap, str::FromStr};

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::{
    files::address::Part,
    model::{ConversationId, Emoji, FileId, LinkId, LinkToken, Seq, UserId},
    protocol::{Code, Problem},
};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Socket,
    OpenApi,
    AsyncApi,
    TryIt,
    LogIn,
    Register,
    SetUp,
    Token,
    LogOut,
    Me,
    Users,
    Messages,
    Conversations,
    Conversation(ConversationId),
    Events(ConversationId),
    Send(ConversationId),
    Message(ConversationId, Seq),
    Edits(ConversationId, Seq),
    Receipts(ConversationId, Seq),
    Reaction(ConversationId, Seq, Emoji),
    Pin(ConversationId, Seq),
    Files,
    File(FileId),
    FilePart(FileId, Part),
    Marker(ConversationId),
    Members(ConversationId),
    Member(ConversationId, UserId),
    Links(ConversationId),
    Link(ConversationId, LinkId),
    Enter(ConversationId),
    Door(LinkToken),
    Directory,
}

impl Route {
    /// What this path names, if anything.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        let conversation = |id: &str| ConversationId::from_str(id).ok();
        let seq = |number: &str| number.parse().ok().map(Seq::new);
        Some(match &segments[..] {
            ["ws"] => Self::Socket,
            ["openapi.json"] => Self::OpenApi,
            ["asyncapi.json"] => Self::AsyncApi,
            ["api"] => Self::TryIt,
            ["user"] => Self::Me,
            ["user", "login"] => Self::LogIn,
            ["user", "register"] => Self::Register,
            ["user", "setup"] => Self::SetUp,
            ["user", "token"] => Self::Token,
            ["user", "logout"] => Self::LogOut,
            ["users"] => Self::Users,
            ["messages"] => Self::Messages,
            ["conversations"] => Self::Conversations,
            ["conversations", id] => Self::Conversation(conversation(id)?),
            ["conversations", id, "events"] => Self::Events(conversation(id)?),
            ["conversations", id, "messages"] => Self::Send(conversation(id)?),
            ["conversations", id, "messages", message] => {
                Self::Message(conversation(id)?, seq(message)?)
            }
            ["conversations", id, "messages", message, "edits"] => {
                Self::Edits(conversation(id)?, seq(message)?)
            }
            ["conversations", id, "messages", message, "receipts"] => {
                Self::Receipts(conversation(id)?, seq(message)?)
            }
            ["conversations", id, "messages", message, "reactions", emoji] => {
                let emoji = percent_decode_str(emoji).decode_utf8().ok()?;
                Self::Reaction(conversation(id)?, seq(message)?, Emoji::new(emoji).ok()?)
            }
            ["conversations", id, "messages", message, "pin"] => {
                Self::Pin(conversation(id)?, seq(message)?)
            }
            ["files"] => Self::Files,
            ["files", file] => Self::File(file.parse().ok()?),
            ["files", file, "content"] => Self::FilePart(file.parse().ok()?, Part::Content),
            ["files", file, "thumbnail"] => Self::FilePart(file.parse().ok()?, Part::Thumbnail),
            ["conversations", id, "marker"] => Self::Marker(conversation(id)?),
            ["conversations", id, "members"] => Self::Members(conversation(id)?),
            ["conversations", id, "members", user] => {
                let user = percent_decode_str(user).decode_utf8().ok()?;
                Self::Member(conversation(id)?, UserId::new(user).ok()?)
            }
            ["conversations", id, "links"] => Self::Links(conversation(id)?),
            ["conversations", id, "links", link] => {
                Self::Link(conversation(id)?, LinkId::from_str(link).ok()?)
            }
            ["conversations", id, "join"] => Self::Enter(conversation(id)?),
            ["join", token] => Self::Door(LinkToken::from_str(token).ok()?),
            ["directory"] => Self::Directory,
            _ => return None,
        })
    }

    /// Whether it is there only where the server keeps accounts.
    pub(super) const fn is_of_accounts(&self) -> bool {
        matches!(self, Self::LogIn | Self::Register | Self::SetUp | Self::Token | Self::LogOut)
    }

    /// Which methods it takes.
    pub(super) const fn methods(&self) -> &'static [Method] {
        match self {
            Self::LogIn
            | Self::Register
            | Self::SetUp
            | Self::Token
            | Self::LogOut
            | Self::Enter(_) => &[Method::POST],
            Self::Socket
            | Self::OpenApi
            | Self::AsyncApi
            | Self::TryIt
            | Self::Me
            | Self::Users
            | Self::Directory
            | Self::Events(_)
            | Self::Edits(..)
            | Self::FilePart(..)
            | Self::Receipts(..) => &[Method::GET],
            Self::Messages
            | Self::Conversations
            | Self::Members(_)
            | Self::Send(_)
            | Self::Links(_)
            | Self::Door(_) => &[Method::GET, Method::POST],
            Self::Link(..) => &[Method::DELETE],
            Self::Reaction(..) | Self::Pin(..) => &[Method::PUT, Method::DELETE],
            Self::Conversation(_) => &[Method::GET, Method::PATCH],
            Self::Files => &[Method::GET, Method::POST, Method::OPTIONS],
            Self::File(_) => &[Method::HEAD, Method::PATCH, Method::DELETE],
            Self::Marker(_) => &[Method::PUT],
            Self::Message(..) | Self::Member(..) => &[Method::PATCH, Method::DELETE],
        }
    }
}

/// The query of a request, each name once.
#[derive(Debug, Default)]
pub(super) struct Query<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// A value of a type; what is there and cannot be one is the caller's mistake.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        match self.text(name) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(Problem::new(Code::Invalid, format!("{name} is not valid"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_whole() {
        assert_eq!(Route::of("/ws"), Some(Route::Socket));
        for nothing in [
            "/",
            "",
            "/wsx",
            "/ws/",
            "/ws/x",
            "//ws",
            "/user/",
            "/user/login/x",
            "/conversations/nope",
        ] {
            assert_eq!(Route::of(nothing), None, "{nothing}");
        }
        let id = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e";
        let member = Route::of(&format!("/conversations/{id}/members/a%2Fb"));
        assert!(matches!(member, Some(Route::Member(_, user)) if user.as_str() == "a/b"));
    }
}
