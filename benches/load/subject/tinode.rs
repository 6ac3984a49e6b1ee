//! Tinode as a subject: its server and a PostgreSQL of its own, from a folder of programs that the
//! user has. People and groups are made by its protocol before anything is measured, the members of
//! groups in its tables.

use std::{
    any::Any,
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use testbed::Postgres;
use tungstenite::{Message, WebSocket};

use super::{
    Process,
    own::{Leash, waiting_for_disk},
};
use crate::{
    dialect::{Person, VERSION},
    machine::Cores,
};

/// What the keys of programs that may connect are signed with.
const SALT: &str = "W715bcq+ao9r3ize0+5NiaFlkuFxn2phdVOyzZjlqpY=";
/// One of these keys.
pub(super) const KEY: &str = "AQAAAAABAADBaqYeY2f_yQ6v9brVcDUz";
/// What its tokens are signed with, and its ids are told by: bytes in Base64.
const TOKEN_KEY: &str = "Y2hhdC1sb2FkIG1lYXN1cmVzIFRpbm9kZSBieSB0aGlzIGtleQ==";
const ID_KEY: &str = "aWRzIG9mIGNoYXQtbG9hZA==";
/// Longer than any measurement.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any group of a measurement has.
const MEMBERS_MAX: u32 = 200_000;
/// Its database, made by `tinode-db`.
const DATABASE: &str = "tinode";
/// Connections to PostgreSQL, as many as its own configuration wants. It says so in a setting that
/// comes too late to be heard; in the URL it is.
const DATABASE_CONNECTIONS: u32 = 50;
/// What everybody may do: join, read and write. Without the right to presence nobody is told who
/// comes and goes, and no notification is made of a message; that is what a group of thousands costs
/// beside its messages.
const MODE: &str = "JRW";
/// What the owner of a group may do.
const OWNER_MODE: &str = "JRWO";
/// What people let others do with them, who may not do less than to be asked.
const PARTNER_MODE: &str = "JRWA";
/// For a group that nobody is in any more to be forgotten, four seconds, and a bit: when somebody
/// comes, its members are read from the tables.
const OBLIVION: Duration = Duration::from_secs(6);
/// For an answer while nothing is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, with who is there and what it stands on.
pub(super) struct Running {
    pub(super) server: Process,
    /// The process of its database.
    pub(super) postgres: u32,
    pub(super) people: Vec<Person>,
    pub(super) groups: Vec<String>,
    /// What goes after the server, in this order.
    pub(super) keep: Vec<Box<dyn Any>>,
}

/// Starts it in a folder that goes with it, and makes so many people there and these groups among
/// them.
pub(super) fn start(
    programs: &Path,
    port: u16,
    people: usize,
    groups: &[Vec<usize>],
    cores: Cores,
) -> anyhow::Result<Running> {
    let programs = programs.canonicalize().context("where Tinode's programs are")?;
    let folder = tempfile::tempdir().context("a folder for Tinode")?;
    let postgres = cores.as_subject(|| Postgres::start_with(&waiting_for_disk()));
    let file = folder.path().join("tinode.conf");
    fs::write(&file, settings(port, &postgres.url(DATABASE)).to_string())
        .context("Tinode's configuration")?;
    let command = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.current_dir(folder.path()).arg("--config").arg(&file).stdin(Stdio::null());
        command
    };
    let made = command("tinode-db").output();
    let made = made.with_context(|| format!("cannot start {}/tinode-db", programs.display()))?;
    if !made.status.success() {
        bail!("tinode-db: {}", String::from_utf8_lossy(&made.stderr));
    }
    // It tells of every packet, and knows no way not to.
    let mut server = command("tinode");
    server.args(["--static_data", "-"]).stdout(Stdio::null()).stderr(Stdio::null());
    let server = cores.as_subject(|| Process::start_listening(&mut server, port))?;
    let leash = Leash::new(&folder.path().join("tinode.pid"), server.id())?;
    let pid = postgres.pid().context("PostgreSQL has just started")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (people, topics) = settle(address, people, groups)?;
    if !topics.is_empty() {
        let statements = topics.iter().zip(groups).map(|(topic, it)| subscriptions(topic, it));
        postgres.script(DATABASE, &statements.collect::<String>());
        sleep(OBLIVION);
    }
    Ok(Running {
        server,
        postgres: pid,
        people,
        groups: topics,
        keep: vec![Box::new(leash), Box::new(postgres), Box::new(folder)],
    })
}

