//! What this service says of itself: OpenAPI of the routes, AsyncAPI of the live connection, and a
//! page to try the routes with. Made from the types that are read and written, and from what each
//! resource says of its operations; the examples are those of PROTOCOL.md.

mod asyncapi;
mod examples;
mod operation;
mod page;
mod schema;

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

pub(super) use self::{
    operation::{Operation, operation, or_empty},
    schema::Schemas,
};
use super::{
    reply::{self, Reply},
    rest,
    route::Route,
};
use crate::protocol::{Code, VERSION};

/// The conversation of PROTOCOL.md's examples.
pub(super) const EXAMPLE_ID: &str = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e";

/// The documents, each made when somebody first asks for it.
#[derive(Debug, Default)]
pub(crate) struct Description {
    /// Whether there are account routes.
    pub(crate) accounts: bool,
    /// What the host has beside the chat.
    pub(crate) beside: Beside,
    openapi: OnceLock<Document>,
    asyncapi: OnceLock<Document>,
    page: OnceLock<Document>,
}

/// Of a host: an OpenAPI document whose paths are shown beside ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside(Map<String, Value>);

/// A document as it is sent.
#[derive(Debug)]
struct Document {
    content_type: &'static str,
    bytes: Bytes,
    tag: HeaderValue,
    policy: Option<HeaderValue>,
}

impl Beside {
    pub(crate) fn parse(document: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(document).map(Self)
    }
}

impl Description {
    pub(crate) fn new(accounts: bool, beside: Beside) -> Self {
        Self { accounts, beside, ..Self::default() }
    }

    /// The routes.
    pub(crate) fn openapi(&self) -> Bytes {
        self.openapi_document().bytes.clone()
    }

    /// The live connection.
    pub(crate) fn asyncapi(&self) -> Bytes {
        self.asyncapi_document().bytes.clone()
    }

    fn openapi_document(&self) -> &Document {
        self.openapi.get_or_init(|| {
            let operations = operations(self.accounts);
            Document::new("application/json", bytes(&openapi(&operations, &self.beside)), None)
        })
    }

    fn asyncapi_document(&self) -> &Document {
        let make = || Document::new("application/json", bytes(&asyncapi::asyncapi()), None);
        self.asyncapi.get_or_init(make)
    }

    /// Answers a request for one of them.
    pub(super) fn answer(&self, route: &Route, headers: &HeaderMap) -> Reply {
        let document = match route {
            Route::AsyncApi => self.asyncapi_document(),
            Route::TryIt => self.page.get_or_init(|| {
                Document::new("text/html; charset=utf-8", page::HTML.into(), Some(page::policy()))
            }),
            _ => self.openapi_document(),
        };
        document.answer(headers)
    }
}

impl Document {
    fn new(content_type: &'static str, bytes: Bytes, policy: Option<HeaderValue>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).expect("hex is a header value");
        Self { content_type, bytes, tag, policy }
    }

    fn answer(&self, asked: &HeaderMap) -> Reply {
        let held = asked.get_all(header::IF_NONE_MATCH).iter();
        let mut held = held.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
        let unchanged =
            held.any(|it| it.trim().trim_start_matches("W/").as_bytes() == self.tag.as_bytes());
        let mut reply = if unchanged {
            reply::whole(StatusCode::NOT_MODIFIED, self.content_type, Bytes::new())
        } else {
            reply::whole(StatusCode::OK, self.content_type, self.bytes.clone())
        };
        let headers = reply.headers_mut();
        headers.insert(header::ETAG, self.tag.clone());
        // The same for everybody, and kept as long as it is the same.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(policy) = &self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        reply
    }
}

fn bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("a document is JSON").into()
}

/// Everything that is answered here. A resource says it beside its code, in `description.rs`.
fn operations(accounts: bool) -> Vec<Operation> {
    let mut all = Vec::new();
    #[cfg(feature = "accounts")]
    if accounts {
        all.extend(rest::accounts::description::operations());
    }
    #[cfg(not(feature = "accounts"))]
    let _ = accounts;
    all.extend(rest::users::description::operations());
    all.extend(rest::messages::description::operations());
    all.extend(rest::conversations::description::operations());
    all.extend(rest::entrance::description::operations());
    all.extend(rest::files::description::operations());
    all.extend(own());
    all
}

