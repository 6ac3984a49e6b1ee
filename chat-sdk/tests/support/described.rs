//! Holds what a test's server says against what it says of itself: a status, a header, a field or a
//! frame that the documents do not have fails the test in which it was seen.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock},
};

use chat_sdk::Chat;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{Ask, Reply};

/// Headers that say something; the others are on every answer.
const TELLING: [&str; 7] =
    ["link", "etag", "retry-after", "www-authenticate", "allow", "location", "upgrade"];

/// A document, and the validators that were made of it.
struct Document {
    root: Value,
    made: Mutex<HashMap<String, Arc<Validator>>>,
}

static OPENAPI: LazyLock<Mutex<HashMap<Vec<u8>, Arc<Document>>>> = LazyLock::new(Mutex::default);
static ASYNCAPI: OnceLock<Document> = OnceLock::new();

/// Remembers what frames may look like: that is the same for every chat.
pub fn learn(chat: &Chat) {
    ASYNCAPI.get_or_init(|| Document::new(&chat.asyncapi()));
}

fn openapi(chat: &Chat) -> Arc<Document> {
    let bytes = chat.openapi();
    let mut known = OPENAPI.lock().unwrap();
    let document = known.entry(bytes.to_vec()).or_insert_with(|| Document::new(&bytes).into());
    document.clone()
}

impl Document {
    fn new(bytes: &[u8]) -> Self {
        Self { root: serde_json::from_slice(bytes).unwrap(), made: Mutex::default() }
    }

    /// Fails if the value is not what stands there. With `strict` it may have no field that is not
    /// described: clients have to ignore those, we have to describe them.
    fn check(&self, place: &str, schema: &Value, strict: bool, value: &Value) {
        let validator = {
            let mut made = self.made.lock().unwrap();
            let make = || {
                let mut components = self.root["components"]["schemas"].clone();
                let mut schema = schema.clone();
                if strict {
                    close(&mut schema, true);
                    for one in components.as_object_mut().unwrap().values_mut() {
                        close(one, false);
                    }
                }
                schema["components"] = json!({"schemas": components});
                let options = jsonschema::options().should_validate_formats(true);
                Arc::new(options.build(&schema).unwrap_or_else(|why| panic!("{place}: {why}")))
            };
            made.entry(format!("{place} {strict}")).or_insert_with(make).clone()
        };
        if let Err(why) = validator.validate(value) {
            let at = why.instance_path();
            panic!("not what is described at {place}: {why} (at {at}): {value}");
        }
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(place) => self.root.pointer(place.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }
}

/// Allows no field beyond those that are described, here (`whole`) and in everything inside. What is
/// only a part of a schema sees not all of the fields, so it is closed where it is put together.
fn close(schema: &mut Value, whole: bool) {
    let Some(fields) = schema.as_object_mut() else { return };
    for part in ["allOf", "oneOf", "anyOf"] {
        for one in fields.get_mut(part).and_then(Value::as_array_mut).into_iter().flatten() {
            close(one, false);
        }
    }
    for one in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        close(one.1, true);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(one) = fields.get_mut(part) {
            close(one, true);
        }
    }
    let says = ["$ref", "properties", "allOf", "oneOf"].iter().any(|it| fields.contains_key(*it));
    if whole && says && !fields.contains_key("additionalProperties") {
        fields.insert("unevaluatedProperties".into(), json!(false));
    }
}

/// Holds one answer against the description of its operation.
pub fn check_answer(chat: &Chat, ask: &Ask, reply: &Reply) {
    let document = openapi(chat);
    let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
    let Some((template, item)) = find(&document.root, path) else {
        assert_eq!(reply.status, 404, "{path} is not described");
        return;
    };
    let Some(operation) = item.get(ask.method.to_ascii_lowercase().as_str()) else {
        // What cannot be an id names nothing, whatever is to be done to it.
        let no_id = template.contains('{') && reply.status == 404;
        assert!(reply.status == 405 || no_id, "{} {template} is not described", ask.method);
        return;
    };
    if ask.method.to_ascii_uppercase() != ask.method {
        assert_eq!(reply.status, 405, "methods are in capitals");
        return;
    }
    let place = format!("{} {template} {}", ask.method, reply.status);
    let responses = operation["responses"].as_object().unwrap();
    let response = responses.get(reply.status.to_string().as_str());
    let response = document.resolve(response.unwrap_or_else(|| {
        panic!("{place} is not described: {}", String::from_utf8_lossy(&reply.body))
    }));
    check_headers(&document, &place, response, reply);
    check_body(&document, &place, response, reply);
    if reply.status < 300 {
        check_request(&document, &place, operation, ask, query);
    }
}

