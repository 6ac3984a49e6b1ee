//! Measures one real server process from outside: what an idle connection costs in memory, and what
//! a reader does to it who does not read. Loopback only; each ends by itself.
//!
//! `cargo bench -p chat-server --bench measure -- idle [--connections N] [--conversations N] [--one-user]`
//! `cargo bench -p chat-server --bench measure -- slow-reader [--seconds N] [--rate N]`

#![allow(clippy::unwrap_used)]

mod idle;
mod server;
mod slow_reader;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    // cargo adds --bench.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(default, |at| args[at + 1].parse().expect("a number"))
    };
    let switch = |name: &str| args.iter().any(|arg| arg == name);
    match args.first().map(String::as_str) {
        Some("idle") => {
            let connections = number("--connections", 5_000).min(25_000);
            idle::run(connections, number("--conversations", 0), switch("--one-user"));
        }
        Some("slow-reader") => {
            let seconds = number("--seconds", 60).min(600);
            slow_reader::run(seconds, number("--rate", 1_000).min(20_000));
        }
        other => {
            eprintln!("measure idle | slow-reader, not {other:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
