//! Frames to JSON and back. Bytes of the frame a second.

use std::{collections::BTreeMap, hint::black_box};

use benches::{NOW, conversation, event, key, send_frame};
use chat_sdk::{
    Seq,
    protocol::{
        Encoded, ServerFrame,
        codec::{decode_client, decode_server},
    },
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/encode");
    let mut bench = |name: &str, frame: &ServerFrame| {
        group.throughput(Throughput::Bytes(Encoded::text(frame).len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| Encoded::text(black_box(frame))));
    };
    for bytes in [128usize, 1024] {
        bench(&format!("event/{bytes}"), &ServerFrame::Event(event(7, bytes)));
    }
    let ack = ServerFrame::Ack {
        id: None,
        key: key(7),
        conversation: conversation(0),
        seq: Seq::new(7),
        at: NOW,
        duplicate: false,
    };
    bench("ack", &ack);
    bench("pong", &ServerFrame::Pong { heads: BTreeMap::new(), token: None });
    group.finish();

    let mut group = criterion.benchmark_group("codec/websocket_frame");
    for bytes in [128usize, 1024] {
        let encoded = Encoded::text(&ServerFrame::Event(event(7, bytes)));
        let json = std::str::from_utf8(encoded.payload()).expect("JSON").to_owned();
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| Encoded::text_raw(black_box(&json)));
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/decode");
    for bytes in [128usize, 1024] {
        let frame = send_frame(bytes);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("send", bytes), |bencher| {
            bencher.iter(|| decode_client(black_box(&frame)).expect("well-formed"));
        });
        let encoded = Encoded::text(&ServerFrame::Event(event(7, bytes)));
        let json = std::str::from_utf8(encoded.payload()).expect("JSON").to_owned();
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(BenchmarkId::new("event", bytes), |bencher| {
            bencher.iter(|| decode_server(black_box(&json)).expect("well-formed"));
        });
    }
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
