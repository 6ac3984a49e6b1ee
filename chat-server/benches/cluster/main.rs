//! Measures several real servers on a PostgreSQL that waits for its disk, and a Redis: what a rolling
//! restart, a storm of reconnects, saturation and crossing from server to server cost. Loopback only;
//! each ends by itself.
//!
//! `cargo bench -p chat-server --bench cluster -- rolling [--clients N] [--rate N]`
//! `cargo bench -p chat-server --bench cluster -- storm [--clients N]`
//! `cargo bench -p chat-server --bench cluster -- sends [--seconds N]`
//! `cargo bench -p chat-server --bench cluster -- across [--listeners N] [--seconds N]`

#![allow(clippy::unwrap_used)]

mod across;
mod figures;
mod rolling;
mod sends;
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
            Some("sends") => sends::run(number("--seconds", 10).min(120)).await,
            Some("across") => {
                let listeners = number("--listeners", 1_000).min(8_000);
                across::run(listeners, number("--seconds", 10).min(120)).await;
            }
            other => {
                eprintln!("cluster rolling | storm | sends | across, not {other:?}");
                return ExitCode::from(2);
            }
        }
        ExitCode::SUCCESS
    })
}
