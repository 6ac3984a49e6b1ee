//! The contract of the [`Bus`]. It is little, so the cases ask for little: what comes is what was
//! published, a loss that is known is told, and nothing grows while nobody listens.

use std::{collections::BTreeSet, future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::report::{self, Case, Report, cases};
use crate::{
    bus::{Budget, Bus, Heard, Topic},
    model::{ConversationId, UserId},
};

/// How the suite comes by buses. Problems are best reported by a panic.
pub trait BusFactory: Send + Sync + 'static {
    /// The implementation.
    type Bus: Bus;

    /// The handles of so many nodes on one bus that nobody else is on.
    fn nodes(&self, count: usize) -> impl Future<Output = Vec<Self::Bus>> + Send;
}

/// Holds the contract against an implementation that works: each case has some seconds to hear
/// what it waits for.
///
/// # Panics
/// If it is not kept: with the names of all cases that failed, and why.
pub async fn bus<F: BusFactory>(factory: F) {
    Report::of(bus_cases(factory)).await.expect_conformance();
}

/// All cases, to run some of them, or to look at the [`Report`].
#[must_use]
pub fn bus_cases<F: BusFactory>(factory: F) -> Vec<Case> {
    Case::all(&Arc::new(factory), all())
}

type Trial<F> = report::Trial<F>;

fn all<F: BusFactory>() -> report::Cases<F> {
    cases!["bus":
        what_is_followed_is_heard,
        every_node_is_heard,
        a_message_arrives_as_it_was_published,
        the_messages_of_a_batch_are_heard_or_their_loss_is_told,
        what_nobody_follows_is_no_error,
        following_twice_and_leaving_what_was_not_followed_is_no_error,
        what_is_followed_again_is_heard_again,
        a_wait_given_up_loses_nothing,
        without_a_message_there_is_nothing_to_hear,
        a_flood_that_nobody_hears_is_bounded_and_its_loss_is_told,
        no_more_is_given_than_was_wanted,
        a_bus_that_works_says_so,
    ]
}

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without a message none is under way.
const QUIET: Duration = Duration::from_millis(500);

fn conversation(n: u8) -> Topic {
    Topic::Conversation(ConversationId::from_bytes([n; 16]))
}

fn user(name: &str) -> Topic {
    Topic::User(UserId::new(name).expect("a valid user"))
}

/// Publishes until it is heard, because a bus may drop what it likes.
async fn reaches<B: Bus>(from: &B, to: &B, topic: &Topic, bytes: &Bytes) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        from.publish(vec![(topic.clone(), bytes.clone())]).await.expect("the bus works");
        while let Ok(heard) = timeout(QUIET, to.next()).await {
            if let Heard::Message(heard_topic, heard_bytes) = heard
                && (&heard_topic, &heard_bytes) == (topic, bytes)
            {
                return;
            }
        }
    }
    panic!("{topic:?} is never heard");
}

async fn what_is_followed_is_heard<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    for topic in [conversation(1), user("ann"), user("é \u{1f600} %*:")] {
        nodes[1].follow(vec![topic.clone()]).await.expect("the bus works");
        reaches(&nodes[0], &nodes[1], &topic, &Bytes::from_static(b"hi")).await;
    }
}

async fn every_node_is_heard<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(3).await;
    for node in &nodes {
        node.follow(vec![conversation(1)]).await.expect("the bus works");
    }
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1), (1, 2)] {
        let bytes = Bytes::from(format!("{from} to {to}"));
        reaches(&nodes[from], &nodes[to], &conversation(1), &bytes).await;
    }
}

async fn a_message_arrives_as_it_was_published<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    nodes[1].follow(vec![conversation(1)]).await.expect("the bus works");
    let every_byte: Vec<u8> = (0..=255).collect();
    let messages = [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"a\r\nb"),
        Bytes::from(every_byte),
        Bytes::from(vec![0xff; 64 * 1024]),
    ];
    for bytes in &messages {
        reaches(&nodes[0], &nodes[1], &conversation(1), bytes).await;
    }
}

async fn the_messages_of_a_batch_are_heard_or_their_loss_is_told<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    let topics: Vec<_> = (0..10).map(conversation).collect();
    nodes[1].follow(topics.clone()).await.expect("the bus works");
    let batch = (0..100).map(|n: u8| (topics[usize::from(n % 10)].clone(), Bytes::from(vec![n])));
    nodes[0].publish(batch.collect()).await.expect("the bus works");
    let mut missing: BTreeSet<u8> = (0..100).collect();
    while let Ok(heard) = timeout(QUIET, nodes[1].next()).await {
        match heard {
            Heard::Message(topic, bytes) => {
                assert_eq!(topic, topics[usize::from(bytes[0] % 10)], "under its own topic");
                missing.remove(&bytes[0]);
            }
            Heard::Lost => return,
        }
    }
    // At most once, but not never: a bus that works carries most.
    assert!(missing.len() < 50, "{} of 100 are missing, and nothing is told", missing.len());
}

async fn what_nobody_follows_is_no_error<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(1).await;
    let message = (user("nobody"), Bytes::from_static(b"hi"));
    nodes[0].publish(vec![message]).await.expect("nobody needs to hear it");
    nodes[0].publish(Vec::new()).await.expect("nothing is no error");
    nodes[0].follow(Vec::new()).await.expect("nothing is no error");
    nodes[0].unfollow(Vec::new()).await.expect("nothing is no error");
}

