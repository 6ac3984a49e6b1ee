use http::Method;
use serde_json::json;

use super::{IDS_MAX, SEARCH_CHARS_MAX};
use crate::{
    http::description::{Operation, Schemas, operation},
    model::Profile,
    protocol::Code,
};

pub(in crate::http) fn operations() -> Vec<Operation> {
    let search = json!({"type": "string", "maxLength": SEARCH_CHARS_MAX});
    vec![
        operation(Method::GET, "/user", "me", "Oneself")
            .answers(200, Schemas::of::<Profile>, "The caller.")
            .may(&[Code::UnknownUser]),
        operation(Method::GET, "/users", "people", "People, by name or by id")
            .query("search", search, "By the beginning of a word of the name; either this or `ids`.")
            .query(
                "ids",
                json!({"type": "string", "description": format!("At most {IDS_MAX}, with commas.")}),
                "By id; who does not exist is left out.",
            )
            .answers(200, Schemas::list_of::<Profile>, "Who was found."),
    ]
}
