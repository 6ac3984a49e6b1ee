//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Flags;

const EXAMPLES: &str = "\
Examples:
  chat-server                                  data in ./data, on http://127.0.0.1:8080
  chat-server demo                             a chat to look at, gone when it ends
  chat-server --listen 0.0.0.0:8080            for everybody on the network
  chat-server -c chat.toml --log-level debug   settings from a file, more to read
  CHAT_SERVER__LISTEN=[::]:80 chat-server      settings from the environment
  chat-server config print --sources           what is set, and where
  chat-server user create alice --admin        asks for a password
  chat-server export chat.jsonl                everything, for moving to another store

Flags win over the environment, the environment over the file, the file over the defaults.
Exit codes: 0 done, 1 failed, 2 a mistake in the command line or the configuration.";

/// Self-hosted real-time chat.
///
/// Without a command it starts the server: data in ./data, nothing else to install, and it prints
/// where everything is and a link that makes the first administrator.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start with temporary data: users alice, bob and carol and a long conversation
    ///
    /// Prints their passwords, which are new each time. Everything is gone when it ends. A data
    /// folder can be given; it must be empty, and stays.
    Demo,
    /// Write everything into a new file: accounts, conversations, markers
    ///
    /// For moving to another store. Works beside a running server, and then misses what is said after
    /// it began. The file holds password hashes; it can be read by you alone.
    Export {
        /// Where to; - for standard output
        file: PathBuf,
    },
    /// Take everything out of a file that was exported, into a new store
    ///
    /// Every number, key and marker is the same; devices load their conversations anew. No server may
    /// run on the store meanwhile. What is there already is compared, so an import that was interrupted
    /// can be repeated.
    Import {
        /// Where from; - for standard input
        file: PathBuf,
    },
    /// Bring the store to the newest version of its tables, and end
    ///
    /// For a step of its own before servers are replaced, maybe with a role of its own: see
    /// postgres.migrate, without which every start does the same. Waits for PostgreSQL as a start does.
    /// Works beside running servers on PostgreSQL; on SQLite none may run.
    Migrate,
    /// Manage accounts; works beside a running server
    #[command(subcommand)]
    User(UserCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running server whether it is well; exit code 0 if so
    Healthcheck(Healthcheck),
    /// Print a completion script for a shell
    ///
    /// For example: chat-server completion bash > /etc/bash_completion.d/chat-server
    Completion {
        /// Which shell
        shell: Shell,
    },
}

/// Passwords are asked for, or read from the first line of standard input; never from the command
/// line, which everybody on the machine can read.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account
    Create {
        /// What the user logs in with
        name: String,
        /// What others see; the name, if not given
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// An administrator
        #[arg(long)]
        admin: bool,
    },
    /// List all accounts
    List {
        /// As JSON, one account a line
        #[arg(long)]
        json: bool,
    },
    /// Set a new password; ends everything the user is logged in with
    Passwd {
        /// Whose
        name: String,
    },
    /// No more logging in, and ends everything the user is logged in with
    Disable {
        /// Whom
        name: String,
    },
    /// Allow logging in again
    Enable {
        /// Whom
        name: String,
    },
}

/// `config …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration holds; exit code 2 if not, with every problem and its place
    Check,
    /// Print what holds, as TOML, without secrets
    Print {
        /// Say where each value comes from
        #[arg(long)]
        sources: bool,
    },
    /// Print a commented file with the defaults
    Default,
}

/// `healthcheck`
#[derive(Debug, clap::Args)]
pub(crate) struct Healthcheck {
    /// Ask only whether the process lives, not whether it can work
    #[arg(long)]
    pub(crate) live: bool,
    /// Which server, if not the one of this configuration; its certificate is not checked
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_secret_can_be_given_on_the_command_line() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("--auth-secret-file"));
        assert!(!help.contains("--auth-secret "), "{help}");
        assert!(!help.contains("--password"), "{help}");
    }
}
