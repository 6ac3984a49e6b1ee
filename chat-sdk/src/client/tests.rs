//! The machine against a server that fits on a page.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    ClientEvent, ClientLimits, Closed, Ending, LinkId, SendError, SentPlace, State, TokenError,
    machine::{Input, Machine, Output, Settled},
    outbox::Deed,
};
use crate::{
    limits::Limits,
    model::{
        Amendment, Body, ClientKey, ConversationId, Epoch, Event, Marker, Message, Seq, Text,
        Timestamp, UserId,
    },
    protocol::{
        ClientFrame, CloseCode, Code, Command, CommandId, Problem, Resume, SendTo, ServerFrame,
        Welcome, WireLimits,
    },
    store::Checkpoint,
};

fn me() -> UserId {
    UserId::new("me").unwrap()
}

fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n + 1; 16])
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn welcome(epoch: &str, resumed: bool) -> ServerFrame {
    ServerFrame::Welcome(Box::new(Welcome {
        version: 1,
        session: "s".to_owned(),
        user: me(),
        epoch: Epoch::new(epoch).unwrap(),
        resumed,
        heartbeat_ms: 25_000,
        typing_ms: 3_000,
        limits: WireLimits::from(&Limits::default()),
        expires_at: None,
    }))
}

fn message(n: u8, seq: u64) -> ServerFrame {
    ServerFrame::Event(Event {
        conversation: conversation(n),
        seq: Seq::new(seq),
        at: Timestamp::from_millis(0),
        from: None,
        key: None,
        body: Body::Message(Message::new(Text::new("hi").unwrap())),
    })
}

/// A machine and the time; what it puts out is looked at by the test.
struct Bench {
    machine: Machine,
    now: Duration,
}

impl Bench {
    fn new(limits: ClientLimits) -> Self {
        Self { machine: Machine::new(limits, 7, None), now: Duration::ZERO }
    }

    /// Connected and synced, by the first link.
    fn live(limits: ClientLimits) -> Self {
        let mut bench = Self::new(limits);
        bench.token("t0");
        let link = bench.opened();
        bench.frame(link, welcome("e", false));
        bench.frame(link, ServerFrame::Synced { token: None });
        bench.outputs();
        while bench.take().is_some() {}
        bench
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn token(&mut self, token: &str) {
        self.machine.handle(self.now, Input::Token(Ok(token.to_owned())));
    }

    /// The upgrade of the link that was asked for last.
    fn opened(&mut self) -> LinkId {
        let opens = self.outputs().into_iter().filter_map(|output| match output {
            Output::Open(link, _) => Some(link),
            _ => None,
        });
        let link = opens.last().expect("a connection is wanted");
        self.machine.handle(self.now, Input::Opened(link));
        link
    }

    fn frame(&mut self, link: LinkId, frame: ServerFrame) {
        self.machine.handle(self.now, Input::Frame(link, Some(frame)));
    }

    fn ended(&mut self, link: LinkId, code: u16) {
        self.machine.handle(self.now, Input::Ended(link, Ending::Code(code)));
    }

    fn take(&mut self) -> Option<ClientEvent> {
        self.machine.take(self.now)
    }

    /// Lets time go on up to this one, timer by timer.
    fn until(&mut self, at: Duration) {
        while let Some(due) = self.machine.poll_timeout()
            && due <= at
        {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
        }
        self.now = at;
    }

    fn commands(&mut self) -> Vec<(CommandId, Command)> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Write(_, ClientFrame::Command(Some(id), command)) => Some((id, command)),
                _ => None,
            })
            .collect()
    }

    fn send(&mut self, key: &str, n: u8) -> Result<u64, SendError> {
        let to = SendTo::Conversation(conversation(n));
        let key = ClientKey::new(key).unwrap();
        self.machine.write(
            self.now,
            key,
            Deed::Send { to, message: Text::new("hi").unwrap().into() },
        )
    }
}

#[test]
fn a_hole_is_asked_for_once_and_nothing_beyond_it_is_handed_out() {
    let mut bench = Bench::live(ClientLimits::default());
    for seq in [3, 5, 6] {
        bench.frame(LinkId(1), message(0, seq));
    }
    assert!(matches!(bench.take(), Some(ClientEvent::Event(event)) if event.seq.get() == 3));
    assert_eq!(bench.take(), None);
    let sync = Command::Sync { conversation: conversation(0), after: Seq::new(3) };
    let asked: Vec<_> = bench.commands().into_iter().map(|(_, command)| command).collect();
    assert_eq!(asked, std::slice::from_ref(&sync));
    bench.until(secs(9));
    assert_eq!(bench.commands(), []);
    bench.until(secs(11));
    assert_eq!(bench.commands()[0].1, sync, "and again when nothing came");
    for seq in 4..=6 {
        bench.frame(LinkId(1), message(0, seq));
    }
    for seq in 4..=6 {
        assert!(matches!(bench.take(), Some(ClientEvent::Event(it)) if it.seq.get() == seq));
    }
}

