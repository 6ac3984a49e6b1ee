//! Published on one server, followed on another.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{
    Body, Text,
    client::{ClientEvent, ClientEvents},
    protocol::SendTo,
};

use crate::{
    figures::Delays,
    town::{Town, wait_for_all},
};

pub(crate) async fn run(listeners: usize, seconds: usize) {
    let settings = [
        ("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "100000".to_owned()),
        ("CHAT_SERVER__LIMITS__SENDS_BURST", "100000".to_owned()),
        ("CHAT_SERVER__LIMITS__FRAMES_PER_SECOND", "100000".to_owned()),
    ];
    let town = Town::new(2, &settings).await;
    let users = town.people(listeners + 1).await;
    let group = town.group("across", &users).await;
    let clock = Arc::new(OnceLock::from(Instant::now()));
    let (heard, on) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let (mut clients, mut readers) = (Vec::new(), Vec::new());
    for (n, user) in users[1..].iter().enumerate() {
        let (client, events) = town.client(user, 1).start().unwrap();
        readers.push(tokio::spawn(read(events, clock.clone(), heard.clone(), on.clone())));
        clients.push(client);
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (sender, mut own) = town.client(&users[0], 0).start().unwrap();
    tokio::spawn(async move { while own.next().await.is_some() {} });
    clients.push(sender.clone());
    wait_for_all(&clients).await;
    println!("across: {listeners} listeners on one server, messages of 128 bytes on another");

    let stop = Instant::now() + Duration::from_secs(seconds as u64);
    let (cpu, began, mut sent) = (town.cpu(), Instant::now(), 0_u64);
    // As many as the listeners take: the next one when the last has come everywhere.
    while Instant::now() < stop {
        let now = clock.get().unwrap().elapsed().as_micros();
        let text = Text::new(format!("{now:<128}")).unwrap();
        sender.send(SendTo::Conversation(group), text).unwrap().await.unwrap();
        sent += 1;
        while heard.load(Ordering::Relaxed) < sent * listeners as u64 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), town.cpu().since(cpu));
    on.store(false, Ordering::Relaxed);
    let mut delays = Delays::default();
    for reader in readers {
        delays.merge(reader.await.unwrap());
    }
    let deliveries = delays.len() as f64;
    println!("  {sent} messages, {:.0} deliveries/s, {}", deliveries / elapsed, delays.say());
    println!(
        "  CPU: servers {:.1} s, PostgreSQL {:.1} s, Redis {:.1} s; {:.0} deliveries per CPU-second of all",
        cpu.servers,
        cpu.postgres,
        cpu.redis,
        deliveries / cpu.total(),
    );
}

async fn read(
    mut events: ClientEvents,
    clock: Arc<OnceLock<Instant>>,
    heard: Arc<AtomicU64>,
    on: Arc<AtomicBool>,
) -> Delays {
    let mut delays = Delays::default();
    while on.load(Ordering::Relaxed) {
        let next = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
        let Ok(Some(ClientEvent::Event(event))) = next else { continue };
        let Body::Message { text } = &event.body else { continue };
        if let Ok(then) = text.as_str().trim().parse::<u64>() {
            let elapsed = clock.get().unwrap().elapsed();
            delays.add(elapsed.saturating_sub(Duration::from_micros(then)));
            heard.fetch_add(1, Ordering::Relaxed);
        }
    }
    delays
}
