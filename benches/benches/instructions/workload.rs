//! What is counted: the product's own paths, in one thread, with nothing of the kernel in it.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
};

use benches::{
    NOW, append_with, conversation, event,
    host::{Host, hello},
    key, open, open_with,
    peer::{Frame, Peer},
    text, user,
};
use chat_sdk::{
    ConversationId, Draft, Entrance, Epoch, Kind, Limits, MemoryStore, Seq, Store, Title, To,
    hub::{Feeds, Mailbox},
    protocol::{ClientFrame, Command, Encoded, SendTo, ServerFrame},
    store::{Open, Write},
};

/// Those who hear a message of `deliver`.
const LISTENERS: u16 = 100;
/// Of the user of `connect` and `resume`.
const CONVERSATIONS: usize = 20;
/// What the device of `resume` has missed, all in one conversation.
const MISSED: u64 = 10;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// A message in a group, sent by the host, to all who listen, up to their buffers.
    Deliver,
    /// The same of feed and mailbox alone: from an encoded frame to what a connection would write.
    DeliverFeed,
    /// A message between two: decoded, checked, appended, acknowledged, delivered to both.
    Send,
    /// A heartbeat and its echo.
    Ping,
    /// A device comes for the first time: upgrade, token, hello, 20 conversations followed, `synced`;
    /// and says good-bye.
    Connect,
    /// The same of a device that comes back and has missed ten messages in one of them.
    Resume,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DeliverFeed, Self::Deliver, Self::Send, Self::Ping, Self::Connect, Self::Resume];

    /// What it is called in the baseline.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::DeliverFeed => "deliver_feed",
            Self::Send => "send",
            Self::Ping => "ping",
            Self::Connect => "connect",
            Self::Resume => "resume",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// What one unit is.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Deliver | Self::DeliverFeed => "delivery, of 100 at once",
            Self::Send => "message",
            Self::Ping => "ping",
            Self::Connect => "connection, and its end",
            Self::Resume => "connection with 10 events, and its end",
        }
    }

    /// Units in one repetition.
    pub const fn units(self) -> u64 {
        match self {
            Self::Deliver | Self::DeliverFeed => LISTENERS as u64,
            Self::Send | Self::Ping | Self::Connect | Self::Resume => 1,
        }
    }

    /// How often it is repeated: so often that what is different in two runs (where the maps put
    /// things, when a ticking task came by) is lost in the rest.
    pub const fn repetitions(self) -> u32 {
        match self {
            Self::Deliver => 100,
            Self::DeliverFeed => 1_000,
            Self::Send | Self::Ping => 1_000,
            Self::Connect | Self::Resume => 200,
        }
    }

    /// Sets it up and does it so many times. Set-up is the same whatever `times` says.
    pub fn repeat(self, times: u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without I/O needs nothing");
        runtime.block_on(async {
            match self {
                Self::Deliver => deliver(times).await,
                Self::DeliverFeed => deliver_feed(times),
                Self::Send => send(times).await,
                Self::Ping => ping(times).await,
                Self::Connect => connect(times).await,
                Self::Resume => resume(times).await,
            }
        });
    }
}

fn store() -> MemoryStore {
    MemoryStore::with_epoch(Epoch::new("counted").expect("short and plain"))
}

async fn write(store: &MemoryStore, writes: Vec<Write>) {
    store.write(writes).await.expect("memory does not fail");
}

/// The only group.
fn group() -> ConversationId {
    ConversationId::from_bytes([7; 16])
}

