//! A private PostgreSQL.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

use crate::server::{
    Watchdog, addresses, free_port, kill, new_folder, pause, program, resume, run,
};

const FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
];

/// How a [`Postgres`] is started.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether commits wait for the disk. Off, unless it is about durability or speed.
    pub fsync: bool,
    /// Further lines of `postgresql.conf`.
    pub settings: Vec<String>,
}

/// A PostgreSQL server of one's own: user `postgres`, no password, TCP on 127.0.0.1. Ends when it is
/// dropped or with the process.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    host: Ipv4Addr,
    port: u16,
    databases: AtomicU32,
    _watchdog: Watchdog,
}

impl Postgres {
    /// One for tests that do not care about durability.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&PostgresOptions::default())
    }

    /// Makes a new cluster and starts it. Takes some seconds.
    #[must_use]
    pub fn start_with(options: &PostgresOptions) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, options)
    }

    /// The same on another address, and on 127.0.0.1 beside it: for pods, who have a loopback of their
    /// own. Everybody in the address' network may come in.
    #[must_use]
    pub fn start_on(host: Ipv4Addr, options: &PostgresOptions) -> Self {
        let folder = new_folder("postgres");
        let port = free_port();
        let data = folder.join("data");
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(&folder));
        }
        run(as_user("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "postgres", "--no-instructions", "--no-sync"])
            .args(["-E", "UTF8", "--locale=C.UTF-8"]));
        let addresses = addresses(host).join(",");
        let on_off = if options.fsync { "on" } else { "off" };
        let mut config = format!(
            "listen_addresses = '{addresses}'\nport = {port}\nunix_socket_directories = '{}'\n\
             max_connections = 120\nshared_buffers = 64MB\nfsync = {on_off}\n\
             log_min_messages = warning\n",
            folder.display()
        );
        for line in &options.settings {
            config.push_str(line);
            config.push('\n');
        }
        let file = data.join("postgresql.conf");
        let old = fs::read_to_string(&file).expect("initdb wrote a configuration");
        fs::write(&file, old + &config).expect("the configuration can be written");
        let access = data.join("pg_hba.conf");
        let old = fs::read_to_string(&access).expect("initdb wrote who may come in");
        fs::write(&access, old + "host all all samenet trust\n").expect("it can be written");
        let watchdog = Watchdog::new(&data.join("postmaster.pid"), &folder);
        let server = Self { folder, host, port, databases: AtomicU32::new(0), _watchdog: watchdog };
        server.start_again();
        server
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}:{}/{database}", self.host, self.port)
    }

    /// A new, empty database; its URL.
    #[must_use]
    pub fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL through `psql` and answers what it prints, unaligned and without headings.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let psql = program("psql", FOLDERS, HINT);
        run(Command::new(psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url(database))
            .args(["-c", sql]))
    }

    /// Runs a script through `psql`, as `pg_dump` writes them.
    pub fn script(&self, database: &str, script: &str) {
        let file = self.folder.join("script.sql");
        fs::write(&file, script).expect("the script can be written");
        let psql = program("psql", FOLDERS, HINT);
        run(Command::new(psql)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url(database))
            .arg("-f")
            .arg(file));
    }

    /// The process that all the others belong to.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// Ends it without any order, as a crash would (`pg_ctl -m immediate`).
    pub fn crash(&self) {
        run(self.pg_ctl().args(["-m", "immediate", "stop"]));
    }

    /// Kills the main process.
    pub fn kill(&self) {
        if let Some(pid) = self.pid() {
            kill(pid);
        }
    }

    /// Stops the main process and those of connections where they stand.
    pub fn pause(&self) {
        let Some(main) = self.pid() else { return };
        // The main one first: then it makes no more of them.
        pause(main);
        children(main).into_iter().for_each(pause);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.processes().into_iter().for_each(resume);
    }

    fn processes(&self) -> Vec<u32> {
        let Some(main) = self.pid() else { return Vec::new() };
        std::iter::once(main).chain(children(main)).collect()
    }

    /// Starts it after a crash, and waits until it answers.
    pub fn start_again(&self) {
        let log = self.folder.join("log");
        for _ in 0..100 {
            // While processes of the old one are dying it refuses to start.
            let mut start = self.pg_ctl();
            // Its output would hold our pipes open.
            start.arg("-l").arg(&log).args(["-w", "start"]).stdout(Stdio::null());
            start.stderr(Stdio::null()).stdin(Stdio::null());
            if start.status().expect("pg_ctl starts").success() {
                return;
            }
            sleep(Duration::from_millis(200));
        }
        panic!("PostgreSQL did not start: {}", fs::read_to_string(log).unwrap_or_default());
    }

    fn pg_ctl(&self) -> Command {
        let mut command = as_user("pg_ctl");
        command.arg("-D").arg(self.data());
        command
    }
}

/// Those that this process started and did not hear the end of.
fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|it| it.parse().ok()).collect()
}

const HINT: &str = "install PostgreSQL 14 or newer (Debian: apt-get install postgresql)";

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// A program of PostgreSQL, which refuses to run as root.
fn as_user(name: &str) -> Command {
    let program: PathBuf = program(name, FOLDERS, HINT);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The current folder may be one that its user cannot enter.
    command.current_dir(Path::new("/"));
    command
}
