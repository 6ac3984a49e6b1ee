//! The schemas of our types as JSON: collected, put into their simplest form, and only those that
//! somebody refers to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

/// Where a document keeps them.
const PLACE: &str = "#/components/schemas/";

/// A schema, asked of its type when the document is made.
pub(in crate::http) type Of = fn(&mut Schemas) -> Value;

/// What a document refers to.
#[derive(Debug, Default)]
pub(in crate::http) struct Schemas {
    all: BTreeMap<String, Value>,
    /// Those that take no field but theirs.
    closed: BTreeSet<String>,
}

/// The answers that several operations have alike.
pub(super) type Shared = BTreeMap<String, Value>;

impl Schemas {
    /// A reference to a type's schema.
    pub(in crate::http) fn of<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        for (name, schema) in found {
            let schema = serde_json::to_value(schema).expect("a schema is JSON");
            self.all.entry(name).or_insert(schema);
        }
        refer(&T::name())
    }

    /// A list of them.
    pub(in crate::http) fn list_of<T: ToSchema>(&mut self) -> Value {
        json!({"type": "array", "items": self.of::<T>()})
    }

    /// The schema itself, for what has no name of its own.
    pub(in crate::http) fn inline<T: PartialSchema>(&mut self) -> Value {
        serde_json::to_value(T::schema()).expect("a schema is JSON")
    }

    /// The properties of these types in one object.
    pub(super) fn add_merged(&mut self, name: &str, parts: Vec<Value>) -> Value {
        self.all.insert(name.to_owned(), json!({"allOf": parts}));
        refer(name)
    }

    /// Of the body of a request: a field that it does not name is refused.
    pub(super) fn refuse_others(&mut self, schema: &Value) {
        self.closed.extend(referred(schema).map(str::to_owned));
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.all.get(name)
    }

    pub(super) fn insert(&mut self, name: &str, schema: Value) -> Value {
        self.all.insert(name.to_owned(), schema);
        refer(name)
    }

    /// Everything that these roots lead to; what only goes out never says `null` in place of nothing.
    pub(super) fn finish(mut self, inward: &[&Value], outward: &[&Value]) -> Map<String, Value> {
        let names: Vec<String> = self.all.keys().cloned().collect();
        for name in names {
            let mut plain = plain(&self.all[&name], &self.all);
            if self.closed.contains(&name) {
                close(&mut plain);
            }
            self.all.insert(name, plain);
        }
        let read = self.reached(inward);
        let written = self.reached(outward);
        let mut all = Map::new();
        for (name, mut schema) in self.all {
            if !read.contains(&name) {
                if !written.contains(&name) {
                    continue;
                }
                say_nothing_for_nothing(&mut schema);
            }
            all.insert(name, schema);
        }
        all
    }

    fn reached(&self, roots: &[&Value]) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&Value> = roots.to_vec();
        while let Some(value) = waiting.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(name) = referred(value)
                        && reached.insert(name.to_owned())
                    {
                        let schema = self.all.get(name);
                        waiting.push(schema.unwrap_or_else(|| panic!("{name} has no schema")));
                    }
                    waiting.extend(fields.values());
                }
                Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
        reached
    }
}

/// Takes no field but those that it names, or of its kinds each those of its own.
fn close(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        kinds.iter_mut().for_each(close);
    }
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = json!(false);
    }
}

pub(super) fn refer(name: &str) -> Value {
    json!({"$ref": format!("{PLACE}{name}")})
}

fn referred(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix(PLACE)
}

/// What utoipa says of every whole number of 64 bits.
const FORMAT: (&str, Option<&str>) = ("format", Some("int64"));

/// One object in place of several that are all to hold, wherever that is the same: every generator
/// understands it, and a reader need not put it together.
fn plain(schema: &Value, all: &BTreeMap<String, Value>) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| plain(item, all)).collect(),
        Value::Object(fields) => {
            if let Some(parts) = fields.get("allOf").and_then(Value::as_array)
                && let Some(merged) = merged(fields, parts, all)
            {
                return merged;
            }
            // All our whole numbers are without a sign, of which half would be no `int64`.
            let fields = fields.iter().filter(|it| (it.0.as_str(), it.1.as_str()) != FORMAT);
            let fields = fields.map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("description", Value::String(text)) => json!(prose(text)),
                    _ => plain(value, all),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn merged(
    outer: &Map<String, Value>,
    parts: &[Value],
    all: &BTreeMap<String, Value>,
) -> Option<Value> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut rest = Map::new();
    for part in parts {
        let part = match referred(part) {
            Some(name) => plain(all.get(name)?, all),
            None => plain(part, all),
        };
        let Value::Object(mut part) = part else { return None };
        if part.remove("type")? != json!("object") {
            return None;
        }
        for (name, value) in part.remove("properties")?.as_object()? {
            properties.insert(name.clone(), value.clone());
        }
        if let Some(Value::Array(names)) = part.remove("required") {
            required.extend(names);
        }
        // They speak of the part.
        part.remove("description");
        part.remove("examples");
        rest.extend(part);
    }
    rest.insert("type".into(), json!("object"));
    rest.insert("properties".into(), properties.into());
    if !required.is_empty() {
        rest.insert("required".into(), required.into());
    }
    if let Some(Value::String(text)) = outer.get("description") {
        rest.insert("description".into(), json!(prose(text)));
    }
    if let Some(examples) = outer.get("examples") {
        rest.insert("examples".into(), examples.clone());
    }
    Some(rest.into())
}

/// Of what is left out when there is nothing: that it is never `null`.
fn say_nothing_for_nothing(schema: &mut Value) {
    let required: BTreeSet<String> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            if !required.contains(name) {
                without_null(property);
            }
        }
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(say_nothing_for_nothing),
        Value::Array(items) => items.iter_mut().for_each(say_nothing_for_nothing),
        _ => {}
    }
}

fn without_null(property: &mut Value) {
    if let Some(types) = property.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|it| it != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            property["type"] = only;
        }
    }
    if let Some(Value::Array(choices)) = property.get_mut("oneOf") {
        choices.retain(|it| it["type"] != "null");
        if let [only] = &choices[..]
            && let Value::Object(mut only) = only.clone()
        {
            if let Some(description) = property.get("description") {
                only.insert("description".into(), description.clone());
            }
            *property = only.into();
        }
    }
}

/// A doc comment for people who do not read it in Rust.
fn prose(text: &str) -> String {
    // Links to items: [`Kind::newcomer`].
    text.replace("[`", "`").replace("`]", "`").replace('\n', " ")
}
