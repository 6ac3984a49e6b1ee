//! A private Redis, and a private Redis Cluster.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::Duration,
};

use crate::server::{
    Watchdog, addresses, free_port, kill, new_folder, pause, program, resume, run,
};

const HINT: &str = "install Redis 7 or newer (Debian: apt-get install redis-server)";

/// How a [`Redis`] is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Further lines of `redis.conf`.
    pub settings: Vec<String>,
}

/// A Redis of one's own, on 127.0.0.1, which keeps nothing. Ends when it is dropped or with the
/// process.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    host: Ipv4Addr,
    port: u16,
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
    _watchdog: Watchdog,
}

impl Redis {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&RedisOptions::default())
    }

    /// Starts one.
    #[must_use]
    pub fn start_with(options: &RedisOptions) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, options)
    }

    /// The same on another address, and on 127.0.0.1 beside it: for pods, who have a loopback of their
    /// own. Everybody may come in.
    #[must_use]
    pub fn start_on(host: Ipv4Addr, options: &RedisOptions) -> Self {
        let folder = new_folder("redis");
        let watchdog = Watchdog::new(&folder.join("pid"), &folder);
        let server = Self {
            folder,
            host,
            port: free_port(),
            settings: options.settings.clone(),
            process: Mutex::default(),
            _watchdog: watchdog,
        };
        server.start_again();
        server
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Child::id)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.host, self.port)
    }

    /// Where its files lie.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Starts it after [`kill`](Self::kill), empty, and waits until it answers.
    pub fn start_again(&self) {
        let mut command = Command::new(program("redis-server", &[], HINT));
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("redis-server starts");
        let config = format!(
            "bind {}\nprotected-mode no\nport {}\nsave \"\"\nappendonly no\ndir {folder}\npidfile {folder}/pid\n\
             daemonize no\nenable-debug-command local\nlogfile {folder}/log\n{}\n",
            addresses(self.host).join(" "),
            self.port,
            self.settings.join("\n"),
            folder = self.folder.display(),
        );
        let mut stdin = process.stdin.take().expect("it was piped");
        std::io::Write::write_all(&mut stdin, config.as_bytes()).expect("Redis reads it");
        drop(stdin);
        std::fs::write(self.folder.join("pid"), process.id().to_string()).expect("a pid file");
        *self.process() = Some(process);
        for _ in 0..200 {
            if self.try_cli(&["PING"]).as_deref() == Some("PONG") {
                return;
            }
            sleep(Duration::from_millis(25));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("Redis did not start: {log}");
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it; everything in it is gone.
    pub fn kill(&self) {
        let process = self.process().take();
        if let Some(mut process) = process {
            kill(process.id());
            let _ = process.wait();
        }
    }

    /// Stops the process where it stands.
    pub fn pause(&self) {
        self.process().iter().for_each(|process| pause(process.id()));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process().iter().for_each(|process| resume(process.id()));
    }

    /// Runs a command through `redis-cli`.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments).expect("redis-cli answers")
    }

    fn try_cli(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program("redis-cli", &[], HINT))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli starts");
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(answer)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.resume();
        self.kill();
    }
}

/// Three masters that share the slots.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts one. Takes some seconds.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// The same on another address, as [`Redis::start_on`].
    #[must_use]
    pub fn start_on(host: Ipv4Addr) -> Self {
        let options = RedisOptions {
            settings: vec![
                "cluster-enabled yes".to_owned(),
                "cluster-node-timeout 2000".to_owned(),
            ],
        };
        let nodes: Vec<_> = (0..3).map(|_| Redis::start_on(host, &options)).collect();
        let addresses = nodes.iter().map(|node| format!("{}:{}", node.host, node.port));
        run(Command::new(program("redis-cli", &[], HINT))
            .args(["--cluster", "create"])
            .args(addresses)
            .arg("--cluster-yes"));
        let cluster = Self { nodes };
        for node in &cluster.nodes {
            for _ in 0..200 {
                if node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
                    break;
                }
                sleep(Duration::from_millis(50));
            }
        }
        cluster
    }

    /// The masters.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The URLs of all.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}
