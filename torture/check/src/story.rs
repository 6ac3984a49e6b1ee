//! For each rule the smallest history that breaks it, and one that nearly does; and the judge's
//! short cuts held against the long way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    Rule, Terms, check,
    history::{Answer, Ask, Body, Entry, LogEvent, Phase, Source, Time, User, What},
};

const TERMS: Terms = Terms { revocation: 1_000_000 };

const ANN: User = 0;
const BOB: User = 1;
const EVE: User = 2;
/// The conversation that everything is about: a group of ann and bob.
const G: u32 = 7;

/// What happened, one line a second. The device of a user has the user's number.
struct Story {
    lines: Vec<Entry>,
    log: Vec<LogEvent>,
}

fn digest(key: &str) -> u64 {
    crate::history::content("", key, "")
}

fn body(body: Body) -> (Option<&'static str>, User, Body) {
    (None, ANN, body)
}

impl Story {
    fn new() -> Self {
        let mut story = Self { lines: Vec::new(), log: Vec::new() };
        for (user, id) in [(ANN, "ann"), (BOB, "bob"), (EVE, "eve")] {
            story.add(What::User { user, id: id.to_owned() });
            story.add(What::Device { device: user, user, exact: false });
        }
        let created = Body::Created { members: vec![ANN, BOB], title: Some("g".to_owned()) };
        story.stands(body(created)).hello(BOB, &[(G, 1)]).synced(BOB);
        story
    }

    fn add(&mut self, what: What) -> &mut Self {
        self.lines.push(Entry { t: self.lines.len() as Time * 1_000_000, what });
        self
    }

    fn stands(&mut self, (key, from, body): (Option<&str>, User, Body)) -> &mut Self {
        let seq = self.log.len() as u64 + 1;
        let content = key.map_or(seq, digest);
        self.log.push(LogEvent {
            seq,
            from: Some(from),
            key: key.map(ToOwned::to_owned),
            content,
            body,
        });
        self
    }

    fn hello(&mut self, device: u32, held: &[(u32, u64)]) -> &mut Self {
        let (held, tokened) = (held.to_vec(), Vec::new());
        let (node, credential, token) = (0, device, false);
        self.add(What::Hello { device, node, credential, held, tokened, token });
        self.add(What::Welcome { device })
    }

    fn synced(&mut self, device: u32) -> &mut Self {
        self.add(What::Synced { device })
    }

    fn ask(&mut self, op: u64, device: u32, ask: Ask) -> &mut Self {
        self.add(What::Invoke { op, device, ask: Box::new(ask) })
    }

    fn answer(&mut self, op: u64, answer: Answer) -> &mut Self {
        self.add(What::Ok { op, node: 0, answer: Box::new(answer) })
    }

    fn ask_to_send(&mut self, op: u64, device: u32, key: &str) -> &mut Self {
        let (key, content) = (key.to_owned(), digest(key));
        self.ask(op, device, Ask::Send { conversation: G, key, content, bad: false })
    }

    fn ack(&mut self, op: u64, seq: u64) -> &mut Self {
        self.answer(op, Answer::Ack { conversation: G, seq, duplicate: false })
    }

    fn message(&mut self, from: User, key: &str) -> &mut Self {
        self.stands((Some(key), from, Body::Message))
    }

    /// A message of ann's: asked for, written, acknowledged.
    fn said(&mut self, op: u64) -> &mut Self {
        let key = format!("k{op}");
        self.ask_to_send(op, ANN, &key).message(ANN, &key);
        let seq = self.log.len() as u64;
        self.ack(op, seq)
    }

    /// What stands at this number reaches a device.
    fn got(&mut self, device: u32, seq: u64) -> &mut Self {
        let content = self.log[seq as usize - 1].content;
        self.add(What::Event { device, conversation: G, seq, content })
    }

    /// The rules that are broken, when it ends here.
    fn broken(&mut self) -> Vec<Rule> {
        self.add(What::Phase { phase: Phase::Quiet }).add(What::Phase { phase: Phase::Judged });
        let events = self.log.clone();
        self.add(What::Final { conversation: G, source: Source::Member, events });
        check(&self.lines, TERMS).counts().keys().copied().collect()
    }
}

#[test]
fn a_history_in_order_is_not_complained_about() {
    let mut story = Story::new();
    story.said(1).got(BOB, 2).said(2).got(BOB, 3);
    assert_eq!(story.broken(), []);
}

