//! Servers restarted one after the other, while everybody is connected and some talk.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{
    ConversationId, Text,
    client::{Client, ClientEvent, ClientEvents, SendError},
    protocol::SendTo,
};

use crate::{
    figures::Delays,
    town::{PATIENCE, Town, wait_for_all},
};

/// Members of a group.
const GROUP: usize = 20;

#[derive(Default)]
struct Seen {
    /// By second of the run.
    connects: Mutex<BTreeMap<u64, u64>>,
    moved: AtomicU64,
    lost: AtomicU64,
    resets: AtomicU64,
}

pub(crate) async fn run(clients: usize, rate: usize) {
    // So long everybody of a server has to move; the budget of all servers is above it.
    let window = Duration::from_secs(20);
    let settings = [
        ("CHAT_SERVER__DRAIN__NOTICE", "1s".to_owned()),
        ("CHAT_SERVER__DRAIN__CLIENTS", format!("{}s", window.as_secs())),
        ("CHAT_SERVER__DRAIN__LIMIT", "40s".to_owned()),
    ];
    let mut town = Town::new(3, &settings).await;
    let users = town.people(clients).await;
    let mut groups = Vec::new();
    for (n, members) in users.chunks(GROUP).enumerate() {
        groups.push((town.group(&format!("group {n}"), members).await, members.len()));
    }
    println!(
        "rolling: {clients} clients on 3 servers, {rate} messages a second in {} groups",
        groups.len()
    );
    let (began, seen) = (Instant::now(), Arc::new(Seen::default()));
    let (mut handles, mut readers) = (Vec::new(), Vec::new());
    let (over, heads) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
    for (n, user) in users.iter().enumerate() {
        let (client, events) = town.client(user, n).start().unwrap();
        handles.push(client);
        readers.push(tokio::spawn(read(events, began, seen.clone(), over.clone(), heads.clone())));
        // Arrivals are spread too: the storm is another measurement.
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    wait_for_all(&handles).await;
    println!("  all connected after {:.1} s", began.elapsed().as_secs_f64());

    let talk = Arc::new(AtomicBool::new(true));
    let talking = tokio::spawn(talk_all(handles.clone(), groups.clone(), rate, talk.clone()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut spans = Vec::new();
    for place in 0..town.servers.len() {
        let from = began.elapsed().as_secs();
        let left = town.servers[place].restart().await;
        spans.push((from, began.elapsed().as_secs()));
        println!("  server {place} left in {:.1} s", left.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    talk.store(false, Ordering::Relaxed);
    let (sent, failed, mut acks) = talking.await.unwrap();
    let expected = heads_of(&town, &groups).await;
    *heads.lock().unwrap() = expected;
    over.store(true, Ordering::Relaxed);
    let mut behind = 0;
    for reader in readers {
        behind += usize::from(!tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap());
    }
    println!("  sent {sent}, failed {failed}; acknowledged in {}", acks.say());
    println!(
        "  clients that moved {}, connections that broke {}, resets {}, clients that miss something {behind}",
        seen.moved.load(Ordering::Relaxed),
        seen.lost.load(Ordering::Relaxed),
        seen.resets.load(Ordering::Relaxed),
    );
    let connects = seen.connects.lock().unwrap().clone();
    for (from, to) in spans {
        let rates: Vec<u64> = (from..=to).map(|s| connects.get(&s).copied().unwrap_or(0)).collect();
        println!("  connections a second: {rates:?}");
    }
    assert_eq!((failed, behind), (0, 0));
    for client in handles {
        client.close().await;
    }
}

/// The last numbers, as the database has them.
async fn heads_of(
    town: &Town,
    groups: &[(ConversationId, usize)],
) -> BTreeMap<ConversationId, u64> {
    use chat_sdk::Store;
    let ids: Vec<_> = groups.iter().map(|(id, _)| *id).collect();
    let heads = town.store.heads(&ids).await.unwrap().heads;
    heads.into_iter().map(|(id, head)| (id, head.get())).collect()
}

/// Reads until all is over and everything is there. True if it is.
async fn read(
    mut events: ClientEvents,
    began: Instant,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
    heads: Arc<Mutex<BTreeMap<ConversationId, u64>>>,
) -> bool {
    let mut reached: BTreeMap<ConversationId, u64> = BTreeMap::new();
    let mut waited = 0;
    loop {
        let next = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
        match next {
            Ok(Some(ClientEvent::Event(event))) => {
                let before = reached.insert(event.conversation, event.seq.get());
                if before.is_some_and(|before| before + 1 != event.seq.get()) {
                    return false;
                }
            }
            Ok(Some(ClientEvent::Connected { .. })) => {
                *seen.connects.lock().unwrap().entry(began.elapsed().as_secs()).or_default() += 1;
            }
            Ok(Some(ClientEvent::Moved)) => {
                *seen.connects.lock().unwrap().entry(began.elapsed().as_secs()).or_default() += 1;
                seen.moved.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Disconnected { .. })) => {
                seen.lost.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Reset { .. })) => {
                seen.resets.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Closed(_)) | None) => return false,
            Ok(Some(_)) => {}
            Err(_) if over.load(Ordering::Relaxed) => {
                let heads = heads.lock().unwrap();
                if reached.iter().all(|(id, seq)| heads.get(id) == Some(seq)) {
                    return true;
                }
                waited += 1;
                if waited > 60 {
                    return false;
                }
            }
            Err(_) => {}
        }
    }
}

/// Everybody in turn, in their group, at this rate; how many, how many failed, how long it took.
async fn talk_all(
    clients: Vec<Client>,
    groups: Vec<(ConversationId, usize)>,
    rate: usize,
    on: Arc<AtomicBool>,
) -> (u64, u64, Delays) {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    let mut sending = tokio::task::JoinSet::new();
    let mut sent = 0_u64;
    while on.load(Ordering::Relaxed) {
        ticks.tick().await;
        let who = (sent as usize * 7919) % clients.len();
        let (group, _) = groups[who / GROUP];
        let text = Text::new(format!("message {sent}")).unwrap();
        let (client, asked) = (clients[who].clone(), Instant::now());
        sending.spawn(async move {
            client.send(SendTo::Conversation(group), text)?.await?;
            Ok::<_, SendError>(asked.elapsed())
        });
        sent += 1;
    }
    let (mut failed, mut delays) = (0, Delays::default());
    while let Some(sent) = sending.join_next().await {
        match sent.unwrap() {
            Ok(delay) => delays.add(delay),
            Err(why) => {
                eprintln!("  a send failed: {why}");
                failed += 1;
            }
        }
    }
    (sent, failed, delays)
}
