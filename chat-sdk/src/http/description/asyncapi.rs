//! The live connection: every frame that a client may send, and every one that it is sent.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{
    examples,
    schema::{Schemas, refer},
};
use crate::protocol::{
    CloseCode, CommandId, Hello, SUBPROTOCOL, ServerFrame, VERSION,
    codec::content::{
        AmendFields, AuthFields, EditFields, MarkFields, PinFields, PingFields, ReactFields,
        SendFields, SyncFields, TypingFields, WatchFields,
    },
};

/// A frame that a client may send: its type, what it is for, and what is in it.
struct Sent {
    kind: &'static str,
    about: &'static str,
    /// Whether it may carry an id, to be answered with.
    command: bool,
    parts: Vec<Value>,
}

fn sent(schemas: &mut Schemas) -> Vec<Sent> {
    let frame = |kind, about, parts| Sent { kind, about, command: true, parts };
    let mut amend = |kind, about, more: Option<Value>| {
        let parts = [Some(schemas.of::<AmendFields>()), more];
        Sent { kind, about, command: true, parts: parts.into_iter().flatten().collect() }
    };
    let amendments = [
        amend("edit", "Makes a message say something else.", Some(inline::<EditFields>())),
        amend("delete", "Deletes a message for everybody.", None),
        amend(
            "react",
            "Puts an emoji on a message, or takes it back.",
            Some(inline::<ReactFields>()),
        ),
        amend("pin", "Keeps a message at hand, or no longer.", Some(inline::<PinFields>())),
    ];
    let mut send = schemas.inline::<SendFields>();
    // One of the two, as the decoder has it.
    send["oneOf"] = json!([one_of_two("to"), one_of_two("conversation")]);
    let mut all = vec![
        Sent { command: false, ..frame("hello", "The first frame.", vec![schemas.of::<Hello>()]) },
        Sent {
            command: false,
            ..frame("ping", "The heartbeat.", vec![schemas.of::<PingFields>()])
        },
        frame("send", "Writes a message.", vec![send]),
    ];
    all.extend(amendments);
    all.extend([
        frame("mark", "Moves one's marker.", vec![schemas.of::<MarkFields>()]),
        frame("typing", "Tells the others that one types.", vec![schemas.of::<TypingFields>()]),
        frame("watch", "Asks for the presence of users.", vec![schemas.of::<WatchFields>()]),
        frame("sync", "Asks for the log after a place.", vec![schemas.of::<SyncFields>()]),
        frame("auth", "Renews the credential.", vec![schemas.of::<AuthFields>()]),
    ]);
    // What these refer to.
    schemas.of::<SendFields>();
    schemas.of::<EditFields>();
    schemas.of::<ReactFields>();
    all
}

fn one_of_two(name: &str) -> Value {
    json!({"required": [name], "properties": {name: {"type": "string"}}})
}

fn inline<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

/// `send` becomes `ClientSend`.
fn title(side: &str, kind: &str) -> String {
    let (first, rest) = kind.split_at(1);
    format!("{side}{}{rest}", first.to_ascii_uppercase())
}

pub(super) fn asyncapi() -> Value {
    let mut schemas = Schemas::default();
    let id = json!({"oneOf": [schemas.of::<CommandId>(), {"type": "null"}]});
    let mut messages = Map::new();
    let mut message = |name: &str, kind: &str, info: &str, about: Option<&str>, payload: Value| {
        let examples = examples::frames(info).into_iter().filter(|it| it["type"] == kind);
        let examples: Vec<_> = examples.map(|it| json!({"payload": it})).collect();
        let mut described = json!({
            "name": kind, "title": kind, "contentType": "application/json", "payload": payload,
            "examples": examples,
        });
        if let Some(about) = about {
            described["summary"] = json!(about);
        }
        messages.insert(name.to_owned(), described);
    };
    let (mut inward, mut outward) = (Vec::new(), Vec::new());
    for Sent { kind, about, command, mut parts } in sent(&mut schemas) {
        let mut own = json!({
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": [kind]}},
        });
        if command {
            own["properties"]["id"] = id.clone();
        }
        parts.insert(0, own);
        let name = title("Client", kind);
        let payload = schemas.add_merged(&name, parts);
        inward.push(payload.clone());
        message(&name, kind, "client", Some(about), payload);
    }
    schemas.of::<ServerFrame>();
    let frames = schemas.get(&ServerFrame::name()).cloned().expect("put there above");
    for frame in frames["oneOf"].as_array().expect("a frame is one of several") {
        let kind = kind_of(frame).expect("a frame has a type");
        let name = title("Server", &kind);
        let about = frame["description"].as_str().map(str::to_owned);
        let payload = schemas.insert(&name, frame.clone());
        outward.push(payload.clone());
        message(&name, &kind, "server", about.as_deref(), payload);
    }
    schemas.insert("ClientFrame", json!({"oneOf": inward}));
    schemas.insert("ServerFrame", json!({"oneOf": outward}));
    let (inward, outward) = (refer("ClientFrame"), refer("ServerFrame"));
    let refers = |side: &str| {
        let names = messages.keys().filter(|name| name.starts_with(side));
        let place = |name| json!({"$ref": format!("#/channels/live/messages/{name}")});
        names.map(place).collect::<Vec<_>>()
    };
    let in_channel =
        |name: &String| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chat",
            "version": VERSION.to_string(),
            "license": {"name": "MIT"},
            "description": about(),
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                // Below where the chat is mounted, as in `openapi.json`.
                "address": "/ws",
                "title": "The live connection",
                "messages": messages.keys().map(in_channel).collect::<Map<_, _>>(),
                "bindings": {"ws": {
                    "method": "GET",
                    "headers": {"type": "object", "properties": {
                        "Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL},
                    }},
                    "query": {"type": "object", "properties": {"token": {"type": "string"}}},
                }},
            },
        },
        "operations": {
            "client": {
                "action": "receive",
                "title": "What a client sends",
                "channel": {"$ref": "#/channels/live"},
                "messages": refers("Client"),
            },
            "server": {
                "action": "send",
                "title": "What the server sends",
                "channel": {"$ref": "#/channels/live"},
                "messages": refers("Server"),
            },
        },
        "components": {
            "messages": messages,
            "schemas": schemas.finish(&[&inward], &[&outward]),
        },
    })
}

/// The value of its `type`.
fn kind_of(frame: &Value) -> Option<String> {
    match frame {
        Value::Object(fields) => {
            if let Some(kind) = fields.get("properties").and_then(|it| it.get("type")) {
                return Some(kind["enum"][0].as_str()?.to_owned());
            }
            fields.get("allOf").and_then(kind_of)
        }
        Value::Array(parts) => parts.iter().find_map(kind_of),
        _ => None,
    }
}

fn about() -> String {
    let mut text = format!(
        "One WebSocket with the subprotocol `{SUBPROTOCOL}`: the first frame is `hello`, its answer \
         `welcome`. The rules are in PROTOCOL.md: what follows what, resuming, and what a client does \
         when numbers skip. The server closes with:\n"
    );
    for code in CloseCode::ALL {
        text += &format!("\n- {} `{}`", code.code(), code.name());
    }
    text
}