async fn deliver(times: u32) {
    let store = store();
    let members = (0..=usize::from(LISTENERS)).map(user).collect();
    let group = Write::Open(Open {
        conversation: group(),
        kind: Kind::Group,
        title: Some(Title::new("everybody").expect("short and plain")),
        by: Some(user(0)),
        key: None,
        members,
        entrance: Entrance::default(),
        at: NOW,
    });
    let (conversation, writes) = (group.conversation(), vec![group]);
    write(&store, writes).await;
    let host = Host::start(store).await;
    let mut listeners = Vec::new();
    for n in 1..=usize::from(LISTENERS) {
        listeners.push(host.connect(&user(n)).await);
    }
    let text = text(128);
    for _ in 0..times {
        let draft = Draft::new(user(0), To::Conversation(conversation), text.clone());
        host.chat.send(draft).await.expect("the sender is a member");
        for listener in &mut listeners {
            listener.expect("event").await;
        }
    }
}

fn deliver_feed(times: u32) {
    let mut feeds = Feeds::default();
    let room = Limits::default().mailbox_bytes_max;
    let mailboxes: Vec<_> = (0..LISTENERS).map(|_| Arc::new(Mailbox::new(room))).collect();
    for mailbox in &mailboxes {
        feeds.follow(conversation(0), mailbox, Seq::ZERO);
    }
    let frame = Encoded::text(&ServerFrame::Event(event(1, 128)));
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames = VecDeque::new();
    for seq in 1..=u64::from(times) {
        feeds.publish(conversation(0), Seq::new(seq), &frame);
        for mailbox in &mailboxes {
            let taken = mailbox.poll_take(&mut cx, &mut frames, false);
            assert!(taken.is_ready(), "the frame is in the mailbox");
            mailbox.written(frames.drain(..).map(|bytes| bytes.len()).sum());
        }
    }
}

async fn send(times: u32) {
    let store = store();
    write(&store, vec![open(0)]).await;
    let host = Host::start(store).await;
    let (mut from, mut to) = (host.connect(&user(0)).await, host.connect(&user(1)).await);
    // Written beforehand, all of them in every run: what a client does with them is not counted.
    let frames: Vec<_> = (0..2 * u64::from(Workload::Send.repetitions()))
        .map(|n| {
            let to = SendTo::Conversation(conversation(0));
            let command =
                Command::Send { key: key(n), to, message: text(128).into(), files: Vec::new() };
            Frame::of(&ClientFrame::Command(None, command))
        })
        .collect();
    for frame in frames.iter().take(times as usize) {
        from.send(frame).await;
        from.expect("event").await;
        from.expect("ack").await;
        to.expect("event").await;
    }
}

async fn ping(times: u32) {
    let host = Host::start(store()).await;
    let mut peer = host.connect(&user(0)).await;
    let ping = Frame::of(&ClientFrame::Ping { positions: std::collections::BTreeMap::new() });
    for _ in 0..times {
        peer.send(&ping).await;
        peer.expect("pong").await;
    }
}

async fn connect(times: u32) {
    let store = store();
    write(&store, (0..CONVERSATIONS).map(|n| open_with(&user(0), n)).collect()).await;
    let host = Host::start(store).await;
    let (token, hello) = (host.token(&user(0)), hello(None));
    for _ in 0..times {
        let mut peer = Peer::open(&host.chat, &token).await;
        peer.send(&hello).await;
        peer.expect("welcome").await;
        peer.expect("synced").await;
        peer.close().await;
    }
}

async fn resume(times: u32) {
    let store = store();
    write(&store, (0..CONVERSATIONS).map(|n| open_with(&user(0), n)).collect()).await;
    let host = Host::start(store.clone()).await;
    let place = host.place(&user(0)).await;
    write(&store, (0..MISSED).map(|k| append_with(&user(0), 0, k)).collect()).await;
    let (token, hello) = (host.token(&user(0)), hello(Some(place)));
    for _ in 0..times {
        let mut peer = Peer::open(&host.chat, &token).await;
        peer.send(&hello).await;
        peer.expect("welcome").await;
        for _ in 0..MISSED {
            peer.expect("event").await;
        }
        // The markers of both members.
        assert_eq!(peer.skip_to("synced").await, 2, "nothing else was missed");
        peer.close().await;
    }
}
