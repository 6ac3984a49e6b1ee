//! The server's process: on one port and one folder for all of its lives.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::wire::PATIENCE;

/// Where a server lives.
pub(crate) struct Home {
    folder: TempDir,
    address: SocketAddr,
    defect: Option<String>,
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            defect: None,
        }
    }

    /// A home like this one, as it is now, on another port. The server must not be running.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = Self::new();
        copy.defect.clone_from(&self.defect);
        copy_folder(&self.data(), &copy.data());
        copy
    }

    /// From the next start on the server has this defect, if it was built for that.
    pub(crate) fn sabotage(&mut self, defect: Option<&str>) {
        self.defect = defect.map(str::to_owned);
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("chat.db")
    }

    /// What all the lives have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// The end of it, for a failed test.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub(crate) fn start(&self) -> Process {
        self.spawn(Command::new(env!("CARGO_BIN_EXE_chat-server"))).up(self)
    }

    /// Under strace, which stays out of the way: the process is our child, and it ends with it.
    /// It may not live until it is up.
    pub(crate) fn start_traced(&self, args: &[String], output: &Path) -> Process {
        let mut command = Command::new("strace");
        // Without --seccomp-bpf, which would be faster: with it strace 6.1 does not kill.
        command.args(["-D", "-f", "-qq", "-o"]).arg(output).args(args);
        command.arg(env!("CARGO_BIN_EXE_chat-server"));
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Process {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHAT_") {
                command.env_remove(name);
            }
        }
        let log = OpenOptions::new().append(true).create(true).open(self.folder().join("log"));
        let child = command
            .current_dir(self.folder())
            .env("CHAT_SERVER__LISTEN", self.address.to_string())
            .env("CHAT_SERVER__METRICS__LISTEN", "off")
            .env("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "100000")
            .env("CHAT_SERVER__LIMITS__SENDS_BURST", "100000")
            .env("CHAT_SERVER__DRAIN__CLIENTS", "1s")
            .envs(self.defect.iter().map(|defect| ("CHAT_SABOTAGE", defect)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        Process { child }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn up(mut self, home: &Home) -> Self {
        assert!(self.came_up(), "not up:\n{}", home.last_words());
        self
    }

    /// Waits until it says where everything is; false if it ended before.
    pub(crate) fn came_up(&mut self) -> bool {
        let stdout = self.child.stdout.take().expect("asked once");
        let (said, hear) = mpsc::channel();
        // Reads to the end, so that the server can always write.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            match hear.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.trim_start().starts_with("Settings") => return true,
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return false,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("neither up nor gone"),
            }
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(status.success());
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "still there");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in good order, as Ctrl-C does.
    pub(crate) fn stop(mut self) {
        self.signal("INT");
        assert_eq!(self.wait().code(), Some(0));
    }
}

/// A port that nobody listens on, below those that the system gives to clients: one of them that
/// asked in vain could otherwise hold the port when the server comes back.
fn free_port() -> u16 {
    let own = u16::try_from(std::process::id() % 10_000).unwrap();
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let port = 20_000 + (own + next * 7) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A file that is empty from now on.
pub(crate) fn fresh_file(path: &Path) {
    File::create(path).unwrap();
}
