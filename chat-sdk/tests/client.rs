//! The typed client against a real chat on real sockets.

mod support;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    Amendment, AuthError, Authenticator, Body, Chat, ConversationId, CredentialId, Credentials,
    Emoji, Event, Identity, Limits, LocalBus, Marker, MemoryBlobStore, MemoryStore, Message, Seq,
    Text, Timestamp, TlsRoots, To,
    auth::{Accounts, accounts::AccountRole},
    client::{
        Client, ClientBuilder, ClientEvent, ClientEvents, ClientLimits, Closed, Ending, History,
        Http, HttpError, LogIn, SendError, State, TokenError,
    },
    protocol::{Code, Resume, SendTo},
};
use support::{Mood, Moody, PATIENCE, Server, TokenIsUser, user};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn text(text: impl AsRef<str>) -> Text {
    Text::new(text).unwrap()
}

fn to(name: &str) -> SendTo {
    SendTo::User(user(name))
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A client that does not wait long.
fn builder(address: SocketAddr, name: &str) -> ClientBuilder {
    let limits = ClientLimits {
        backoff_base: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        ..ClientLimits::default()
    };
    Client::builder(url(address), format!("token-{name}")).limits(limits)
}

/// A client and what it has heard: the checks of every test.
struct Device {
    client: Client,
    events: ClientEvents,
    /// The numbers that were handed out, by conversation.
    heard: BTreeMap<ConversationId, Vec<u64>>,
}

impl Device {
    fn start(builder: ClientBuilder) -> Self {
        let (client, events) = builder.start().unwrap();
        Self { client, events, heard: BTreeMap::new() }
    }

    async fn live(builder: ClientBuilder) -> Self {
        let mut device = Self::start(builder);
        device.until(|event| matches!(event, ClientEvent::Synced)).await;
        device
    }

    async fn next(&mut self) -> ClientEvent {
        let next = tokio::time::timeout(PATIENCE, self.events.next());
        let event = next.await.expect("something comes in time").expect("it is not over");
        if let ClientEvent::Event(event) = &event {
            let numbers = self.heard.entry(event.conversation).or_default();
            // The one promise, checked at every event of every test.
            if let Some(last) = numbers.last() {
                assert_eq!(event.seq.get(), last + 1, "no hole and no repetition");
            }
            numbers.push(event.seq.get());
        }
        event
    }

    /// The first event like this; those before it are skipped.
    async fn until(&mut self, like: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        loop {
            let event = self.next().await;
            if like(&event) {
                return event;
            }
        }
    }

    /// The next message.
    async fn message(&mut self) -> (Event, String) {
        loop {
            if let ClientEvent::Event(event) = self.next().await
                && let Body::Message(Message { text, .. }) = &event.body
            {
                let text = text.as_str().to_owned();
                return (event, text);
            }
        }
    }

    /// So many messages, and that their texts are those numbers.
    async fn numbered(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            assert_eq!(self.message().await.1, number.to_string());
        }
    }

    async fn closed(&mut self) -> Closed {
        let closed = self.until(|event| matches!(event, ClientEvent::Closed(_))).await;
        let over = tokio::time::timeout(PATIENCE, self.events.next()).await.unwrap();
        assert_eq!(over, None, "nothing comes after the end");
        match closed {
            ClientEvent::Closed(because) => because,
            other => panic!("{other:?}"),
        }
    }

    async fn send(&self, to: SendTo, said: impl AsRef<str>) -> chat_sdk::client::SentPlace {
        let sending = self.client.send(to, text(said)).unwrap();
        tokio::time::timeout(PATIENCE, sending).await.expect("an answer in time").unwrap()
    }
}

async fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A way to the server that can be cut, shut and led elsewhere.
struct Proxy {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    /// Counts cuts: whoever sees it change hangs up.
    cuts: tokio::sync::watch::Sender<u64>,
    /// Bytes from the server that still pass before the connection is cut by itself.
    fuse: Arc<AtomicU64>,
    connections: Arc<AtomicUsize>,
    answers_503: Arc<AtomicBool>,
    /// The last request that was answered so.
    request: Arc<Mutex<String>>,
}

