//! What the operator tells those who run it: log lines and metrics.
//!
//! No Secret's content is in them: ours log names and keys of Secrets only, and what other libraries
//! say is capped at `info`, because below they may tell what went over the wire.

use std::{
    fmt::Write,
    fs,
    io::{self, IsTerminal},
    panic,
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    registry,
};

/// Passes over a chat, by what came of them.
const RECONCILES: &str = "chat_operator_reconciles_total";
/// How long a pass took.
const RECONCILE_SECONDS: &str = "chat_operator_reconcile_seconds";
/// Objects written, by kind and verb.
const WRITES: &str = "chat_operator_writes_total";
/// Whether this process leads.
const LEADER: &str = "chat_operator_leader";
/// Chats that are looked after.
const CLUSTERS: &str = "chat_operator_clusters";
/// Kubernetes Events, by what became of them.
const EVENTS: &str = "chat_operator_events_total";
/// Whether the installed definition lacks something.
const CRD_OUTDATED: &str = "chat_operator_crd_outdated";
/// Panics of tasks: defects.
const PANICS: &str = "chat_operator_panics_total";
/// Always 1, with the version.
const BUILD_INFO: &str = "chat_operator_build_info";

/// From one answer out of a cache to a pass whose requests all run into their time-outs.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often old samples are folded; without that they would pile up where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// What came of a pass over one chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// All is as it should be.
    Settled,
    /// Something takes its time, like a rollout.
    UnderWay,
    /// Somebody has to do something first.
    Stalled,
    /// A request failed; it is tried again.
    Failed,
}

/// A pass over one chat has ended.
pub fn reconciled(pass: Pass, elapsed: Duration) {
    let result = match pass {
        Pass::Settled => "settled",
        Pass::UnderWay => "under_way",
        Pass::Stalled => "stalled",
        Pass::Failed => "failed",
    };
    counter!(RECONCILES, "result" => result).increment(1);
    histogram!(RECONCILE_SECONDS).record(elapsed);
}

/// An object was written: its kind as in `Deployment`, the verb as the API server has it, like
/// `patch` or `delete`.
pub fn wrote(kind: &'static str, verb: &'static str) {
    counter!(WRITES, "kind" => kind, "verb" => verb).increment(1);
}

/// So many chats are looked after now.
pub fn clusters(count: usize) {
    // Exact up to 2⁵³, which is beyond any etcd.
    gauge!(CLUSTERS).set(u32::try_from(count).map_or(f64::INFINITY, f64::from));
}

/// Whether this process leads now.
pub(crate) fn leading(leads: bool) {
    gauge!(LEADER).set(f64::from(u8::from(leads)));
}

/// What became of a Kubernetes Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventFate {
    /// It was written.
    Published,
    /// It was refused, or the API server could not be reached.
    Failed,
    /// There were too many.
    Dropped,
}

pub(crate) fn event(fate: EventFate) {
    let result = match fate {
        EventFate::Published => "published",
        EventFate::Failed => "failed",
        EventFate::Dropped => "dropped",
    };
    counter!(EVENTS, "result" => result).increment(1);
}

/// Whether the installed definition lacks something that this operator knows.
pub(crate) fn crd_outdated(outdated: bool) {
    gauge!(CRD_OUTDATED).set(f64::from(u8::from(outdated)));
}

/// All metrics of the process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Starts collecting, for the rest of the process. The upkeep ends with the runtime, so it has to be
/// called in one.
///
/// # Errors
///
/// If the process collects already.
pub fn start_metrics() -> anyhow::Result<Metrics> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()
        .context("metrics could not be started")?;
    describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(Metrics(handle))
}

