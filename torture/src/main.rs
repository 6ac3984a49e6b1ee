//! `torture`: breaks a chat for as long as you like, and says what it has done wrong.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Parser;
use torture::{
    nemesis::{self, Kind},
    run::{self, Options, Outcome},
};

/// Runs real servers, breaks everything around them, and judges what their clients were told.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Minutes in which things are broken
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// Seconds in which things are broken
    #[arg(long)]
    seconds: Option<u64>,
    /// What everything follows from; a new one each time if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes; more than one run on a PostgreSQL and a Redis of their own
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// PostgreSQL and Redis also for a single node
    #[arg(long)]
    shared: bool,
    /// People
    #[arg(long, default_value_t = 10)]
    users: usize,
    /// Devices of each that speak raw frames; one more is a program on the client library
    #[arg(long, default_value_t = 2)]
    devices: usize,
    /// Groups, beside a direct conversation of each with the next
    #[arg(long, default_value_t = 6)]
    groups: usize,
    /// Messages a second that are attempted
    #[arg(long, default_value_t = 300)]
    rate: u64,
    /// Seconds between two faults, at most
    #[arg(long, default_value_t = 5.0)]
    gap: f64,
    /// Seconds for everybody to have everything, once all is quiet
    #[arg(long, default_value_t = 100)]
    quiet: u64,
    /// Seconds that a connection may go on after its log-in was ended, while nothing is broken
    #[arg(long, default_value_t = 40)]
    revocation: u64,
    /// The only kind of fault (node-killed, redis-flushed …); `none`: no faults
    #[arg(long)]
    only: Option<String>,
    /// Nodes look after what the bus may have lost every other second
    #[arg(long)]
    hasty: bool,
    /// A defect that the server is to have; it must have been built with the feature `sabotage`
    #[arg(long)]
    sabotage: Option<String>,
    /// The server; else the one beside this program
    #[arg(long, env = "TORTURE_SERVER")]
    server: Option<PathBuf>,
    /// Where the history and the logs go; else a temporary folder, kept only if something is broken
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Something could not be run; a broken promise is 1.
const UNRUN: u8 = 2;

fn main() -> ExitCode {
    torture().unwrap_or_else(|error| {
        eprintln!("torture: {error:#}");
        ExitCode::from(UNRUN)
    })
}

fn torture() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (options, kept) = options(&arguments)?;
    println!(
        "torture: seed {}, {} nodes, {} s, {}\n{options:?}",
        options.seed,
        options.nodes,
        options.chaos.as_secs(),
        revision(),
    );
    let outcome = run::run(&options)?;
    let report = outcome.report.json(&outcome.found);
    let valid = outcome.found.is_valid();
    if valid && !kept {
        fs::remove_dir_all(&options.folder)?;
    } else {
        keep(&options, &outcome, &report)?;
    }
    if !valid {
        println!("{}", outcome.found.tell(&outcome.history));
        println!("{:#}", nemesis::describe(&outcome.schedule));
    }
    println!("{}", outcome.report.table(&outcome.found));
    if !valid {
        println!(
            "Again: --seed {}, at {}; the history and the logs are in {}",
            options.seed,
            revision(),
            options.folder.display()
        );
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keep(options: &Options, outcome: &Outcome, report: &serde_json::Value) -> anyhow::Result<()> {
    let lines = BufWriter::new(File::create(options.folder.join("history.jsonl"))?);
    chat_check::history::write(&outcome.history, lines)?;
    let mut report = report.clone();
    report["seed"] = options.seed.into();
    report["revision"] = revision().into();
    report["options"] = format!("{options:?}").into();
    report["schedule"] = nemesis::describe(&outcome.schedule);
    fs::write(options.folder.join("report.json"), format!("{report:#}\n"))?;
    Ok(())
}

/// And whether its folder is kept in any case.
fn options(arguments: &Arguments) -> anyhow::Result<(Options, bool)> {
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    let seconds = match (arguments.minutes, arguments.seconds) {
        (Some(minutes), _) => minutes * 60,
        (None, seconds) => seconds.unwrap_or(60),
    };
    if arguments.nodes == 0 || arguments.users < 3 || arguments.devices == 0 {
        bail!("at least one node, three people, and a device for each");
    }
    let peaceful = arguments.only.as_deref() == Some("none");
    let only = match &arguments.only {
        Some(name) if !peaceful => Some(Kind::named(name).with_context(|| {
            let names: Vec<_> = Kind::ALL.iter().map(ToString::to_string).collect();
            format!("no kind of fault is called {name}; there are {}", names.join(", "))
        })?),
        _ => None,
    };
    let server = match &arguments.server {
        Some(server) => server.clone(),
        None => std::env::current_exe()?.with_file_name("chat-server"),
    };
    if !server.is_file() {
        bail!("{} is not there: cargo build -p chat-server", server.display());
    }
    let folder = match &arguments.keep {
        Some(folder) => std::path::absolute(folder)?,
        None => std::env::temp_dir().join(format!("torture-{}-{seed}", std::process::id())),
    };
    let options = Options {
        seed,
        chaos: Duration::from_secs(seconds),
        nodes: arguments.nodes,
        shared: arguments.shared,
        users: arguments.users,
        devices: arguments.devices,
        groups: arguments.groups,
        rate: arguments.rate,
        gap: arguments.gap,
        quiet: Duration::from_secs(arguments.quiet),
        revocation: Duration::from_secs(arguments.revocation),
        only,
        peaceful,
        sabotage: arguments.sabotage.clone(),
        hasty: arguments.hasty,
        server: std::path::absolute(server)?,
        folder,
    };
    Ok((options, arguments.keep.is_some()))
}

/// Which code this is, as far as it can be known.
fn revision() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let output = output.ok().filter(|output| output.status.success());
    let name = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    name.unwrap_or_else(|| "an unknown revision".to_owned())
}
