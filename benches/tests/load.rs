//! `chat-load` against a real server, for a moment: everything that is sent has to arrive as the tool
//! itself checks, on our server and on the bare ones. Nothing here is about speed.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const LOAD: &str = env!("CARGO_BIN_EXE_chat-load");

/// The server that was built beside this program.
fn server() -> PathBuf {
    let server = Path::new(LOAD).with_file_name("chat-server");
    assert!(server.is_file(), "{} is not there: cargo build -p chat-server", server.display());
    server
}

/// Runs one scenario for a moment and answers what it reports.
fn report(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let output = Command::new(LOAD)
        .args(arguments)
        .arg("--json")
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Everybody did something; the names of the rows.
fn check_worked(report: &Value) -> Vec<&str> {
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        for run in row["runs"].as_array().into_iter().flatten() {
            assert!(run["work"].as_u64().unwrap() > 0, "{row:#}");
        }
    }
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

const MOMENT: [&str; 6] = ["--runs", "1", "--seconds", "2", "--warm-up", "0"];

#[test]
fn every_listener_gets_everything_from_ours_and_from_the_floors() {
    server();
    let report =
        report(&[&["fan-out", "--listeners", "50", "--window", "4"][..], &MOMENT].concat());
    assert_eq!(
        check_worked(&report),
        ["chat-server, SQLite", "floor, one write a message", "floor, coalesced"]
    );
    let fraction = &report["rows"][0]["fraction_of"]["floor, coalesced"]["median"];
    assert!(fraction.is_number() || report["rows"][0]["work_per_cpu_second"].is_null());
}

#[test]
fn an_open_pace_is_kept() {
    server();
    let arguments = ["fan-out", "--listeners", "5", "--rate", "20", "--no-floors"];
    let report = report(&[&arguments[..], &MOMENT].concat());
    assert_eq!(check_worked(&report), ["chat-server, SQLite"]);
    // Twenty a second for two seconds, to five; a machine that stands still sends the rest later.
    let work = report["rows"][0]["runs"][0]["work"].as_u64().unwrap();
    assert!(work <= 2 * (2 * 20 + 2) * 5, "{work}");
}

#[test]
fn pairs_get_what_is_for_them() {
    server();
    let report = report(&[&["direct", "--pairs", "10"][..], &MOMENT].concat());
    assert_eq!(
        check_worked(&report),
        ["chat-server, SQLite", "floor, sockets", "floor, inserts", "floor, both"]
    );
}

#[test]
fn a_log_that_all_write_is_heard_by_all() {
    server();
    let arguments = ["hot", "--senders", "4", "--in-flight", "3"];
    let report = report(&[&arguments[..], &MOMENT].concat());
    assert_eq!(check_worked(&report).len(), 4);
}

#[test]
fn connections_come_and_go() {
    server();
    let arguments = ["connect", "--users", "8", "--handshakes", "4"];
    let report = report(&[&arguments[..], &MOMENT].concat());
    assert_eq!(
        check_worked(&report),
        ["chat-server, SQLite", "floor, upgrade and token", "floor, accept"]
    );
}

#[test]
fn connections_that_say_nothing_cost_memory() {
    server();
    let report = report(&["idle", "--runs", "1", "--connections", "300", "--conversations", "2"]);
    let bytes = |row: usize| report["rows"][row]["runs"][0].as_f64().unwrap();
    // Of ours each holds more than the smallest thing that it could.
    assert!(bytes(0) > 256.0, "{report:#}");
}

#[test]
fn what_is_said_on_one_server_is_heard_on_the_other() {
    server();
    for who in [["--listeners", "20"], ["--direct", "5"]] {
        let report = report(&[&["across"][..], &who, &MOMENT].concat());
        assert_eq!(
            check_worked(&report),
            [
                "two chat-servers, Redis",
                "two chat-servers, Redis, with PostgreSQL",
                "one chat-server",
                "one chat-server, with PostgreSQL"
            ]
        );
    }
}

#[test]
fn devices_that_were_cut_get_what_they_missed() {
    server();
    let arguments = ["resume", "--devices", "60", "--conversations", "2,6"];
    let report = report(&[&arguments[..], &["--runs", "1", "--seconds", "2"]].concat());
    let rows = report["rows"].as_array().unwrap();
    let each: Vec<f64> =
        rows.iter().map(|row| row["statements_per_resume"]["median"].as_f64().unwrap()).collect();
    // Each asks for something, and not once for every conversation.
    assert!(each.iter().all(|it| *it > 0.5) && each[1] < each[0] + 3.0, "{report:#}");
}

#[test]
fn a_day_leaves_nothing_behind() {
    server();
    let report = report(&["mixed", "--crowd", "40", "--rate", "100", "--minutes", "0.1"]);
    assert_eq!(report["grown"], serde_json::json!([]));
    let period = &report["periods"][0];
    assert!(period["messages_per_second"].as_f64().unwrap() > 0.0, "{report:#}");
    assert_eq!(report["at_the_end"]["gauges"]["chat_connections"], 0.0);
}

/// A server that somebody else started.
struct Running {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(server())
            .current_dir(folder.path())
            .env("CHAT_SERVER__LISTEN", "127.0.0.1:0")
            .env("CHAT_SERVER__METRICS__LISTEN", "off")
            .env("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "100000")
            .env("CHAT_SERVER__LIMITS__SENDS_BURST", "100000")
            .env("CHAT_SERVER__LIMITS__FRAMES_PER_SECOND", "100000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let url = lines
            .find_map(|line| line.trim().strip_prefix("Open").map(|url| url.trim().to_owned()))
            .expect("it says where it is");
        std::thread::spawn(move || lines.count());
        Self { child, url, _folder: folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_runs_already_is_measured_with_accounts_made_there() {
    let running = Running::start();
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people");
    let made = Command::new(LOAD)
        .args(["people", "--url", &running.url, "--count", "4"])
        .stdout(fs::File::create(&people).unwrap())
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(fs::read_to_string(&people).unwrap().lines().count(), 4);
    let pid = running.child.id().to_string();
    let there = ["--url", &running.url, "--people", people.to_str().unwrap(), "--pid", &pid];
    for scenario in [&["fan-out", "--listeners", "3"][..], &["direct", "--pairs", "2"]] {
        let report = report(&[scenario, &MOMENT, &there].concat());
        check_worked(&report);
        let cpu = &report["rows"][0]["runs"][0]["cpu_seconds"];
        assert!(cpu["chat-server"].is_number(), "{report:#}");
    }
    // Five people are one too many.
    let output =
        Command::new(LOAD).args(["fan-out", "--listeners", "4"]).args(there).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("4 are in the file"), "{said}");
}

#[test]
fn a_server_that_does_not_start_is_said() {
    let output = Command::new(LOAD)
        .args(["fan-out", "--listeners", "1", "--no-floors", "--server", "/bin/true"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ended before it was ready"), "{said}");
}