/// The live connection, and the descriptions themselves.
fn own() -> Vec<Operation> {
    let string = || json!({"type": "string"});
    let document = |path, name, summary| {
        operation(Method::GET, path, name, summary)
            .of_anybody()
            .always()
            .answers(200, |_| json!({"type": "object"}), "The document.")
            .with("ETag")
            .answers_nothing(304, "What is held is this one.")
            .with("ETag")
    };
    vec![
        operation(Method::GET, "/ws", "connect", "Opens the live connection")
            .of_a_socket()
            .answers_nothing(101, "From here on it is a WebSocket: see `asyncapi.json`.")
            .with("Upgrade")
            .query("user_id", string(), "Believed where the host says so, for development only.")
            .may(&[
                Code::Malformed,
                Code::Unauthenticated,
                Code::OriginRefused,
                Code::UpgradeRequired,
                Code::RateLimited,
                Code::Overloaded,
                Code::Draining,
            ]),
        document("/openapi.json", "openapi", "This document"),
        document("/asyncapi.json", "asyncapi", "The live connection, as AsyncAPI"),
        operation(Method::GET, "/api", "tryIt", "A page to try this with")
            .of_anybody()
            .always()
            .answers_as(200, "text/html", |_| json!({"type": "string"}), "The page.")
            .with("ETag")
            .answers_nothing(304, "What is held is this one.")
            .with("ETag"),
    ]
}

fn openapi(operations: &[Operation], beside: &Beside) -> Value {
    let (mut schemas, mut shared) = (Schemas::default(), schema::Shared::default());
    let mut paths = Map::new();
    for operation in operations {
        let method = operation.method.as_str().to_ascii_lowercase();
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        let described = operation.clone().describe(&mut schemas, &mut shared);
        let before = path.as_object_mut().expect("made above").insert(method, described);
        assert!(before.is_none(), "{} is described twice", operation.path);
    }
    examples::add(&mut schemas);
    let (inward, outward): (Vec<&Value>, Vec<&Value>) = {
        let of = |part: &str| {
            let operations =
                paths.values().flat_map(|path| path.as_object().expect("ours").values());
            operations.filter_map(|it| it.get(part)).collect::<Vec<_>>()
        };
        (
            [of("requestBody"), of("parameters")].concat(),
            [of("responses"), shared.values().collect()].concat(),
        )
    };
    let schemas = schemas.finish(&inward, &outward);
    let integer = json!({"type": "integer", "minimum": 1});
    let string = json!({"type": "string"});
    let size = json!({"type": "integer", "minimum": 0});
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chat",
            "version": VERSION.to_string(),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "Conversations as logs without gaps. The live connection is described in \
                `asyncapi.json` beside this document, both in words in PROTOCOL.md. A path that is \
                none is answered with 404, a method that a path does not take with 405 and `Allow`, \
                both with a `Problem`.",
        },
        // Where this document is: the chat may be mounted anywhere.
        "servers": [{"url": "."}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": shared,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `/user/login`, or what the host takes. A host may \
                        also know its users by other means.",
                },
                "token": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "The same in the address, where a browser opens a WebSocket.",
                },
            },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "The client's name for this write: a repetition with the same one \
                        is answered like the first time and happens once.",
                    "schema": {
                        "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]*$",
                    },
                    "example": "0198a1f0-7d3e-7b11-8000-1c2d3e4f5a6b",
                },
            },
            "headers": {
                "Link": {
                    "description": "What comes before (`prev`, older) and after (`next`, newer), \
                        where there is more.",
                    "schema": string,
                },
                "ETag": {"required": true, "schema": string},
                "Location": {"required": true, "schema": string},
                "Upload-Offset": {"required": true, "schema": size},
                "Upload-Length": {"required": true, "schema": size},
                "Content-Range": {"required": true, "schema": string},
                "Retry-After": {
                    "description": "When to come back, in seconds.",
                    "required": true,
                    "schema": integer,
                },
                "WWW-Authenticate": {"required": true, "schema": {"const": "Bearer"}},
                "Upgrade": {"required": true, "schema": {"const": "websocket"}},
            },
        },
    });
    add_beside(&mut document, &beside.0);
    document
}

/// Paths and schemas of the host. Ours stay where both have the same.
fn add_beside(document: &mut Value, beside: &Map<String, Value>) {
    for place in ["/paths", "/components/schemas"] {
        let theirs = Value::Object(beside.clone());
        let theirs = theirs.pointer(place).and_then(Value::as_object).cloned();
        let ours = document.pointer_mut(place).and_then(Value::as_object_mut).expect("ours");
        for (name, value) in theirs.into_iter().flatten() {
            ours.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests;
