//! `chat-load` measures what a server makes of load: work per second of its CPU, beside bare servers
//! that show what the machine would allow, and latency from the moment each message should have been
//! sent. Against a server that runs already, or by itself on loopback. See `chat-load help`.

mod stamp;
mod websocket;
mod dialect;
mod machine;
mod engine;
mod crowd;
mod floor;
mod subject;
mod report;
mod scenario;

use clap::{Parser, Subcommand};

use crate::{
    floor::Floor,
    machine::Cores,
    scenario::{Across, Connect, Direct, FanOut, Hot, Idle, Mixed, Resume, Suite},
};

/// Load for chat-server, and what the machine would allow beside it
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    FanOut(FanOut),
    Across(Across),
    Direct(Direct),
    Hot(Hot),
    Idle(Idle),
    Connect(Connect),
    Resume(Resume),
    Mixed(Mixed),
    Suite(Suite),
    /// Makes accounts on a running server, and prints a user id and a token a line
    People {
        /// The server
        #[arg(long)]
        url: String,
        /// How many
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
    },
    /// What `chat-load` starts itself to compare with
    #[command(hide = true)]
    Floor {
        #[command(subcommand)]
        floor: Floor,
    },
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    match command {
        Command::FanOut(fan_out) => fan_out.run(prepare()?),
        Command::Across(across) => across.run(prepare()?),
        Command::Direct(direct) => direct.run(prepare()?),
        Command::Hot(hot) => hot.run(prepare()?),
        Command::Idle(idle) => idle.run(prepare()?),
        Command::Connect(connect) => connect.run(prepare()?),
        Command::Resume(resume) => resume.run(prepare()?),
        Command::Mixed(mixed) => mixed.run(prepare()?),
        // Each line of it takes its cores itself.
        Command::Suite(suite) => suite.run(),
        Command::People { url, count } => {
            subject::register(&url, count as usize, &mut std::io::stdout().lock())
        }
        Command::Floor { floor } => floor.serve(),
    }
}

/// Takes what the system gives: open files, and a core apart from what is measured.
fn prepare() -> anyhow::Result<Cores> {
    let files = machine::allow_files()?;
    let cores = Cores::find();
    cores.as_generator();
    match cores {
        Cores::Apart { subject, generator } => {
            eprintln!(
                "{files} open files; what is measured on core {subject}, this on {generator}"
            );
        }
        Cores::Shared => {
            eprintln!("{files} open files; one core for all: rates say little, latencies nothing");
        }
    }
    Ok(cores)
}