#[test]
fn v1_an_acknowledged_message_that_is_not_there() {
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1").ack(1, 2);
    assert_eq!(story.broken(), [Rule::V1]);
    // Without an answer nobody knows, and it may be there or not.
    for there in [false, true] {
        let mut story = Story::new();
        story.ask_to_send(1, ANN, "k1");
        story.add(What::Info { op: 1, why: "time-out".to_owned() });
        if there {
            story.message(ANN, "k1").got(BOB, 2);
        }
        assert_eq!(story.broken(), []);
    }
    // A member reads something else than what the database holds.
    let mut story = Story::new();
    story.said(1).got(BOB, 2);
    let events = story.log[..1].to_vec();
    story.add(What::Final { conversation: G, source: Source::Database, events });
    assert!(story.broken().contains(&Rule::V1));
}

#[test]
fn v2_one_key_twice_and_two_answers_to_one_key() {
    let mut story = Story::new();
    story.said(1).message(ANN, "k1").got(BOB, 2).got(BOB, 3);
    assert_eq!(story.broken(), [Rule::V2]);
    // Answered again, as it has to be.
    let again = |seq, duplicate| Answer::Ack { conversation: G, seq, duplicate };
    let mut story = Story::new();
    story.said(1).got(BOB, 2).answer(1, again(2, true));
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.said(1).got(BOB, 2).answer(1, again(2, false));
    assert_eq!(story.broken(), [Rule::V2]);
    let mut story = Story::new();
    story.said(1).said(2).got(BOB, 2).got(BOB, 3).answer(1, again(3, true));
    assert_eq!(story.broken(), [Rule::V1, Rule::V2]);
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1");
    story.add(What::Info { op: 1, why: "key_conflict".to_owned() });
    assert_eq!(story.broken(), [Rule::V2]);
}

#[test]
fn v3_a_number_that_is_missing_in_the_log() {
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1").message(ANN, "k1");
    story.log[1].seq = 3;
    story.got(BOB, 2).ack(1, 2);
    assert_eq!(story.broken(), [Rule::V3]);
}

#[test]
fn v4_a_later_send_with_a_lower_number() {
    // Both under way at once: either order is right.
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1").ask_to_send(2, ANN, "k2").message(ANN, "k2").message(ANN, "k1");
    story.got(BOB, 2).got(BOB, 3).ack(1, 3).ack(2, 2);
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1").message(ANN, "k2").message(ANN, "k1").ack(1, 3);
    story.ask_to_send(2, ANN, "k2").ack(2, 2).got(BOB, 2).got(BOB, 3);
    assert_eq!(story.broken(), [Rule::V4]);
    // The same number again is not a later one.
    let mut story = Story::new();
    story.said(1).got(BOB, 2).ask_to_send(2, ANN, "k2").ack(2, 2);
    assert_eq!(story.broken(), [Rule::V1, Rule::V4]);
}

#[test]
fn v5_a_hole_a_swap_a_repetition_and_another_content() {
    for (seqs, broken) in [
        (vec![2, 3, 4], false),
        (vec![2, 4], true),
        (vec![3, 2, 4], true),
        (vec![2, 3, 3, 4], true),
        (vec![2, 3, 4, 1], true),
    ] {
        let mut story = Story::new();
        story.said(1).said(2).said(3);
        for seq in &seqs {
            story.got(BOB, *seq);
        }
        assert_eq!(story.broken().contains(&Rule::V5), broken, "{seqs:?}");
    }
    let mut story = Story::new();
    story.said(1).add(What::Event { device: BOB, conversation: G, seq: 2, content: 1 });
    assert_eq!(story.broken(), [Rule::V5]);
    // Asked for again, it may come again; and the stream goes on from there.
    let sync = What::Sync { device: BOB, conversation: G, after: 1 };
    let mut story = Story::new();
    story.said(1).said(2).got(BOB, 2).add(sync.clone()).got(BOB, 3).got(BOB, 2).got(BOB, 3);
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.said(1).said(2).got(BOB, 2).got(BOB, 3).add(sync).got(BOB, 2).got(BOB, 3).got(BOB, 2);
    assert_eq!(story.broken(), [Rule::V5]);
}

/// A program of bob's on a client.
const BOT: u32 = 9;