impl Proxy {
    async fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            to: Arc::new(Mutex::new(to)),
            cuts: tokio::sync::watch::Sender::new(0),
            fuse: Arc::new(AtomicU64::new(u64::MAX)),
            connections: Arc::default(),
            answers_503: Arc::default(),
            request: Arc::default(),
        };
        let (to, cuts, fuse) = (proxy.to.clone(), proxy.cuts.clone(), proxy.fuse.clone());
        let (connections, refuses) = (proxy.connections.clone(), proxy.answers_503.clone());
        let said = proxy.request.clone();
        tokio::spawn(async move {
            loop {
                let (mut inside, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let to = *to.lock().unwrap();
                let (mut cut, fuse, refuses) = (cuts.subscribe(), fuse.clone(), refuses.clone());
                let said = said.clone();
                tokio::spawn(async move {
                    if refuses.load(Ordering::SeqCst) {
                        let mut request = [0; 4096];
                        let read = inside.read(&mut request).await.unwrap_or(0);
                        *said.lock().unwrap() = String::from_utf8_lossy(&request[..read]).into();
                        let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
                        let _ = inside.write_all(answer.as_bytes()).await;
                        return;
                    }
                    let Ok(outside) = TcpStream::connect(to).await else { return };
                    let (mut from_server, mut to_server) = outside.into_split();
                    let (mut from_client, mut to_client) = inside.into_split();
                    let down = async {
                        let mut bytes = [0; 1024];
                        loop {
                            let read = from_server.read(&mut bytes).await.unwrap_or(0);
                            let left = fuse.load(Ordering::SeqCst);
                            let pass = (read as u64).min(left) as usize;
                            let _ = to_client.write_all(&bytes[..pass]).await;
                            if left != u64::MAX {
                                fuse.store(left - pass as u64, Ordering::SeqCst);
                            }
                            if read == 0 || left <= read as u64 {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        _ = cut.changed() => {}
                        () = down => {}
                        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    }
                });
            }
        });
        proxy
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn two_clients_talk() {
    let server = Server::new().await;
    let mut ann = Device::live(builder(server.address, "ann")).await;
    let mut bob = Device::live(builder(server.address, "bob")).await;
    assert_eq!(ann.client.me(), Some(user("ann")));
    assert_eq!(ann.client.state(), State::Open { live: true, moving: false });

    ann.client.watch(vec![user("bob")]).unwrap();
    let presence = ann.until(|event| matches!(event, ClientEvent::Presence { .. })).await;
    assert_eq!(presence, ClientEvent::Presence { user: user("bob"), online: true });

    let place = ann.send(to("bob"), "hi").await;
    let (event, said) = bob.message().await;
    assert_eq!((said.as_str(), event.from.clone()), ("hi", Some(user("ann"))));
    assert_eq!((event.conversation, event.seq), (place.conversation, place.seq));
    assert_eq!(event.key, Some(place.key));
    assert_eq!(bob.heard[&place.conversation], [1, 2], "it begins with `created`");

    bob.client.mark_received(event.conversation, Seq::new(1)).unwrap();
    bob.client.mark_read(event.conversation, event.seq).unwrap();
    let marker = Marker { received: event.seq, read: event.seq };
    let moved = |it: &ClientEvent| matches!(it, ClientEvent::Receipt { user: of, marker: to, .. } if *of == user("bob") && *to == marker);
    ann.until(moved).await;

    assert!(bob.client.typing(event.conversation, true));
    assert!(bob.client.typing(event.conversation, true), "too often is said once");
    let typing = |it: &ClientEvent| matches!(it, ClientEvent::Typing { user: who, on: true, .. } if *who == user("bob"));
    ann.until(typing).await;

    // What becomes of it, in the order in which it was asked for.
    let change = |amendment| ann.client.amend(event.conversation, event.seq, amendment).unwrap();
    let changes = [
        change(Amendment::Edit(text("hi, bob"))),
        change(Amendment::React(Emoji::new("👋").unwrap(), true)),
        change(Amendment::Pin(true)),
    ];
    for change in changes {
        change.await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let ClientEvent::Event(event) = bob.next().await {
            seen.push(event.body);
        }
    }
    let message = event.seq;
    assert_eq!(
        seen,
        [
            Body::Edited { message, text: text("hi, bob") },
            Body::Reacted { message, emoji: Emoji::new("👋").unwrap() },
            Body::Pinned { message },
        ]
    );
    let foreign = bob.client.amend(event.conversation, message, Amendment::Delete).unwrap();
    let refused = foreign.await.unwrap_err();
    assert!(
        matches!(refused, SendError::Refused { problem, .. } if problem.code == Code::Forbidden)
    );

    // A message that the server will not have.
    let refused = ann.client.send(to("bob"), text("x".repeat(9_000))).unwrap().await.unwrap_err();
    assert!(
        matches!(refused, SendError::Refused { problem, .. } if problem.code == Code::TooLarge)
    );

    bob.client.close().await;
    assert_eq!(bob.closed().await, Closed::ByHost);
    assert!(matches!(bob.client.send(to("ann"), text("x")), Err(SendError::Closed { .. })));
    assert!(!bob.client.typing(event.conversation, true));
    server.until("bob is gone", |health| health.connections == 1).await;
    drop(ann);
    server.until("ann let go of everything", |health| health.connections == 0).await;
}

#[tokio::test]
async fn messages_of_one_conversation_are_written_in_the_order_in_which_they_were_sent() {
    let server =
        Server::with(Limits { sends_per_second: 50, sends_burst: 20, ..Limits::default() }).await;
    let ann = Device::live(builder(server.address, "ann")).await;
    let mut bob = Device::live(builder(server.address, "bob")).await;
    // More than the server takes at once: some are refused for now and repeated.
    let direct = ConversationId::direct(&user("ann"), &user("bob"));
    let sendings: Vec<_> = (0..100)
        .map(|number| {
            let to = if number % 2 == 0 { to("bob") } else { SendTo::Conversation(direct) };
            ann.client.send(to, text(number.to_string())).unwrap()
        })
        .collect();
    bob.numbered(0..100).await;
    let mut places = Vec::new();
    for sending in sendings {
        places.push(sending.await.unwrap().seq.get());
    }
    assert_eq!(places, (2..102).collect::<Vec<_>>());
}

#[tokio::test]
async fn whatever_is_cut_wherever_nothing_is_lost_and_nothing_comes_twice() {
    let server = Server::new().await;
    let proxy = Proxy::new(server.address).await;
    let ann = Device::live(builder(proxy.address, "ann")).await;
    let mut bob = Device::live(builder(proxy.address, "bob")).await;
    let mut sendings = Vec::new();
    for round in 0..40u64 {
        for number in 0..5 {
            let number = round * 5 + number;
            let said = text(number.to_string());
            sendings.push(ann.client.send(to("bob"), said).unwrap());
        }
        // Cut at once, or in the midst of what comes next: also within a frame, and before `welcome`.
        match round % 4 {
            0 => {
                let connections = proxy.connections();
                proxy.cut();
                wait_for("it comes back", || proxy.connections() > connections).await;
            }
            1 => proxy.fuse.store(round * 37, Ordering::SeqCst),
            _ => {}
        }
        wait_for("the fuse has burnt down", || {
            let left = proxy.fuse.load(Ordering::SeqCst);
            left == u64::MAX || left == 0
        })
        .await;
        proxy.fuse.store(u64::MAX, Ordering::SeqCst);
    }
    bob.numbered(0..200).await;
    let mut places = Vec::new();
    for sending in sendings {
        places.push(sending.await.unwrap().seq.get());
    }
    assert_eq!(places, (2..202).collect::<Vec<_>>(), "every message has exactly one place");
    let last = server
        .chat
        .history(
            &user("ann"),
            ConversationId::direct(&user("ann"), &user("bob")),
            chat_sdk::store::Page::Newest,
            1,
        )
        .await
        .unwrap();
    assert_eq!(last.events[0].seq.get(), 201, "and none has two");
    assert!(proxy.connections() >= 12, "{} connections", proxy.connections());
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_repeated_and_written_once() {
    let store = Moody::new();
    let server = Server::start(Chat::builder(TokenIsUser).store(store.clone())).await;
    let proxy = Proxy::new(server.address).await;
    let ann = Device::live(builder(proxy.address, "ann")).await;
    let before = store.asked.load(Ordering::SeqCst);
    store.is(Mood::WritesHang);
    let sending = ann.client.send(to("bob"), text("once")).unwrap();
    store.asked(before + 1).await;
    // It is with the store now; its answer finds nobody.
    proxy.cut();
    let connections = proxy.connections();
    wait_for("the client comes back", || proxy.connections() > connections).await;
    store.is(Mood::Well);
    let place = tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
    assert_eq!(place.seq.get(), 2);
    assert_eq!(ann.send(to("bob"), "twice").await.seq.get(), 3);
}

#[tokio::test]
async fn a_server_that_starts_again_elsewhere_is_found_and_nothing_is_missed() {
    let store = MemoryStore::new();
    let limits = Limits {
        heartbeat: Duration::from_secs(1),
        position_check: Duration::from_millis(100),
        ..Limits::default()
    };
    let chat = Chat::builder(TokenIsUser).store(store.clone()).limits(limits);
    let first = Server::start(chat).await;
    let proxy = Proxy::new(first.address).await;
    let ann = Device::live(builder(proxy.address, "ann")).await;
    let mut bob = Device::live(builder(proxy.address, "bob")).await;
    // A conversation that begins while one is away is known by the token alone.
    let has_token = || bob.client.resume().is_some_and(|resume| resume.token.is_some());
    wait_for("a token", has_token).await;
    ann.send(to("bob"), "0").await;
    bob.numbered(0..1).await;
    // Dead at once, without a word.
    *proxy.to.lock().unwrap() = "127.0.0.1:1".parse().unwrap();
    proxy.cut();
    bob.until(|it| matches!(it, ClientEvent::Disconnected { .. })).await;
    let sending = ann.client.send(to("bob"), text("1")).unwrap();
    first.chat.shutdown(Duration::ZERO).await;

    let second = Server::start(Chat::builder(TokenIsUser).store(store)).await;
    second.say("eve", To::User(user("bob")), "while you were away").await;
    *proxy.to.lock().unwrap() = second.address;
    assert_eq!(tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap().seq.get(), 3);
    let mut said = vec![bob.message().await.1, bob.message().await.1];
    said.sort();
    assert_eq!(said, ["1", "while you were away"]);
}

#[tokio::test]
async fn a_drain_moves_the_client_without_a_failed_send_and_without_a_gap() {
    let (store, bus) = (MemoryStore::new(), LocalBus::new());
    let limits = Limits { drain_window: Duration::from_millis(300), ..Limits::default() };
    let other = bus.join(1);
    let node = |bus| {
        let builder = Chat::builder(TokenIsUser).store(store.clone()).bus(bus);
        Server::start(builder.limits(limits.clone()))
    };
    let (first, second) = (node(bus).await, node(other).await);
    let moves = Arc::new(AtomicUsize::new(0));
    let start = |name: &str| {
        let (urls, moves) = ([url(first.address), url(second.address)], moves.clone());
        builder(first.address, name).route(move |attempt| {
            moves.fetch_add(usize::from(attempt.moving), Ordering::SeqCst);
            urls[usize::from(attempt.number > 1)].clone()
        })
    };
    let ann = Device::live(start("ann")).await;
    let mut bob = Device::live(start("bob")).await;
    let writer = ann.client.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut written = 0;
        while !stopped.load(Ordering::SeqCst) {
            let place = writer.send(to("bob"), text(written.to_string())).unwrap().await.unwrap();
            written += 1;
            assert_eq!(place.seq.get(), written + 1);
        }
        written
    });
    bob.numbered(0..5).await;
    let report = first.chat.shutdown(PATIENCE).await;
    assert_eq!((report.moved, report.closed), (2, 0), "{report:?}");
    assert_eq!(moves.load(Ordering::SeqCst), 2);
    stop.store(true, Ordering::SeqCst);
    let written = writing.await.unwrap() as usize;
    let mut said = 5;
    let (mut moved, mut lost) = (false, false);
    while said < written || !moved {
        match bob.next().await {
            ClientEvent::Event(event) if matches!(event.body, Body::Message(_)) => said += 1,
            ClientEvent::Moved => moved = true,
            ClientEvent::Disconnected { .. } => lost = true,
            _ => {}
        }
    }
    assert!(!lost, "the old connection was used until the new one was there");
    assert_eq!(bob.heard.values().next().unwrap().len(), written + 1);
    second.until("both are here", |health| health.connections == 2).await;
}

#[tokio::test]
async fn a_node_that_is_added_gets_its_share_and_nobody_misses_a_thing() {
    const DEVICES: usize = 60;
    let (store, bus) = (MemoryStore::new(), LocalBus::new());
    let other = bus.join(1);
    // Quick to see that it has too many. Whoever moved is left alone for five times `balance_after`.
    let limits = Limits {
        node_lease: Duration::from_millis(600),
        balance_after: Duration::from_millis(600),
        drain_window: Duration::from_millis(300),
        ..Limits::default()
    };
    let node = |bus| {
        let builder = Chat::builder(TokenIsUser).store(store.clone()).bus(bus);
        Server::start(builder.limits(limits.clone()))
    };
    let first = node(bus).await;
    // A balancer that gives everybody the next one.
    let nodes = Arc::new(Mutex::new(vec![url(first.address)]));
    let attempts = Arc::new(AtomicUsize::new(0));
    let names: Vec<_> = (0..DEVICES).map(|n| format!("u{n}")).collect();
    let mut devices = Vec::new();
    for name in &names {
        let (nodes, attempts) = (nodes.clone(), attempts.clone());
        let route = move |_: chat_sdk::client::Attempt| {
            let nodes = nodes.lock().unwrap();
            nodes[attempts.fetch_add(1, Ordering::SeqCst) % nodes.len()].clone()
        };
        devices.push(Device::live(builder(first.address, name).route(route)).await);
    }
    let members: Vec<_> = names.iter().map(String::as_str).collect();
    let group = first.group(&members).await;
    let writer = devices[0].client.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut written: u64 = 0;
        while !stopped.load(Ordering::SeqCst) {
            let said = writer.send(SendTo::Conversation(group), text(written.to_string()));
            said.unwrap().await.unwrap();
            written += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        written
    });

    let second = node(other).await;
    nodes.lock().unwrap().push(url(second.address));
    let listening: Vec<_> = devices
        .into_iter()
        .map(|mut device| {
            tokio::spawn(async move {
                let (mut moves, mut last) = (0, String::new());
                while last != "end" {
                    match device.next().await {
                        ClientEvent::Event(event) => {
                            if let Body::Message(Message { text, .. }) = &event.body {
                                last = text.as_str().to_owned();
                            }
                        }
                        ClientEvent::Moved => moves += 1,
                        ClientEvent::Disconnected { .. } => panic!("cut off instead of moved"),
                        _ => {}
                    }
                }
                (moves, device.heard[&group].len() as u64)
            })
        })
        .collect();
    // A quarter above the mean is left alone, as is what is less than ten.
    second.until("it has its share", |health| (20..=40).contains(&health.connections)).await;
    first.until("it has given up its surplus", |health| health.connections <= 40).await;
    stop.store(true, Ordering::SeqCst);
    let written = writing.await.unwrap();
    first.say("u1", To::Conversation(group), "end").await;
    let mut moved = 0;
    for listener in listening {
        let (moves, heard) = listener.await.unwrap();
        assert!(moves <= 1, "nobody is moved twice on the way there");
        assert_eq!(heard, written + 2, "with the beginning and the end");
        moved += moves;
    }
    assert!(moved >= 20, "{moved}");
}

#[tokio::test]
async fn a_bot_goes_on_where_its_host_stopped_and_not_where_the_socket_did() {
    let server = Server::new().await;
    let mut bob = Device::live(builder(server.address, "bob")).await;
    for number in 0..10 {
        server.say("ann", To::User(user("bob")), &number.to_string()).await;
    }
    bob.numbered(0..4).await;
    // The other six have arrived before this answer, and nobody took them.
    bob.send(to("eve"), "x").await;
    let direct = ConversationId::direct(&user("ann"), &user("bob"));
    let resume = bob.client.resume().unwrap();
    assert_eq!(resume.positions[&direct], Seq::new(5));
    bob.client.close().await;
    drop(bob);
    // As a host would keep it.
    let stored = serde_json::to_string(&resume).unwrap();
    let resume: Resume = serde_json::from_str(&stored).unwrap();
    let mut bob = Device::start(builder(server.address, "bob").resume(resume));
    let connected = bob.next().await;
    assert_eq!(connected, ClientEvent::Connected { user: user("bob"), resumed: true });
    bob.numbered(4..10).await;
    assert_eq!(bob.heard[&direct], (6..=11).collect::<Vec<_>>());
}

/// Tokens `<user>/<n>`, of which the host may say when they end, and which do not hold any more.
#[derive(Clone, Default)]
struct Turning {
    /// The first `n` that holds.
    first: Arc<AtomicU64>,
    ends_in: Option<Duration>,
}

impl Authenticator for Turning {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let (name, number) = token.split_once('/').ok_or(AuthError::Refused("odd"))?;
        let number: u64 = number.parse().unwrap();
        if number < self.first.load(Ordering::SeqCst) {
            return Err(AuthError::Refused("too old"));
        }
        let mut identity = Identity::new(user(name));
        identity.credential = Some(CredentialId::new(token).unwrap());
        if number == 0 {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
            identity.expires_at = self.ends_in.map(|left| Timestamp::from_millis(now).plus(left));
        }
        Ok(identity)
    }

    async fn still_valid(&self, identity: &Identity) -> bool {
        let token = identity.credential.as_ref().unwrap().as_str();
        let number: u64 = token.split_once('/').unwrap().1.parse().unwrap();
        number >= self.first.load(Ordering::SeqCst)
    }
}

