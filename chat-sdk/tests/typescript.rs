//! The front end's types of the wire are those of the documents: written by this test when
//! `WRITE_GENERATED` is set (`make describe`), compared by it otherwise.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use chat_sdk::{
    Chat, FromExtension, MemoryStore,
    auth::{Accounts, accounts::AccountLimits},
};
use serde_json::{Map, Value};

const FRONTEND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../frontend");

async fn documents() -> [Value; 2] {
    let accounts = Accounts::builder(MemoryStore::new(), [0; 32]).limits(AccountLimits::default());
    let chat = Chat::builder(FromExtension).accounts(accounts.start().await.unwrap());
    let chat = chat.start().await.unwrap();
    [chat.openapi(), chat.asyncapi()].map(|it| serde_json::from_slice(&it).unwrap())
}

#[tokio::test]
async fn the_types_of_the_front_end_are_those_of_the_documents() {
    let written = typescript(&documents().await);
    let path = Path::new(FRONTEND).join("src/generated/wire.ts");
    if std::env::var_os("WRITE_GENERATED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &written).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(written == found, "{} is stale: run `make describe` ({first:?})", path.display());
}

/// AsyncAPI's own schema comes with the front end's packages.
#[tokio::test]
async fn the_live_connection_is_described_as_asyncapi_wants_it() {
    let path = Path::new(FRONTEND).join("node_modules/@asyncapi/specs/schemas/3.0.0.json");
    let Ok(schema) = fs::read(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
        eprintln!("NOT TESTED: {} is missing, run `npm ci`", path.display());
        return;
    };
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let [_, asyncapi] = documents().await;
    let wrong: Vec<_> = validator.iter_errors(&asyncapi).map(|it| it.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut broken = asyncapi.clone();
    broken["operations"]["client"]["action"] = "hear".into();
    assert!(!validator.is_valid(&broken), "it is a schema that says no");
}

fn typescript(documents: &[Value; 2]) -> String {
    let mut schemas: BTreeMap<&str, &Value> = BTreeMap::new();
    for document in documents {
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let before = schemas.insert(name, schema);
            let alike = before.is_none_or(|it| spell(it, 0) == spell(schema, 0));
            assert!(alike, "{name} is not the same in both documents");
        }
    }
    let mut text = String::from(
        "// Written by `make describe` from the documents that the server gives out, which are made from\n\
         // its types. A test fails when it is stale.\n",
    );
    for (name, schema) in schemas {
        text.push('\n');
        describe(&mut text, schema, "");
        if schema.get("properties").is_some() {
            writeln!(text, "export interface {name} {}", spell(schema, 0)).unwrap();
        } else {
            writeln!(text, "export type {name} = {};", spell(schema, 0)).unwrap();
        }
    }
    paths(&mut text, documents[0]["paths"].as_object().unwrap());
    text
}

/// Where each method may be used.
fn paths(text: &mut String, paths: &Map<String, Value>) {
    let mut of_a_method: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, item) in paths {
        let parts = path.split('/').map(|it| if it.starts_with('{') { "${string}" } else { it });
        let path = parts.collect::<Vec<_>>().join("/");
        for method in item.as_object().unwrap().keys() {
            of_a_method.entry(method.to_uppercase()).or_default().push(format!("`{path}`"));
        }
    }
    text.push_str("\n/** Where each method may be used. */\nexport interface Paths {\n");
    for (method, paths) in of_a_method {
        writeln!(text, "  {method}:\n    | {};", paths.join("\n    | ")).unwrap();
    }
    text.push_str("}\n");
}

fn describe(text: &mut String, schema: &Value, indent: &str) {
    if let Some(about) = schema["description"].as_str() {
        writeln!(text, "{indent}/** {} */", about.replace("*/", "* /")).unwrap();
    }
}

/// The type that a schema stands for.
fn spell(schema: &Value, depth: usize) -> String {
    if let Some(place) = schema["$ref"].as_str() {
        return place.rsplit('/').next().unwrap().to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(properties) = schema["properties"].as_object() {
        return object(properties, &schema["required"], depth);
    }
    for (part, sign) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(parts) = schema[part].as_array() {
            return parts.iter().map(|it| spell(it, depth)).collect::<Vec<_>>().join(sign);
        }
    }
    match &schema["type"] {
        Value::Array(types) => {
            types.iter().map(|it| simple(it, schema, depth)).collect::<Vec<_>>().join(" | ")
        }
        one => simple(one, schema, depth),
    }
}

fn simple(kind: &Value, schema: &Value, depth: usize) -> String {
    match kind.as_str() {
        Some("integer" | "number") => "number".to_owned(),
        Some(same @ ("string" | "boolean" | "null")) => same.to_owned(),
        Some("array") => match spell(&schema["items"], depth) {
            several if several.contains(" | ") => format!("({several})[]"),
            one => format!("{one}[]"),
        },
        Some("object") => {
            let values = &schema["additionalProperties"];
            let values =
                if values.is_object() { spell(values, depth) } else { "unknown".to_owned() };
            format!("Record<string, {values}>")
        }
        other => panic!("what is {other:?} in TypeScript? {schema}"),
    }
}

fn object(properties: &Map<String, Value>, required: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let mut text = String::from("{\n");
    for (name, property) in properties {
        describe(&mut text, property, &indent);
        let required = required.as_array().is_some_and(|it| it.iter().any(|one| one == name));
        let sign = if required { "" } else { "?" };
        writeln!(text, "{indent}{name}{sign}: {};", spell(property, depth + 1)).unwrap();
    }
    text + &"  ".repeat(depth) + "}"
}