#[test]
fn v5_an_exact_device_hears_each_number_once_over_all_of_its_connections() {
    let begun = || {
        let mut story = Story::new();
        story.add(What::Device { device: BOT, user: BOB, exact: true });
        story.said(1).said(2).said(3);
        for seq in 2..=4 {
            story.got(BOB, seq);
        }
        story.hello(BOT, &[(G, 1)]).got(BOT, 2);
        story
    };
    let told = |device, head| What::Reset { device, conversation: G, head };
    // On one connection and over two: in order, or with a hole, or again.
    for (seqs, broken) in [(vec![3, 4], false), (vec![4], true), (vec![2, 3, 4], true)] {
        for two in [false, true] {
            let mut story = begun();
            if two {
                story.add(What::Ended { device: BOT, why: String::new() }).hello(BOT, &[(G, 2)]);
            }
            story.synced(BOT);
            seqs.iter().for_each(|seq| {
                story.got(BOT, *seq);
            });
            assert_eq!(story.broken().contains(&Rule::V5), broken, "{seqs:?} {two}");
        }
    }
    // Who is added again hears it from the beginning: a raw device, told or not; this one if told.
    for (device, told, broken) in
        [(BOB, false, false), (BOB, true, false), (BOT, false, true), (BOT, true, false)]
    {
        let mut story = begun();
        story.synced(BOT).got(BOT, 3).got(BOT, 4);
        story.stands(body(Body::Removed(BOB))).stands(body(Body::Added(vec![BOB])));
        if told {
            story.add(What::Left { device, conversation: G });
        }
        (1..=6).for_each(|seq| {
            story.got(device, seq);
        });
        assert_eq!(story.broken().contains(&Rule::V5), broken, "{device} {told}");
    }
    // Sent on to the head, but never back.
    for (head, broken) in [(4, false), (1, true)] {
        let mut story = begun();
        story.add(told(BOT, head));
        (head + 1..=4).for_each(|seq| {
            story.got(BOT, seq);
        });
        assert_eq!(story.synced(BOT).broken().contains(&Rule::V5), broken, "{head}");
        let mut story = Story::new();
        story.said(1).said(2).said(3).got(BOB, 2).add(told(BOB, head));
        assert!(!story.broken().contains(&Rule::V5), "a raw device may be sent back");
    }
}

#[test]
fn v6_a_hello_was_said_when_it_was_said_and_not_when_it_was_told_of() {
    // Written while the connection began, or after that.
    for (since, broken) in [(Time::MAX, true), (0, false)] {
        let mut story = Story::new();
        story.add(What::Device { device: BOT, user: BOB, exact: true });
        story.hello(BOT, &[(G, 1)]).said(1).got(BOB, 2);
        let at = story.lines.last().map_or(0, |entry| entry.t);
        story.add(What::Ended { device: BOT, why: String::new() });
        story.add(What::Dialled { device: BOT, since: since.min(at + 1) });
        story.hello(BOT, &[(G, 1)]).synced(BOT).got(BOT, 2);
        assert_eq!(story.broken().contains(&Rule::V6), broken, "{since}");
    }
}

#[test]
fn v5_what_a_token_stands_for_may_come_again_but_not_with_a_hole() {
    for (seqs, broken) in
        [(vec![2, 3, 4], false), (vec![3, 4], false), (vec![4], true), (vec![3, 2, 3, 4], true)]
    {
        let mut story = Story::new();
        story.said(1).said(2).said(3).got(BOB, 2);
        let (held, tokened) = (Vec::new(), vec![(G, 2)]);
        let (device, node, credential, token) = (BOB, 0, BOB, true);
        story.add(What::Hello { device, node, credential, held, tokened, token });
        for seq in &seqs {
            story.got(BOB, *seq);
        }
        assert_eq!(story.synced(BOB).broken().contains(&Rule::V5), broken, "{seqs:?}");
    }
}

#[test]
fn v5_who_is_added_while_a_connection_begins_may_hear_it_twice_and_nobody_else() {
    for (held, broken) in [(vec![], vec![]), (vec![(G, 1)], vec![Rule::V5])] {
        let mut story = Story::new();
        story.hello(BOB, &held).got(BOB, 1).got(BOB, 1).synced(BOB);
        assert_eq!(story.broken(), broken);
    }
    let mut story = Story::new();
    story.hello(BOB, &[]).got(BOB, 1).synced(BOB).got(BOB, 1);
    assert_eq!(story.broken(), [Rule::V5]);
}