/// Gives `bob/0`, `bob/1`, … up to the last one; counts what it was asked.
fn turning(asked: Arc<AtomicU64>, last: u64) -> impl chat_sdk::client::TokenSource {
    move |_stale: Option<String>| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move { if number > last { Err(TokenError::Refused) } else { Ok(format!("bob/{number}")) } }
    }
}

#[tokio::test]
async fn a_credential_that_ends_is_renewed_on_the_live_connection() {
    let auth = Turning { ends_in: Some(Duration::from_secs(10)), ..Turning::default() };
    let server = Server::start(Chat::builder(auth)).await;
    let proxy = Proxy::new(server.address).await;
    let asked = Arc::new(AtomicU64::new(0));
    let (client, events) =
        Client::builder(url(proxy.address), turning(asked.clone(), 1)).start().unwrap();
    let mut bob = Device { client, events, heard: BTreeMap::new() };
    bob.until(|event| matches!(event, ClientEvent::Synced)).await;
    // The end of the first one is announced half-way.
    wait_for("renewed", || asked.load(Ordering::SeqCst) == 2).await;
    // Beyond its end: there is nothing else to wait for.
    tokio::time::sleep(Duration::from_secs(7)).await;
    server.say("ann", To::User(user("bob")), "still there?").await;
    assert_eq!(bob.message().await.1, "still there?");
    assert_eq!(proxy.connections(), 1, "on one connection");
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_replaced_once_and_then_it_is_over() {
    let auth = Turning { first: Arc::new(AtomicU64::new(1)), ..Turning::default() };
    let server = Server::start(Chat::builder(auth.clone())).await;
    let start = |last| {
        let source = turning(Arc::default(), last);
        let (client, events) = Client::builder(url(server.address), source).start().unwrap();
        Device { client, events, heard: BTreeMap::new() }
    };
    let mut bob = start(9);
    bob.until(|event| matches!(event, ClientEvent::Synced)).await;
    auth.first.store(5, Ordering::SeqCst);
    for last in [0, 9] {
        assert_eq!(start(last).closed().await, Closed::Ended(Ending::Code(4501)), "{last}");
    }
    // Nothing at all to show.
    let source = |_stale: Option<String>| async { Err(TokenError::Refused) };
    let (client, events) = Client::builder(url(server.address), source).start().unwrap();
    let mut nobody = Device { client, events, heard: BTreeMap::new() };
    assert_eq!(nobody.closed().await, Closed::NoToken);
}

#[tokio::test]
async fn a_revoked_client_stays_away_and_says_why() {
    let auth = Turning::default();
    let limits = Limits { credential_check: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(Chat::builder(auth.clone()).limits(limits)).await;
    let proxy = Proxy::new(server.address).await;
    let asked = Arc::new(AtomicU64::new(0));
    let (client, events) =
        Client::builder(url(proxy.address), turning(asked.clone(), 9)).start().unwrap();
    let mut bob = Device { client, events, heard: BTreeMap::new() };
    bob.until(|event| matches!(event, ClientEvent::Synced)).await;
    auth.first.store(7, Ordering::SeqCst);
    let sending = bob.client.send(to("ann"), text("too late?"));
    assert_eq!(bob.closed().await, Closed::Ended(Ending::Code(4502)));
    assert_eq!(bob.client.state(), State::Closed(Closed::Ended(Ending::Code(4502))));
    // Whatever became of it, it was said.
    let _ = tokio::time::timeout(PATIENCE, sending.unwrap()).await.expect("an answer");
    assert_eq!((proxy.connections(), asked.load(Ordering::SeqCst)), (1, 1), "nothing was tried");
}

#[tokio::test]
async fn a_node_that_has_no_room_is_left_alone_for_as_long_as_it_says() {
    let server = Server::new().await;
    let proxy = Proxy::new(server.address).await;
    proxy.answers_503.store(true, Ordering::SeqCst);
    let mut bob = Device::start(builder(proxy.address, "bob"));
    let two = Duration::from_secs(2);
    match bob.next().await {
        ClientEvent::Disconnected { why, retry_in } => {
            assert_eq!(why, Ending::Refused { status: 503, retry_after: Some(two) });
            assert!(retry_in >= two, "{retry_in:?}");
        }
        other => panic!("{other:?}"),
    }
    let request = proxy.request.lock().unwrap().clone();
    assert!(request.starts_with("GET /ws HTTP/1.1") && request.contains("chat.v1"), "{request}");
    assert!(!request.contains("token-bob"), "the credential is no part of the address: {request}");
    proxy.answers_503.store(false, Ordering::SeqCst);
    // The host knows better.
    bob.client.retry_now();
    bob.until(|event| matches!(event, ClientEvent::Synced)).await;
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_host_that_takes_nothing_costs_little_and_misses_nothing() {
    let limits = Limits {
        stall_timeout: Duration::from_secs(2),
        heartbeat: Duration::from_secs(1),
        replay_max: 100_000,
        sends_per_second: 10_000,
        sends_burst: 10_000,
        ..Limits::default()
    };
    let server = Server::start_narrow(Chat::builder(TokenIsUser).limits(limits)).await;
    let limits = ClientLimits { events_max: 16, ..ClientLimits::default() };
    let mut bob = Device::live(builder(server.address, "bob").limits(limits)).await;
    let long = "x".repeat(7_000);
    // Far more than all buffers on the way hold.
    for number in 0..800 {
        server.say("ann", To::User(user("bob")), &format!("{number} {long}")).await;
    }
    // In the end the server lets go of it: nothing was read.
    server.until("closed as slow", |health| health.connections == 0).await;
    for number in 0..800 {
        let said = bob.message().await.1;
        assert_eq!(said.split_once(' ').unwrap().0, number.to_string());
    }
}

#[tokio::test]
async fn a_host_that_waits_for_a_place_before_it_takes_more_is_answered() {
    let server = Server::new().await;
    let limits = ClientLimits { events_max: 4, ..ClientLimits::default() };
    let mut bob = Device::live(builder(server.address, "bob").limits(limits)).await;
    for number in 0..60 {
        server.say("ann", To::User(user("bob")), &number.to_string()).await;
    }
    // The natural bot: an answer for every message, one after the other.
    for number in 0..60 {
        let said = loop {
            let (event, said) = bob.message().await;
            if event.from == Some(user("ann")) {
                break said;
            }
        };
        assert_eq!(said, number.to_string());
        bob.send(to("ann"), format!("re {said}")).await;
    }
}

#[tokio::test]
async fn a_host_without_ears_sends_all_the_same() {
    let server = Server::new().await;
    let limits = ClientLimits { events_max: 4, ..ClientLimits::default() };
    let (client, events) = builder(server.address, "bob").limits(limits).start().unwrap();
    drop(events);
    for number in 0..20 {
        server.say("ann", To::User(user("bob")), &number.to_string()).await;
        let sending = client.send(to("ann"), text(number.to_string())).unwrap();
        tokio::time::timeout(PATIENCE, sending).await.expect("an answer in time").unwrap();
    }
}

#[tokio::test]
async fn a_full_outbox_refuses_and_says_so() {
    let server = Server::new().await;
    let limits =
        ClientLimits { outbox_entries_max: 3, outbox_bytes_max: 10, ..ClientLimits::default() };
    // Nobody listens there.
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::new(nowhere.local_addr().unwrap()).await;
    drop(nowhere);
    let bob = Device::start(builder(proxy.address, "bob").limits(limits));
    let send = |said: &str| bob.client.send(to("ann"), text(said));
    let kept = send("12345678").unwrap();
    assert!(matches!(send("123"), Err(SendError::Full { .. })), "bytes");
    let more = [send("1").unwrap(), send("2").unwrap()];
    assert!(matches!(send("x"), Err(SendError::Full { .. })), "entries");
    *proxy.to.lock().unwrap() = server.address;
    bob.client.retry_now();
    for sending in [kept].into_iter().chain(more) {
        tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
    }
    tokio::time::timeout(PATIENCE, send("x").unwrap()).await.unwrap().unwrap();
}

#[tokio::test]
async fn over_tls_only_those_are_trusted_whom_one_trusts() {
    use tokio_rustls::rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate =
        rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let server = Server::new().await;
    let behind = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(socket).await else { return };
                let mut inner = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });

    let trusted = TlsRoots::Pem(authority.pem().into_bytes());
    let url = format!("wss://localhost:{port}");
    let tls = |url: &str, roots: &TlsRoots| {
        Client::builder(url, "token-bob").tls(roots.clone()).start().unwrap()
    };
    let (client, events) = tls(&url, &trusted);
    let mut bob = Device { client, events, heard: BTreeMap::new() };
    bob.until(|event| matches!(event, ClientEvent::Synced)).await;
    assert_eq!(bob.send(to("ann"), "sealed").await.seq.get(), 2);

    // Another authority, and another name.
    let stranger = rcgen::KeyPair::generate().unwrap();
    let stranger =
        rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&stranger).unwrap();
    let stranger = TlsRoots::Pem(stranger.pem().into_bytes());
    for (url, roots) in [(&url, &stranger), (&format!("wss://127.0.0.1:{port}"), &trusted)] {
        let (client, events) = tls(url, roots);
        let mut bob = Device { client, events, heard: BTreeMap::new() };
        match bob.next().await {
            ClientEvent::Disconnected { why: Ending::Unreachable(why), .. } => {
                assert!(why.contains("TLS"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(Client::builder(&url, "t").tls(TlsRoots::Pem(b"no".to_vec())).start().is_err());

    let http = Http::new(&url.replace("wss", "https")).unwrap().tls(trusted).unwrap();
    let direct = ConversationId::direct(&user("ann"), &user("bob"));
    let page = http.history("token-bob", direct, History::Newest, 10).await.unwrap();
    assert_eq!(page.len(), 2);
}

#[tokio::test]
async fn a_bot_signs_in_with_a_password() {
    let accounts = Accounts::builder(MemoryStore::new(), [7; 32]).start().await.unwrap();
    accounts.create_user("echo", None, "correct horse", AccountRole::User).await.unwrap();
    let ann = accounts.create_user("ann", None, "another horse", AccountRole::User).await.unwrap();
    let server = Server::start(Chat::builder(accounts.clone()).accounts(accounts)).await;
    let url = url(server.address);
    let http = Http::new(&url).unwrap();
    let wrong = http.log_in("echo", "wrong horse").await.unwrap_err();
    assert!(matches!(wrong, HttpError::Refused(problem) if problem.code == Code::WrongCredentials));
    let me = http.log_in("echo", "correct horse").await.unwrap();

    let source = LogIn::new(&url, "echo", "correct horse").unwrap();
    let (client, events) = Client::builder(&url, source).start().unwrap();
    let mut echo = Device { client, events, heard: BTreeMap::new() };
    echo.until(|event| matches!(event, ClientEvent::Synced)).await;
    assert_eq!(echo.client.me(), Some(me.user.clone()));
    let place = echo.send(SendTo::User(ann), "it is me").await;
    let page = |page| http.history(&me.token, place.conversation, page, 1);
    assert_eq!(page(History::Newest).await.unwrap()[0].seq, place.seq);
    assert_eq!(page(History::Before(place.seq)).await.unwrap()[0].seq.get(), 1);
    assert_eq!(page(History::After(place.seq)).await.unwrap(), []);

    let source = LogIn::new(&url, "echo", "wrong horse").unwrap();
    let (client, events) = Client::builder(&url, source).start().unwrap();
    let mut nobody = Device { client, events, heard: BTreeMap::new() };
    assert_eq!(nobody.closed().await, Closed::NoToken);
}

#[tokio::test]
async fn a_file_is_brought_sent_and_fetched() {
    let builder = Chat::builder(TokenIsUser).blobs(MemoryBlobStore::new());
    let server =
        Server::start(builder.limits(Limits { file_bytes_max: 20_000_000, ..Limits::default() }))
            .await;
    let http = Http::new(&url(server.address)).unwrap();
    // In more than one piece.
    let bytes: bytes::Bytes = (0..9_000_001_u32).map(|n| (n ^ (n >> 7)) as u8).collect();
    let file = http.upload("token-alice", "long.bin", bytes.clone()).await.unwrap();
    assert_eq!((file.name.as_str(), file.size), ("long.bin", 9_000_001));
    let (alice, _events) = self::builder(server.address, "alice").start().unwrap();
    let mut message = Message::new(Text::none());
    message.files.push(file.clone());
    let place = alice.send(to("bob"), message).unwrap().await.unwrap();
    assert_eq!(place.seq.get(), 2);
    let fetched = http.download("token-bob", file.id, 10_000_000).await.unwrap();
    assert!(fetched == bytes, "other bytes");
    let refused = http.download("token-eve", file.id, 10_000_000).await.unwrap_err();
    assert!(matches!(refused, HttpError::Refused(problem) if problem.code == Code::NotFound));
    let large = http.upload("token-alice", "x", vec![0; 20_000_001].into()).await.unwrap_err();
    assert!(matches!(large, HttpError::Refused(problem) if problem.code == Code::TooLarge));
}
