//! People who are connected through the Service and talk all the time, and what they live through.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{
    ClientKey, ConversationId, CredentialId, Entrance, Kind, PostgresStore, Store, Text, Timestamp,
    Title, UserId,
    auth::{
        JwtIssuer,
        accounts::{Account, AccountRole, AccountStore, CreateWhen},
    },
    client::{Client, ClientEvent, ClientEvents, State},
    protocol::SendTo,
    store::{Open, Write},
};
use tokio::task::JoinHandle;

/// Members of a group.
const GROUP: usize = 20;
/// For whatever is waited for; a noisy machine may need some of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a chat is and how one signs in.
#[derive(Debug, Clone)]
pub struct Door {
    /// `http://10.96.0.7:80`.
    pub url: String,
    /// The database behind it.
    pub database: String,
    /// What signs the log-ins.
    pub secret: String,
}

/// Them.
pub struct Crowd {
    clients: Vec<Client>,
    readers: Vec<JoinHandle<Result<(), String>>>,
    talking: Option<JoinHandle<()>>,
    store: PostgresStore,
    groups: Vec<ConversationId>,
    life: Arc<Life>,
}

/// What they live through.
#[derive(Default)]
struct Life {
    began: Option<Instant>,
    /// Moves by client.
    moves: Vec<AtomicU64>,
    /// Connections that ended without notice, by client.
    broke: Vec<AtomicU64>,
    resets: AtomicU64,
    /// Connections made, by second.
    connects: Mutex<BTreeMap<u64, u64>>,
    sent: AtomicU64,
    failures: Mutex<Vec<String>>,
    quiet: AtomicBool,
    heads: Mutex<BTreeMap<ConversationId, u64>>,
}

/// A moment, to count from.
pub struct Mark {
    moves: Vec<u64>,
    broke: Vec<u64>,
    resets: u64,
    second: u64,
    sent: u64,
    failures: usize,
}

/// What happened since.
#[derive(Debug)]
pub struct Span {
    /// By client.
    pub moves: Vec<u64>,
    /// Connections that ended without notice.
    pub broke: u64,
    /// Clients that had to start again with a conversation.
    pub resets: u64,
    /// Connections made, second by second.
    pub connects: Vec<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Those that failed.
    pub failures: Vec<String>,
}

impl Span {
    /// Moves of everybody.
    pub fn moves_in_all(&self) -> u64 {
        self.moves.iter().sum()
    }

    /// Moves of whoever moved most.
    pub fn moves_most(&self) -> u64 {
        self.moves.iter().copied().max().unwrap_or(0)
    }

    /// The second in which most came.
    pub fn worst_second(&self) -> u64 {
        self.connects.iter().copied().max().unwrap_or(0)
    }

    /// From the first to the last that came.
    pub fn seconds(&self) -> u64 {
        let came = |connects: &u64| *connects > 0;
        let first = self.connects.iter().position(came).unwrap_or(0);
        let last = self.connects.iter().rposition(came).unwrap_or(0);
        (last - first + 1) as u64
    }

    /// One line.
    pub fn say(&self, what: &str) {
        println!(
            "{what}: {} clients, moves {} ({:.2} per client, at most {}), broken {}, resets {}, \
             worst second {}, sent {}, failed {}",
            self.moves.len(),
            self.moves_in_all(),
            self.moves_in_all() as f64 / self.moves.len() as f64,
            self.moves_most(),
            self.broke,
            self.resets,
            self.worst_second(),
            self.sent,
            self.failures.len(),
        );
    }
}

impl Crowd {
    /// Makes accounts and groups, connects everybody and begins to talk, `rate` messages a second.
    pub async fn gather(door: &Door, name: &str, count: usize, rate: f64) -> Self {
        Self::gather_at(std::slice::from_ref(&door.url), door, name, count, rate).await
    }