#[test]
fn v5_a_page_that_is_not_the_log() {
    for (page, broken) in
        [(vec![(1, 1)], vec![]), (vec![(1, 9)], vec![Rule::V5]), (vec![(2, 1)], vec![Rule::V5])]
    {
        let mut story = Story::new();
        story.ask(1, BOB, Ask::Page { conversation: G }).answer(1, Answer::Page(page));
        // A number that is not in the log may nobody see either.
        let rules: Vec<_> = story.broken().into_iter().filter(|it| *it != Rule::V8).collect();
        assert_eq!(rules, broken);
    }
}

#[test]
fn v6_synced_without_what_was_known_before_the_hello() {
    let mut story = Story::new();
    story.said(1).got(BOB, 2).said(2).hello(BOB, &[(G, 2)]).got(BOB, 3).synced(BOB);
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.said(1).got(BOB, 2).said(2).hello(BOB, &[(G, 2)]).synced(BOB).got(BOB, 3);
    assert_eq!(story.broken(), [Rule::V6]);
    // What came while it joined may come later.
    let mut story = Story::new();
    story.said(1).got(BOB, 2).hello(BOB, &[(G, 2)]).said(2).synced(BOB).got(BOB, 3);
    assert_eq!(story.broken(), []);
}

#[test]
fn v7_a_marker_that_goes_back_or_moves_by_itself() {
    let mark = |read| Ask::Mark { conversation: G, received: 0, read };
    let marker = |read| Answer::Marker { received: read, read };
    for (second, broken) in [(2, vec![]), (1, vec![Rule::V7]), (3, vec![Rule::V7])] {
        let mut story = Story::new();
        story.said(1).said(2).got(BOB, 2).got(BOB, 3);
        story.ask(8, BOB, mark(2)).answer(8, Answer::Done);
        story.ask(9, BOB, mark(1)).answer(9, marker(second));
        assert_eq!(story.broken(), broken);
    }
    // Asked before the other was answered: nobody knows which was first.
    let mut story = Story::new();
    story.said(1).got(BOB, 2).ask(8, BOB, mark(1)).ask(9, BOB, mark(2));
    story.answer(9, marker(2)).answer(8, marker(1));
    assert_eq!(story.broken(), []);
    for (read, broken) in [(2, vec![]), (3, vec![Rule::V7])] {
        let mut story = Story::new();
        story.said(1).said(2).got(BOB, 2).got(BOB, 3).ask(8, BOB, mark(2)).answer(8, Answer::Done);
        let (device, received) = (BOB, read);
        story.add(What::Receipt { device, conversation: G, user: BOB, received, read });
        assert_eq!(story.broken(), broken);
    }
}

#[test]
fn v8_whatever_reaches_one_who_is_not_a_member() {
    let page = || Ask::Page { conversation: G };
    let mut story = Story::new();
    story.ask(1, EVE, page()).answer(1, Answer::Page(vec![(1, 1)]));
    assert_eq!(story.broken(), [Rule::V8]);
    let mut story = Story::new();
    story.ask(1, EVE, page()).add(What::Fail { op: 1, code: "not_found".to_owned() });
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.ask(1, EVE, Ask::Follow { conversation: G }).answer(1, Answer::Done);
    assert_eq!(story.broken(), [Rule::V8]);
    let mut story = Story::new();
    story.hello(EVE, &[]).synced(EVE).said(1).got(BOB, 2).got(EVE, 2);
    assert!(story.broken().contains(&Rule::V8));
    let mut story = Story::new();
    story.ask_to_send(1, EVE, "k1").message(EVE, "k1").got(BOB, 2).ack(1, 2);
    assert_eq!(story.broken(), [Rule::V8]);
}

