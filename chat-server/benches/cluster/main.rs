//! Measures several real servers on a PostgreSQL that waits for its disk, and a Redis: what a rolling
//! restart and a storm of reconnects cost. Loopback only; each ends by itself.
//!
//! `cargo bench -p chat-server --bench cluster -- rolling [--clients N] [--rate N]`
//! `cargo bench -p chat-server --bench cluster -- storm [--clients N]`

#![allow(clippy::unwrap_used)]

mod figures;
mod rolling;
mod storm;
mod town;

use std::process::ExitCode;

fn main() -> ExitCode {
    // cargo adds --bench.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(default, |at| args[at + 1].parse().expect("a number"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match args.first().map(String::as_str) {
            Some("rolling") => {
                rolling::run(number("--clients", 2_000).min(8_000), number("--rate", 100)).await;
            }
            Some("storm") => storm::run(number("--clients", 2_000).min(8_000)).await,
            other => {
                eprintln!("cluster rolling | storm, not {other:?}");
                return ExitCode::from(2);
            }
        }
        ExitCode::SUCCESS
    })
}