/// The little that it has to be told: nothing beside messages is on (files, calls, pushes, plugins,
/// counters, compression).
fn settings(port: u16, database: &str) -> Value {
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "api_key_salt": SALT,
        "ws_compression_disabled": true,
        "max_subscriber_count": MEMBERS_MAX,
        "expvar": "-",
        "auth_config": {
            "token": {
                "expire_in": TOKEN_LIFETIME.as_secs(),
                "serial_num": 1,
                "key": TOKEN_KEY,
            },
            "anonymous": {},
        },
        "store_config": {
            "uid_key": ID_KEY,
            // Members beyond it are not read from the tables: each of them would be a new one.
            "max_results": MEMBERS_MAX,
            "use_adapter": "postgres",
            "adapters": {
                "postgres": {
                    "dsn": format!(
                        "{database}?sslmode=disable&pool_max_conns={DATABASE_CONNECTIONS}"
                    ),
                    "sql_timeout": 10,
                },
            },
        },
        "push": [],
    })
}

/// Makes so many people there and these groups of theirs, each with its owner only.
fn settle(
    server: SocketAddr,
    people: usize,
    groups: &[Vec<usize>],
) -> anyhow::Result<(Vec<Person>, Vec<String>)> {
    let people: Vec<Person> =
        (0..people).map(|_| account(server)).collect::<Result<_, _>>().context("an account")?;
    let groups = groups.iter().map(|members| {
        let owner = *members.first().context("a group has members")?;
        group(server, &people[owner]).context("a group")
    });
    let groups = groups.collect::<Result<_, _>>()?;
    Ok((people, groups))
}

/// Makes them members beside the owner, who is one. The server would do it when each of them comes for
/// the first time; as it tells all the others of every new one, that takes minutes where there are
/// thousands. The numbers by which its tables know people grow in the order in which they were made.
fn subscriptions(topic: &str, members: &[usize]) -> String {
    let members: Vec<String> = members.iter().map(|who| format!("({who})")).collect();
    format!(
        "INSERT INTO subscriptions (createdat, updatedat, userid, topic, modewant, modegiven) \
         SELECT now(), now(), person.id, '{topic}', '{MODE}', '{MODE}' \
         FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM users) AS person \
         JOIN (VALUES {}) AS member (n) USING (n) ON CONFLICT DO NOTHING;\n",
        members.join(",")
    )
}

/// Somebody without a password, who has a token: nobody hashes thousands of passwords.
fn account(server: SocketAddr) -> anyhow::Result<Person> {
    let access = json!({ "auth": PARTNER_MODE, "anon": PARTNER_MODE });
    let acc = json!({
        "user": "new",
        "scheme": "anonymous",
        "login": true,
        "desc": { "defacs": access },
    });
    let made = Visit::begin(server)?.ask("acc", acc)?;
    let text = |field: &str| made["params"][field].as_str().map(str::to_owned);
    let (user, token) =
        text("user").zip(text("token")).with_context(|| format!("neither id nor token: {made}"))?;
    Ok(Person { user, token })
}

/// A group in which everybody may be who asks for it.
fn group(server: SocketAddr, owner: &Person) -> anyhow::Result<String> {
    let mut visit = Visit::begin(server)?;
    visit.ask("login", json!({ "scheme": "token", "secret": owner.token }))?;
    let set = json!({
        "desc": { "defacs": { "auth": MODE, "anon": MODE } },
        "sub": { "mode": OWNER_MODE },
    });
    let made = visit.ask("sub", json!({ "topic": "new", "set": set }))?;
    let topic = made["topic"].as_str().with_context(|| format!("no topic: {made}"))?;
    Ok(topic.to_owned())
}

