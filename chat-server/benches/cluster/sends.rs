//! Durable sends at saturation on one server, beside plain inserts into the same database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{ConversationId, Text, client::Client, protocol::SendTo};

use crate::{figures::Delays, town::Town};

/// Connections that send, each as much as a connection may have in flight.
const SENDERS: usize = 48;
/// Of each, in as many conversations: a client sends the messages of one after the other.
const IN_FLIGHT: usize = 30;

pub(crate) async fn run(seconds: usize) {
    let settings = [
        ("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "100000".to_owned()),
        ("CHAT_SERVER__LIMITS__SENDS_BURST", "100000".to_owned()),
        ("CHAT_SERVER__LIMITS__FRAMES_PER_SECOND", "100000".to_owned()),
    ];
    let town = Town::new(1, &settings).await;
    let users = town.people(SENDERS).await;
    let span = Duration::from_secs(seconds as u64);
    println!("sends: {SENDERS} connections with {IN_FLIGHT} in flight each, {seconds} s, fsync on");

    let mut many = Vec::new();
    for (n, user) in users.iter().enumerate() {
        for m in 0..IN_FLIGHT {
            many.push(town.group(&format!("group {n} {m}"), std::slice::from_ref(user)).await);
        }
    }
    let spread = saturate(&town, &users, |n, m| many[n * IN_FLIGHT + m], span).await;
    let hot = town.group("hot", &users).await;
    // Nobody listens but the senders; each gets all, so it is also a fan-out to as many.
    let one = saturate(&town, &users, |_, _| hot, span).await;
    for batch in [64, 256] {
        for connections in [1, 4] {
            let plain = insert(&town, batch, connections, span / 2).await;
            println!(
                "  plain inserts, {batch} rows a commit, {connections} connections: {plain:.0} rows/s; many conversations reach {:.2} of it, one {:.2}",
                spread / plain,
                one / plain
            );
        }
    }
}

/// How many a second were acknowledged.
async fn saturate(
    town: &Town,
    users: &[chat_sdk::UserId],
    conversation: impl Fn(usize, usize) -> ConversationId,
    span: Duration,
) -> f64 {
    let (count, on) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let mut senders = Vec::new();
    for (n, user) in users.iter().enumerate() {
        let (client, mut events) = town.client(user, 0).start().unwrap();
        tokio::spawn(async move { while events.next().await.is_some() {} });
        for m in 0..IN_FLIGHT {
            let (client, to) = (client.clone(), conversation(n, m));
            senders.push(tokio::spawn(send(client, to, count.clone(), on.clone())));
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, began, cpu) = (count.load(Ordering::Relaxed), Instant::now(), town.cpu());
    tokio::time::sleep(span).await;
    let sent = (count.load(Ordering::Relaxed) - before) as f64;
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), town.cpu().since(cpu));
    on.store(false, Ordering::Relaxed);
    let mut delays = Delays::default();
    for sender in senders {
        delays.merge(sender.await.unwrap());
    }
    println!(
        "  {:.0} sends/s, {}; CPU: server {:.1} s, PostgreSQL {:.1} s, Redis {:.1} s; {:.0} sends per CPU-second of these",
        sent / elapsed,
        delays.say(),
        cpu.servers,
        cpu.postgres,
        cpu.redis,
        sent / cpu.total(),
    );
    sent / elapsed
}

async fn send(
    client: Client,
    to: ConversationId,
    count: Arc<AtomicU64>,
    on: Arc<AtomicBool>,
) -> Delays {
    let text = Text::new("x".repeat(80)).unwrap();
    let mut delays = Delays::default();
    while on.load(Ordering::Relaxed) {
        let asked = Instant::now();
        client.send(SendTo::Conversation(to), text.clone()).unwrap().await.unwrap();
        delays.add(asked.elapsed());
        count.fetch_add(1, Ordering::Relaxed);
    }
    delays
}

/// Rows a second of the same content into a plain table with the same primary key.
async fn insert(town: &Town, batch: usize, connections: usize, span: Duration) -> f64 {
    town.postgres.sql(
        &town.database,
        "DROP TABLE IF EXISTS plain; CREATE TABLE plain (conversation uuid, seq bigint, at bigint, author text, key text, body text, PRIMARY KEY (conversation, seq))",
    );
    let count = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|worker| {
            let (url, count) = (town.postgres.url(&town.database), count.clone());
            tokio::spawn(async move {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let insert = client
                    .prepare(
                        "INSERT INTO plain SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])",
                    )
                    .await
                    .unwrap();
                let conversation = uuid::Uuid::from_u128(worker as u128);
                let mut next = 0_i64;
                while began.elapsed() < span {
                    let seqs: Vec<i64> = (next..next + batch as i64).collect();
                    let ats = vec![1_700_000_000_000_i64; batch];
                    let authors = vec!["user17"; batch];
                    let keys: Vec<String> =
                        seqs.iter().map(|seq| format!("0123456789abcdef-{seq}")).collect();
                    let body = format!(r#"{{"type":"message","text":"{}"}}"#, "x".repeat(80));
                    let bodies = vec![body; batch];
                    client
                        .execute(&insert, &[&conversation, &seqs, &ats, &authors, &keys, &bodies])
                        .await
                        .unwrap();
                    next += batch as i64;
                    count.fetch_add(batch as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}