#[test]
fn a_silent_server_is_left_and_one_that_nobody_listens_to_is_not() {
    let mut bench = Bench::live(ClientLimits { events_max: 1, ..ClientLimits::default() });
    bench.until(secs(34));
    assert!(matches!(bench.machine.state(bench.now), State::Open { .. }));
    bench.frame(LinkId(1), message(0, 1));
    assert!(!bench.machine.reads(), "the host has enough");
    bench.until(secs(300));
    assert!(matches!(bench.machine.state(bench.now), State::Open { .. }));
    let pings = bench.outputs().len();
    assert_eq!(pings, 12, "the server hears us all the same");
    bench.take();
    assert!(bench.machine.reads());
    bench.until(secs(334));
    assert!(matches!(bench.machine.state(bench.now), State::Open { .. }));
    bench.until(secs(335));
    assert!(bench.outputs().contains(&Output::Drop(LinkId(1))));
    assert!(matches!(bench.take(), Some(ClientEvent::Disconnected { why: Ending::Silent, .. })));
}

#[test]
fn what_the_host_has_not_taken_is_not_reached() {
    let mut bench = Bench::live(ClientLimits::default());
    for seq in 1..=3 {
        bench.frame(LinkId(1), message(0, seq));
    }
    let token = Some(Checkpoint("t".to_owned()));
    for _ in 0..2 {
        bench.frame(LinkId(1), ServerFrame::Pong { heads: BTreeMap::new(), token: token.clone() });
    }
    let position = |bench: &Bench| {
        bench.machine.resume().unwrap().positions.get(&conversation(0)).map(|seq| seq.get())
    };
    for taken in 0..3 {
        assert_eq!(position(&bench), Some(taken), "although the token lies beyond");
        bench.take();
    }
    assert_eq!(position(&bench), Some(3));
}

#[test]
fn it_is_not_synced_before_the_host_gets_what_was_passed_over() {
    let mut bench = Bench::new(ClientLimits { events_max: 4, ..ClientLimits::default() });
    bench.send("k", 0).unwrap();
    bench.token("t0");
    let link = bench.opened();
    bench.frame(link, welcome("e", false));
    // There is room for three beside the news of the connection; answers are due, so it reads on.
    (1..=5).for_each(|seq| bench.frame(link, message(0, seq)));
    bench.frame(link, ServerFrame::Synced { token: None });
    let not_live = State::Open { live: false, moving: false };
    for seq in [None, Some(1), Some(2), Some(3)] {
        let given = bench.take().map(|event| match event {
            ClientEvent::Event(event) => Some(event.seq.get()),
            ClientEvent::Connected { .. } => None,
            other => panic!("{other:?}"),
        });
        assert_eq!(given, Some(seq));
    }
    assert_eq!(bench.take(), None, "4 and 5 are still to come");
    assert_eq!(bench.machine.state(bench.now), not_live);
    bench.frame(link, message(0, 4));
    assert_eq!(bench.machine.state(bench.now), not_live);
    bench.frame(link, message(0, 5));
    assert_eq!(bench.machine.state(bench.now), State::Open { live: true, moving: false });
    for seq in [4, 5] {
        assert!(matches!(bench.take(), Some(ClientEvent::Event(event)) if event.seq.get() == seq));
    }
    assert_eq!(bench.take(), Some(ClientEvent::Synced));
}

#[test]
fn a_refusal_means_that_nothing_was_written_only_if_no_try_was_without_an_answer() {
    for lost in [false, true] {
        let mut bench = Bench::live(ClientLimits::default());
        let mut link = LinkId(1);
        bench.send("k", 0).unwrap();
        let mut command = bench.commands()[0].0.clone();
        if lost {
            bench.ended(link, 1006);
            bench.until(secs(60));
            link = bench.opened();
            bench.frame(link, welcome("e", true));
            command = bench.commands()[0].0.clone();
        }
        let (key, problem) = (ClientKey::new("k").unwrap(), Problem::of(Code::NotFound));
        let refusal = ServerFrame::Error { id: Some(command), key: None, problem: problem.clone() };
        bench.frame(link, refusal);
        let told = match lost {
            false => SendError::Refused { key, problem },
            true => SendError::Unsure { key, problem },
        };
        let settled = bench.outputs().into_iter().find_map(|output| match output {
            Output::Settled(_, result) => Some(result),
            _ => None,
        });
        assert_eq!(settled, Some(Err(told)), "{lost}");
    }
}

