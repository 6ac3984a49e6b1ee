use http::Method;
use serde_json::json;

use super::{BehindShape, MadeShape, New};
use crate::{
    http::{
        description::{Operation, Schemas, operation},
        rest::shape::ConversationShape,
    },
    model::{Link, Listing},
    protocol::Code,
};

/// What a write may be answered with by whoever commits it.
const WRITES: &[Code] = &[Code::Overloaded, Code::Draining];

pub(in crate::http) fn operations() -> Vec<Operation> {
    let conversation = Schemas::of::<ConversationShape>;
    let come_in = |path, name, summary| {
        operation(Method::POST, path, name, summary)
            .answers(201, conversation, "The caller is in it now.")
            .answers(200, conversation, "The caller was in it already.")
            .may(&[Code::NotFound, Code::Forbidden, Code::Invalid])
            .may(WRITES)
    };
    vec![
        operation(Method::GET, "/conversations/{id}/links", "links", "The links to a conversation")
            .answers(200, Schemas::list_of::<Link>, "In the order in which they were made.")
            .in_a_conversation(),
        operation(Method::POST, "/conversations/{id}/links", "makeLink", "Makes a link")
            .takes(
                Schemas::of::<New>,
                vec![json!({}), json!({"expires_at": "2100-01-09T03:00:20Z", "uses_max": 10})],
            )
            .answers(
                201,
                Schemas::of::<MadeShape<'static>>,
                "With its token, which is told here and never again.",
            )
            .in_a_conversation()
            .may(WRITES),
        operation(
            Method::DELETE,
            "/conversations/{id}/links/{link}",
            "revokeLink",
            "Revokes a link",
        )
        .answers_nothing(204, "Nobody comes in by it any more.")
        .in_a_conversation()
        .may(&[Code::Invalid])
        .may(WRITES),
        operation(Method::GET, "/join/{token}", "lookIn", "What stands behind a link").answers(
            200,
            Schemas::of::<BehindShape>,
            "And whether the caller is in it already.",
        ),
        come_in("/join/{token}", "join", "Comes in by a link"),
        come_in("/conversations/{id}/join", "joinPublic", "Comes into a public conversation"),
        operation(Method::GET, "/directory", "directory", "The public conversations")
            .query("cursor", json!({"type": "string"}), "Where to go on: of a `Link`.")
            .limited()
            .answers(200, Schemas::list_of::<Listing>, "By title.")
            .with("Link"),
    ]
}
