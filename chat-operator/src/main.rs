//! The operator's command line.

#![warn(clippy::unwrap_used)]

mod cli;
mod run;
mod status_command;
mod healthcheck;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use chat_operator::{lease::TermsError, manifest};
use clap::{CommandFactory, Parser};

use crate::{
    cli::{Cli, Command},
    status_command::Missing,
};

/// A mistake in the command line, or a chat that is not there; clap uses the same.
const MISTAKE: u8 = 2;

fn main() -> ExitCode {
    obey(Cli::parse().command).unwrap_or_else(|error| {
        // Standard error may be closed; the exit code says it all the same.
        let _ = writeln!(io::stderr(), "chat-operator: {error:#}");
        let mistake = error.is::<Missing>() || error.is::<TermsError>();
        if mistake { ExitCode::from(MISTAKE) } else { ExitCode::FAILURE }
    })
}

fn obey(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(options) => run_async(run::run(options))?,
        Command::Crd => io::stdout().write_all(manifest::definition().as_bytes())?,
        Command::Healthcheck { url } => healthcheck::run(&url)?,
        Command::Status(ask) => return run_async(status_command::run(ask)),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chat-operator", &mut script);
            io::stdout().write_all(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs to the end, and does not wait for what nobody waits for any more.
fn run_async<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