#[test]
fn every_close_code_has_the_remedy_of_the_table() {
    for code in CloseCode::ALL {
        let mut bench = Bench::live(ClientLimits::default());
        bench.send("k", 0).unwrap();
        bench.outputs();
        bench.ended(LinkId(1), code.code());
        let state = bench.machine.state(bench.now);
        let stays = [1002, 1003, 1007, 1009, 4500, 4502, 4503].contains(&code.code());
        assert_eq!(matches!(state, State::Closed(_)), stays, "{code:?} {state:?}");
        let outputs = bench.outputs();
        let settled = outputs
            .iter()
            .any(|it| matches!(it, Output::Settled(_, Err(SendError::Closed { .. }))));
        assert_eq!(settled, stays, "a message is given back when there is no way to send it");
        if stays {
            continue;
        }
        bench.until(secs(21));
        let outputs = bench.outputs();
        let renews = outputs.contains(&Output::AskToken(Some("t0".to_owned())));
        assert_eq!(renews, [4002, 4501].contains(&code.code()), "{code:?}");
        assert!(renews || outputs.iter().any(|it| matches!(it, Output::Open(..))), "{code:?}");
    }
}

#[test]
fn a_token_that_came_too_late_for_the_old_connection_serves_the_new_one() {
    let mut bench = Bench::live(ClientLimits::default());
    bench.frame(LinkId(1), ServerFrame::Expiring { in_ms: 1_000 });
    assert_eq!(bench.outputs(), [Output::AskToken(Some("t0".to_owned()))]);
    bench.ended(LinkId(1), 4002);
    bench.token("t1");
    bench.until(secs(1));
    let link = bench.opened();
    let outputs = bench.outputs();
    let hello = outputs.iter().find_map(|output| match output {
        Output::Write(to, ClientFrame::Hello(hello)) if *to == link => hello.token.clone(),
        _ => None,
    });
    assert_eq!(hello, Some("t1".to_owned()));
    // Not that one either.
    bench.ended(link, 4501);
    let because = Closed::Ended(Ending::Code(4501));
    assert_eq!(bench.machine.state(bench.now), State::Closed(because));
}

#[test]
fn without_a_token_for_now_the_host_is_asked_again_later() {
    let mut bench = Bench::new(ClientLimits::default());
    for _ in 0..3 {
        assert_eq!(bench.outputs(), [Output::AskToken(None)]);
        bench.machine.handle(bench.now, Input::Token(Err(TokenError::Unreachable)));
        bench.until(bench.now + secs(21));
        bench.machine.handle_timeout(bench.now);
        let outputs = bench.outputs();
        assert_eq!(outputs, [Output::AskToken(None)]);
        bench.machine.handle(bench.now, Input::Token(Err(TokenError::Unreachable)));
        bench.until(bench.now + secs(21));
    }
}

#[test]
fn markers_are_merged_kept_and_said_until_the_server_has_them() {
    let mut bench = Bench::live(ClientLimits { marks_max: 2, ..ClientLimits::default() });
    let marker = |received, read| Marker { received: Seq::new(received), read: Seq::new(read) };
    let mark = |bench: &mut Bench, n, it| bench.machine.mark(bench.now, conversation(n), it);
    mark(&mut bench, 0, marker(3, 0)).unwrap();
    let (first, command) = bench.commands().remove(0);
    let wanted = |received, read| Command::Mark {
        conversation: conversation(0),
        received: Some(Seq::new(received)),
        read: Some(Seq::new(read)).filter(|seq| seq.get() > 0),
    };
    assert_eq!(command, wanted(3, 0));
    for n in 1..=5 {
        mark(&mut bench, 0, marker(0, n)).unwrap();
    }
    assert_eq!(bench.commands(), [], "one at a time");
    bench.frame(LinkId(1), ServerFrame::Done { id: first });
    assert_eq!(bench.commands()[0].1, wanted(5, 5), "many calls are one command");
    mark(&mut bench, 1, marker(1, 0)).unwrap();
    assert!(mark(&mut bench, 2, marker(1, 0)).is_err(), "full");
    bench.outputs();
    bench.ended(LinkId(1), 1006);
    bench.until(secs(21));
    let link = bench.opened();
    bench.frame(link, welcome("e", true));
    assert_eq!(bench.commands().len(), 2, "said again");
}

#[test]
fn a_store_that_was_replaced_makes_all_positions_void() {
    let mut bench = Bench::live(ClientLimits::default());
    bench.frame(LinkId(1), message(0, 7));
    bench.ended(LinkId(1), 1006);
    bench.until(secs(1));
    let link = bench.opened();
    bench.frame(link, welcome("another", false));
    bench.frame(link, message(0, 2));
    let told: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    assert!(
        matches!(
            &told[..],
            [
                ClientEvent::Event(old),
                ClientEvent::Disconnected { .. },
                ClientEvent::Connected { resumed: false, .. },
                ClientEvent::Event(new),
            ] if old.seq.get() == 7 && new.seq.get() == 2
        ),
        "{told:?}"
    );
}