#[test]
fn v8_after_a_removal_nothing_newer_until_they_are_added_again() {
    let left = || What::Left { device: BOB, conversation: G };
    let mut story = Story::new();
    story.said(1).stands(body(Body::Removed(BOB))).got(BOB, 2).add(left()).said(2);
    assert_eq!(story.broken(), []);
    let mut story = Story::new();
    story.said(1).stands(body(Body::Removed(BOB))).got(BOB, 2).said(2);
    story.got(BOB, 3).got(BOB, 4).add(left());
    assert_eq!(story.broken(), [Rule::V8]);
    let mut story = Story::new();
    story.said(1).stands(body(Body::Removed(BOB))).got(BOB, 2).add(left()).said(2);
    story.stands(body(Body::Added(vec![BOB]))).said(3);
    for seq in 1..=6 {
        story.got(BOB, seq);
    }
    assert_eq!(story.broken(), []);
    // The same before they were added: ann had not even asked for what stands before that.
    let mut story = Story::new();
    story.said(1).stands(body(Body::Removed(BOB))).got(BOB, 2).add(left());
    story.got(BOB, 1).got(BOB, 2).got(BOB, 3);
    story.said(2).stands(body(Body::Added(vec![BOB]))).got(BOB, 4).got(BOB, 5);
    assert_eq!(story.broken(), [Rule::V8]);
}

#[test]
fn v9_an_unread_count_that_is_not_a_recount() {
    for (head, unread, broken) in
        [(3, 2, vec![]), (3, 1, vec![Rule::V9]), (2, 1, vec![Rule::V9]), (4, 2, vec![Rule::V9])]
    {
        let mut story = Story::new();
        story.said(1).said(2).got(BOB, 2).got(BOB, 3);
        story.ask(8, BOB, Ask::Summary { conversation: G });
        story.answer(8, Answer::Summary { head, received: 0, read: 0, unread });
        assert_eq!(story.broken(), broken, "{head} {unread}");
    }
    // One's own are not unread.
    let mut story = Story::new();
    story.said(1).got(BOB, 2).ask(8, ANN, Ask::Summary { conversation: G });
    story.answer(8, Answer::Summary { head: 2, received: 0, read: 0, unread: 0 });
    assert_eq!(story.broken(), []);
}

#[test]
fn v10_a_message_that_nobody_sent_or_that_was_refused() {
    let mut story = Story::new();
    story.message(ANN, "k9").got(BOB, 2);
    assert_eq!(story.broken(), [Rule::V10]);
    let mut story = Story::new();
    story.said(1);
    story.log[1].content = 9;
    story.got(BOB, 2);
    assert_eq!(story.broken(), [Rule::V1, Rule::V10]);
    for (there, broken) in [(false, vec![]), (true, vec![Rule::V10])] {
        let mut story = Story::new();
        story.ask_to_send(1, ANN, "k1");
        story.add(What::Fail { op: 1, code: "rate_limited".to_owned() });
        if there {
            story.message(ANN, "k1").got(BOB, 2);
        }
        assert_eq!(story.broken(), broken);
    }
}

#[test]
fn v11_one_who_is_not_at_the_head_in_the_end() {
    let mut story = Story::new();
    story.said(1).got(BOB, 2).said(2);
    assert_eq!(story.broken(), [Rule::V11]);
    // Who began with nothing and got nothing, although something came.
    let mut story = Story::new();
    story.hello(BOB, &[]).synced(BOB).said(1);
    assert_eq!(story.broken(), [Rule::V11]);
    let mut story = Story::new();
    story.said(1).hello(BOB, &[]).synced(BOB);
    assert_eq!(story.broken(), []);
    // Who was removed and not told.
    let mut story = Story::new();
    story.stands(body(Body::Removed(BOB)));
    assert_eq!(story.broken(), [Rule::V11]);
    assert_eq!(check(&[], TERMS).counts().keys().copied().collect::<Vec<_>>(), [Rule::V11]);
}

#[test]
fn v12_what_is_left_over() {
    let mut story = Story::new();
    story.ask_to_send(1, ANN, "k1");
    assert_eq!(story.broken(), [Rule::V12]);
    let mut story = Story::new();
    story.add(What::Phase { phase: Phase::Quiet });
    story.add(What::Ended { device: BOB, why: "1006".to_owned() });
    assert_eq!(story.broken(), [Rule::V12]);
    let gauge = |now| What::Gauge { node: 0, name: "chat_connections".to_owned(), base: 1, now };
    for (now, broken) in [(1, vec![]), (0, vec![]), (2, vec![Rule::V12])] {
        assert_eq!(Story::new().add(gauge(now)).broken(), broken);
    }
    // While things are broken an answer may stay away, but not when all is well.
    let info = || What::Info { op: 1, why: "time-out".to_owned() };
    let ask = || Ask::Summary { conversation: G };
    assert_eq!(Story::new().ask(1, BOB, ask()).add(info()).broken(), []);
    let mut story = Story::new();
    story.add(What::Phase { phase: Phase::Quiet }).ask(1, BOB, ask()).add(info());
    assert_eq!(story.broken(), [Rule::V12]);
}

