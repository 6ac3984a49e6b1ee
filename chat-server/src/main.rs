//! A chat in one binary: the SDK with accounts, SQLite and the front end. No chat logic here.

#![warn(clippy::unwrap_used)]

mod admin;
mod assets;
mod banner;
mod cli;
mod config;
mod data_dir;
mod demo;
mod door;
mod health;
mod healthcheck;
mod node;
mod peer;
mod router;
mod secrets;
mod serve;
mod stored;
mod telemetry;
mod tls;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use chat_sdk::store::Migrated;

use crate::{
    cli::{Cli, Command, ConfigCommand},
    config::{Config, Flags, Invalid},
    serve::Server,
    stored::Stored,
};

/// Many small allocations on many threads, freed on others, are what this one is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mistake in the command line or the configuration; clap uses the same.
const MISTAKE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli).unwrap_or_else(|error| {
        let mistake = error.is::<Invalid>();
        // One line, the last one, because that is what shows where logs are kept elsewhere; a
        // configuration has one for each problem. PostgreSQL tells details on lines of their own.
        let reason = format!("{error:#}");
        let reason = if mistake { reason } else { reason.replace('\n', "; ") };
        // Standard error may be closed; the exit code says it all the same.
        let _ = writeln!(io::stderr(), "chat-server: {reason}");
        if mistake { ExitCode::from(MISTAKE) } else { ExitCode::FAILURE }
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { settings, command } = cli;
    match command {
        None => serve(&settings),
        Some(Command::Demo) => demo::run(&settings),
        Some(Command::User(command)) => {
            admin::user::run(command, &Config::load(&settings)?.0)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Export { file }) => {
            admin::transfer::export(&file, &Config::load(&settings)?.0)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Import { file }) => {
            admin::transfer::import(&file, &Config::load(&settings)?.0)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Migrate) => migrate(&settings),
        Some(Command::Config(command)) => configuration(&command, &settings),
        Some(Command::Healthcheck(ask)) => {
            healthcheck::run(&ask, &Config::load(&settings)?.0)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Completion { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chat-server", &mut script);
            io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(settings: &Flags) -> anyhow::Result<ExitCode> {
    let (config, _) = Config::load(settings)?;
    telemetry::start_logging(&config.log);
    #[cfg(feature = "sabotage")]
    sabotage()?;
    run_async(async { Server::start(config).await?.run(Vec::new()).await })
}

fn migrate(settings: &Flags) -> anyhow::Result<ExitCode> {
    let (config, _) = Config::load(settings)?;
    telemetry::start_logging(&config.log);
    let Migrated { from, to } = run_async(Stored::migrate(&config))?;
    let mut out = io::stdout().lock();
    if from == to {
        writeln!(out, "schema {to}, nothing to do")?;
    } else {
        writeln!(out, "schema {to} (was {from})")?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` is for tests: a release build must not have it");

/// Switches the defect on that a test asks for.
#[cfg(feature = "sabotage")]
fn sabotage() -> anyhow::Result<()> {
    use anyhow::Context;
    use chat_sdk::sabotage::{Defect, commit};
    if let Ok(name) = std::env::var("CHAT_SABOTAGE") {
        let defect = Defect::named(&name).context("CHAT_SABOTAGE names no defect")?;
        tracing::error!(?defect, "SABOTAGED: this server is broken on purpose, for a test");
        commit(Some(defect));
    }
    Ok(())
}

/// Runs to the end, and does not wait for what nobody waits for any more.
fn run_async<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

fn configuration(command: &ConfigCommand, settings: &Flags) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match command {
        ConfigCommand::Check => {
            Config::load(settings)?;
            writeln!(out, "the configuration holds")?;
        }
        ConfigCommand::Print { sources } => {
            let (_, values) = Config::load(settings)?;
            config::print_effective(&mut out, &values, *sources)?;
        }
        ConfigCommand::Default => config::print_default(&mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}