#[test]
fn a_reset_and_the_end_of_a_membership_are_told_and_named_until_they_are_taken() {
    let mut bench = Bench::live(ClientLimits::default());
    let named = |bench: &Bench| {
        let positions = bench.machine.resume().unwrap().positions;
        positions.get(&conversation(0)).map(|seq| seq.get())
    };
    bench.frame(LinkId(1), message(0, 3));
    bench.take();
    bench.frame(LinkId(1), message(0, 9));
    let reset = |head| ServerFrame::Reset { conversation: conversation(0), head: Seq::new(head) };
    bench.frame(LinkId(1), reset(20));
    assert_eq!(named(&bench), Some(3));
    assert!(matches!(bench.take(), Some(ClientEvent::Reset { head, .. }) if head.get() == 20));
    assert_eq!(named(&bench), Some(20));
    bench.frame(LinkId(1), message(0, 21));
    assert!(matches!(bench.take(), Some(ClientEvent::Event(event)) if event.seq.get() == 21));
    // A position of a future that the server does not know.
    bench.frame(LinkId(1), reset(5));
    assert!(matches!(bench.take(), Some(ClientEvent::Reset { head, .. }) if head.get() == 5));
    bench.frame(LinkId(1), message(0, 6));
    assert!(matches!(bench.take(), Some(ClientEvent::Event(event)) if event.seq.get() == 6));

    bench.frame(LinkId(1), ServerFrame::Left { conversation: conversation(0) });
    assert_eq!(named(&bench), Some(6), "whoever goes on from here is told again");
    assert!(matches!(bench.take(), Some(ClientEvent::Left { .. })));
    assert_eq!(named(&bench), None);
    // Added again, the log comes from its beginning.
    bench.frame(LinkId(1), message(0, 1));
    assert!(matches!(bench.take(), Some(ClientEvent::Event(event)) if event.seq.get() == 1));
}

#[test]
fn the_old_node_is_used_until_the_new_one_has_caught_up_and_left_when_it_owes_nothing() {
    let mut bench = Bench::live(ClientLimits::default());
    bench.machine.watch(bench.now, vec![me()]).unwrap();
    bench.send("1", 0).unwrap();
    let commands = bench.commands();
    assert!(matches!(&commands[0].1, Command::Watch { .. }));
    bench.frame(LinkId(1), ServerFrame::Drain { after_ms: 1_000, deadline_ms: 9_000 });
    assert_eq!(bench.outputs(), []);
    bench.until(secs(1));
    let next = bench.opened();
    bench.frame(next, welcome("e", true));
    bench.send("2", 1).unwrap();
    let on = |outputs: &[Output], link: LinkId, key: &str| {
        outputs.iter().any(|output| {
            matches!(output, Output::Write(to, ClientFrame::Command(_, Command::Send { key: of, .. }))
                if *to == link && of.as_str() == key)
        })
    };
    assert!(on(&bench.outputs(), LinkId(1), "2"), "not caught up yet");
    bench.frame(next, message(0, 1));
    // Of two connections each may be the first.
    bench.frame(LinkId(1), message(0, 1));
    bench.frame(LinkId(1), message(0, 2));
    // Nor does a head that is older than what the other one has sent count.
    bench.frame(next, ServerFrame::Reset { conversation: conversation(0), head: Seq::new(1) });
    bench.frame(next, ServerFrame::Synced { token: None });
    bench.frame(next, message(0, 2));
    bench.send("3", 2).unwrap();
    let outputs = bench.outputs();
    assert!(on(&outputs, next, "3") && !outputs.contains(&Output::Drop(LinkId(1))));
    let watches = outputs.iter().any(|output| {
        matches!(output, Output::Write(to, ClientFrame::Command(_, Command::Watch { .. })) if *to == next)
    });
    assert!(watches, "the new node does not know whom the host watches");

    let ack = |n: usize, id: &CommandId| ServerFrame::Ack {
        id: Some(id.clone()),
        key: ClientKey::new(n.to_string()).unwrap(),
        conversation: conversation(n as u8 - 1),
        seq: Seq::new(9),
        at: Timestamp::from_millis(0),
        duplicate: false,
    };
    bench.frame(LinkId(1), ack(1, &commands[1].0));
    bench.frame(LinkId(1), ServerFrame::Pong { heads: BTreeMap::new(), token: None });
    assert!(!bench.outputs().contains(&Output::Drop(LinkId(1))), "it owes the second");
    bench.until(bench.now + secs(4));
    let outputs = bench.outputs();
    assert!(outputs.contains(&Output::Drop(LinkId(1))), "but not for ever");
    assert!(on(&outputs, next, "2"), "the second goes the new way");
    let told: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    assert!(
        matches!(
            &told[..],
            [ClientEvent::Event(one), ClientEvent::Event(two), ClientEvent::Moved]
                if one.seq.get() == 1 && two.seq.get() == 2
        ),
        "{told:?}"
    );
}

