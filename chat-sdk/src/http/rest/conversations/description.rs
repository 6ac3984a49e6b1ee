use http::Method;
use serde_json::json;

use super::{
    ConversationShape, MarkerShape, New, NewDescription, NewMarker, NewMembers, NewMessage,
    NewRole, NewText, PageShape,
};
use crate::{
    http::description::{Operation, Schemas, operation, or_empty},
    model::{Event, Member, Receipts},
    protocol::Code,
};

/// What a write may be answered with by whoever commits it.
const WRITES: &[Code] = &[Code::Overloaded, Code::Draining];
/// The same of those that count against the rate of sends.
const SENDS: &[Code] = &[Code::RateLimited, Code::Overloaded, Code::Draining];

pub(in crate::http) fn operations() -> Vec<Operation> {
    [conversations(), messages(), amendments(), members()].concat()
}

fn conversations() -> Vec<Operation> {
    let conversation = Schemas::of::<ConversationShape>;
    vec![
        operation(Method::GET, "/conversations", "conversations", "One's conversations")
            .query("cursor", json!({"type": "string"}), "Where to go on: of a `Link`.")
            .limited()
            .answers(200, Schemas::list_of::<ConversationShape>, "Last active first.")
            .with("Link"),
        operation(Method::POST, "/conversations", "open", "Opens a conversation")
            .keyed()
            .takes(
                Schemas::of::<New>,
                vec![
                    json!({"kind": "direct", "user": "u_42"}),
                    json!({"kind": "group", "title": "Boats", "members": ["u_7", "u_42"]}),
                    json!({"kind": "channel", "title": "News", "members": ["u_42"]}),
                ],
            )
            .answers(201, conversation, "A new group or channel.")
            .answers(200, conversation, "The direct conversation, or what this key opened before.")
            .may(&[Code::UnknownUser, Code::Forbidden, Code::NotFound])
            .may(WRITES),
        operation(Method::GET, "/conversations/{id}", "conversation", "One of them")
            .answers(200, conversation, "As the caller sees it.")
            .in_a_conversation(),
        operation(Method::PATCH, "/conversations/{id}", "describe", "Changes title and topic")
            .takes(
                Schemas::of::<NewDescription>,
                vec![json!({"title": "Boats and ships", "topic": null})],
            )
            .answers_nothing(204, "Changed.")
            .in_a_conversation()
            .may(WRITES),
        operation(Method::GET, "/conversations/{id}/events", "events", "A part of the log")
            .paged()
            .answers(200, Schemas::list_of::<Event>, "Ascending; the newest page by default.")
            .with("Link")
            .in_a_conversation(),
        operation(Method::PUT, "/conversations/{id}/marker", "mark", "Moves one's marker")
            .takes(Schemas::of::<NewMarker>, vec![json!({"received": 13, "read": 12})])
            .answers(200, Schemas::of::<MarkerShape>, "Where it is now.")
            .in_a_conversation()
            .may(WRITES),
    ]
}

fn messages() -> Vec<Operation> {
    let pinned = or_empty(json!({"type": "boolean"}));
    vec![
        operation(
            Method::GET,
            "/conversations/{id}/messages",
            "messages",
            "Messages and their state",
        )
        .paged()
        .query("pinned", pinned, "Those alone that are pinned.")
        .answers(
            200,
            Schemas::of::<PageShape<'static>>,
            "Ascending; the newest page by default. Deleted ones are not in it.",
        )
        .with("Link")
        .in_a_conversation(),
        operation(Method::POST, "/conversations/{id}/messages", "send", "Writes a message")
            .keyed()
            .takes(
                Schemas::of::<NewMessage>,
                vec![json!({"text": "hi"}), json!({"text": "me too", "reply_to": 13})],
            )
            .answers(201, Schemas::of::<Event>, "Committed.")
            .answers(200, Schemas::of::<Event>, "It was, with this key.")
            .in_a_conversation()
            .may(SENDS),
        operation(
            Method::GET,
            "/conversations/{id}/messages/{message}/edits",
            "edits",
            "What a message was made to say",
        )
        .paged()
        .answers(200, Schemas::list_of::<Event>, "Ascending.")
        .with("Link")
        .in_a_conversation(),
        operation(
            Method::GET,
            "/conversations/{id}/messages/{message}/receipts",
            "receipts",
            "How many have received and read up to there",
        )
        .answers(200, Schemas::of::<Receipts>, "The caller not counted.")
        .in_a_conversation(),
    ]
}

/// Changes of a message.
fn amendments() -> Vec<Operation> {
    let amend = |method, path, name, summary| {
        operation(method, path, name, summary)
            .keyed()
            .answers_nothing(204, "So it is.")
            .in_a_conversation()
            .may(SENDS)
    };
    let message = "/conversations/{id}/messages/{message}";
    let reaction = "/conversations/{id}/messages/{message}/reactions/{emoji}";
    let pin = "/conversations/{id}/messages/{message}/pin";
    vec![
        amend(Method::PATCH, message, "edit", "Makes a message say something else")
            .takes(Schemas::of::<NewText>, vec![json!({"text": "hi all"})]),
        amend(Method::DELETE, message, "delete", "Deletes a message for everybody"),
        amend(Method::PUT, reaction, "react", "Puts an emoji on a message"),
        amend(Method::DELETE, reaction, "unreact", "Takes it back"),
        amend(Method::PUT, pin, "pin", "Keeps a message at hand for everybody"),
        amend(Method::DELETE, pin, "unpin", "Keeps it no longer"),
    ]
}

fn members() -> Vec<Operation> {
    let user = json!({"type": "string", "maxLength": 64});
    let change = |method, path, name, summary| {
        operation(method, path, name, summary)
            .answers_nothing(204, "So it is.")
            .in_a_conversation()
            .may(WRITES)
    };
    let member = "/conversations/{id}/members/{user}";
    vec![
        operation(Method::GET, "/conversations/{id}/members", "members", "Who is in it")
            .query("after", user, "Those behind this user id.")
            .limited()
            .answers(200, Schemas::list_of::<Member>, "By user id.")
            .with("Link")
            .in_a_conversation(),
        change(Method::POST, "/conversations/{id}/members", "add", "Adds members")
            .takes(
                Schemas::of::<NewMembers>,
                vec![json!({"users": ["u_43"]}), json!({"users": ["u_44"], "role": "reader"})],
            )
            .may(&[Code::UnknownUser]),
        change(Method::PATCH, member, "setRole", "Gives a member a role")
            .takes(Schemas::of::<NewRole>, vec![json!({"role": "admin"})])
            .may(&[Code::LastOwner]),
        change(Method::DELETE, member, "remove", "Removes a member, or leaves")
            .may(&[Code::LastOwner, Code::Invalid]),
    ]
}
