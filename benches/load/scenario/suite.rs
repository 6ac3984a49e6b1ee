//! The workloads that the chat has goals for, one after the other, each a run of this program; their
//! figures beside the goals as one table in Markdown.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{report::Spread, subject::Peer};

/// All workloads that have goals, with a table of what was reached
#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Writes every single report there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// One short run of each with fewer people: whether everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Servers of others to measure as well, as in each workload
    #[arg(long, value_name = "PEER", value_enum, value_delimiter = ',')]
    beside: Vec<Peer>,
    /// The program that `--beside centrifugo` starts
    #[arg(long, value_name = "FILE", requires = "beside")]
    centrifugo: Option<PathBuf>,
    /// The folder of what `--beside tinode` starts
    #[arg(long, value_name = "FOLDER", requires = "beside")]
    tinode: Option<PathBuf>,
    /// The chat-server to start; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
}

/// A workload.
struct Line {
    /// As the goals count them.
    row: u8,
    arguments: &'static [&'static str],
    /// How many people.
    size: Scaled,
    /// For how long.
    times: &'static [Scaled],
    pace: Pace,
    others: Others,
    goals: &'static [Goal],
}

/// An option with its value, and with that of a quick run.
type Scaled = [&'static str; 3];

/// Whether servers of others do the same.
enum Others {
    /// Only this chat has a goal there.
    Nobody,
    Everybody,
    /// Those without a log. Tinode is not measured on two servers, and where everybody is in many
    /// groups they join those one by one each time that they connect.
    WithoutLog,
}

enum Pace {
    AsItGoes,
    /// Half of what a line before reached.
    HalfOf(usize),
}

struct Goal {
    figure: Figure,
    bound: Bound,
}

/// A number of a report. The first row in it is ours.
#[derive(Clone, Copy)]
enum Figure {
    /// Work per CPU-second as a fraction of a floor's.
    OfFloor(&'static str),
    /// The same as a multiple of a peer's.
    OfPeer(&'static str),
    /// The same as a fraction of another line's.
    OfLine(usize),
    /// Latency as a multiple of a floor's.
    Latency(&'static str, &'static str),
    /// Bytes of each connection.
    Bytes,
    /// Statements per resume with the most conversations, as a multiple of those with the fewest.
    StatementGrowth,
    /// The p99 of those who talk during a return, as a multiple of what it was before.
    LiveLatency,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const fn least(figure: Figure, least: f64) -> Goal {
    Goal { figure, bound: Bound::AtLeast(least) }
}

const fn most(figure: Figure, most: f64) -> Goal {
    Goal { figure, bound: Bound::AtMost(most) }
}

const RELAY: &str = "floor, one write a message";
const BOTH: &str = "floor, both";
const UPGRADE: &str = "floor, upgrade and token";
const FAN_OUT: &[Goal] = &[
    least(Figure::OfFloor(RELAY), 0.85),
    least(Figure::OfPeer("Centrifugo"), 1.8),
    least(Figure::OfPeer("Socket.IO"), 3.5),
];
const AT_HALF: &[Goal] =
    &[most(Figure::Latency("p50", RELAY), 1.3), most(Figure::Latency("p99", RELAY), 2.0)];
const HISTORY: &str = "Centrifugo, history in Redis";
const RUNS: Scaled = ["--runs", "5", "1"];
const TALK: &[Scaled] = &[["--seconds", "5", "1"]];
const WINDOW: &[Scaled] = &[["--seconds", "5", "1"], ["--warm-up", "2", "1"]];
/// As long as memory takes to be at rest.
const UNTIMED: &[Scaled] = &[];

/// A line of [`LINES`], short enough to stay one.
const fn line(
    row: u8,
    arguments: &'static [&'static str],
    size: Scaled,
    times: &'static [Scaled],
    pace: Pace,
    others: Others,
    goals: &'static [Goal],
) -> Line {
    Line { row, arguments, size, times, pace, others, goals }
}

#[rustfmt::skip]
const LINES: &[Line] = &[
    line(1, &["fan-out"], ["--listeners", "100", "10"], WINDOW, Pace::AsItGoes, Others::Everybody, FAN_OUT),
    line(1, &["fan-out"], ["--listeners", "1000", "100"], WINDOW, Pace::AsItGoes, Others::Everybody, FAN_OUT),
    line(1, &["fan-out"], ["--listeners", "5000", "200"], WINDOW, Pace::AsItGoes, Others::Everybody, FAN_OUT),
    line(1, &["fan-out", "--bytes", "1024"], ["--listeners", "1000", "100"], WINDOW, Pace::AsItGoes, Others::Everybody, FAN_OUT),
    line(2, &["fan-out"], ["--listeners", "1000", "100"], WINDOW, Pace::HalfOf(1), Others::Nobody, AT_HALF),
    line(3, &["direct", "--store", "postgres"], ["--pairs", "500", "50"], WINDOW, Pace::AsItGoes, Others::Everybody,
        &[least(Figure::OfFloor(BOTH), 0.5), least(Figure::OfPeer(HISTORY), 1.0)]),
    line(4, &["direct", "--store", "sqlite"], ["--pairs", "500", "50"], WINDOW, Pace::AsItGoes, Others::Nobody,
        &[least(Figure::OfFloor(BOTH), 0.5)]),
    line(5, &["hot", "--store", "postgres"], ["--senders", "16", "4"], WINDOW, Pace::AsItGoes, Others::Nobody,
        &[least(Figure::OfLine(5), 0.5)]),
    line(6, &["idle"], ["--connections", "10000", "500"], UNTIMED, Pace::AsItGoes, Others::WithoutLog,
        &[most(Figure::Bytes, 6.0 * 1024.0)]),
    line(7, &["connect"], ["--users", "1000", "100"], WINDOW, Pace::AsItGoes, Others::Everybody,
        &[least(Figure::OfFloor(UPGRADE), 0.5), least(Figure::OfPeer("Centrifugo"), 2.5)]),
    line(8, &["across"], ["--listeners", "1000", "100"], WINDOW, Pace::AsItGoes, Others::WithoutLog,
        &[least(Figure::OfFloor("one chat-server"), 0.8), least(Figure::OfPeer("Centrifugo"), 1.8),
          least(Figure::OfPeer("Socket.IO"), 3.0)]),
    line(9, &["resume"], ["--devices", "5000", "200"], TALK, Pace::AsItGoes, Others::Nobody,
        &[most(Figure::StatementGrowth, 1.1), most(Figure::LiveLatency, 2.0)]),
];

impl Suite {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("a folder for reports")?;
        let file = folder.path().join("report.json");
        let mut reports: Vec<Value> = Vec::new();
        let mut done = Vec::new();
        let mut table = vec![
            "| # | workload | figure | goal | measured | reached |".to_owned(),
            "|---|---|---|---|---|---|".to_owned(),
        ];
        for line in LINES {
            let arguments = self.arguments(line, &reports)?;
            let report = self.measure(line, &arguments, &file)?;
            reports.push(report);
            let name = arguments.join(" ");
            table.extend(line.goals.iter().map(|goal| cells(line.row, &name, goal, &reports)));
            done.push(json!({ "row": line.row, "command": name, "report": reports.last() }));
            // What was measured stays, whatever comes.
            fs::write(&self.out, format!("{:#}\n", json!(done)))
                .with_context(|| format!("cannot write {}", self.out.display()))?;
        }
        if self.quick {
            println!("A quick run: that everything works, and nothing about speed.\n");
        }
        println!("{}", table.join("\n"));
        Ok(())
    }

    fn arguments(&self, line: &Line, reports: &[Value]) -> anyhow::Result<Vec<String>> {
        let mut arguments: Vec<String> = line.arguments.iter().map(|it| (*it).to_owned()).collect();
        arguments.extend(self.scaled(line.size).map(str::to_owned));
        match line.pace {
            Pace::AsItGoes => {}
            Pace::HalfOf(other) => {
                let listeners: f64 = arguments[arguments.len() - 1].parse()?;
                let reached = per_second(&reports[other]).context("how fast it was is known")?;
                let rate = (reached / listeners / 2.0).max(1.0);
                arguments.extend(["--rate".to_owned(), format!("{rate:.0}")]);
            }
        }
        Ok(arguments)
    }

    /// What does not tell one line from another.
    fn options(&self, line: &Line) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        for scaled in std::iter::once(&RUNS).chain(line.times) {
            options.extend(self.scaled(*scaled).map(OsString::from));
        }
        let beside: Vec<Peer> = match line.others {
            Others::Nobody => Vec::new(),
            Others::Everybody => self.beside.clone(),
            Others::WithoutLog => {
                self.beside.iter().copied().filter(|peer| *peer != Peer::Tinode).collect()
            }
        };
        for peer in &beside {
            let value = peer.to_possible_value().expect("no peer is hidden");
            options.extend(["--beside", value.get_name()].map(OsString::from));
        }
        if !beside.is_empty() {
            for (option, programs) in
                [("--centrifugo", &self.centrifugo), ("--tinode", &self.tinode)]
            {
                if let Some(programs) = programs {
                    options.extend([option.into(), programs.into()]);
                }
            }
        }
        if let Some(server) = &self.server {
            options.extend(["--server".into(), server.into()]);
        }
        options
    }

    fn scaled(&self, [option, full, quick]: Scaled) -> [&'static str; 2] {
        [option, if self.quick { quick } else { full }]
    }

    fn measure(&self, line: &Line, arguments: &[String], file: &Path) -> anyhow::Result<Value> {
        let program = std::env::current_exe().context("where this program is")?;
        let name = arguments.join(" ");
        eprintln!("\n{name}");
        let output = Command::new(program)
            .args(arguments)
            .args(self.options(line))
            .arg("--json")
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            bail!("{name}: {}", output.status);
        }
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }
}

