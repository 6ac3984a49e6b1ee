//! A long run is judged in a time that grows like its history: with a judge that compares pairs this
//! test would not end.

use chat_check::{
    Terms, check,
    history::{Answer, Ask, Body, Entry, LogEvent, Phase, Source, What},
};

const DEVICES: u32 = 4;

fn history(sends: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |what| entries.push(Entry { t: entries.len() as u64, what });
    for device in 0..DEVICES {
        add(What::User { user: device, id: format!("u{device}") });
        add(What::Device { device, user: device, exact: false });
    }
    let members = (0..DEVICES).collect();
    let body = Body::Created { members, title: None };
    let mut log = vec![LogEvent { seq: 1, from: Some(0), key: None, content: 1, body }];
    for device in 0..DEVICES {
        let held = vec![(0, 1)];
        let (node, credential, tokened, token) = (0, device, Vec::new(), false);
        add(What::Hello { device, node, credential, held, tokened, token });
        add(What::Synced { device });
    }
    for op in 1..=sends {
        let (key, content, seq) = (format!("k{op}"), op + 1, op + 1);
        let ask = Ask::Send { conversation: 0, key: key.clone(), content, bad: false };
        add(What::Invoke { op, device: 0, ask: Box::new(ask) });
        let answer = Answer::Ack { conversation: 0, seq, duplicate: false };
        add(What::Ok { op, node: 0, answer: Box::new(answer) });
        for device in 0..DEVICES {
            add(What::Event { device, conversation: 0, seq, content });
        }
        if op % 10 == 0 {
            let ask = Ask::Summary { conversation: 0 };
            let (op, read) = (sends + op, 0);
            add(What::Invoke { op, device: 1, ask: Box::new(ask) });
            let answer = Answer::Summary { head: seq, received: 0, read, unread: seq - 1 };
            add(What::Ok { op, node: 0, answer: Box::new(answer) });
        }
        let key = Some(key);
        log.push(LogEvent { seq, from: Some(0), key, content, body: Body::Message });
    }
    add(What::Phase { phase: Phase::Quiet });
    add(What::Phase { phase: Phase::Judged });
    add(What::Final { conversation: 0, source: Source::Member, events: log });
    entries
}

#[test]
fn three_hundred_thousand_messages_of_one_conversation_are_judged() {
    let history = history(300_000);
    let began = std::time::Instant::now();
    let found = check(&history, Terms { revocation: 1 });
    println!("{} lines in {:?}", history.len(), began.elapsed());
    assert!(found.is_valid(), "{}", found.tell(&history));
}
