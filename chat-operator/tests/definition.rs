//! The definition in the operator's chart is the one that the operator has.

use std::{fs, path::Path};

const FILE: &str = "charts/chat-operator/files/crds/chatclusters.yaml";

#[test]
fn the_chart_brings_the_operators_own_definition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let brought = fs::read_to_string(root.join(FILE)).unwrap();
    let own = chat_operator::manifest::definition();
    let same = brought.lines().zip(own.lines()).take_while(|(brought, own)| brought == own).count();
    assert!(
        brought == own,
        "{FILE} differs from line {} on; write it anew:\n  \
         cargo run -p chat-operator -- crd > {FILE} && make chart-docs",
        same + 1
    );
}
