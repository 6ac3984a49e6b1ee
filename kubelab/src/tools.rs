//! Where the programs of the control plane are. Knows nothing of what they do: `scripts/kube-tools.sh`
//! builds and keeps them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio, exit},
};

/// The folder, told by the process outside the namespace, where there is a network to build from.
const FOLDER: &str = "KUBELAB_TOOLS";

/// Builds what is missing. Where there is no Go, says so and ends the process: without an error,
/// because not everybody who runs the tests has one; the script itself fails where it is CI.
pub(crate) fn prepare() -> (&'static str, PathBuf) {
    if let Some(folder) = env::var_os(FOLDER) {
        return (FOLDER, folder.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kube-tools.sh");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/kube-tools.sh starts");
    match output.status.code() {
        Some(0) => (FOLDER, String::from_utf8_lossy(&output.stdout).trim().into()),
        Some(3) => {
            eprintln!(
                "SKIPPED: the tests on Kubernetes, because its programs cannot be built here"
            );
            exit(0)
        }
        _ => {
            eprintln!("{} failed ({})", script.display(), output.status);
            exit(1)
        }
    }
}

/// One of them.
pub(crate) fn tool(name: &str) -> PathBuf {
    let folder = env::var_os(FOLDER).expect("kubelab::enter() was called first in main");
    PathBuf::from(folder).join(name)
}