#[test]
fn a_node_that_has_no_room_is_left_alone_while_the_old_one_works() {
    let mut bench = Bench::live(ClientLimits::default());
    bench.frame(LinkId(1), ServerFrame::Drain { after_ms: 0, deadline_ms: 9_000 });
    bench.until(secs(1));
    let opens = |bench: &mut Bench| {
        let outputs = bench.outputs().into_iter();
        outputs.filter(|output| matches!(output, Output::Open(..))).count()
    };
    assert_eq!(opens(&mut bench), 1);
    let full = Ending::Refused { status: 503, retry_after: Some(secs(5)) };
    bench.machine.handle(bench.now, Input::Ended(LinkId(2), full));
    bench.until(secs(5));
    assert_eq!(opens(&mut bench), 0);
    assert_eq!(bench.machine.state(bench.now), State::Open { live: true, moving: true });
    bench.until(secs(9));
    assert_eq!(opens(&mut bench), 1);
    // The old node goes first: what is under way is the connection now.
    bench.ended(LinkId(1), 1012);
    assert_eq!(bench.machine.state(bench.now), State::Connecting { failures: 1 });
    bench.machine.handle(bench.now, Input::Opened(LinkId(3)));
    bench.frame(LinkId(3), welcome("e", true));
    bench.frame(LinkId(3), ServerFrame::Synced { token: None });
    assert_eq!(bench.machine.state(bench.now), State::Open { live: true, moving: false });
}

// --- a server, as far as the protocol shows it ---

/// What one connection still gets.
#[derive(Debug, Default)]
struct Wire {
    down: VecDeque<ServerFrame>,
    up: VecDeque<ClientFrame>,
    welcomed: bool,
    /// An event was lost on it. A token says that everything before it has come, so there is none to be
    /// had on such a connection.
    lossy: bool,
    /// How many looks there had been when it was given its last token.
    looks: usize,
}

#[derive(Debug, Default)]
struct Server {
    /// The keys of every log, in order.
    logs: BTreeMap<ConversationId, Vec<ClientKey>>,
    wires: BTreeMap<u64, Wire>,
    /// Every head at the moment of the token with this number.
    tokens: Vec<BTreeMap<ConversationId, u64>>,
}

impl Server {
    fn heads(&self) -> BTreeMap<ConversationId, u64> {
        self.logs.iter().map(|(conversation, log)| (*conversation, log.len() as u64)).collect()
    }

    /// For a connection that begins: of any look, its node may be behind all others.
    fn first_token(&mut self, link: u64, mood: Mood) -> Option<Checkpoint> {
        self.wires.get_mut(&link).unwrap().looks = self.tokens.len();
        let look = if mood == Mood::Odd { 0 } else { self.tokens.len() - 1 };
        Some(Checkpoint(look.to_string()))
    }

    /// Of one of the looks since the last was given.
    fn next_token(&mut self, link: u64, mood: Mood) -> Option<Checkpoint> {
        let looks = &mut self.wires.get_mut(&link).unwrap().looks;
        let fresh = *looks..self.tokens.len();
        let look = if mood == Mood::Odd { fresh.clone().next() } else { fresh.clone().last() }?;
        *looks = fresh.end;
        Some(Checkpoint(look.to_string()))
    }

    fn event(&self, conversation: ConversationId, seq: u64) -> ServerFrame {
        ServerFrame::Event(Event {
            conversation,
            seq: Seq::new(seq),
            at: Timestamp::from_millis(0),
            from: None,
            key: Some(self.logs[&conversation][seq as usize - 1].clone()),
            body: Body::Message(Message::new(Text::new("hi").unwrap())),
        })
    }

    /// Writes it, unless it stands there, and tells every connection.
    fn write(&mut self, conversation: ConversationId, key: &ClientKey) -> (u64, bool) {
        let log = self.logs.entry(conversation).or_default();
        if let Some(place) = log.iter().position(|other| other == key) {
            return (place as u64 + 1, true);
        }
        log.push(key.clone());
        let seq = log.len() as u64;
        let event = self.event(conversation, seq);
        for wire in self.wires.values_mut().filter(|wire| wire.welcomed) {
            wire.down.push_back(event.clone());
        }
        (seq, false)
    }

