//! A group of thousands: what a message in it costs the store, and who is told of it.

use std::{sync::atomic::Ordering, time::Instant};

use chat_sdk::{Change, Chat, Limits, To};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Ask, Moody, Server, user};

const MEMBERS: usize = 5_000;
const ONLINE: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_thousands_is_one_append_and_reaches_everybody_who_is_there() {
    let store = Moody::new();
    let limits = Limits {
        // All come from one place, in one moment.
        admissions_per_second: 10_000,
        handshakes_per_address_max: 512,
        ..Limits::default()
    };
    let server = Server::start(
        Chat::builder(crate::support::TokenIsUser).store(store.clone()).limits(limits),
    )
    .await;
    let names: Vec<String> = (0..MEMBERS).map(|n| format!("u{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let group = server.group(&names[..100]).await;
    for some in names[100..].chunks(100) {
        let users = some.iter().map(|name| user(name)).collect();
        server.change(group, Change::Add(users, None)).await;
    }
    let mut devices = Vec::with_capacity(ONLINE);
    for some in names[..ONLINE].chunks(50) {
        devices.extend(join_all(some.iter().map(|name| server.connect(name))).await);
    }

    let (writes, reads) = (store.asked.load(Ordering::SeqCst), store.read.load(Ordering::SeqCst));
    let begun = Instant::now();
    let sent = server.say(names[0], To::Conversation(group), "hello, all of you").await;
    let seqs = join_all(
        devices
            .iter_mut()
            .map(async |device| device.next_of("event").await["seq"].as_u64().unwrap()),
    );
    let seqs = seqs.await;
    println!("{} of {MEMBERS} online; the last one had it after {:?}", ONLINE, begun.elapsed());
    assert!(seqs.iter().all(|seq| *seq == sent.seq.get()));
    // One batch with one write in it, and nothing was looked up for any of the members.
    assert_eq!(store.asked.load(Ordering::SeqCst) - writes, 1);
    assert_eq!(store.written.load(Ordering::SeqCst), 1);
    assert_eq!(store.read.load(Ordering::SeqCst) - reads, 0);

    // Who has read it is a count.
    let read = json!({"type": "mark", "id": "m", "conversation": group, "read": sent.seq});
    for device in &mut devices[..20] {
        device.command(read.clone()).await;
        device.next_of("done").await;
    }
    let path = format!("/conversations/{group}/messages/{}/receipts", sent.seq);
    let receipts = server.ask(Ask::get(&path).by(names[0])).await.json();
    // The one who asks is not counted, and is one of the twenty.
    assert_eq!(receipts, json!({"members": MEMBERS - 1, "received": 19, "read": 19}));
    for device in &mut devices[20..] {
        let frames = device.so_far().await;
        assert!(frames.iter().all(|frame| frame["type"] != "receipt"), "{frames:?}");
    }
}