fn cells(row: u8, name: &str, goal: &Goal, reports: &[Value]) -> String {
    let (figure, unit) = match goal.figure {
        Figure::OfFloor(floor) => (format!("of {floor}"), ""),
        Figure::OfPeer(peer) => (format!("beside {peer}"), " times"),
        Figure::OfLine(line) => (format!("of `{}`", LINES[line].arguments.join(" ")), ""),
        Figure::Latency(quantile, floor) => (format!("{quantile} beside {floor}"), " times"),
        Figure::Bytes => ("resident bytes each".to_owned(), ""),
        Figure::StatementGrowth => {
            ("statements, most to fewest conversations".to_owned(), " times")
        }
        Figure::LiveLatency => ("p99 of others, during to before".to_owned(), " times"),
    };
    let digits = if matches!(goal.figure, Figure::Bytes) { 0 } else { 2 };
    let (bound, wanted) = match goal.bound {
        Bound::AtLeast(least) => ("at least", least),
        Bound::AtMost(most) => ("at most", most),
    };
    let (measured, reached) = match measured(goal.figure, reports) {
        Some(value) => {
            let reached = match goal.bound {
                Bound::AtLeast(least) => value >= least,
                Bound::AtMost(most) => value <= most,
            };
            (format!("{value:.digits$}{unit}"), if reached { "yes" } else { "no" })
        }
        None => ("not measured".to_owned(), "–"),
    };
    format!("| {row} | `{name}` | {figure} | {bound} {wanted:.digits$} | {measured} | {reached} |")
}