    /// Takes one frame of a connection.
    fn take(&mut self, link: u64, mood: Mood) {
        let Some(frame) = self.wires.get_mut(&link).and_then(|wire| wire.up.pop_front()) else {
            return;
        };
        let mut answers = Vec::new();
        match frame {
            ClientFrame::Hello(hello) => {
                assert_eq!(hello.token.as_deref(), Some("t0"));
                answers.push(welcome("e", hello.resume.is_some()));
                let Resume { token, positions, .. } = hello.resume.unwrap_or(Resume {
                    epoch: Epoch::new("e").unwrap(),
                    token: None,
                    positions: BTreeMap::new(),
                });
                let then =
                    token.map(|token| self.tokens[token.0.parse::<usize>().unwrap()].clone());
                for (conversation, head) in self.heads() {
                    let named = positions.get(&conversation).map(|seq| seq.get());
                    let at_token =
                        then.as_ref().map(|then| then.get(&conversation).copied().unwrap_or(0));
                    let from = named.or(at_token).unwrap_or(head);
                    answers.extend((from + 1..=head).map(|seq| self.event(conversation, seq)));
                }
                let token = self.first_token(link, mood);
                answers.push(ServerFrame::Synced { token });
                self.wires.get_mut(&link).unwrap().welcomed = true;
            }
            ClientFrame::Ping { positions } => {
                let heads = self.heads();
                let heads = positions
                    .into_keys()
                    .map(|it| (it, Seq::new(heads.get(&it).copied().unwrap_or(0))))
                    .collect();
                let token = self.next_token(link, mood);
                answers.push(ServerFrame::Pong { heads, token });
            }
            ClientFrame::Command(id, Command::Send { key, to, .. }) => {
                let SendTo::Conversation(conversation) = to else { panic!("{to:?}") };
                if mood == Mood::Odd {
                    let problem = Problem::of(Code::RateLimited);
                    answers.push(ServerFrame::Error { id, key: Some(key), problem });
                } else {
                    let (seq, duplicate) = self.write(conversation, &key);
                    let (seq, at) = (Seq::new(seq), Timestamp::from_millis(0));
                    answers.push(ServerFrame::Ack { id, key, conversation, seq, at, duplicate });
                }
            }
            ClientFrame::Command(id, Command::Amend { key, conversation, .. }) => {
                if mood == Mood::Odd {
                    let problem = Problem::of(Code::RateLimited);
                    answers.push(ServerFrame::Error { id, key: None, problem });
                } else {
                    self.write(conversation, &key.unwrap());
                    answers.push(ServerFrame::Done { id: id.unwrap() });
                }
            }
            ClientFrame::Command(id, Command::Sync { conversation, after }) => {
                let head = self.heads().get(&conversation).copied().unwrap_or(0);
                answers.push(ServerFrame::Done { id: id.unwrap() });
                answers.extend((after.get() + 1..=head).map(|seq| self.event(conversation, seq)));
            }
            ClientFrame::Command(..) => {}
        }
        self.wires.get_mut(&link).unwrap().down.extend(answers);
    }
}

/// How the server takes a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Refuses a send for now, and is late with its tokens.
    Odd,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The host sends.
    Send(u8),
    /// The host changes a message.
    Amend(u8),
    /// Somebody else writes.
    Other(u8),
    /// The host takes so many events.
    Take(u8),
    /// A dial succeeds or not.
    Dial(bool),
    /// The server takes a frame of the n-th connection.
    Up(u8, Mood),
    /// A frame of the n-th connection arrives …
    Down(u8),
    /// … or is lost on the way, which no real socket does; and twice.
    Lose(u8),
    Repeat(u8),
    /// The n-th connection is lost, with everything on its way.
    Cut(u8),
    Drain,
    /// The server looks at the heads: a new token.
    Look,
    Pass(u16),
    /// The host stores where it is, and goes on there in another run.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3).prop_map(Step::Send),
        1 => (0u8..3).prop_map(Step::Amend),
        3 => (0u8..3).prop_map(Step::Other),
        4 => (0u8..4).prop_map(Step::Take),
        3 => proptest::bool::weighted(0.8).prop_map(Step::Dial),
        6 => (0u8..2, prop_oneof![4 => Just(Mood::Well), 1 => Just(Mood::Odd)])
            .prop_map(|(n, mood)| Step::Up(n, mood)),
        9 => (0u8..2).prop_map(Step::Down),
        2 => (0u8..2).prop_map(Step::Lose),
        1 => (0u8..2).prop_map(Step::Repeat),
        1 => (0u8..2).prop_map(Step::Cut),
        1 => Just(Step::Drain),
        2 => Just(Step::Look),
        3 => (0u16..30_000).prop_map(Step::Pass),
        2 => Just(Step::Restart),
    ]
}

