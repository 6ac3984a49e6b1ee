//! The command line.

use std::{net::SocketAddr, time::Duration};

use chat_operator::{
    settings::TemplateUpgrade,
    telemetry::{LogFilter, LogFormat},
};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use k8s_openapi::jiff::SignedDuration;

const EXAMPLES: &str = "\
Examples:
  chat-operator crd | kubectl apply --server-side -f -   install the ChatCluster resource
  chat-operator run                                      look after all chats
  chat-operator run --namespaces chat,staging            only after those in two namespaces
  chat-operator status team -n chat                      how a chat is, and what to do
  chat-operator status team -n chat --watch              until it is ready

Flags win over the environment. The API server and the rights are those of the pod, or of the
kubeconfig.
Exit codes: 0 done (status: ready), 1 failed (status: not ready), 2 a mistake in the command line
(status: no such chat).";

/// Runs chats on Kubernetes: what a ChatCluster says, it makes so.
#[derive(Debug, Parser)]
#[command(name = "chat-operator", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look after chats until told to stop
    Run(Run),
    /// Print the definition of the ChatCluster resource as YAML
    Crd,
    /// Ask a running operator whether it is well; exit code 0 if so
    Healthcheck {
        /// What to ask
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/readyz")]
        url: String,
    },
    /// Tell how a chat is, what is wrong or under way, and what to do about it
    ///
    /// Reads with your rights. Connections are asked of the servers through the API server, which
    /// takes the right to get pods/proxy; without it they are left out.
    Status(Status),
    /// Print a completion script for a shell
    ///
    /// For example: chat-operator completion bash > /etc/bash_completion.d/chat-operator
    Completion {
        /// Which shell
        shell: Shell,
    },
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Which chat
    pub(crate) name: String,
    /// Where; the kubeconfig's own namespace, if not given
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
    /// Tell again every two seconds until it is ready
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Namespaces to look after, separated by commas; all if empty
    #[arg(
        long,
        value_name = "NAMES",
        env = "CHAT_OPERATOR_NAMESPACES",
        value_delimiter = ',',
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) namespaces: Vec<String>,
    /// When servers are restarted because a newer operator makes them differently: with the next
    /// change of the chat, or at once
    #[arg(
        long,
        value_name = "WHEN",
        env = "CHAT_OPERATOR_TEMPLATE_UPGRADE",
        value_enum,
        default_value_t
    )]
    pub(crate) template_upgrade: TemplateUpgrade,
    /// How long fewer servers must have been enough before a chat whose autoscaling is BuiltIn gets
    /// fewer
    #[arg(
        long,
        value_name = "TIME",
        env = "CHAT_OPERATOR_SCALE_DOWN_WINDOW",
        default_value = "5m",
        value_parser = duration
    )]
    pub(crate) scale_down_window: Duration,
    /// Let only one of several operators work
    #[arg(
        long,
        value_name = "YES",
        env = "CHAT_OPERATOR_LEADER_ELECT",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub(crate) leader_elect: bool,
    /// The Lease by which they agree who works
    #[arg(
        long,
        value_name = "NAME",
        env = "CHAT_OPERATOR_LEASE_NAME",
        default_value = "chat-operator"
    )]
    pub(crate) lease_name: String,
    /// How long the others wait for one that is silent
    #[arg(
        long,
        value_name = "TIME",
        env = "CHAT_OPERATOR_LEASE_DURATION",
        default_value = "15s",
        value_parser = duration
    )]
    pub(crate) lease_duration: Duration,
    /// How long one that cannot renew its lease goes on; shorter than the lease
    #[arg(
        long,
        value_name = "TIME",
        env = "CHAT_OPERATOR_RENEW_DEADLINE",
        default_value = "10s",
        value_parser = duration
    )]
    pub(crate) renew_deadline: Duration,
    /// Time between two looks at the lease
    #[arg(
        long,
        value_name = "TIME",
        env = "CHAT_OPERATOR_RETRY_PERIOD",
        default_value = "2s",
        value_parser = duration
    )]
    pub(crate) retry_period: Duration,
    /// Where /healthz, /readyz and /metrics are answered
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "CHAT_OPERATOR_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    pub(crate) listen: SocketAddr,
    /// What is logged: error, warn, info, debug or trace, or target=level with commas
    #[arg(long, value_name = "LEVEL", env = "CHAT_OPERATOR_LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: LogFilter,
    /// How log lines look
    #[arg(
        long,
        value_name = "FORMAT",
        env = "CHAT_OPERATOR_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    pub(crate) log_format: LogFormat,
    /// The pod in which this operator runs
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) pod_name: Option<String>,
    /// The namespace in which this operator runs, and its Lease lies; the kubeconfig's own, if not
    /// given
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub(crate) pod_namespace: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration =
        text.parse().map_err(|_| "expected a time like 15s or 500ms".to_owned())?;
    Duration::try_from(signed).map_err(|_| "a time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(arguments: &[&str]) -> Run {
        let all = ["chat-operator", "run"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["15", "", "s", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn leader_election_is_on_unless_it_is_switched_off() {
        assert!(run(&[]).leader_elect);
        assert!(run(&["--leader-elect"]).leader_elect);
        assert!(!run(&["--leader-elect=false"]).leader_elect);
    }

    #[test]
    fn every_flag_of_run_has_a_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for argument in run.get_arguments().filter(|it| it.get_id() != "help") {
            let flag = argument.get_long().unwrap().to_uppercase().replace('-', "_");
            let variable = argument.get_env().unwrap().to_str().unwrap().to_owned();
            // Where a pod and its namespace are called so everywhere.
            let expected =
                if flag.starts_with("POD_") { flag } else { format!("CHAT_OPERATOR_{flag}") };
            assert_eq!(variable, expected);
        }
    }
}