/// What the last report has; `None`: nothing of the kind.
fn measured(figure: Figure, reports: &[Value]) -> Option<f64> {
    let report = reports.last()?;
    let rows = report["rows"].as_array()?;
    let rate = |row: &Value| row["work_per_cpu_second"]["median"].as_f64();
    let named = |name: &str| rows.iter().find(|row| row["name"] == name);
    match figure {
        Figure::OfFloor(floor) => rows.first()?["fraction_of"][floor]["median"].as_f64(),
        Figure::OfPeer(peer) => Some(rate(rows.first()?)? / rate(named(peer)?)?),
        Figure::OfLine(line) => Some(rate(rows.first()?)? / rate(&reports.get(line)?["rows"][0])?),
        Figure::Latency(quantile, floor) => {
            let all = report["latencies"].as_array()?;
            let own = &rows.first()?["name"];
            let row = all.iter().find(|it| it["name"] == *own && it["times"] == floor)?;
            row[quantile]["median"].as_f64()
        }
        Figure::Bytes => {
            let runs = rows.first()?["runs"].as_array()?;
            Some(Spread::of(runs.iter().filter_map(Value::as_f64))?.median)
        }
        Figure::StatementGrowth => {
            let of = |row: &Value| row["statements_per_resume"]["median"].as_f64();
            Some(of(rows.last()?)? / of(rows.first()?)?)
        }
        Figure::LiveLatency => {
            let all = rows.iter().map(|row| row["live_p99_times"]["median"].as_f64());
            Some(all.collect::<Option<Vec<_>>>()?.into_iter().fold(0.0, f64::max))
        }
    }
}

