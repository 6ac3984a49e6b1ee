//! Bare servers to compare with: what the system itself takes for a workload, without any product.
//! Each is a hidden subcommand, so that it runs in a process of its own, pinned like any subject.

mod door;
mod relay;
mod accept;
mod upgrade;
mod insert;

use std::{io::Read, net::SocketAddr};

use clap::Subcommand;

pub(crate) use self::insert::{PostgresTable, SqliteTable, Table};
use self::relay::{Relay, To};

/// What to be.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Floor {
    /// Writes what somebody sends to everybody else.
    FanOut {
        /// Everything that one read brought in one write, instead of one write a message.
        #[arg(long)]
        coalesced: bool,
        /// With an acknowledgement to the sender.
        #[arg(long)]
        acked: bool,
    },
    /// Writes what somebody sends to whom it is for, and an acknowledgement to the sender.
    Direct,
    /// Takes connections and keeps nothing of them.
    Accept,
    /// Upgrades to WebSocket whoever has a valid token.
    Upgrade,
}

impl Floor {
    /// The arguments that make this of the tool.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::FanOut { coalesced: false, acked: false } => &["floor", "fan-out"],
            Self::FanOut { coalesced: false, acked: true } => &["floor", "fan-out", "--acked"],
            Self::FanOut { coalesced: true, acked: false } => &["floor", "fan-out", "--coalesced"],
            Self::FanOut { coalesced: true, acked: true } => {
                &["floor", "fan-out", "--coalesced", "--acked"]
            }
            Self::Direct => &["floor", "direct"],
            Self::Accept => &["floor", "accept"],
            Self::Upgrade => &["floor", "upgrade"],
        }
    }

    /// Serves until the process ends, which it does with whoever holds its standard input.
    pub(crate) fn serve(self) -> anyhow::Result<()> {
        crate::machine::allow_files()?;
        std::thread::spawn(|| {
            // Nobody says anything there: it ends, or cannot be read, which is the same.
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        match self {
            Self::FanOut { coalesced, acked } => {
                let to = if coalesced { To::EachCoalesced } else { To::Each };
                relay::serve(Relay { to, acked })
            }
            Self::Direct => relay::serve(Relay { to: To::One, acked: true }),
            Self::Accept => accept::serve(),
            Self::Upgrade => upgrade::serve(),
        }
    }
}

/// What a floor says on its standard output when it listens.
const LISTENING: &str = "listening ";

fn say_listening(address: SocketAddr) {
    println!("{LISTENING}{address}");
}

/// Reads what [`say_listening`] wrote.
pub(crate) fn heard_listening(line: &str) -> Option<SocketAddr> {
    line.trim_end().strip_prefix(LISTENING)?.parse().ok()
}
