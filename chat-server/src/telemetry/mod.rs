//! What the server tells its operator: log lines and metrics.
//!
//! No token and no password is in them at any level. Ours never log one; other libraries are
//! capped at `info`, because some of them write whole frames at `trace`; records of the `log`
//! crate, which those use, are not collected at all; and what would still slip through is cut out
//! of the finished line.

pub(crate) mod metrics;
mod redact;

use std::{
    io::{self, IsTerminal, Write},
    panic,
    str::FromStr,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry,
};

use crate::config::{Log, LogFormat};

/// What is logged, as it is written in the configuration: `info`, or `info,chat_sdk=debug`.
#[derive(Debug, Clone)]
pub(crate) struct LogFilter(String);

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
pub(crate) fn start_logging(log: &Log) {
    let filter = EnvFilter::builder().parse_lossy(&log.level.0).and(filter_fn(allowed));
    let terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(RedactedStderr).with_ansi(colours);
    let layer = if json {
        lines.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    // Not `init`, which would also collect what other libraries say through the `log` crate.
    let started = tracing::subscriber::set_global_default(registry().with(layer));
    debug_assert!(started.is_ok(), "logging starts once");
    log_panics();
}

/// Everything of ours, and of others what an operator may want to know.
fn allowed(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    *metadata.level() <= Level::INFO
        || ["chat_server", "chat_sdk"].iter().any(|ours| {
            target.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

/// A panic ends one task, not the process; it is counted, and logged like everything else.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        ::metrics::counter!(metrics::PANICS).increment(1);
        let message = panic.payload_as_str().unwrap_or("not a text");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(message, location, %backtrace, "panic: a defect, please report it");
    }));
}

/// Standard error, a line at a time, with credentials cut out.
#[derive(Debug, Clone, Copy)]
struct RedactedStderr;

impl<'a> MakeWriter<'a> for RedactedStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for RedactedStderr {
    /// The formatter writes a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(redact::redact(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused() {
        for good in ["info", "trace", "info,chat_sdk=debug", "warn,chat_server::serve=trace"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,chat_sdk=loud", "info,,warn"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