/// Work a second of our server in a report, by wall clock.
fn per_second(report: &Value) -> Option<f64> {
    let runs = report["rows"][0]["runs"].as_array()?;
    Some(Spread::of(runs.iter().filter_map(|run| run["work_per_second"].as_f64()))?.median)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::Cli;

    fn rates(ours: f64, peer: f64) -> Value {
        let row = |name: &str, rate: f64| {
            json!({
                "name": name,
                "work_per_cpu_second": { "median": rate },
                "fraction_of": { RELAY: { "median": rate / 100.0 } },
            })
        };
        json!({ "rows": [row("ours", ours), row("Centrifugo", peer)] })
    }

    #[test]
    fn a_goal_is_reached_or_not_or_nobody_knows() {
        let reports = [rates(90.0, 45.0)];
        let reached = |goal: &Goal| {
            let cells = cells(1, "fan-out", goal, &reports);
            cells.trim_end_matches(" |").rsplit(' ').next().unwrap().to_owned()
        };
        for (goal, expected) in [
            (least(Figure::OfFloor(RELAY), 0.85), "yes"),
            (least(Figure::OfFloor(RELAY), 0.95), "no"),
            (most(Figure::OfFloor(RELAY), 0.85), "no"),
            (least(Figure::OfPeer("Centrifugo"), 2.0), "yes"),
            (least(Figure::OfPeer("Centrifugo"), 2.1), "no"),
            (least(Figure::OfPeer("Socket.IO"), 0.1), "–"),
        ] {
            assert_eq!(reached(&goal), expected);
        }
        let both = [rates(50.0, 1.0), rates(20.0, 1.0)];
        assert_eq!(measured(Figure::OfLine(0), &both), Some(0.4));
    }

    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("chat-load".into()).chain(arguments))
    }

    #[test]
    fn every_line_is_a_command() {
        let suite =
            "suite --out x --beside ws,centrifugo,tinode --centrifugo x --tinode x --server x";
        let report = json!({ "rows": [{ "runs": [{ "work_per_second": 1e6 }] }] });
        let reports = vec![report; LINES.len()];
        for more in [None, Some("--quick")] {
            let suite = parse(suite.split(' ').chain(more).map(OsString::from)).unwrap().command;
            let crate::Command::Suite(suite) = suite else { panic!("{suite:?}") };
            for line in LINES {
                let arguments = suite.arguments(line, &reports).unwrap();
                let options = suite.options(line);
                let all = arguments.iter().map(OsString::from).chain(options.iter().cloned());
                let parsed = parse(all);
                assert!(parsed.is_ok(), "{arguments:?} {options:?}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn others_are_asked_for_what_they_do() {
        let suite = "suite --out x --beside ws,tinode --tinode x".split(' ').map(OsString::from);
        let crate::Command::Suite(suite) = parse(suite).unwrap().command else {
            panic!("no suite")
        };
        for line in LINES {
            let options = suite.options(line);
            let has = |peer: &str| options.iter().any(|it| it == peer);
            let expected = match line.row {
                1 | 3 | 7 => (true, true),
                6 | 8 => (true, false),
                _ => (false, false),
            };
            assert_eq!((has("ws"), has("tinode")), expected, "{options:?}");
        }
    }

    #[test]
    fn lines_refer_to_those_before_them() {
        for (n, line) in LINES.iter().enumerate() {
            if let Pace::HalfOf(other) = line.pace {
                assert!(other < n && LINES[other].size == line.size);
            }
            for goal in line.goals {
                if let Figure::OfLine(other) = goal.figure {
                    assert!(other < n && LINES[other].row == 3);
                }
            }
        }
    }
}