async fn following_twice_and_leaving_what_was_not_followed_is_no_error<F: BusFactory>(
    trial: Trial<F>,
) {
    let nodes = trial.factory.nodes(2).await;
    nodes[1].unfollow(vec![user("nobody")]).await.expect("is no error");
    for _ in 0..2 {
        nodes[1].follow(vec![conversation(1), conversation(1)]).await.expect("is no error");
    }
    reaches(&nodes[0], &nodes[1], &conversation(1), &Bytes::from_static(b"hi")).await;
}

async fn what_is_followed_again_is_heard_again<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    for round in 0..5_u8 {
        nodes[1].follow(vec![conversation(1), conversation(2)]).await.expect("the bus works");
        nodes[1].unfollow(vec![conversation(2)]).await.expect("the bus works");
        reaches(&nodes[0], &nodes[1], &conversation(1), &Bytes::from(vec![round])).await;
        nodes[1].unfollow(vec![conversation(1)]).await.expect("the bus works");
    }
}

async fn a_wait_given_up_loses_nothing<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    nodes[1].follow(vec![conversation(1)]).await.expect("the bus works");
    let mut next = 0;
    let mut told = false;
    for n in 0..20_u8 {
        let message = (conversation(1), Bytes::from(vec![n]));
        nodes[0].publish(vec![message]).await.expect("the bus works");
        // Looked at once, and dropped unless it is there.
        let mut waiting = pin!(nodes[1].next());
        let heard = std::future::poll_fn(|context| {
            Poll::Ready(match waiting.as_mut().poll(context) {
                Poll::Ready(heard) => Some(heard),
                Poll::Pending => None,
            })
        })
        .await;
        next += usize::from(matches!(heard, Some(Heard::Message(..))));
        told |= heard == Some(Heard::Lost);
    }
    while let Ok(heard) = timeout(QUIET, nodes[1].next()).await {
        next += usize::from(matches!(heard, Heard::Message(..)));
        told |= heard == Heard::Lost;
    }
    assert!(told || next >= 20, "{next} of 20 were heard, and nothing is told");
}

async fn without_a_message_there_is_nothing_to_hear<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    nodes[1].follow(vec![conversation(1)]).await.expect("the bus works");
    without_a_sound(&nodes[1..]).await;
}

/// Nobody published anything.
async fn without_a_sound<B: Bus>(nodes: &[B]) {
    for node in nodes {
        while let Ok(heard) = timeout(QUIET, node.next()).await {
            // A connection that has just been made may say that it knows of nothing before.
            assert_eq!(heard, Heard::Lost, "nobody published anything");
        }
    }
}

async fn a_flood_that_nobody_hears_is_bounded_and_its_loss_is_told<F: BusFactory>(trial: Trial<F>) {
    const BATCHES: u32 = 200;
    const BATCH: u32 = 250;
    let nodes = trial.factory.nodes(2).await;
    nodes[1].follow(vec![conversation(1)]).await.expect("the bus works");
    for batch in 0..BATCHES {
        let messages = (0..BATCH).map(|n| {
            let mut bytes = (batch * BATCH + n).to_be_bytes().to_vec();
            bytes.resize(200, 0);
            (conversation(1), Bytes::from(bytes))
        });
        // Refusing is a way of staying bounded too, if it is said.
        if nodes[0].publish(messages.collect()).await.is_err() {
            return;
        }
    }
    let mut heard = BTreeSet::new();
    let mut told = false;
    while let Ok(next) = timeout(QUIET, nodes[1].next()).await {
        match next {
            Heard::Lost => told = true,
            Heard::Message(topic, bytes) => {
                let number = bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
                let number = number.filter(|number| *number < BATCHES * BATCH);
                assert_eq!((topic, bytes.len()), (conversation(1), 200));
                heard.insert(number.expect("what is heard was published"));
            }
        }
    }
    let missing = (BATCHES * BATCH) as usize - heard.len();
    assert!(told || missing == 0, "{missing} are missing, and nothing is told");
    // And it is still a bus.
    reaches(&nodes[0], &nodes[1], &conversation(1), &Bytes::from_static(b"after the flood")).await;
}

async fn no_more_is_given_than_was_wanted<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    let budget = Budget { name: "conformance", per_second: 10, burst: 20 };
    for wanted in [0, 1, 5, 1, 1_000_000, u32::MAX, 0, 7] {
        for node in &nodes {
            let given = node.take(budget, wanted).await.expect("the bus works");
            assert!(given <= wanted, "{given} of {wanted}");
        }
    }
    // The first of a budget is there for whoever asks first.
    let other = Budget { name: "conformance-2", ..budget };
    assert_eq!(nodes[0].take(other, 3).await.expect("the bus works"), 3);
}

async fn a_bus_that_works_says_so<F: BusFactory>(trial: Trial<F>) {
    let nodes = trial.factory.nodes(2).await;
    for node in &nodes {
        node.check().await.expect("the bus works");
    }
    without_a_sound(&nodes).await;
}
