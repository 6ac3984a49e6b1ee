//! The hub: one event to 1, 10, 100, 1,000 and 5,000 sessions, from the publication to the bytes
//! that a socket would be given, encoding included. Deliveries a second.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
};

use benches::{conversation, event};
use chat_sdk::{
    Limits, Seq,
    hub::{Feeds, Mailbox, Published},
    protocol::{Encoded, ServerFrame},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub/fan_out");
    let room = Limits::default().mailbox_bytes_max;
    for sessions in [1usize, 10, 100, 1_000, 5_000] {
        group.throughput(Throughput::Elements(sessions as u64));
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            let mut feeds = Feeds::default();
            let mailboxes: Vec<_> = (0..sessions).map(|_| Arc::new(Mailbox::new(room))).collect();
            for mailbox in &mailboxes {
                feeds.follow(conversation(0), mailbox, Seq::ZERO);
            }
            let mut cx = Context::from_waker(Waker::noop());
            let mut frames = VecDeque::new();
            let mut seq = 0;
            bencher.iter(|| {
                seq += 1;
                let frame = Encoded::text(&ServerFrame::Event(event(seq, 128)));
                let published = feeds.publish(conversation(0), Seq::new(seq), &frame);
                assert_eq!(published, Published::Delivered(sessions));
                for mailbox in &mailboxes {
                    let taken = mailbox.poll_take(&mut cx, &mut frames, false);
                    assert!(taken.is_ready(), "the frame is in the mailbox");
                    mailbox.written(frames.drain(..).map(|bytes| bytes.len()).sum());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
