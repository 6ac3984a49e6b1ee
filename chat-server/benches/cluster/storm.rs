//! All connections of a server cut at once, beside others that talk through another door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{
    ConversationId, Store, Text,
    client::{Client, ClientEvent, ClientEvents},
    protocol::SendTo,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

use crate::{
    figures::Delays,
    town::{PATIENCE, Town, wait_for_all},
};

/// Members of a group.
const GROUP: usize = 20;
/// Clients that talk all the time.
const LIVE: usize = 20;

/// A door to a server that can be slammed.
async fn door(to: SocketAddr) -> (SocketAddr, broadcast::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, slam) = (listener.local_addr().unwrap(), broadcast::Sender::new(1));
    let slams = slam.clone();
    tokio::spawn(async move {
        loop {
            let (mut outside, _) = listener.accept().await.unwrap();
            let mut slammed = slams.subscribe();
            tokio::spawn(async move {
                let Ok(mut inside) = TcpStream::connect(to).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                    _ = slammed.recv() => {}
                }
            });
        }
    });
    (address, slam)
}

pub(crate) async fn run(clients: usize) {
    let town = Arc::new(Town::new(1, &[]).await);
    let users = town.people(clients + LIVE).await;
    let mut groups = Vec::new();
    for (n, members) in users[..clients].chunks(GROUP).enumerate() {
        groups.push(town.group(&format!("group {n}"), members).await);
    }
    let live_group = town.group("live", &users[clients..]).await;
    println!("storm: {clients} clients cut at once, {LIVE} others talk");
    let (behind, slam) = door(town.servers[0].address).await;

    let mut handles = Vec::new();
    let resumed = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for (n, user) in users[..clients].iter().enumerate() {
        let client = town.client(user, 0).route(move |_| format!("http://{behind}"));
        let (client, events) = client.start().unwrap();
        readers.push(tokio::spawn(read(events, groups[n / GROUP], resumed.clone(), over.clone())));
        handles.push(client);
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    wait_for_all(&handles).await;
    println!("  all connected");

    let mut live = Vec::new();
    for user in &users[clients..] {
        live.push(town.client(user, 0).start().unwrap());
    }
    let phase = Arc::new(AtomicUsize::new(0));
    let talking: Vec<_> = live
        .into_iter()
        .map(|(client, events)| tokio::spawn(talk(client, events, live_group, phase.clone())))
        .collect();
    let watching = tokio::spawn(watch(town.clone(), phase.clone()));
    tokio::time::sleep(Duration::from_secs(10)).await;

    // What they miss, one message each group.
    let first = resumed.load(Ordering::Relaxed);
    phase.store(1, Ordering::Relaxed);
    let cut = Instant::now();
    slam.send(()).unwrap();
    for (n, group) in groups.iter().enumerate() {
        let client = &handles[n * GROUP];
        drop(client.send(SendTo::Conversation(*group), Text::new("while away").unwrap()));
    }
    while resumed.load(Ordering::Relaxed) < first + clients {
        assert!(cut.elapsed() < PATIENCE, "not everybody came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("  all back and complete after {:.1} s", cut.elapsed().as_secs_f64());
    phase.store(2, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3)).await;
    phase.store(3, Ordering::Relaxed);

    let most = watching.await.unwrap();
    let (mut before, mut during) = (Delays::default(), Delays::default());
    for talker in talking {
        let (calm, storm) = talker.await.unwrap();
        before.merge(calm);
        during.merge(storm);
    }
    println!("  live traffic before: {} ({} deliveries)", before.say(), before.len());
    println!("  live traffic during: {} ({} deliveries)", during.say(), during.len());
    println!("  database connections: {most} at most, of 12 allowed");

    over.store(true, Ordering::Relaxed);
    let heads = town.store.heads(&groups).await.unwrap().heads;
    let mut wrong = 0;
    for (n, reader) in readers.into_iter().enumerate() {
        let reached = reader.await.unwrap();
        let head = heads.iter().find(|(id, _)| *id == groups[n / GROUP]).unwrap().1.get();
        wrong += usize::from(reached != Some(head));
    }
    println!("  clients that miss something: {wrong}");
    assert_eq!(wrong, 0);
}

/// The last number it holds, if all came in order.
async fn read(
    mut events: ClientEvents,
    group: ConversationId,
    synced: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
) -> Option<u64> {
    let mut reached = None;
    loop {
        match tokio::time::timeout(Duration::from_millis(500), events.next()).await {
            Ok(Some(ClientEvent::Event(event))) if event.conversation == group => {
                if reached.is_some_and(|reached| reached + 1 != event.seq.get()) {
                    return None;
                }
                reached = Some(event.seq.get());
            }
            Ok(Some(ClientEvent::Synced)) => {
                synced.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(ClientEvent::Reset { .. } | ClientEvent::Closed(_)) | None) => return None,
            Ok(Some(_)) => {}
            Err(_) if over.load(Ordering::Relaxed) => return reached,
            Err(_) => {}
        }
    }
}

/// Ten messages a second to the others; how long theirs took, before and during the storm.
async fn talk(
    client: Client,
    mut events: ClientEvents,
    group: ConversationId,
    phase: Arc<AtomicUsize>,
) -> (Delays, Delays) {
    let began = town_clock();
    let sender = client.clone();
    let on = phase.clone();
    let sending = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while on.load(Ordering::Relaxed) < 3 {
            ticks.tick().await;
            let text = Text::new(began.elapsed().as_micros().to_string()).unwrap();
            if let Ok(sending) = sender.send(SendTo::Conversation(group), text) {
                let _ = sending.await;
            }
        }
    });
    let (mut calm, mut storm) = (Delays::default(), Delays::default());
    while phase.load(Ordering::Relaxed) < 3 {
        let next = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
        let Ok(Some(ClientEvent::Event(event))) = next else { continue };
        let chat_sdk::Body::Message(chat_sdk::Message { text, .. }) = &event.body else { continue };
        let Ok(then) = text.as_str().parse::<u64>() else { continue };
        let delay = began.elapsed().saturating_sub(Duration::from_micros(then));
        match phase.load(Ordering::Relaxed) {
            0 => calm.add(delay),
            1 => storm.add(delay),
            _ => {}
        }
    }
    sending.await.unwrap();
    client.close().await;
    (calm, storm)
}

/// One clock for all that talk.
fn town_clock() -> Instant {
    static CLOCK: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *CLOCK.get_or_init(Instant::now)
}

/// The most connections to the database that were seen.
async fn watch(town: Arc<Town>, phase: Arc<AtomicUsize>) -> usize {
    let mut most = 0;
    while phase.load(Ordering::Relaxed) < 3 {
        let town = town.clone();
        let count = tokio::task::spawn_blocking(move || town.database_connections());
        most = most.max(count.await.unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    most
}
