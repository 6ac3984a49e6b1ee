//! Our own server as a subject, started for the measurement with what it stands on. Accounts and
//! groups are written into its store before it starts: nobody hashes thousands of passwords.

use std::{
    any::Any,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use chat_sdk::{
    ClientKey, ConversationId, CredentialId, Entrance, Kind, PostgresStore, SqliteStore, Timestamp,
    Title, UserId,
    auth::{
        JwtIssuer,
        accounts::{Account, AccountRole, AccountStore, CreateWhen},
    },
    store::{Open, Write, Written},
};
use clap::ValueEnum;
use futures_util::future::try_join_all;
use testbed::{Postgres, PostgresOptions, Redis, Watchdog};

use super::{Counts, Database, Nodes, POSTGRES, Process, Role, Subject};
use crate::{
    dialect::{Chat, Person},
    machine::Cores,
};

/// What tokens are signed with, and what they say of their origin, as the server has it.
pub(crate) const SECRET: &str = "thirty-two bytes and more, for a measurement";
pub(crate) const ISSUER: &str = "chat-server";
pub(crate) const AUDIENCE: &str = "chat";
/// Longer than any measurement.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Accounts written at a time.
const ACCOUNTS_AT_A_TIME: usize = 256;
/// Memberships written in one transaction, about: as many as make its commit cheap beside them.
const MEMBERS_AT_A_TIME: usize = 10_000;
/// For two nodes to know of one another and of who follows what, after they listen.
pub(super) const ACQUAINTANCE: Duration = Duration::from_secs(2);

/// What would stop a generator, which is many people behind few addresses who all hurry.
const SETTINGS: &[(&str, &str)] = &[
    ("CHAT_SERVER__METRICS__LISTEN", "off"),
    ("CHAT_SERVER__LOG__LEVEL", "warn"),
    ("CHAT_SERVER__HTTP__CONNECTIONS_MAX", "100000"),
    ("CHAT_SERVER__LIMITS__CONNECTIONS_MAX", "1000000"),
    ("CHAT_SERVER__LIMITS__CONNECTIONS_PER_USER_MAX", "100000"),
    ("CHAT_SERVER__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "1000000"),
    ("CHAT_SERVER__LIMITS__ADMISSIONS_PER_SECOND", "1000000"),
    ("CHAT_SERVER__LIMITS__FRAMES_PER_SECOND", "1000000"),
    ("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "1000000"),
    ("CHAT_SERVER__LIMITS__SENDS_BURST", "1000000"),
    ("CHAT_SERVER__LIMITS__MEMBERS_MAX", "100000"),
];

/// Where it keeps its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The embedded one, in a temporary folder.
    Sqlite,
    /// A private PostgreSQL that waits for its disk.
    Postgres,
}

/// What to start.
pub(crate) struct Own<'a> {
    pub(crate) name: &'a str,
    /// The program.
    pub(crate) server: PathBuf,
    pub(crate) store: Store,
    pub(crate) nodes: Nodes,
    /// What it is told beside what every measurement wants; the later word counts.
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// Whether PostgreSQL counts what it is asked, which costs a little.
    pub(crate) counts: Counts,
    pub(crate) people: usize,
    /// Who is in them, by number; the first one owns it.
    pub(crate) groups: &'a [Vec<usize>],
}

/// Starts one.
pub(crate) fn own(own: &Own<'_>, cores: Cores) -> anyhow::Result<Subject> {
    let folder = tempfile::tempdir().context("a folder for the server")?;
    let mut processes = Vec::new();
    let mut keep: Vec<Box<dyn Any>> = Vec::new();
    let mut database = None;
    let (store, cast) = match (own.store, own.nodes) {
        (Store::Sqlite, Nodes::Two) => bail!("two nodes cannot share an embedded store"),
        (Store::Sqlite, Nodes::One) => {
            let file = folder.path().join("load.db");
            let cast = prepare(async || Ok(SqliteStore::open(&file).await?), own)?;
            (format!("sqlite:{}", file.display()), cast)
        }
        (Store::Postgres, Nodes::One | Nodes::Two) => {
            let postgres = Rc::new(cores.as_subject(|| Postgres::start_with(&waiting_for_disk())));
            let url = postgres.new_database();
            let asked = Database::new(Rc::clone(&postgres), &url, own.counts)?;
            let cast = prepare(async || Ok(PostgresStore::connect(&url).await?), own)?;
            let pid = postgres.pid().context("PostgreSQL has just started")?;
            processes.push((POSTGRES.to_owned(), pid));
            database = Some(asked);
            keep.push(Box::new(postgres));
            (url, cast)
        }
    };
    let mut command = Command::new(&own.server);
    command
        .current_dir(folder.path())
        .env("CHAT_SERVER__LISTEN", "127.0.0.1:0")
        .env("CHAT_SERVER__STORE", store)
        .env("CHAT_SERVER__AUTH__SECRET", SECRET)
        .envs(SETTINGS.iter().chain(own.settings).copied())
        .stderr(Stdio::inherit());
    let names: &[&str] = match own.nodes {
        Nodes::One => &["server"],
        Nodes::Two => {
            let redis = cores.as_subject(Redis::start);
            command.env("CHAT_SERVER__BUS", redis.url());
            let pid = redis.pid().context("Redis has just started")?;
            processes.insert(0, ("Redis".to_owned(), pid));
            keep.insert(0, Box::new(redis));
            &["node 1", "node 2"]
        }
    };
    let mut addresses = Vec::new();
    let mut metrics = None;
    for (n, name) in names.iter().enumerate() {
        let mut address = None;
        let (process, address) = cores.as_subject(|| {
            Process::start(&mut command, |line| {
                let line = line.trim();
                if let Some(said) = line.strip_prefix("Listening") {
                    address = said.trim().parse::<SocketAddr>().ok();
                }
                if let Some(said) = line.strip_prefix("Metrics") {
                    let said = said.trim().trim_start_matches("http://");
                    metrics = said.trim_end_matches("/metrics").parse::<SocketAddr>().ok();
                }
                // The last thing that it says.
                if line.starts_with("Settings") { address } else { None }
            })
        })?;
        addresses.push(address);
        processes.insert(n, ((*name).to_owned(), process.id()));
        let leash = Leash::new(&folder.path().join(format!("{n}.pid")), process.id())?;
        // It ends before what it stands on.
        keep.insert(0, Box::new(leash));
        keep.insert(0, Box::new(process));
    }
    match own.nodes {
        Nodes::One => {}
        Nodes::Two => sleep(ACQUAINTANCE),
    }
    keep.push(Box::new(folder));
    Ok(Subject {
        name: own.name.to_owned(),
        role: Role::Measured,
        dialect: Box::new(Chat::new(addresses[0].to_string(), life())),
        addresses,
        people: cast.people,
        groups: cast.groups,
        follows: Vec::new(),
        processes,
        metrics,
        database,
        _keep: keep,
    })
}

/// A PostgreSQL as one runs it that is to lose nothing.
pub(crate) fn waiting_for_disk() -> PostgresOptions {
    let settings = ["shared_buffers = 256MB", "max_wal_size = 4GB"];
    PostgresOptions { fsync: true, settings: settings.map(str::to_owned).to_vec() }
}

/// Ends a server whose owner was killed before it could.
pub(super) struct Leash {
    pid: PathBuf,
    _watchdog: Watchdog,
}

impl Leash {
    /// The file of the pid lies in the folder that goes with the server.
    pub(super) fn new(file: &Path, pid: u32) -> anyhow::Result<Self> {
        let folder = file.parent().context("a pid file lies in a folder")?;
        fs::write(file, pid.to_string()).context("a pid file")?;
        Ok(Self { _watchdog: Watchdog::new(file, folder), pid: file.to_owned() })
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // The server has ended, and its number may be another's by now.
        let _ = fs::remove_file(&self.pid);
    }
}

/// Another number each time a generator is started.
pub(crate) fn life() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Tenths of a second: the same again after thirteen years.
    (now.as_millis() / 100) as u32
}

