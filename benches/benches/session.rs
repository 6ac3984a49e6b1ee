//! The state machine of a connection, from the text of a frame to what is to be done. Frames a
//! second.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Duration};

use benches::{conversation, send_frame, user};
use chat_sdk::{
    Epoch, Identity, Limits, Seq,
    protocol::{
        ClientFrame, Hello, Resume, VERSION, Welcome,
        codec::{decode_client, encode_client},
    },
    session::{Dialect, Session},
    store::Checkpoint,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const NOW: Duration = Duration::from_secs(1);

fn new(limits: &Arc<Limits>) -> Session {
    let identity = Identity::new(user(0));
    Session::new(NOW, limits.clone(), Dialect::Native, Some(identity), None)
}

fn welcome(limits: &Limits) -> Welcome {
    Welcome {
        version: VERSION,
        session: "s".to_owned(),
        user: user(0),
        epoch: Epoch::new("e").expect("valid"),
        resumed: false,
        heartbeat_ms: 25_000,
        typing_ms: 3_000,
        limits: limits.into(),
        expires_at: None,
    }
}

/// How many things there were to do.
fn carry_out(session: &mut Session) -> usize {
    std::iter::from_fn(|| session.poll_output()).map(black_box).count()
}

fn hear(session: &mut Session, frame: &str) {
    session.handle_frame(NOW, decode_client(black_box(frame)));
    assert_eq!(carry_out(session), 1);
    black_box(session.poll_timeout());
}

fn session(criterion: &mut Criterion) {
    let limits = Arc::new(Limits { frames_per_second: u32::MAX / 10, ..Limits::default() });
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));

    let resume = Resume {
        epoch: Epoch::new("e").expect("valid"),
        token: Some(Checkpoint("12345-0123456789ab".to_owned())),
        positions: (0..3).map(|n| (conversation(n), Seq::new(7))).collect(),
    };
    let hello = ClientFrame::Hello(Hello { version: VERSION, token: None, resume: Some(resume) });
    let hello = encode_client(&hello);
    group.bench_function("hello", |bencher| {
        bencher.iter(|| {
            let mut session = new(&limits);
            hear(&mut session, &hello);
            session.joined(NOW, Ok(welcome(&limits)));
            assert_eq!(carry_out(&mut session), 1);
            session
        });
    });

    let mut live = new(&limits);
    hear(&mut live, &hello);
    live.joined(NOW, Ok(welcome(&limits)));
    carry_out(&mut live);
    let send = send_frame(128);
    group.bench_function("send", |bencher| bencher.iter(|| hear(&mut live, &send)));
    for positions in [0usize, 20] {
        let positions: BTreeMap<_, _> =
            (0..positions).map(|n| (conversation(n), Seq::new(7))).collect();
        let name = format!("ping/{}", positions.len());
        let ping = encode_client(&ClientFrame::Ping { positions });
        group.bench_function(name, |bencher| bencher.iter(|| hear(&mut live, &ping)));
    }
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
