//! The server reads what its Helm chart writes for it.

use std::{fs, path::Path};

use crate::support::{run, text};

/// Where the chart mounts Secrets.
const SECRETS: &str = "/etc/chat-server/secrets";

/// The server's file in what the chart renders, if it renders one.
fn settings(rendered: &str) -> Option<String> {
    let (_, block) = rendered.split_once("  chat.toml: |\n")?;
    let lines = block.lines().map_while(|line| line.strip_prefix("    "));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn what_the_chart_writes_holds() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [
        ("auth-secret", "x".repeat(32)),
        ("database-url", "postgres://chat@db/chat".to_owned()),
        ("database-ca.crt", String::new()),
        ("redis-url", "redis://cache".to_owned()),
        ("redis-ca.crt", String::new()),
        ("files-s3-key", "secret".to_owned()),
        ("files-ca.crt", String::new()),
    ];
    for (name, content) in &secrets {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chat/ci/golden");
    let mut checked = 0;
    for file in fs::read_dir(golden).unwrap() {
        let file = file.unwrap().path();
        let Some(settings) = settings(&fs::read_to_string(&file).unwrap()) else { continue };
        let settings = settings.replace(SECRETS, folder.path().to_str().unwrap());
        fs::write(folder.path().join("chat.toml"), &settings).unwrap();
        let answer = run(folder.path(), ["config", "check", "-c", "chat.toml"]);
        assert!(answer.status.success(), "{}: {}", file.display(), text(&answer.stderr));
        checked += 1;
    }
    // One for each example that is not a ChatCluster, whose file the operator writes.
    assert!(checked >= 7, "{checked} files were found");
}
