//! One who stops reading in a group that talks, and what becomes of the others, of the server's
//! memory and of them.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    server::{Server, allow_files, user_name},
    wire::{self, Heard, Live},
};

/// Connections that send and read: each may send no more than 100 frames a second.
const SENDERS_MIN: usize = 20;

struct Reader {
    /// Delays in microseconds between asking and hearing.
    delays: Vec<u64>,
    last: u64,
    acknowledged: u64,
}

/// Talks for so long at this rate; panics if anybody misses anything.
pub(crate) fn run(seconds: usize, rate: usize) {
    allow_files(1_000);
    let senders = SENDERS_MIN.max(rate / 50);
    let (server, (token, conversation)) = Server::start(senders + 1, |server| {
        let (_, token) = server.register("owner");
        let members: Vec<String> = (0..=senders).map(user_name).collect();
        let body = json!({ "kind": "group", "title": "busy", "members": members });
        let made = wire::request(server.address, "POST", "/conversations", &token, &body).unwrap();
        (token, made["id"].as_str().unwrap().to_owned())
    });

    let who = |user: usize| format!("user_id={}", user_name(user));
    // With as small a buffer as the system gives, so that it is full soon.
    let mut slow = Live::open(server.address, &who(senders), Some(4 * 1024)).unwrap();
    let epoch = slow.hello(None).unwrap()["epoch"].clone();
    let before = server.resident_at_rest();
    println!(
        "slow-reader: {rate} messages a second for {seconds} s, {senders} readers, one stopped"
    );

    let began = Instant::now();
    let over = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let ready = Barrier::new(senders + 1);
    let mut most = before;
    let readers: Vec<Reader> = thread::scope(|scope| {
        let threads: Vec<_> = (0..senders)
            .map(|sender| {
                let (server, conversation, over, sent, ready, who) =
                    (&server, &conversation, &over, &sent, &ready, who(sender));
                let pause = Duration::from_secs_f64(senders as f64 / rate as f64);
                scope.spawn(move || {
                    let mut live = Live::open(server.address, &who, None).unwrap();
                    live.hello(None).unwrap();
                    ready.wait();
                    talk(live, conversation, began, pause, over, sent, sender)
                })
            })
            .collect();
        ready.wait();
        for second in 1..=seconds {
            thread::sleep(Duration::from_secs(1));
            let now = server.resident();
            most = most.max(now);
            if second % 5 == 0 {
                let sent = sent.load(Ordering::Relaxed);
                println!("  {second:3} s: {sent} sent, {} KiB resident", now / 1024);
            }
        }
        over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let head = readers.iter().map(|it| it.last).max().unwrap();
    assert!(readers.iter().all(|it| it.last == head), "not all others hold everything");
    let acknowledged: u64 = readers.iter().map(|it| it.acknowledged).sum();
    assert_eq!(acknowledged, sent.load(Ordering::Relaxed), "not everything was acknowledged");
    let mut delays: Vec<u64> = readers.into_iter().flat_map(|it| it.delays).collect();
    delays.sort_unstable();
    let at = |part: f64| delays[(delays.len() as f64 * part) as usize] as f64 / 1000.0;
    println!(
        "  others: all {head} events in order, {} deliveries, {:.1} ms median, {:.1} ms p99, {:.1} ms worst",
        delays.len(),
        at(0.5),
        at(0.99),
        delays[delays.len() - 1] as f64 / 1000.0,
    );
    println!(
        "  memory: {} KiB before, {} KiB at most, {} KiB at rest afterwards (database {} KiB)",
        before / 1024,
        most / 1024,
        server.resident_at_rest() / 1024,
        server.database_bytes() / 1024,
    );
    catch_up(&server, slow, &epoch, &conversation, head, &who(senders), &token);
}

/// Sends at its pace and reads everything, until all is over and quiet.
fn talk(
    mut live: Live,
    conversation: &str,
    began: Instant,
    pause: Duration,
    over: &AtomicBool,
    sent: &AtomicU64,
    sender: usize,
) -> Reader {
    let mut reader = Reader { delays: Vec::new(), last: 0, acknowledged: 0 };
    live.look_for(Duration::from_millis(2)).unwrap();
    let mut next = Instant::now() + pause.mul_f64(sender as f64 / 20.0);
    let (mut own, mut quiet_since) = (0_u64, Instant::now());
    loop {
        let talks = !over.load(Ordering::SeqCst);
        if talks && Instant::now() >= next && own - reader.acknowledged < 32 {
            next += pause;
            let key = format!("{sender}-{own}");
            let text = format!("{} {}", began.elapsed().as_micros(), "x".repeat(80));
            let frame = json!({ "type": "send", "id": key, "key": key, "conversation": conversation, "text": text });
            live.say(&frame).unwrap();
            own += 1;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        match live.hear().unwrap() {
            Heard::Text(frame) => {
                quiet_since = Instant::now();
                match frame["type"].as_str() {
                    Some("event") => {
                        let seq = frame["seq"].as_u64().unwrap();
                        assert!(
                            reader.last == 0 || seq == reader.last + 1,
                            "{seq} after {}",
                            reader.last
                        );
                        reader.last = seq;
                        let text = frame["event"]["text"].as_str().unwrap_or("");
                        if let Some(then) =
                            text.split(' ').next().and_then(|it| it.parse::<u64>().ok())
                        {
                            let now = u64::try_from(began.elapsed().as_micros()).unwrap();
                            reader.delays.push(now.saturating_sub(then));
                        }
                    }
                    Some("ack") => reader.acknowledged += 1,
                    Some("error" | "reset" | "left") => panic!("{frame}"),
                    _ => {}
                }
            }
            Heard::Closed(code) => panic!("a good reader was closed with {code}"),
            Heard::Nothing => {
                let quiet = quiet_since.elapsed() > Duration::from_secs(3);
                if !talks && quiet && reader.acknowledged == own {
                    return reader;
                }
            }
        }
    }
}

/// The slow one reads what is left for it, comes back, and has to hold everything then.
fn catch_up(
    server: &Server,
    mut slow: Live,
    epoch: &Value,
    conversation: &str,
    head: u64,
    who: &str,
    token: &str,
) {
    let mut position = 1;
    let (mut live, mut resets, mut how) = (0, 0, "caught up on its first connection".to_owned());
    slow.look_for(Duration::from_secs(5)).unwrap();
    let mut resumed = false;
    while position < head {
        match slow.hear() {
            Ok(Heard::Text(frame)) => match frame["type"].as_str() {
                Some("event") => {
                    let seq = frame["seq"].as_u64().unwrap();
                    if seq > position {
                        assert_eq!(seq, position + 1, "a hole");
                        position = seq;
                        live += 1;
                    }
                }
                Some("reset") => {
                    // What lies before is read over HTTP, page by page.
                    let upto = frame["head"].as_u64().unwrap();
                    position = load(server, conversation, position, upto, token);
                    resets += 1;
                }
                _ => {}
            },
            closed @ (Ok(Heard::Closed(_) | Heard::Nothing) | Err(_)) => {
                assert!(!resumed, "it does not catch up: {position} of {head}");
                resumed = true;
                how = match closed {
                    Ok(Heard::Closed(code)) => format!("closed with {code}, resumed"),
                    Ok(_) => "went silent, resumed".to_owned(),
                    Err(why) => format!("cut off ({why}), resumed"),
                };
                slow = Live::open(server.address, who, None).unwrap();
                slow.look_for(Duration::from_secs(5)).unwrap();
                let positions = json!({ conversation: position });
                slow.hello(Some(&json!({ "epoch": epoch, "positions": positions }))).unwrap();
            }
        }
    }
    println!(
        "  the slow one: {how}; {live} events live, {resets} resets; holds all {position} of {head}"
    );
}

/// Reads from `after` up to `upto` and answers the last place, which is `upto`.
fn load(server: &Server, conversation: &str, after: u64, upto: u64, token: &str) -> u64 {
    let mut position = after;
    while position < upto {
        let path = format!("/conversations/{conversation}/events?limit=100&after={position}");
        let page = wire::request(server.address, "GET", &path, token, &Value::Null).unwrap();
        let page = page.as_array().unwrap().clone();
        assert!(!page.is_empty(), "nothing after {position} of {upto}");
        for event in page {
            assert_eq!(event["seq"].as_u64(), Some(position + 1), "a hole");
            position += 1;
        }
    }
    position
}