#[test]
fn what_was_deleted_is_gone_and_nothing_else() {
    // Bob heard the message, then of its deletion; the log at the end does not say it any more.
    let story = || {
        let mut story = Story::new();
        story.said(1).got(BOB, 2).said(2).got(BOB, 3);
        story.stands(body(Body::Deleted(2))).got(BOB, 4);
        story
    };
    let erase = |story: &mut Story, seq: usize| {
        let event = &mut story.log[seq - 1];
        (event.content, event.body) = (99, Body::Erased);
    };
    let mut gone = story();
    erase(&mut gone, 2);
    assert_eq!(gone.broken(), []);
    assert_eq!(story().broken(), [Rule::V3], "it is still there");
    let mut another = story();
    erase(&mut another, 2);
    erase(&mut another, 3);
    assert_eq!(another.broken(), [Rule::V3], "nobody deleted that one");
    // Unread are those that stand at the head that was told.
    for (head, unread, broken) in
        [(3, 2, vec![]), (4, 1, vec![]), (4, 2, vec![Rule::V9]), (3, 1, vec![Rule::V9])]
    {
        let mut story = story();
        erase(&mut story, 2);
        story.ask(8, BOB, Ask::Summary { conversation: G });
        story.answer(8, Answer::Summary { head, received: 0, read: 0, unread });
        // What was certainly there has to be told: bob had heard of number 4.
        let broken = if head == 3 { vec![Rule::V9] } else { broken };
        assert_eq!(story.broken(), broken, "{head} {unread}");
    }
    // Nothing is unread for who has read to the end, where there is nothing to look through.
    let mut read = story();
    erase(&mut read, 2);
    read.ask(8, BOB, Ask::Mark { conversation: G, received: 4, read: 4 });
    read.answer(8, Answer::Marker { received: 4, read: 4 });
    read.ask(9, BOB, Ask::Summary { conversation: G });
    read.answer(9, Answer::Summary { head: 4, received: 4, read: 4, unread: 0 });
    assert_eq!(read.broken(), []);
}

#[test]
fn v13_a_conversation_that_is_not_what_its_log_says() {
    let state = |title: &str, members: &[(User, bool)]| What::State {
        conversation: G,
        title: Some(title.to_owned()),
        members: members.to_vec(),
    };
    let log = |story: &mut Story| {
        story.stands(body(Body::Title("new".to_owned()))).stands(body(Body::Role(BOB, true)));
        story.got(BOB, 2).got(BOB, 3);
    };
    for (title, members, broken) in [
        ("new", [(BOB, true), (ANN, true)], vec![]),
        ("g", [(ANN, true), (BOB, true)], vec![Rule::V13]),
        ("new", [(ANN, true), (BOB, false)], vec![Rule::V13]),
        ("new", [(ANN, true), (EVE, true)], vec![Rule::V13]),
    ] {
        let mut story = Story::new();
        log(&mut story);
        assert_eq!(story.add(state(title, &members)).broken(), broken);
    }
}

#[test]
fn v14_a_revoked_credential_that_still_brings_something() {
    let revoked = || What::Revoked { credential: BOB };
    let mut story = Story::new();
    story
        .said(1)
        .add(revoked())
        .got(BOB, 2)
        .add(What::Ended { device: BOB, why: "4502".to_owned() });
    story.hello(EVE, &[]).synced(EVE);
    // Whose devices have not come back is another question.
    assert_eq!(story.broken(), [Rule::V12]);
    let mut story = Story::new();
    story.add(revoked()).said(1).said(2).got(BOB, 2).got(BOB, 3);
    assert_eq!(story.broken(), [Rule::V14]);
    let mut story = Story::new();
    story.add(revoked()).said(1).said(2).hello(BOB, &[(G, 3)]);
    assert!(story.broken().contains(&Rule::V14));
    // It was closed in the end, but not before more came.
    let mut story = Story::new();
    story.add(revoked()).said(1).said(2).got(BOB, 2).got(BOB, 3);
    story.add(What::Ended { device: BOB, why: "4502".to_owned() });
    assert_eq!(story.broken(), [Rule::V12, Rule::V14]);
    // While something is broken nobody can be asked about a credential.
    for (healed, broken) in [(false, vec![]), (true, vec![Rule::V14])] {
        let mut story = Story::new();
        story.add(revoked()).add(What::Fault { fault: 1, kind: "x".to_owned(), node: None });
        if healed {
            story.add(What::Healed { fault: 1 });
        }
        story.said(1).said(2).got(BOB, 2).got(BOB, 3);
        assert_eq!(story.broken(), broken);
    }
}