/// Everything together.
struct Town {
    bench: Bench,
    server: Server,
    dialled: VecDeque<LinkId>,
    taken: BTreeMap<ConversationId, Vec<u64>>,
    /// Unsettled, by id.
    sent: BTreeMap<u64, (ClientKey, ConversationId)>,
    /// Where what was acknowledged stands.
    places: BTreeMap<ClientKey, (ConversationId, u64)>,
    keys: u64,
}

const OUTBOX_MAX: usize = 6;

/// What the host wants under this key.
fn deed(key: &ClientKey, conversation: ConversationId) -> Deed {
    if key.as_str().starts_with("change") {
        let amendment = Amendment::Pin(true);
        return Deed::Amend { conversation, message: Seq::new(1), amendment };
    }
    let message = Text::new("hi").unwrap().into();
    Deed::Send { to: SendTo::Conversation(conversation), message }
}

fn small() -> ClientLimits {
    ClientLimits { outbox_entries_max: OUTBOX_MAX, events_max: 4, ..ClientLimits::default() }
}

impl Town {
    fn new() -> Self {
        let mut town = Self {
            bench: Bench::new(small()),
            server: Server::default(),
            dialled: VecDeque::new(),
            taken: BTreeMap::new(),
            sent: BTreeMap::new(),
            places: BTreeMap::new(),
            keys: 0,
        };
        // Every log exists, and the client has been there: what it does not know it would not miss.
        town.server.tokens.push(BTreeMap::new());
        let resume = Resume {
            epoch: Epoch::new("e").unwrap(),
            token: Some(Checkpoint("0".to_owned())),
            positions: BTreeMap::new(),
        };
        town.bench.machine = Machine::new(small(), 7, Some(resume));
        town.carry_out();
        town
    }

    /// Does what the machine says.
    fn carry_out(&mut self) {
        for output in self.bench.outputs() {
            match output {
                Output::AskToken(stale) => {
                    assert_eq!(stale, None);
                    self.bench.token("t0");
                }
                Output::Open(link, _) => self.dialled.push_back(link),
                Output::Write(link, frame) => {
                    if let Some(wire) = self.server.wires.get_mut(&link.0) {
                        wire.up.push_back(frame);
                    }
                }
                Output::Drop(link) => {
                    self.dialled.retain(|dialled| *dialled != link);
                    self.server.wires.remove(&link.0);
                }
                Output::Settled(id, result) => {
                    let (key, conversation) = self.sent.remove(&id).expect("settled once");
                    let log = &self.server.logs[&conversation];
                    let seq = match result.expect("nothing here is refused for good") {
                        Settled::Placed(SentPlace { seq, .. }) => seq.get(),
                        Settled::Amended => {
                            1 + log.iter().position(|it| *it == key).expect("it was made") as u64
                        }
                    };
                    let stands = &log[seq as usize - 1];
                    assert_eq!(*stands, key, "it stands where it was said to stand");
                    self.places.insert(key, (conversation, seq));
                }
            }
        }
        assert!(self.sent.len() <= OUTBOX_MAX);
        if self.bench.machine.poll_timeout().is_some_and(|at| at <= self.bench.now) {
            self.bench.machine.handle_timeout(self.bench.now);
        }
        if self.bench.outputs_wait() {
            self.carry_out();
        }
    }

    fn link(&self, n: u8) -> Option<u64> {
        let links: Vec<_> = self.server.wires.keys().copied().collect();
        (!links.is_empty()).then(|| links[usize::from(n) % links.len()])
    }

    fn arrive(&mut self, link: u64, repeat: bool) {
        // The driver reads only then.
        if !self.bench.machine.reads() {
            return;
        }
        let Some(wire) = self.server.wires.get_mut(&link) else { return };
        let Some(mut frame) = wire.down.pop_front() else { return };
        if wire.lossy
            && let ServerFrame::Synced { token } | ServerFrame::Pong { token, .. } = &mut frame
        {
            *token = None;
        }
        if repeat {
            wire.down.push_front(frame.clone());
        }
        self.bench.frame(LinkId(link), frame);
    }

    fn take(&mut self) -> bool {
        let Some(event) = self.bench.take() else { return false };
        match event {
            ClientEvent::Event(event) => {
                let taken = self.taken.entry(event.conversation).or_default();
                assert_eq!(event.seq.get(), taken.len() as u64 + 1, "exactly 1, 2, 3 …");
                taken.push(event.seq.get());
            }
            ClientEvent::Closed(because) => panic!("{because:?}"),
            _ => {}
        }
        true
    }