struct Cast {
    people: Vec<Person>,
    groups: Vec<String>,
}

/// Writes people and groups into the store.
fn prepare<S: AccountStore + chat_sdk::Store>(
    open: impl AsyncFnOnce() -> anyhow::Result<S>,
    own: &Own<'_>,
) -> anyhow::Result<Cast> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = open().await?;
        let users = users(own.people);
        for some in users.chunks(ACCOUNTS_AT_A_TIME) {
            try_join_all(
                some.iter().map(|user| store.create_account(account(user), CreateWhen::NameFree)),
            )
            .await?;
        }
        let mut groups = Vec::with_capacity(own.groups.len());
        let (mut batch, mut members) = (Vec::new(), 0);
        for (n, group) in own.groups.iter().enumerate() {
            let open = open_group(n, group.iter().map(|who| users[*who].clone()).collect());
            groups.push(open.conversation.to_string());
            members += open.members.len();
            batch.push(Write::Open(open));
            if members >= MEMBERS_AT_A_TIME {
                written(store.write(std::mem::take(&mut batch)).await?)?;
                members = 0;
            }
        }
        written(store.write(batch).await?)?;
        Ok(Cast { people: with_tokens(&users)?, groups })
    })
}

fn open_group(n: usize, members: Vec<UserId>) -> Open {
    let key = ClientKey::new(format!("group-{n}")).expect("a short name is a key");
    Open {
        conversation: ConversationId::group(&members[0], &key),
        kind: Kind::Group,
        title: Some(Title::new(format!("group {n}")).expect("a short text is a title")),
        by: Some(members[0].clone()),
        key: Some(key),
        members,
        entrance: Entrance::default(),
        at: Timestamp::from_millis(0),
    }
}

/// A batch may be taken and a write in it be refused.
fn written(answers: Vec<Written>) -> anyhow::Result<()> {
    for answer in answers {
        match answer {
            Written::Event { .. } => {}
            other => bail!("a group could not be written: {other:?}"),
        }
    }
    Ok(())
}

/// Users by their number.
pub(super) fn users(count: usize) -> Vec<UserId> {
    let names = (0..count).map(|n| UserId::new(format!("user{n:06}")));
    names.collect::<Result<_, _>>().expect("a short name is an id")
}

/// The same with what proves who they are.
pub(super) fn with_tokens(users: &[UserId]) -> anyhow::Result<Vec<Person>> {
    let issuer = JwtIssuer::hs256(SECRET)?.issuer(ISSUER).audience(AUDIENCE);
    let people = users.iter().map(|user| {
        let credential = CredentialId::new(format!("0.{}", user.as_str()))
            .expect("a generation and a short name are one");
        let token = issuer.issue_as(user, credential, TOKEN_LIFETIME).token;
        Person { user: user.as_str().to_owned(), token }
    });
    Ok(people.collect())
}

/// One whose password nobody knows.
fn account(user: &UserId) -> Account {
    let name = user.as_str().to_owned();
    Account {
        user: user.clone(),
        name: name.clone(),
        name_key: name.clone(),
        display_name: name,
        password_hash: "none".to_owned(),
        role: AccountRole::User,
        disabled: false,
        generation: 0,
        created_at: Timestamp::from_millis(0),
    }
}
