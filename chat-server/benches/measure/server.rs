//! The server's process, and what the system says about its memory.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use rusqlite::{Connection, params};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tempfile::TempDir;

use crate::wire;

pub(crate) struct Server {
    folder: TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many open files as the system allows; the server inherits it.
pub(crate) fn allow_files(needed: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let allowed = limit.current.unwrap_or(u64::MAX);
    assert!(allowed > needed as u64 + 100, "only {allowed} open files are allowed: ulimit -n");
}

impl Server {
    /// A server with these accounts, and what `prepare` leaves there. The accounts have no password
    /// that anybody knows: who wants to be one of them uses the development switch.
    ///
    /// All is prepared in another process, so that this one has neither hashed a password nor
    /// handled a request: memory that was freed would be taken for an empty server's, and what
    /// comes later would cost nothing.
    pub(crate) fn start<T>(users: usize, prepare: impl FnOnce(&Self) -> T) -> (Self, T) {
        let folder = tempfile::tempdir().unwrap();
        // The first start makes the tables.
        drop(Self::start_in(folder.path()));
        Self::insert(folder.path(), users);
        let (child, address) = Self::start_in(folder.path()).take();
        let mut server = Self { folder, child, address };
        let prepared = prepare(&server);
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        (server.child, server.address) = Self::start_in(server.folder.path()).take();
        (server, prepared)
    }

    fn insert(folder: &Path, users: usize) {
        let mut database = Connection::open(folder.join("data/chat.db")).unwrap();
        let transaction = database.transaction().unwrap();
        for user in 0..users {
            let name = user_name(user);
            transaction
                .execute(
                    "INSERT INTO accounts (user, name, name_key, display_name, password_hash, \
                     role, disabled, generation, created_at) \
                     VALUES (?1, ?1, ?1, ?1, 'none', 'user', 0, 1, 0)",
                    params![name],
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    fn start_in(folder: &Path) -> Starting {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
            .current_dir(folder)
            .env("CHAT_SERVER__LISTEN", "127.0.0.1:0")
            .env("CHAT_SERVER__METRICS__LISTEN", "off")
            .env("CHAT_SERVER__LOG__LEVEL", "warn")
            .env("CHAT_SERVER__AUTH__DEV_USER_IDS", "true")
            // Nobody pings here: the heartbeat costs time and no memory.
            .env("CHAT_SERVER__LIMITS__HEARTBEAT", "10m")
            .env("CHAT_SERVER__LIMITS__CONNECTIONS_PER_USER_MAX", "100000")
            .env("CHAT_SERVER__LIMITS__ADMISSIONS_PER_SECOND", "1000000")
            .env("CHAT_SERVER__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "100000")
            .env("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "1000000")
            .env("CHAT_SERVER__LIMITS__SENDS_BURST", "1000000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = None;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(said) = line.trim().strip_prefix("Listening") {
                address = said.trim().parse().ok();
            }
            if line.trim_start().starts_with("Settings") {
                break;
            }
        }
        thread::spawn(move || lines.count());
        Starting(Some((child, address.expect("it says where it listens"))))
    }

    /// One with a password, who can use the HTTP interface: user id and token.
    pub(crate) fn register(&self, name: &str) -> (String, String) {
        let body = json!({ "name": name, "password": "correct horse" });
        let made = wire::request(self.address, "POST", "/user/register", "", &body).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("user_id"), text("token"))
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("needs Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    /// Resident bytes when they no longer change: freed memory goes back after a moment.
    pub(crate) fn resident_at_rest(&self) -> u64 {
        thread::sleep(std::time::Duration::from_secs(3));
        self.resident()
    }

    pub(crate) fn database_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("data/chat.db")).map_or(0, |it| it.len())
    }
}

struct Starting(Option<(Child, SocketAddr)>);

impl Starting {
    fn take(mut self) -> (Child, SocketAddr) {
        self.0.take().expect("taken once")
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn user_name(user: usize) -> String {
    format!("user{user:06}")
}