#[test]
fn what_breaks_a_limit_and_is_taken_is_told() {
    let (key, content) = ("k1".to_owned(), digest("k1"));
    let ask = Ask::Send { conversation: G, key, content, bad: true };
    let mut story = Story::new();
    story.ask(1, ANN, ask).message(ANN, "k1").ack(1, 2).got(BOB, 2);
    assert_eq!(story.broken(), [Rule::V10, Rule::Limits]);
}

#[test]
fn a_reply_out_of_turn_and_a_word_that_is_not_spoken_are_told() {
    let mut story = Story::new();
    story.add(What::OutOfTurn { device: BOB, ids: "1, 2".to_owned() });
    assert_eq!(story.broken(), [Rule::Replies]);
    let mut story = Story::new();
    story.add(What::Unspoken { device: BOB, story: "hm".to_owned() });
    assert_eq!(story.broken(), [Rule::Wire]);
}

#[test]
fn a_violation_is_told_with_the_lines_around_it() {
    let mut story = Story::new();
    story.said(1).said(2).got(BOB, 2).add(What::Ended { device: BOB, why: "here".to_owned() });
    story.got(BOB, 3).got(BOB, 3).broken();
    let told = check(&story.lines, TERMS).tell(&story.lines);
    assert!(told.contains("V5 (1 times)") && told.contains("\"why\":\"here\""), "{told}");
}

// --- the long way ---

/// One of two users does something.
#[derive(Debug, Clone)]
enum Deed {
    Send(User, u8),
    /// An answer to the n-th send: this number.
    Ack(usize, u64),
    Mark(User, u64),
    /// An answer to the n-th mark.
    Marked(usize, u64),
    Summary(User, u64, u64, u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..2u32, 0..4u8).prop_map(|(user, key)| Deed::Send(user, key)),
        (0..4usize, 1..6u64).prop_map(|(send, seq)| Deed::Ack(send, seq)),
        (0..2u32, 0..6u64).prop_map(|(user, read)| Deed::Mark(user, read)),
        (0..3usize, 0..6u64).prop_map(|(mark, read)| Deed::Marked(mark, read)),
        (0..2u32, 0..6u64, 0..6u64, 0..5u64).prop_map(|(user, head, read, unread)| {
            Deed::Summary(user, head, read.min(head), unread)
        }),
    ]
}

