//! The wire: frames in and out, and a send through the state machine of a connection.

use std::{hint::black_box, sync::Arc, time::Duration};

use benches::{event, text, user};
use chat_sdk::{
    Epoch, Identity, Limits,
    protocol::{
        ClientFrame, Command, Encoded, Hello, SendTo, ServerFrame, VERSION, Welcome,
        codec::{decode_client, decode_server, encode_client},
    },
    session::{Dialect, Session},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn send_frame(bytes: usize) -> String {
    let command =
        Command::Send { key: benches::key(1), to: SendTo::User(user(1)), text: text(bytes) };
    encode_client(&ClientFrame::Command(None, command))
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for bytes in [128usize, 1024] {
        let frame = send_frame(bytes);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("decode_send", bytes), |bencher| {
            bencher.iter(|| decode_client(black_box(&frame)));
        });
        let event = ServerFrame::Event(event(7, bytes));
        let encoded = Encoded::text(&event);
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        group.bench_function(BenchmarkId::new("encode_event", bytes), |bencher| {
            bencher.iter(|| Encoded::text(black_box(&event)));
        });
        let json = String::from_utf8(encoded.payload().to_vec()).expect("JSON");
        group.bench_function(BenchmarkId::new("decode_event", bytes), |bencher| {
            bencher.iter(|| decode_server(black_box(&json)));
        });
    }
    group.finish();
}

fn session(criterion: &mut Criterion) {
    let limits = Arc::new(Limits { frames_per_second: u32::MAX / 10, ..Limits::default() });
    let now = Duration::from_secs(1);
    let identity = Identity::new(user(0));
    let mut session = Session::new(now, limits.clone(), Dialect::Native, Some(identity), None);
    let hello = Hello { version: VERSION, token: None, resume: None };
    session.handle_frame(now, Ok(ClientFrame::Hello(hello)));
    while session.poll_output().is_some() {}
    session.joined(
        now,
        Ok(Welcome {
            version: VERSION,
            session: "s".to_owned(),
            user: user(0),
            epoch: Epoch::new("e").expect("valid"),
            resumed: false,
            heartbeat_ms: 25_000,
            typing_ms: 3_000,
            limits: (&*limits).into(),
            expires_at: None,
        }),
    );
    while session.poll_output().is_some() {}

    let frame = send_frame(128);
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));
    group.bench_function("send", |bencher| {
        bencher.iter(|| {
            session.handle_frame(now, decode_client(black_box(&frame)));
            while let Some(output) = session.poll_output() {
                black_box(output);
            }
            session.poll_timeout()
        });
    });
    group.finish();
}

criterion_group!(benches, codec, session);
criterion_main!(benches);
