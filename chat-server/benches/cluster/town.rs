//! Servers with what they stand on, and users who can sign in without anybody hashing a password.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    ClientKey, ConversationId, CredentialId, Kind, PostgresStore, Store, Timestamp, Title, UserId,
    auth::{
        JwtIssuer,
        accounts::{Account, AccountRole, AccountStore, CreateWhen},
    },
    client::{Client, ClientBuilder, ClientLimits, State},
    store::{Open, Write},
};
use testbed::{Postgres, PostgresOptions, Redis};

const SECRET: &str = "thirty-two bytes and more, for a measurement";
/// A sign of life of a healthy run, for whatever is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Town {
    postgres: Postgres,
    /// Ends with the town.
    _redis: Redis,
    pub(crate) servers: Vec<Server>,
    pub(crate) store: PostgresStore,
    database: String,
    issuer: JwtIssuer,
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Whether a balancer would send somebody here.
    pub(crate) open: Arc<AtomicBool>,
    url: String,
    bus: String,
    settings: Vec<(&'static str, String)>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many open files as the system allows; the servers inherit it.
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

impl Town {
    pub(crate) async fn new(servers: usize, settings: &[(&'static str, String)]) -> Self {
        allow_files();
        let options = PostgresOptions {
            fsync: true,
            settings: vec!["shared_buffers = 256MB".to_owned(), "max_wal_size = 2GB".to_owned()],
        };
        let (postgres, redis) = (Postgres::start_with(&options), Redis::start());
        let url = postgres.new_database();
        let database = url.rsplit('/').next().unwrap().to_owned();
        // Its connections are not the servers'.
        let own = format!("{url}?application_name=bench");
        let store = PostgresStore::connect(&own).await.unwrap();
        let issuer = JwtIssuer::hs256(SECRET).unwrap().issuer("chat-server").audience("chat");
        let servers = (0..servers)
            .map(|_| Server::start(testbed::free_port(), &url, &redis.url(), settings))
            .collect();
        Self { postgres, _redis: redis, servers, store, database, issuer }
    }

    /// Makes accounts; their users.
    pub(crate) async fn people(&self, count: usize) -> Vec<UserId> {
        let mut users = Vec::with_capacity(count);
        for n in 0..count {
            let name = format!("user{n}");
            let account = Account {
                user: UserId::new(&name).unwrap(),
                name: name.clone(),
                name_key: name.clone(),
                display_name: name.clone(),
                password_hash: "none".to_owned(),
                role: AccountRole::User,
                disabled: false,
                generation: 0,
                created_at: Timestamp::from_millis(0),
            };
            users.push(account.user.clone());
            self.store.create_account(account, CreateWhen::NameFree).await.unwrap();
        }
        users
    }

    pub(crate) async fn group(&self, name: &str, members: &[UserId]) -> ConversationId {
        let key = ClientKey::new(name).unwrap();
        let conversation = ConversationId::group(&members[0], &key);
        let open = Open {
            conversation,
            kind: Kind::Group,
            title: Some(Title::new(name).unwrap()),
            by: Some(members[0].clone()),
            key: Some(key),
            members: members.to_vec(),
            entrance: chat_sdk::Entrance::default(),
            at: Timestamp::from_millis(0),
        };
        self.store.write(vec![Write::Open(open)]).await.unwrap();
        conversation
    }

    fn token(&self, user: &UserId) -> String {
        let credential = CredentialId::new(format!("0.{}", user.as_str())).unwrap();
        let lifetime = Duration::from_secs(24 * 60 * 60);
        self.issuer.issue_as(user, credential, lifetime).token
    }

    /// A client of this user that finds its server as a balancer would: this one first, and then
    /// whichever is open.
    pub(crate) fn client(&self, user: &UserId, first: usize) -> ClientBuilder {
        let servers: Vec<_> =
            self.servers.iter().map(|server| (server.address, server.open.clone())).collect();
        Client::builder("", self.token(user)).limits(ClientLimits::default()).route(
            move |attempt| {
                let start = first + attempt.number as usize - 1;
                let turn = (0..servers.len()).map(|n| &servers[(start + n) % servers.len()]);
                let open = turn.clone().find(|(_, open)| open.load(Ordering::Relaxed));
                let (address, _) = open.or_else(|| turn.clone().next()).unwrap();
                format!("http://{address}")
            },
        )
    }

    /// Connections of all servers to the database at the moment.
    pub(crate) fn database_connections(&self) -> usize {
        let count = self.postgres.sql(
            "postgres",
            &format!(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = '{}' AND application_name NOT IN ('bench', 'psql')",
                self.database
            ),
        );
        count.trim().parse().unwrap()
    }
}

/// Until everybody is connected and has everything.
pub(crate) async fn wait_for_all(clients: &[Client]) {
    let all = async {
        for client in clients {
            while !matches!(client.state(), State::Open { live: true, .. }) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("everybody connects");
}

impl Server {
    fn start(port: u16, url: &str, bus: &str, settings: &[(&'static str, String)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = Self::spawn(address, url, bus, settings);
        Self {
            child,
            address,
            open: Arc::new(AtomicBool::new(true)),
            url: url.to_owned(),
            bus: bus.to_owned(),
            settings: settings.to_vec(),
        }
    }

    fn spawn(
        address: SocketAddr,
        url: &str,
        bus: &str,
        settings: &[(&'static str, String)],
    ) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        command
            .current_dir(std::env::temp_dir())
            .env("CHAT_SERVER__LISTEN", address.to_string())
            .env("CHAT_SERVER__STORE", url)
            .env("CHAT_SERVER__BUS", bus)
            .env("CHAT_SERVER__AUTH__SECRET", SECRET)
            .env("CHAT_SERVER__METRICS__LISTEN", "off")
            .env("CHAT_SERVER__LOG__LEVEL", "warn")
            .env("CHAT_SERVER__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "100000")
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create("/dev/null").unwrap());
        let mut child = command.spawn().unwrap();
        // It says where everything is when it is ready.
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while out.read_line(&mut line).unwrap() > 0 && !line.contains("Settings") {
            line.clear();
        }
        assert!(line.contains("Settings"), "the server did not start");
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        child
    }

    /// Asks it to leave, waits until it has, and starts another one in its place. The balancer looks
    /// elsewhere meanwhile.
    pub(crate) async fn restart(&mut self) -> Duration {
        self.open.store(false, Ordering::Relaxed);
        let began = std::time::Instant::now();
        testbed::terminate(self.child.id());
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(status.success(), "{status}");
        let left = began.elapsed();
        let (address, url, bus, settings) =
            (self.address, self.url.clone(), self.bus.clone(), self.settings.clone());
        let started =
            tokio::task::spawn_blocking(move || Self::spawn(address, &url, &bus, &settings));
        self.child = started.await.unwrap();
        self.open.store(true, Ordering::Relaxed);
        left
    }
}