    /// The same, but they go to these places, one after the other, and not through the Service.
    pub async fn gather_at(
        urls: &[String],
        door: &Door,
        name: &str,
        count: usize,
        rate: f64,
    ) -> Self {
        let database = format!("{}?application_name=crowd", door.database);
        let store = PostgresStore::connect(&database).await.expect("the database is there");
        let issuer = JwtIssuer::hs256(&door.secret).unwrap().issuer("chat-server").audience("chat");
        let mut users = Vec::new();
        for n in 0..count {
            let id = format!("{name}{n}");
            let account = Account {
                user: UserId::new(&id).unwrap(),
                name: id.clone(),
                name_key: id.clone(),
                display_name: id.clone(),
                password_hash: "none".to_owned(),
                role: AccountRole::User,
                disabled: false,
                generation: 0,
                created_at: Timestamp::from_millis(0),
            };
            users.push(account.user.clone());
            store.create_account(account, CreateWhen::NameFree).await.unwrap();
        }
        let mut groups = Vec::new();
        for (n, members) in users.chunks(GROUP).enumerate() {
            groups.push(open(&store, &format!("{name} {n}"), members).await);
        }
        let counters = || (0..count).map(|_| AtomicU64::new(0)).collect();
        let life = Arc::new(Life {
            began: Some(Instant::now()),
            moves: counters(),
            broke: counters(),
            ..Life::default()
        });
        let (mut clients, mut readers) = (Vec::new(), Vec::new());
        for (n, user) in users.iter().enumerate() {
            let credential = CredentialId::new(format!("0.{}", user.as_str())).unwrap();
            let lifetime = Duration::from_secs(24 * 60 * 60);
            let token = issuer.issue_as(user, credential, lifetime).token;
            let (client, events) = Client::builder(&urls[n % urls.len()], token).start().unwrap();
            clients.push(client);
            readers.push(tokio::spawn(read(events, n, life.clone())));
            if n % 20 == 19 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let crowd = Self { clients, readers, talking: None, store, groups, life };
        crowd.wait_until_everybody_is_there().await;
        let talking = talk(crowd.clients.clone(), crowd.groups.clone(), rate, crowd.life.clone());
        Self { talking: Some(tokio::spawn(talking)), ..crowd }
    }

    /// Until everybody is connected and has everything.
    pub async fn wait_until_everybody_is_there(&self) {
        let all = async {
            for client in &self.clients {
                while !matches!(client.state(), State::Open { live: true, .. }) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("everybody connects");
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        let read = |counters: &[AtomicU64]| {
            counters.iter().map(|it| it.load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        Mark {
            moves: read(&self.life.moves),
            broke: read(&self.life.broke),
            resets: self.life.resets.load(Ordering::Relaxed),
            second: self.life.second() + 1,
            sent: self.life.sent.load(Ordering::Relaxed),
            failures: self.life.failures.lock().unwrap().len(),
        }
    }

    /// What happened since then.
    pub fn since(&self, mark: &Mark) -> Span {
        let now = self.mark();
        let connects = self.life.connects.lock().unwrap();
        let seconds = mark.second..now.second;
        Span {
            moves: now.moves.iter().zip(&mark.moves).map(|(now, then)| now - then).collect(),
            broke: now.broke.iter().zip(&mark.broke).map(|(now, then)| now - then).sum(),
            resets: now.resets - mark.resets,
            connects: seconds.map(|at| connects.get(&at).copied().unwrap_or(0)).collect(),
            sent: now.sent - mark.sent,
            failures: self.life.failures.lock().unwrap()[mark.failures..].to_vec(),
        }
    }

    /// Stops talking; panics unless everybody has every message of their group, once, in order.
    pub async fn compare(mut self) {
        self.life.quiet.store(true, Ordering::Relaxed);
        self.talking.take().unwrap().await.unwrap();
        let heads = self.store.heads(&self.groups).await.unwrap().heads;
        let heads = heads.into_iter().map(|(id, head)| (id, head.get())).collect();
        *self.life.heads.lock().unwrap() = heads;
        for (n, reader) in self.readers.drain(..).enumerate() {
            let ended = tokio::time::timeout(PATIENCE, reader).await;
            let read = ended.unwrap_or_else(|_| panic!("client {n} misses something")).unwrap();
            read.unwrap_or_else(|why| panic!("client {n}: {why}"));
        }
        for client in &self.clients {
            client.close().await;
        }
        self.store.close().await;
    }
}

impl Life {
    fn second(&self) -> u64 {
        self.began.expect("set when it begins").elapsed().as_secs()
    }

    fn connected(&self) {
        *self.connects.lock().unwrap().entry(self.second()).or_default() += 1;
    }
}

async fn open(store: &PostgresStore, name: &str, members: &[UserId]) -> ConversationId {
    let key = ClientKey::new(name).unwrap();
    let conversation = ConversationId::group(&members[0], &key);
    let open = Open {
        conversation,
        kind: Kind::Group,
        title: Some(Title::new(name).unwrap()),
        by: Some(members[0].clone()),
        key: Some(key),
        members: members.to_vec(),
        entrance: Entrance::default(),
        at: Timestamp::from_millis(0),
    };
    store.write(vec![Write::Open(open)]).await.unwrap();
    conversation
}

/// Reads until it is quiet and everything is there.
async fn read(mut events: ClientEvents, n: usize, life: Arc<Life>) -> Result<(), String> {
    let mut reached: BTreeMap<ConversationId, u64> = BTreeMap::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(300), events.next()).await {
            Ok(Some(ClientEvent::Event(event))) => {
                let (id, seq) = (event.conversation, event.seq.get());
                if let Some(before) = reached.insert(id, seq)
                    && before + 1 != seq
                {
                    return Err(format!("after {before} came {seq} in {id:?}"));
                }
            }
            Ok(Some(ClientEvent::Connected { .. })) => life.connected(),
            Ok(Some(ClientEvent::Moved)) => {
                life.connected();
                life.moves[n].fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Disconnected { .. })) => {
                life.broke[n].fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Reset { conversation, .. })) => {
                reached.remove(&conversation);
                life.resets.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Closed(why))) => return Err(format!("closed: {why:?}")),
            Ok(None) => return Err("the client ended".to_owned()),
            Ok(Some(_)) => {}
            Err(_) => {
                let heads = life.heads.lock().unwrap();
                let complete = reached.iter().all(|(id, seq)| heads.get(id) == Some(seq));
                if !heads.is_empty() && !reached.is_empty() && complete {
                    return Ok(());
                }
            }
        }
    }
}

/// Everybody in turn, in their group.
async fn talk(clients: Vec<Client>, groups: Vec<ConversationId>, rate: f64, life: Arc<Life>) {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut sending = tokio::task::JoinSet::new();
    let mut turn = 0_usize;
    // The first round is said before anything is measured: whoever has read nothing knows no number.
    while !life.quiet.load(Ordering::Relaxed) {
        ticks.tick().await;
        let who = (turn * 7919) % clients.len();
        let text = Text::new(format!("message {turn}")).unwrap();
        let sent = clients[who].send(SendTo::Conversation(groups[who / GROUP]), text);
        let life = life.clone();
        life.sent.fetch_add(1, Ordering::Relaxed);
        turn += 1;
        sending.spawn(async move {
            let done = async { sent?.await }.await;
            if let Err(why) = done {
                life.failures.lock().unwrap().push(why.to_string());
            }
        });
        while sending.try_join_next().is_some() {}
    }
    while sending.join_next().await.is_some() {}
}
