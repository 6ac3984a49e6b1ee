//! The examples of PROTOCOL.md, which tests hold against the code anyway.

use serde_json::{Value, json};

use super::schema::Schemas;

const DOCUMENT: &str = include_str!("../../../PROTOCOL.md");

/// The blocks marked so: what stands in the line of text before each, and its lines.
fn blocks(info: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let fence = format!("```json {info}");
    let (mut blocks, mut inside, mut before) = (Vec::new(), false, "");
    for line in DOCUMENT.lines() {
        if line.starts_with("```") {
            inside = line == fence;
            if inside {
                blocks.push((before, Vec::new()));
            }
        } else if inside {
            if let Some((_, lines)) = blocks.last_mut() {
                lines.push(line);
            }
        } else if !line.is_empty() {
            before = line;
        }
    }
    blocks
}

/// All frames marked so.
pub(super) fn frames(info: &str) -> Vec<Value> {
    let lines = blocks(info).into_iter().flat_map(|(_, lines)| lines);
    lines.map(|line| serde_json::from_str(line).expect("a test reads them all")).collect()
}

/// Puts the shapes of REST to the schemas of their names: the text before the block names them in
/// the order of its lines.
pub(super) fn add(schemas: &mut Schemas) {
    for (before, lines) in blocks("rest") {
        let names = before.split('*').skip(1).step_by(2);
        for (name, line) in names.zip(lines) {
            let Some(mut schema) = schemas.get(name).cloned() else { continue };
            let example: Value = serde_json::from_str(line).expect("a test reads them all");
            schema["examples"] = json!([example]);
            schemas.insert(name, schema);
        }
    }
}
