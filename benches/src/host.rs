//! A chat in this process whose own clockwork stands still: what is measured is what was asked of
//! it, and not a heartbeat, a check or a limit that happened to come by.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    Chat, Limits, Store, Timestamp, UserId,
    auth::{Jwt, JwtIssuer},
    env::{Clock, Random},
    protocol::{ClientFrame, Hello, Resume, ServerFrame, VERSION, codec::decode_server},
};

use crate::{
    NOW,
    peer::{Frame, Peer},
};

/// Longer than any measurement, under valgrind too.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// More than any workload does in a second. The product's own multiples of it must fit into a `u32`.
const UNLIMITED: u32 = u32::MAX / 10;
/// Of whoever signs the tokens here.
const SECRET: [u8; 32] = [7; 32];

/// A running chat, and who signs its users' tokens.
#[derive(Debug)]
pub struct Host {
    /// The chat.
    pub chat: Chat,
    issuer: Issuer,
}

struct Issuer(JwtIssuer);

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").finish_non_exhaustive()
    }
}

impl Host {
    /// Starts it on what this store holds. Resume tokens that it gives are of this moment, however
    /// late they are given, because they move with the position check, which stands still.
    pub async fn start(store: impl Store) -> Self {
        let random = Arc::new(Counted::default());
        let authenticator = Jwt::hs256(SECRET).expect("32 bytes").clock(Arc::new(Stopped));
        let issuer = JwtIssuer::hs256(SECRET).expect("32 bytes").clock(Arc::new(Stopped));
        let chat = Chat::builder(authenticator)
            .store(store)
            .clock(Stopped)
            .random(Counted::default())
            .limits(limits())
            .start()
            .await
            .expect("the store answers");
        Self { chat, issuer: Issuer(issuer.random(random)) }
    }

    /// A token of this user.
    #[must_use]
    pub fn token(&self, user: &UserId) -> String {
        self.issuer.0.issue(user, NEVER).token
    }

    /// A connection of this user, live.
    pub async fn connect(&self, user: &UserId) -> Peer {
        let mut peer = Peer::open(&self.chat, &self.token(user)).await;
        peer.send(&hello(None)).await;
        peer.skip_to("synced").await;
        peer
    }

    /// Where a device of this user is that holds everything up to now.
    pub async fn place(&self, user: &UserId) -> Resume {
        let mut peer = Peer::open(&self.chat, &self.token(user)).await;
        peer.send(&hello(None)).await;
        let ServerFrame::Welcome(welcome) = decoded(peer.expect("welcome").await) else {
            unreachable!("it is called one")
        };
        let ServerFrame::Synced { token } = decoded(peer.expect("synced").await) else {
            unreachable!("it is called so")
        };
        peer.close().await;
        Resume { epoch: welcome.epoch, token, positions: BTreeMap::new() }
    }
}

/// The first frame of a device: a new one, or one that comes back.
#[must_use]
pub fn hello(resume: Option<Resume>) -> Frame {
    Frame::of(&ClientFrame::Hello(Hello { version: VERSION, token: None, resume }))
}

fn decoded(frame: &[u8]) -> ServerFrame {
    let text = std::str::from_utf8(frame).expect("frames are text");
    decode_server(text).expect("our own frames can be read").expect("and are known")
}

/// Those of the product, but for time and for how often anything may be done.
fn limits() -> Limits {
    Limits {
        hello_timeout: NEVER,
        admissions_per_second: UNLIMITED,
        heartbeat: NEVER,
        frames_per_second: UNLIMITED,
        sends_per_second: UNLIMITED,
        sends_burst: UNLIMITED,
        stall_timeout: NEVER,
        position_check: NEVER,
        membership_check: NEVER,
        credential_check: NEVER,
        node_lease: NEVER,
        presence_grace: NEVER,
        store_timeout: NEVER,
        ..Limits::default()
    }
}

/// A clock that stands: every time has as many digits as the one before.
#[derive(Debug, Clone, Copy)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// The same bytes in every run, and never twice in one.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // An odd factor: spread over all bits, and no two alike.
            let next = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&next.to_le_bytes()[..chunk.len()]);
        }
    }
}