    fn write(&mut self, what: &str, n: u8) {
        self.keys += 1;
        let key = ClientKey::new(format!("{what}-{}", self.keys)).unwrap();
        let deed = deed(&key, conversation(n));
        match self.bench.machine.write(self.bench.now, key.clone(), deed) {
            Ok(id) => {
                self.sent.insert(id, (key, conversation(n)));
            }
            Err(SendError::Full { .. }) => assert_eq!(self.sent.len(), OUTBOX_MAX),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.bench.now;
        match step {
            Step::Send(n) => self.write("mine", n),
            Step::Amend(n) => self.write("change", n),
            Step::Other(n) => {
                self.keys += 1;
                let key = ClientKey::new(format!("other-{}", self.keys)).unwrap();
                self.server.write(conversation(n), &key);
            }
            Step::Take(n) => {
                for _ in 0..n {
                    self.take();
                }
            }
            Step::Dial(success) => {
                if let Some(link) = self.dialled.pop_front() {
                    if success {
                        self.server.wires.insert(link.0, Wire::default());
                        self.bench.machine.handle(now, Input::Opened(link));
                    } else {
                        let why = Ending::Unreachable("no".to_owned());
                        self.bench.machine.handle(now, Input::Ended(link, why));
                    }
                }
            }
            Step::Up(n, mood) => {
                if let Some(link) = self.link(n) {
                    self.server.take(link, mood);
                }
            }
            Step::Down(n) => {
                if let Some(link) = self.link(n) {
                    self.arrive(link, false);
                }
            }
            Step::Repeat(n) => {
                if let Some(link) = self.link(n) {
                    self.arrive(link, true);
                }
            }
            Step::Lose(n) => {
                if let Some(link) = self.link(n)
                    && let Some(wire) = self.server.wires.get_mut(&link)
                    && let Some(ServerFrame::Event(event)) = wire.down.front()
                    // Of a conversation that is not known the first event is the first.
                    && self.bench.machine.knows(&event.conversation)
                {
                    wire.down.pop_front();
                    wire.lossy = true;
                }
            }
            Step::Cut(n) => {
                if let Some(link) = self.link(n) {
                    self.server.wires.remove(&link);
                    self.bench.ended(LinkId(link), 1006);
                }
            }
            Step::Drain => {
                let drain = ServerFrame::Drain { after_ms: 100, deadline_ms: 5_000 };
                for wire in self.server.wires.values_mut().filter(|wire| wire.welcomed) {
                    wire.down.push_back(drain.clone());
                }
            }
            Step::Look => {
                let heads = self.server.heads();
                self.server.tokens.push(heads);
            }
            Step::Pass(ms) => self.bench.until(now + Duration::from_millis(ms.into())),
            Step::Restart => {
                if let Some(resume) = self.bench.machine.resume() {
                    let resume = serde_json::to_string(&resume).unwrap();
                    let resume = serde_json::from_str(&resume).unwrap();
                    self.server.wires.clear();
                    self.dialled.clear();
                    self.bench.machine = Machine::new(small(), 7, Some(resume));
                    // Messages without an answer are the host's to send again, by the same key.
                    for (key, conversation) in std::mem::take(&mut self.sent).into_values() {
                        let deed = deed(&key, conversation);
                        let id = self.bench.machine.write(now, key.clone(), deed).unwrap();
                        self.sent.insert(id, (key, conversation));
                    }
                }
            }
        }
        self.carry_out();
    }

    /// All goes well from here on, until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..4_000 {
            for step in [
                Step::Dial(true),
                Step::Up(0, Mood::Well),
                Step::Up(1, Mood::Well),
                Step::Down(0),
                Step::Down(1),
                Step::Take(2),
                Step::Pass(100),
            ] {
                self.step(step);
            }
            let complete = self
                .server
                .logs
                .iter()
                .all(|(it, log)| self.taken.get(it).map_or(0, Vec::len) == log.len());
            if complete && self.sent.is_empty() {
                return;
            }
        }
        panic!(
            "never complete: {:?} of {:?}, unsettled {:?}",
            self.taken, self.server.logs, self.sent
        );
    }
}

impl Bench {
    fn outputs_wait(&mut self) -> bool {
        self.machine.has_outputs()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_log_is_handed_out_once_and_every_message_has_one_place(
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut town = Town::new();
        for step in steps {
            town.step(step);
        }
        town.settle();
        for (key, (conversation, seq)) in &town.places {
            let log = &town.server.logs[conversation];
            prop_assert_eq!(log.iter().filter(|other| *other == key).count(), 1);
            prop_assert_eq!(&log[*seq as usize - 1], key);
        }
        // Those of one conversation stand in the order in which they were sent.
        for log in town.server.logs.values() {
            let mine: Vec<u64> = log
                .iter()
                .filter_map(|key| key.as_str().strip_prefix("mine-")?.parse().ok())
                .collect();
            prop_assert!(mine.is_sorted(), "{:?}", mine);
        }
    }
}
