use http::Method;
use serde_json::json;

use super::{MessageShape, New};
use crate::{
    http::description::{Operation, Schemas, operation},
    protocol::Code,
};

pub(in crate::http) fn operations() -> Vec<Operation> {
    let user = json!({
        "type": "string", "minLength": 1, "maxLength": 64, "examples": ["u_42"],
    });
    let message = Schemas::of::<MessageShape<'static>>;
    vec![
        operation(Method::GET, "/messages", "history", "What two users said to each other")
            .asks_for("with", user, "The other user.")
            .paged()
            .answers(
                200,
                Schemas::list_of::<MessageShape<'static>>,
                "Ascending; the newest page by default.",
            )
            .with("Link")
            .may(&[Code::UnknownUser])
            .in_a_conversation(),
        operation(Method::POST, "/messages", "sendTo", "Writes to a user")
            .keyed()
            .takes(Schemas::of::<New>, vec![json!({"to": "u_42", "content": "hi"})])
            .answers(201, message, "Committed.")
            .answers(200, message, "It was, with this key.")
            .may(&[Code::UnknownUser, Code::RateLimited, Code::Overloaded, Code::Draining])
            .in_a_conversation(),
    ]
}
