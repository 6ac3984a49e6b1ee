//! The feed alone, what its lock is held for: offering a frame that is encoded already to 1 … 5,000
//! mailboxes, live or partly behind; following and leaving; coming back; being told a head.

use std::{
    collections::VecDeque,
    hint::black_box,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use benches::{conversation, event};
use chat_sdk::{
    Limits, Seq,
    hub::{Feeds, Followed, Mailbox, Rejoin},
    protocol::{Encoded, ServerFrame},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Events that come before connections take them: what a busy conversation puts in at once.
const BURST: u64 = 16;

/// A conversation that this many follow.
struct Followers {
    feeds: Feeds,
    mailboxes: Vec<Arc<Mailbox>>,
    seq: u64,
    frame: Encoded,
}

impl Followers {
    fn new(count: usize) -> Self {
        let room = Limits::default().mailbox_bytes_max;
        let mailboxes: Vec<_> = (0..count).map(|_| Arc::new(Mailbox::new(room))).collect();
        let mut feeds = Feeds::default();
        for mailbox in &mailboxes {
            feeds.follow(conversation(0), mailbox, Seq::ZERO);
        }
        let frame = Encoded::text(&ServerFrame::Event(event(1, 128)));
        Self { feeds, mailboxes, seq: 0, frame }
    }

    fn publish(&mut self) {
        self.seq += 1;
        black_box(self.feeds.publish(conversation(0), Seq::new(self.seq), &self.frame));
    }

    fn drain(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut frames = VecDeque::new();
        for mailbox in &self.mailboxes {
            let _ = mailbox.poll_take(&mut cx, &mut frames, false);
            mailbox.written(frames.drain(..).map(|bytes| bytes.len()).sum());
        }
    }

    /// Time for so many publications; emptying the mailboxes between bursts is not counted.
    fn time_publishing(&mut self, publications: u64) -> Duration {
        let (mut left, mut spent) = (publications, Duration::ZERO);
        while left > 0 {
            let burst = left.min(BURST);
            let began = Instant::now();
            for _ in 0..burst {
                self.publish();
            }
            spent += began.elapsed();
            self.drain();
            left -= burst;
        }
        spent
    }
}

/// Offers a second, whatever becomes of them.
fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed/publish");
    for count in [1usize, 10, 100, 1_000, 5_000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut followers = Followers::new(count);
            bencher.iter_custom(|publications| followers.time_publishing(publications));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("feed/publish_1000_with_behind");
    for behind in [10usize, 100, 900] {
        group.throughput(Throughput::Elements(1_000));
        group.bench_function(BenchmarkId::from_parameter(behind), |bencher| {
            let mut followers = Followers::new(1_000);
            // Spread over the list, as it would be.
            for place in 0..behind {
                let mailbox = &followers.mailboxes[place * 1_000 / behind];
                assert!(followers.feeds.set_behind(conversation(0), mailbox));
            }
            bencher.iter_custom(|publications| followers.time_publishing(publications));
        });
    }
    group.finish();
}

/// One comes to those who are there, and goes.
fn follow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed/follow_unfollow");
    for others in [0usize, 10, 1_000, 5_000] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(others), |bencher| {
            let mut followers = Followers::new(others);
            let mailbox = Arc::new(Mailbox::new(Limits::default().mailbox_bytes_max));
            bencher.iter(|| {
                let followed = followers.feeds.follow(conversation(0), &mailbox, Seq::ZERO);
                assert_eq!(followed, Followed::Live { new: others == 0 });
                followers.feeds.unfollow(conversation(0), &mailbox)
            });
        });
    }
    group.finish();
}

/// One who was behind goes live among so many.
fn rejoin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed/behind_and_rejoin");
    for count in [1usize, 100, 5_000] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut followers = Followers::new(count);
            followers.publish();
            let mut next = 0;
            bencher.iter(|| {
                // One after the other, so that no place in the list is the only one looked for.
                next = (next + 1) % count;
                let mailbox = &followers.mailboxes[next];
                followers.feeds.set_behind(conversation(0), mailbox);
                let rejoined = followers.feeds.rejoin(conversation(0), mailbox, Seq::new(1));
                assert_eq!(rejoined, Rejoin::Live);
            });
        });
    }
    group.finish();
}

/// The position check tells a node the heads of everything that is followed there.
fn observe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed/observe");
    for count in [1_000usize, 10_000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut feeds = Feeds::default();
            let mailbox = Arc::new(Mailbox::new(Limits::default().mailbox_bytes_max));
            let conversations: Vec<_> = (0..count).map(conversation).collect();
            for conversation in &conversations {
                feeds.follow(*conversation, &mailbox, Seq::new(7));
            }
            bencher.iter(|| {
                for conversation in &conversations {
                    assert_eq!(feeds.observe(*conversation, Seq::new(7)), None);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, publish, follow, rejoin, observe);
criterion_main!(benches);
