//! That the documents say all and nothing else of what is answered here.

use std::collections::BTreeSet;

use super::*;
use crate::{
    http::route::Route,
    protocol::codec::{decode_client, encode_client},
};

const ROUTES: &str = include_str!("../route.rs");
const CODEC: &str = include_str!("../../protocol/codec.rs");

/// The paths that `Route::of` takes apart, read from its source, with the names that it gives to what
/// stands between the slashes.
fn paths_of_the_source() -> Vec<String> {
    let arms = ROUTES.lines().filter_map(|line| {
        let (pattern, _) = line.trim().strip_prefix('[')?.split_once("] =>")?;
        let segments = pattern.split(", ").map(|segment| match segment.strip_prefix('"') {
            Some(literal) => literal.trim_end_matches('"').to_owned(),
            None => format!("{{{segment}}}"),
        });
        Some(segments.fold(String::new(), |path, segment| path + "/" + &segment))
    });
    arms.collect()
}

#[test]
fn every_route_and_no_other_is_described_with_all_its_methods() {
    let mut answered = BTreeSet::new();
    for path in paths_of_the_source() {
        let real = path
            .replace("{id}", EXAMPLE_ID)
            .replace("{message}", "13")
            .replace("{emoji}", "+1")
            .replace("{user}", "u_42");
        let route = Route::of(&real).unwrap_or_else(|| panic!("what is in {path}? say it here"));
        for method in route.methods() {
            answered.insert(format!("{method} {path}"));
        }
    }
    let described = operations(true).into_iter();
    let described: BTreeSet<_> = described.map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(described, answered);
}

#[test]
fn a_chat_without_accounts_says_nothing_of_them() {
    let document = openapi(&operations(false), &Beside::default());
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/user") && !paths.contains_key("/user/login"));
    assert!(document.pointer("/components/schemas/Token").is_none());
}

#[test]
fn what_a_host_has_beside_is_shown_and_ours_stays() {
    let theirs = r#"{"paths": {"/healthz": {"get": {}}, "/user": {}},
        "components": {"schemas": {"Health": {}}}}"#;
    let document = openapi(&operations(true), &Beside::parse(theirs).unwrap());
    assert!(document["paths"]["/healthz"]["get"].is_object());
    assert!(document["paths"]["/user"]["get"]["responses"].is_object());
    assert!(document.pointer("/components/schemas/Health").is_some());
    assert!(Beside::parse("[]").is_err());
}

#[test]
fn every_kind_of_frame_is_described() {
    let document = asyncapi::asyncapi();
    let kinds = |side: &str| -> BTreeSet<String> {
        let messages = document["components"]["messages"].as_object().unwrap().iter();
        let of_a_side = messages.filter(|(name, _)| name.starts_with(side));
        of_a_side.map(|(_, it)| it["name"].as_str().unwrap().to_owned()).collect()
    };
    // What the decoders look for, read from their source.
    let looked_for = |function: &str| -> BTreeSet<String> {
        let (_, body) = CODEC.split_once(function).unwrap();
        let body = body.split("\n}\n").next().unwrap();
        let arms = body.lines().filter_map(|line| {
            let (pattern, _) = line.trim().strip_prefix('"')?.split_once(" =>")?;
            Some(pattern.trim_end_matches('"').split("\" | \"").map(str::to_owned))
        });
        arms.flatten().collect()
    };
    assert_eq!(kinds("Client"), looked_for("fn decode_object("));
    assert_eq!(kinds("Server"), looked_for("pub fn decode_server("));
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_needed() {
    let openapi = openapi(&operations(true), &Beside::default());
    for document in [openapi, asyncapi::asyncapi()] {
        let mut referred = BTreeSet::new();
        let mut waiting = vec![&document];
        while let Some(value) = waiting.pop() {
            if let Some(place) = value.get("$ref").and_then(Value::as_str) {
                let there = document.pointer(place.trim_start_matches('#'));
                assert!(there.is_some(), "{place}");
                referred.insert(place.to_owned());
            }
            match value {
                Value::Object(fields) => waiting.extend(fields.values()),
                Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let place = format!("#/components/schemas/{name}");
            let whole = matches!(&**name, "ClientFrame" | "ServerFrame");
            assert!(whole || referred.contains(&place), "{name} is in nobody's way");
        }
    }
}

/// A schema of a document, to hold values against.
fn schema(document: &Value, name: &str) -> jsonschema::Validator {
    let mut root = schema::refer(name);
    root["components"] = document["components"].clone();
    jsonschema::options().should_validate_formats(true).build(&root).unwrap()
}

#[test]
fn the_examples_are_what_the_schemas_say() {
    let openapi = openapi(&operations(true), &Beside::default());
    for (name, of_a_name) in openapi["components"]["schemas"].as_object().unwrap() {
        for example in of_a_name["examples"].as_array().into_iter().flatten() {
            if let Err(why) = schema(&openapi, name).validate(example) {
                panic!("{name}: {why}: {example}");
            }
        }
    }
    let shapes = [
        "Token",
        "Profile",
        "Message",
        "Event",
        "Page",
        "Conversation",
        "Marker",
        "Member",
        "Receipts",
    ];
    for name in shapes {
        let schema = &openapi["components"]["schemas"][name];
        assert!(schema["examples"].is_array(), "{name} has no example: {schema}");
    }
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(body) = operation.pointer("/requestBody/content/application~1json") else {
                continue;
            };
            let name = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let examples = body["examples"].as_object().unwrap();
            assert!(!examples.is_empty(), "{method} {path} has no example of its body");
            for example in examples.values() {
                if let Err(why) = schema(&openapi, name).validate(&example["value"]) {
                    panic!("{method} {path}: {why}");
                }
            }
        }
    }
    let asyncapi = asyncapi::asyncapi();
    for (side, name) in [("client", "ClientFrame"), ("server", "ServerFrame")] {
        let schema = schema(&asyncapi, name);
        for frame in examples::frames(side) {
            if let Err(why) = schema.validate(&frame) {
                panic!("{why}: {frame}");
            }
        }
    }
}

/// Each example with a field taken away, or with something else in it.
fn spoiled(frame: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for name in frame.as_object().unwrap().keys() {
        let mut without = frame.clone();
        without.as_object_mut().unwrap().remove(name);
        all.push(without);
        let others = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(7),
            json!(""),
            json!("x"),
            json!("x".repeat(65)),
            json!("\u{7}"),
            json!([]),
            json!(["x"]),
            json!([7]),
            json!({}),
            json!({"x": 1}),
            json!({EXAMPLE_ID: 3}),
        ];
        for other in others {
            let mut with = frame.clone();
            with[name] = other;
            all.push(with);
        }
    }
    all
}

#[test]
fn the_decoder_takes_what_the_document_allows_and_nothing_else() {
    let document = asyncapi::asyncapi();
    let schema = schema(&document, "ClientFrame");
    let (mut taken, mut refused) = (0, 0);
    for frame in examples::frames("client").iter().flat_map(spoiled) {
        let decoded = decode_client(&frame.to_string());
        let allowed = schema.is_valid(&frame);
        // A key of a map that is no id, and white space alone, are beyond a schema.
        assert_eq!(decoded.is_ok(), allowed, "{frame}: {decoded:?}");
        match decoded {
            Ok(decoded) => {
                taken += 1;
                let written = serde_json::from_str(&encode_client(&decoded)).unwrap();
                assert!(schema.is_valid(&written), "{written}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 20 && refused > 200, "{taken} {refused}");
}