/// The same promises, each as it is said, over all pairs of lines.
fn the_long_way(lines: &[Entry], log: &[LogEvent]) -> BTreeMap<Rule, bool> {
    let mut asked = BTreeMap::new();
    for (place, entry) in lines.iter().enumerate() {
        if let What::Invoke { op, device, ask } = &entry.what {
            asked.insert(*op, (place, *device, (**ask).clone()));
        }
    }
    let answers: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(place, entry)| match &entry.what {
            What::Ok { op, answer, .. } => {
                let (before, user, ask) = asked[op].clone();
                Some((place, *op, before, user, ask, (**answer).clone()))
            }
            _ => None,
        })
        .collect();
    let acks = || {
        answers.iter().filter_map(|(place, op, before, user, ask, answer)| match (ask, answer) {
            (Ask::Send { key, .. }, Answer::Ack { seq, .. }) => {
                Some((*place, *op, *before, *user, key.clone(), *seq))
            }
            _ => None,
        })
    };
    let mut broken = BTreeMap::new();
    let v1 = acks().any(|(_, _, _, user, key, seq)| {
        !log.iter()
            .any(|it| it.seq == seq && it.from == Some(user) && it.key.as_ref() == Some(&key))
    });
    broken.insert(Rule::V1, v1);
    let twice = log.iter().enumerate().any(|(at, one)| {
        log[..at]
            .iter()
            .any(|it| it.body == Body::Message && (it.from, &it.key) == (one.from, &one.key))
    });
    let moved = acks().any(|one| acks().any(|it| it.1 == one.1 && it.5 != one.5));
    let fresh = acks().any(|one| acks().any(|it| it.1 == one.1 && it.0 != one.0));
    broken.insert(Rule::V2, twice || moved || fresh);
    let v4 = acks().any(|one| acks().any(|other| one.0 < other.2 && one.5 >= other.5));
    broken.insert(Rule::V4, v4);
    let v10 = log.iter().filter(|it| it.body == Body::Message).any(|event| {
        !asked.values().any(|(_, user, ask)| {
            matches!(ask, Ask::Send { key, .. } if event.from == Some(*user) && event.key.as_ref() == Some(key))
        })
    });
    broken.insert(Rule::V10, v10);
    // What a later question may not fall below, and what nobody said.
    let shown = || {
        answers.iter().filter_map(|(place, _, before, user, ask, answer)| match (ask, answer) {
            (Ask::Mark { .. }, Answer::Marker { read, .. })
            | (Ask::Summary { .. }, Answer::Summary { read, .. }) => {
                Some((*place, *before, *user, *read))
            }
            _ => None,
        })
    };
    let back = shown()
        .any(|one| shown().any(|other| one.2 == other.2 && one.0 < other.1 && other.3 < one.3));
    let unsaid = shown().any(|(place, _, user, read)| {
        let said = asked.values().filter_map(|(asked, by, ask)| match ask {
            Ask::Mark { read, .. } if *asked < place && *by == user => Some(*read),
            _ => None,
        });
        read > said.max().unwrap_or(0)
    });
    broken.insert(Rule::V7, back || unsaid);
    let v9 = answers.iter().any(|(_, _, before, user, _, answer)| {
        let Answer::Summary { head, read, unread, .. } = answer else { return false };
        let counted = log.iter().filter(|it| {
            it.body == Body::Message && it.seq > *read && it.seq <= *head && it.from != Some(*user)
        });
        let known = answers.iter().filter(|it| it.0 < *before).filter_map(|it| match it.5 {
            Answer::Ack { seq, .. } => Some(seq),
            Answer::Summary { head, .. } => Some(head),
            _ => None,
        });
        let known = known.filter(|it| *it <= log.len() as u64).max().unwrap_or(0);
        counted.count() as u64 != *unread || *head < known || *head > log.len() as u64
    });
    broken.insert(Rule::V9, v9);
    broken
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn the_short_cuts_lead_where_the_long_way_does(
        deeds in proptest::collection::vec(deed(), 1..9),
        written in proptest::collection::vec((0..2u32, 0..4u8), 0..4),
    ) {
        let mut story = Story::new();
        for (from, key) in written {
            story.message(from, &format!("k{key}"));
        }
        let (mut sends, mut marks) = (Vec::new(), Vec::new());
        for (op, deed) in (1u64..).zip(deeds) {
            match deed {
                Deed::Send(user, key) => {
                    // A key has one question.
                    if !sends.contains(&(op, user, key))
                        && !sends.iter().any(|(_, by, it)| (*by, *it) == (user, key))
                    {
                        sends.push((op, user, key));
                        story.ask_to_send(op, user, &format!("k{key}"));
                    }
                }
                Deed::Ack(send, seq) => {
                    if let Some((send, ..)) = sends.get(send) {
                        story.ack(*send, seq);
                    }
                }
                Deed::Mark(user, read) => {
                    marks.push(op);
                    story.ask(op, user, Ask::Mark { conversation: G, received: read, read });
                }
                Deed::Marked(mark, read) => {
                    if let Some(mark) = marks.get(mark) {
                        story.answer(*mark, Answer::Marker { received: read, read });
                    }
                }
                Deed::Summary(user, head, read, unread) => {
                    story.ask(op, user, Ask::Summary { conversation: G });
                    story.answer(op, Answer::Summary { head, received: read, read, unread });
                }
            }
        }
        let long = the_long_way(&story.lines, &story.log);
        let short = story.broken();
        for (rule, broken) in long {
            prop_assert_eq!(short.contains(&rule), broken, "{}", rule);
        }
    }
}