/// The path's item; what is spelled out goes before what is named.
fn find<'a>(root: &'a Value, path: &str) -> Option<(&'a str, &'a Map<String, Value>)> {
    let real: Vec<_> = path.split('/').collect();
    let fits = |template: &str| {
        let names: Vec<_> = template.split('/').collect();
        names.len() == real.len()
            && names
                .iter()
                .zip(&real)
                .all(|(name, it)| name == it || (name.starts_with('{') && !it.is_empty()))
    };
    let paths = root["paths"].as_object().unwrap();
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, item) = found.first()?;
    Some((template, item.as_object().unwrap()))
}

fn check_headers(document: &Document, place: &str, response: &Value, reply: &Reply) {
    let described = response["headers"].as_object().cloned().unwrap_or_default();
    for (name, header) in &described {
        let header = document.resolve(header);
        match reply.header(name) {
            Some(value) => {
                let number = value.parse::<u64>().ok().map(Value::from);
                let value = number.unwrap_or_else(|| value.into());
                document.check(&format!("{place} {name}"), &header["schema"], false, &value);
            }
            None => assert_ne!(header["required"], true, "{place} has no {name}"),
        }
    }
    for name in TELLING {
        let known = described.keys().any(|it| it.eq_ignore_ascii_case(name));
        assert!(
            known || reply.header(name).is_none(),
            "{place} has {name}, which is not described"
        );
    }
}

fn check_body(document: &Document, place: &str, response: &Value, reply: &Reply) {
    let Some(content) = response.get("content").and_then(Value::as_object) else {
        assert!(reply.body.is_empty(), "{place} has a body, which is not described");
        return;
    };
    let kind = reply.header("content-type").unwrap_or_else(|| panic!("{place} has no type"));
    let essence = kind.split(';').next().unwrap().trim();
    let content = content.get(essence).unwrap_or_else(|| panic!("{place} is {kind}"));
    if essence.ends_with("json") {
        document.check(place, &content["schema"], true, &reply.json());
    }
}

/// What was taken must be something that is said to be taken.
fn check_request(document: &Document, place: &str, operation: &Value, ask: &Ask, query: &str) {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|it| document.resolve(it)).filter(|it| it["in"] == "query");
    let names: Vec<_> = parameters.map(|it| it["name"].as_str().unwrap()).collect();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        let known = names.contains(&&*name)
            || document.root["components"]["securitySchemes"]
                .as_object()
                .unwrap()
                .values()
                .any(|it| it["name"] == *name);
        assert!(known, "{place}: ?{name} is not described");
    }
    let body = operation.pointer("/requestBody/content/application~1json/schema");
    match (body, ask.body.as_deref().filter(|it| !it.is_empty())) {
        (Some(schema), Some(body)) => {
            let body = serde_json::from_slice(body).unwrap();
            document.check(&format!("{place} body"), schema, false, &body);
        }
        (Some(_), None) => panic!("{place} was answered without the body that it takes"),
        (None, _) => {}
    }
}

/// Holds a frame from the server against the description of its kind.
pub fn check_frame(frame: &Value) {
    let document = ASYNCAPI.get().expect("a server was started");
    let kind = frame["type"].as_str().unwrap_or_else(|| panic!("a frame without a type: {frame}"));
    let messages = document.root["components"]["messages"].as_object().unwrap();
    let mut of_the_server = messages.iter().filter(|(name, _)| name.starts_with("Server"));
    let (name, message) = of_the_server
        .find(|(_, message)| message["name"] == kind)
        .unwrap_or_else(|| panic!("a frame of this type is not described: {frame}"));
    document.check(name, &message["payload"], true, frame);
}
