//! Measures one real server process from outside: what a reader does to it who does not read. Loopback
//! only; ends by itself.
//!
//! `cargo bench -p chat-server --bench measure -- slow-reader [--seconds N] [--rate N]`

#![allow(clippy::unwrap_used)]

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
    match args.first().map(String::as_str) {
        Some("slow-reader") => {
            let seconds = number("--seconds", 60).min(600);
            slow_reader::run(seconds, number("--rate", 1_000).min(20_000));
        }
        other => {
            eprintln!("measure slow-reader, not {other:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
