//! Metrics in the text format of Prometheus: what the chat and the doors count, and what the
//! process uses.

use std::{fmt::Write, time::Duration};

use anyhow::Context;
use metrics::{Unit, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Panics of tasks: defects.
pub(crate) const PANICS: &str = "chat_server_panics_total";
/// Connections that were accepted.
pub(crate) const ACCEPTED: &str = "chat_server_connections_accepted_total";
/// Connections that were refused because there were too many.
pub(crate) const REFUSED: &str = "chat_server_connections_refused_total";
/// Open connections that are not live ones.
pub(crate) const OPEN: &str = "chat_server_connections_open";
/// Errors while accepting, of which running out of file descriptors is the usual one.
pub(crate) const ACCEPT_ERRORS: &str = "chat_server_accept_errors_total";
/// Connections that came to no end of their TLS handshake.
pub(crate) const HANDSHAKES_FAILED: &str = "chat_server_tls_handshakes_failed_total";
/// Requests by who answered them and how.
pub(crate) const REQUESTS: &str = "chat_server_requests_total";

/// From half a millisecond, which is a commit on a good disk, to ten seconds, which is everybody's
/// patience.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often old samples are folded; without that they would pile up where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts collecting, for the rest of the process. The upkeep ends with the runtime.
pub(crate) fn start() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()
        .context("metrics could not be started")?;
    describe_counter!(PANICS, "Panics of tasks; each is a defect");
    describe_counter!(ACCEPTED, "Connections accepted");
    describe_counter!(REFUSED, "Connections refused because there were too many");
    describe_gauge!(OPEN, "Open connections that are not live (WebSocket) connections");
    describe_counter!(ACCEPT_ERRORS, "Errors while accepting connections");
    describe_counter!(HANDSHAKES_FAILED, "TLS handshakes that failed or took too long");
    describe_counter!(REQUESTS, "Requests, by who answered (route) and the class of the status");
    describe_counter!(
        "chat_moves_total",
        "Clients told to move to another server: because this one leaves (drain), or has more than its share (balance)"
    );
    describe_gauge!("chat_server_build_info", Unit::Count, "Always 1; the version is a label");
    gauge!("chat_server_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Everything, as it is scraped.
pub(crate) fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    process(&mut text);
    text
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
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; what follows it is numbers, the third on.
    let numbers = stat.rsplit_once(") ")?.1;
    let ticks: f64 =
        numbers.split(' ').skip(11).take(2).map(|n| n.parse::<f64>().ok()).sum::<Option<_>>()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_fds() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that reads the folder is not the process's.
    u32::try_from(count.saturating_sub(1)).ok().map(f64::from)
}