/// A connection for a few questions.
struct Visit {
    socket: WebSocket<TcpStream>,
    asked: u32,
}

impl Visit {
    fn begin(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let url = format!("ws://{server}/v0/channels?apikey={KEY}");
        let (socket, _) = tungstenite::client(url, stream)?;
        let mut visit = Self { socket, asked: 0 };
        visit.ask("hi", json!({ "ver": VERSION }))?;
        Ok(visit)
    }

    /// Asks for this, and answers what is answered.
    fn ask(&mut self, kind: &str, mut packet: Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let number = self.asked.to_string();
        packet["id"] = json!(number);
        self.socket.send(Message::text(json!({ kind: packet }).to_string()))?;
        loop {
            let Message::Text(said) = self.socket.read()? else { continue };
            let mut said: Value = serde_json::from_str(&said)?;
            let answer = said["ctrl"].take();
            if answer["id"] == number {
                match answer["code"].as_u64() {
                    Some(200..300) => return Ok(answer),
                    Some(_) | None => bail!("{kind}: {answer}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server that says these to each question, `ID` being its number.
    fn answering(answers: &'static [&'static [&'static str]]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            for answers in answers {
                let asked: Value =
                    serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
                let (_, packet) = asked.as_object().unwrap().iter().next().unwrap();
                for answer in *answers {
                    let answer = answer.replace("ID", packet["id"].as_str().unwrap());
                    socket.send(Message::text(answer)).unwrap();
                }
            }
        });
        address
    }

    const HELLO: &[&str] = &[r#"{"ctrl":{"id":"ID","code":201}}"#];

    #[test]
    fn an_account_is_an_id_and_a_token() {
        let server = answering(&[
            HELLO,
            &[
                r#"{"pres":{"topic":"me","what":"on"}}"#,
                r#"{"ctrl":{"id":"0","code":500}}"#,
                r#"{"ctrl":{"id":"ID","code":200,"params":{"user":"usr7","token":"dG9rZW4="}}}"#,
            ],
        ]);
        let made = account(server).unwrap();
        assert_eq!((&*made.user, &*made.token), ("usr7", "dG9rZW4="));
    }

    #[test]
    fn what_is_refused_is_said() {
        let server = answering(&[HELLO, &[r#"{"ctrl":{"id":"ID","code":403,"text":"no"}}"#]]);
        let refused = account(server).unwrap_err().to_string();
        assert!(refused.contains("acc") && refused.contains("403"), "{refused}");
    }

    #[test]
    fn a_group_is_made_by_who_owns_it() {
        let server = answering(&[
            HELLO,
            &[r#"{"ctrl":{"id":"ID","code":200}}"#],
            &[r#"{"ctrl":{"id":"ID","topic":"grpG","code":200,"params":{"tmpname":"new"}}}"#],
        ]);
        let owner = Person { user: "usr7".to_owned(), token: "dG9rZW4=".to_owned() };
        assert_eq!(group(server, &owner).unwrap(), "grpG");
    }

    #[test]
    fn members_are_people_by_the_order_in_which_they_were_made() {
        let postgres = Postgres::start();
        let url = postgres.new_database();
        let database = url.rsplit('/').next().unwrap();
        postgres.sql(
            database,
            "CREATE TABLE users (id BIGINT PRIMARY KEY); INSERT INTO users VALUES (90), (70), (80); \
             CREATE TABLE subscriptions (createdat TIMESTAMP, updatedat TIMESTAMP, userid BIGINT, \
             topic TEXT, modewant TEXT, modegiven TEXT, UNIQUE (topic, userid)); \
             INSERT INTO subscriptions (userid, topic, modewant) VALUES (70, 'grpG', 'JRWO')",
        );
        postgres.script(database, &subscriptions("grpG", &[0, 2]));
        let found =
            "SELECT userid || ' ' || topic || ' ' || modewant FROM subscriptions ORDER BY 1";
        assert_eq!(postgres.sql(database, found).trim(), "70 grpG JRWO\n90 grpG JRW");
    }
}