fn describe() {
    describe_counter!(RECONCILES, "Passes over a chat, by what came of them");
    describe_histogram!(RECONCILE_SECONDS, Unit::Seconds, "How long a pass over a chat took");
    describe_counter!(WRITES, "Objects written, by kind and verb; none while nothing happens");
    describe_gauge!(LEADER, "1 if this process leads, 0 if it stands by");
    describe_gauge!(CLUSTERS, "ChatClusters that are looked after");
    describe_counter!(EVENTS, "Kubernetes Events, by what became of them");
    describe_gauge!(CRD_OUTDATED, "1 if the installed CRD is older than this operator");
    describe_counter!(PANICS, "Panics of tasks; each is a defect");
    describe_gauge!(BUILD_INFO, "Always 1; the version is a label");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // What never happened is 0, not missing: alerts need something to compare with.
    leading(false);
    counter!(PANICS).absolute(0);
}

impl Metrics {
    /// Everything, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process(&mut text);
        text
    }
}

/// What the process uses, under the names that dashboards know. Linux tells; elsewhere it is left
/// out.
fn process(text: &mut String) {
    let mut show = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        let written = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        debug_assert!(written.is_ok(), "a String takes everything");
    };
    show("process_cpu_seconds_total", "counter", "User and system time", cpu_seconds());
    show("process_resident_memory_bytes", "gauge", "Resident memory", resident_bytes());
    show("process_open_fds", "gauge", "Open file descriptors", open_fds());
}

/// Ticks of the times in `/proc`: what Linux shows to programs (`USER_HZ`), whatever it uses itself.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; what follows it is numbers, the third on.
    let mut numbers = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: f64 = numbers.next()?.parse().ok()?;
    let system: f64 = numbers.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that reads the folder is not the process's.
    u32::try_from(count.saturating_sub(1)).ok().map(f64::from)
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// An object a line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// What is logged: `info`, or `info,chat_operator=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        for directive in text.split(',') {
            // A lone word is a level; the parser would also take it for a target.
            if !directive.contains('=') && directive.parse::<Level>().is_err() {
                return Err(
                    "expected error, warn, info, debug or trace, or target=level".to_owned()
                );
            }
        }
        EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

/// Starts logging to standard error, for the rest of the process.
pub fn start_logging(filter: &LogFilter, format: LogFormat) {
    let filter = EnvFilter::builder().parse_lossy(&filter.0).and(filter_fn(allowed));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Pretty => {
            lines.with_ansi(crate::colours(io::stderr().is_terminal())).with_filter(filter).boxed()
        }
    };
    // Not `init`, which would also collect what other libraries say through the `log` crate.
    let started = tracing::subscriber::set_global_default(registry().with(layer));
    debug_assert!(started.is_ok(), "logging starts once");
    panic::set_hook(Box::new(|panic| {
        counter!(PANICS).increment(1);
        let message = panic.payload_as_str().unwrap_or("not a text");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(message, location, %backtrace, "panic: a defect, please report it");
    }));
}

/// What says each failed request again, as an error: whoever asked knows whether it is one.
const ECHO: &str = "kube_client::client::builder";

/// Everything of ours, and of others what an operator may want to know.
fn allowed(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().strip_prefix("chat_operator");
    let known = ours.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    known || (*metadata.level() <= Level::INFO && metadata.target() != ECHO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused() {
        for good in ["info", "trace", "info,kube=debug", "warn,chat_operator::lease=trace"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,kube=loud", "info,,warn"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_counted_can_be_scraped() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .unwrap()
            .build_recorder();
        let metrics = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            reconciled(Pass::UnderWay, Duration::from_millis(20));
            wrote("Deployment", "patch");
            clusters(3);
            leading(true);
            event(EventFate::Published);
            crd_outdated(true);
        });
        let text = metrics.render();
        for line in [
            r#"chat_operator_reconciles_total{result="under_way"} 1"#,
            r#"chat_operator_reconcile_seconds_bucket{le="0.025"} 1"#,
            r#"chat_operator_reconcile_seconds_bucket{le="0.01"} 0"#,
            r#"chat_operator_writes_total{kind="Deployment",verb="patch"} 1"#,
            "chat_operator_clusters 3",
            "chat_operator_leader 1",
            r#"chat_operator_events_total{result="published"} 1"#,
            "chat_operator_crd_outdated 1",
            "chat_operator_panics_total 0",
            "# HELP chat_operator_writes_total Objects written",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
