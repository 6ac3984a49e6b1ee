//! A server process that never outlives its owner.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// A port of the loopback interface that nobody uses at the moment.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Where a server listens: on 127.0.0.1 in any case.
pub(crate) fn addresses(host: Ipv4Addr) -> Vec<String> {
    let mut addresses = vec![Ipv4Addr::LOCALHOST, host];
    addresses.dedup();
    addresses.iter().map(Ipv4Addr::to_string).collect()
}

/// A new folder for the files of one server, which its user may enter.
pub(crate) fn new_folder(purpose: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("testbed-{purpose}-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // One that was left by a process with the same number.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for a test server");
    folder
}

/// A program that the tests cannot do without.
pub(crate) fn program(name: &str, folders: &[&str], hint: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    candidates
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed, and this test needs it: {hint}"))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits beside a server for the end of its owner: a pipe that nobody holds any more. Then the
/// server, whose pid stands in a file, is killed and its folder removed.
#[derive(Debug)]
pub struct Watchdog {
    process: Child,
    leash: Option<ChildStdin>,
}

impl Watchdog {
    /// One for the process whose pid will stand in this file, and for its folder.
    #[must_use]
    pub fn new(pid_file: &Path, folder: &Path) -> Self {
        // In a group of its own, so that Ctrl-C in a terminal does not end it before its work.
        let script = r#"trap '' INT TERM HUP; read -r _
            [ -s "$1" ] && kill -QUIT "$(head -n 1 "$1")" 2>/dev/null
            sleep 0.2; [ -s "$1" ] && kill -KILL "$(head -n 1 "$1")" 2>/dev/null
            rm -rf "$2""#;
        let mut process = Command::new("sh")
            .args(["-c", script, "watchdog"])
            .args([pid_file, folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let leash = process.stdin.take();
        Self { process, leash }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"\n");
        }
        let _ = self.process.wait();
    }
}

fn signal(name: &str, pid: u32) {
    // Whoever is gone already needs no signal.
    let _ = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Ends a process at once.
pub fn kill(pid: u32) {
    signal("-KILL", pid);
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    signal("-TERM", pid);
}

/// Stops a process where it stands, and returns when it has stopped: on a busy machine it may do
/// something else before.
pub fn pause(pid: u32) {
    signal("-STOP", pid);
    for _ in 0..1_000 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may contain anything; the state stands behind it. Gone is as good.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, None | Some('T' | 'Z' | 'X')) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("process {pid} does not stop");
}

/// Lets it go on.
pub fn resume(pid: u32) {
    signal("-CONT", pid);
}
