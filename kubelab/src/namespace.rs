//! The private namespaces that everything lives in: network, mounts and processes.
//!
//! They are what makes the addresses of pods and services possible without touching the machine,
//! and what ends everything: the kernel kills all processes of a process namespace with its first
//! one, and the temporary files are in a file system that nobody else sees.

use std::{
    env,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    process::{Command, Stdio, exit},
};

use crate::tools;

/// The node's address on the pods' network: here the tests, the control plane and whatever servers
/// they start can be reached by pods.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The bridge that all pods hang on.
pub(crate) const BRIDGE: &str = "kube0";

/// Set within.
const INSIDE: &str = "KUBELAB_INSIDE";

/// The first process of the namespace. A shell and not the test itself, because the first process
/// does not die of signals it has no handler for, and must bury the orphans of all others.
const FIRST: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/tmp
ip link set lo up
ip route add local 10.96.0.0/16 dev lo
ip link add "$1" type bridge forward_delay 0
ip addr add "$2/16" dev "$1"
ip link set "$1" up
shift 2
set +e
trap 'exit 130' INT TERM HUP
"$@" <&0 &
wait "$!"
exit "$?"
"#;

/// Runs the rest of this process in namespaces of its own; to be called first in `main`, before
/// there are threads. Returns within them, and ends the process with a message where the machine
/// forbids them or lacks what is needed.
///
/// As root the namespaces of the network, mounts and processes are new; anybody else gets a user
/// namespace as well, in which their user stays what it is. `TMPDIR` is a file system in memory that
/// goes with the process.
///
/// Ctrl-C and a killed process end everything at once. A lone `SIGTERM` to this process alone (not to
/// its group) is only heard when the tests are over, because `unshare` keeps it back.
pub fn enter() {
    if inside() {
        return;
    }
    for (program, package) in [
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
        ("mount", "mount"),
        ("ip", "iproute2"),
    ] {
        let mut command = Command::new(program);
        command.arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_err() {
            fail(&format!("{program} is not installed (Debian: apt-get install {package})"));
        }
    }
    let (variable, folder) = tools::prepare();
    let mut flags = vec!["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !is_root() {
        // As oneself and not as root, which PostgreSQL refuses to be.
        flags.splice(0..0, ["--user", "--map-current-user", "--keep-caps"]);
    }
    let probe = Command::new("unshare").args(&flags).arg("true").output();
    let probe = probe.expect("unshare was found above");
    if !probe.status.success() {
        fail(&format!(
            "this machine forbids new namespaces: {}\n\
             Run the tests as root, or allow them: sysctl -w kernel.unprivileged_userns_clone=1 \
             (Debian), sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or \
             docker run --privileged.",
            String::from_utf8_lossy(&probe.stderr).trim()
        ));
    }
    let program = env::current_exe().expect("a running program has a file");
    let error = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", FIRST, "kubelab", BRIDGE, &NODE_ADDRESS.to_string()])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("TMPDIR", "/run/tmp")
        .env(variable, folder)
        .exec();
    fail(&format!("unshare does not start: {error}"));
}

pub(crate) fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn fail(message: &str) -> ! {
    eprintln!("kubelab: {message}");
    exit(1)
}
