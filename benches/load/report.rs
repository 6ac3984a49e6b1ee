//! What was measured, and how it is told: medians with their spread, side by side, as a table and as
//! JSON. Knows nothing of how it came about.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::{
    engine::Calls,
    subject::{Cpu, Role},
};

/// Above, it is the generator that was measured.
const BUSY_MAX: f64 = 0.9;
/// Latencies are told apart by three digits, up to this.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Latencies in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("the bounds are in order"))
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(ns);
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// In microseconds; of an empty one there is none.
    pub(crate) fn at(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1e3)
    }
}

/// One measured window.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What was done, in the report's unit.
    pub(crate) work: u64,
    pub(crate) wall: Duration,
    /// Of each process of the subject.
    pub(crate) cpu: Cpu,
    /// Of the generator's thread, but for looking while there was nothing.
    pub(crate) own_cpu: Duration,
    pub(crate) latency: Latency,
    pub(crate) calls: Calls,
}

impl Run {
    fn cpu_seconds(&self) -> f64 {
        self.cpu.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Work per CPU-second, where the CPU is known.
    fn rate(&self) -> Option<f64> {
        let cpu = self.cpu_seconds();
        (cpu > 0.0).then(|| self.work as f64 / cpu)
    }

    fn per_second(&self) -> f64 {
        self.work as f64 / self.wall.as_secs_f64()
    }

    /// How much of its core the generator used.
    fn busy(&self) -> f64 {
        self.own_cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    fn json(&self) -> Value {
        let cpu: serde_json::Map<_, _> =
            self.cpu.iter().map(|(name, seconds)| (name.clone(), json!(seconds))).collect();
        json!({
            "work": self.work,
            "wall_seconds": self.wall.as_secs_f64(),
            "cpu_seconds": cpu,
            "work_per_cpu_second": self.rate(),
            "work_per_second": self.per_second(),
            "generator_busy": self.busy(),
            "generator_reads": self.calls.reads,
            "generator_writes": self.calls.writes,
            "latency_us": {
                "p50": self.latency.at(0.5),
                "p99": self.latency.at(0.99),
                "p999": self.latency.at(0.999),
                "max": self.latency.at(1.0),
            },
        })
    }
}

/// All runs of one contestant.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether it does what the others do, so that latencies can be compared, or only a part of it.
    pub(crate) same_work: bool,
    pub(crate) runs: Vec<Run>,
}

/// A limit that follows from two others which a product has to do both of.
pub(crate) struct Combined {
    pub(crate) name: String,
    /// Names of rows.
    pub(crate) of: Vec<String>,
}

/// A scenario that was measured.
pub(crate) struct Report {
    /// What was done, for a headline.
    pub(crate) scenario: String,
    /// What is counted, in the plural.
    pub(crate) unit: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) combined: Option<Combined>,
}

/// A median and the extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None`: there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|it| it.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// Work per CPU-second of all runs, in their order.
struct Rates {
    name: String,
    floor: bool,
    each: Vec<Option<f64>>,
}

impl Rates {
    fn spread(&self) -> Option<Spread> {
        Spread::of(self.each.iter().copied().flatten())
    }

    /// As a fraction of another one, run by run: what the machine did meanwhile falls out.
    fn of(&self, other: &Self) -> Option<Spread> {
        let pairs = self.each.iter().zip(&other.each);
        Spread::of(pairs.filter_map(|(own, other)| Some((*own)? / (*other)?)))
    }
}

impl Report {
    fn rates(&self) -> Vec<Rates> {
        let mut rates: Vec<Rates> = self
            .rows
            .iter()
            .map(|row| Rates {
                name: row.name.clone(),
                floor: row.role == Role::Floor,
                each: row.runs.iter().map(Run::rate).collect(),
            })
            .collect();
        if let Some(combined) = &self.combined {
            let parts: Vec<&Rates> =
                rates.iter().filter(|rates| combined.of.contains(&rates.name)).collect();
            let runs = parts.iter().map(|part| part.each.len()).min().unwrap_or_default();
            // Both are done for each: their costs add up.
            let each = (0..runs).map(|run| {
                let costs: Option<Vec<f64>> =
                    parts.iter().map(|part| part.each[run].map(|rate| 1.0 / rate)).collect();
                Some(1.0 / costs?.iter().sum::<f64>())
            });
            let each = each.collect();
            rates.push(Rates { name: combined.name.clone(), floor: true, each });
        }
        rates
    }

    /// Latencies of a row as multiples of another one's, run by run.
    fn slower(own: &Row, other: &Row, quantile: f64) -> Option<Spread> {
        let pairs = own.runs.iter().zip(&other.runs);
        Spread::of(pairs.filter_map(|(own, other)| {
            Some(own.latency.at(quantile)? / other.latency.at(quantile)?)
        }))
    }

    /// Those whose latency is compared, each with a floor that does the same.
    fn compared(&self) -> impl Iterator<Item = (&Row, &Row)> {
        let floors = self.rows.iter().filter(|row| row.role == Role::Floor && row.same_work);
        floors.flat_map(|floor| {
            let measured =
                self.rows.iter().filter(|row| row.role == Role::Measured && row.same_work);
            measured.map(move |row| (row, floor))
        })
    }

    /// The table.
    pub(crate) fn text(&self) -> String {
        let rates = self.rates();
        let floors: Vec<&Rates> = rates.iter().filter(|rates| rates.floor).collect();
        let mut lines = vec![vec![
            String::new(),
            format!("{} per CPU-second", self.unit),
            "per second".to_owned(),
            "p50".to_owned(),
            "p99".to_owned(),
            "p99.9".to_owned(),
            "max".to_owned(),
            "generator".to_owned(),
        ]];
        lines[0].extend(floors.iter().map(|floor| format!("of {}", floor.name)));
        for (n, own) in rates.iter().enumerate() {
            let mut line = vec![own.name.clone(), own.spread().map_or("-".to_owned(), thousands)];
            match self.rows.get(n) {
                Some(row) => line.extend(row_cells(row)),
                None => line.resize(8, String::new()),
            }
            let fractions = floors.iter().map(|floor| {
                let same = floor.name == own.name;
                own.of(floor).filter(|_| !same).map_or(String::new(), fraction)
            });
            line.extend(fractions);
            lines.push(line);
        }
        let runs = self.rows.iter().map(|row| row.runs.len()).max().unwrap_or_default();
        let mut text = format!("{}\n", self.scenario);
        text.push_str(&aligned(&lines));
        let _ = writeln!(
            text,
            "medians of {runs} runs (smallest to largest); latencies in microseconds; \"!\": the \
             generator was more than {:.0} % busy",
            BUSY_MAX * 100.0
        );
        for (row, floor) in self.compared() {
            let slower = |quantile| Self::slower(row, floor, quantile).map(fraction);
            if let (Some(p50), Some(p99)) = (slower(0.5), slower(0.99)) {
                let _ = writeln!(
                    text,
                    "latency of {} beside {}: p50 {p50} times, p99 {p99} times",
                    row.name, floor.name
                );
            }
        }
        for row in &self.rows {
            if row.runs.iter().any(|run| run.cpu.len() > 1) {
                let _ = writeln!(text, "CPU of {}: {}", row.name, shares(row));
            }
        }
        text
    }

    /// Everything, with each single run.
    pub(crate) fn json(&self) -> Value {
        let rates = self.rates();
        let rows: Vec<Value> = rates
            .iter()
            .enumerate()
            .map(|(n, own)| {
                let fractions: serde_json::Map<_, _> = rates
                    .iter()
                    .filter(|floor| floor.floor && floor.name != own.name)
                    .filter_map(|floor| Some((floor.name.clone(), own.of(floor)?.json())))
                    .collect();
                json!({
                    "name": own.name,
                    "floor": own.floor,
                    "work_per_cpu_second": own.spread().map(Spread::json),
                    "fraction_of": fractions,
                    "runs": self.rows.get(n).map(|row| {
                        row.runs.iter().map(Run::json).collect::<Vec<_>>()
                    }),
                })
            })
            .collect();
        let latencies = self.compared().map(|(row, floor)| {
            json!({
                "name": row.name,
                "times": floor.name,
                "p50": Self::slower(row, floor, 0.5).map(Spread::json),
                "p99": Self::slower(row, floor, 0.99).map(Spread::json),
            })
        });
        json!({
            "scenario": self.scenario,
            "unit": self.unit,
            "rows": rows,
            "latencies": latencies.collect::<Vec<_>>(),
        })
    }

    /// Prints the table, and writes the file if there is to be one.
    pub(crate) fn publish(&self, file: Option<&Path>) -> anyhow::Result<()> {
        print!("{}", self.text());
        if let Some(file) = file {
            let text = format!("{:#}\n", self.json());
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}

fn row_cells(row: &Row) -> Vec<String> {
    let runs = &row.runs;
    let median = |quantile: f64| {
        let all = Spread::of(runs.iter().filter_map(|run| run.latency.at(quantile)));
        all.map_or("-".to_owned(), |it| format!("{:.0}", it.median))
    };
    let worst = Spread::of(runs.iter().filter_map(|run| run.latency.at(1.0)));
    let busy = Spread::of(runs.iter().map(Run::busy));
    vec![
        Spread::of(runs.iter().map(Run::per_second)).map_or("-".to_owned(), |it| number(it.median)),
        median(0.5),
        median(0.99),
        median(0.999),
        worst.map_or("-".to_owned(), |it| format!("{:.0}", it.max)),
        busy.map_or("-".to_owned(), |it| {
            let mark = if it.max > BUSY_MAX { " !" } else { "" };
            format!("{:.0} %{mark}", it.median * 100.0)
        }),
    ]
}

/// How the CPU of all runs together is shared out.
fn shares(row: &Row) -> String {
    let total: f64 = row.runs.iter().map(Run::cpu_seconds).sum();
    let names = row.runs.first().map(|run| &run.cpu).into_iter().flatten();
    let each = names.enumerate().map(|(n, (name, _))| {
        let own: f64 = row.runs.iter().map(|run| run.cpu[n].1).sum();
        format!("{name} {:.0} %", own / total * 100.0)
    });
    each.collect::<Vec<_>>().join(", ")
}

fn thousands(spread: Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.min), number(spread.max))
}

fn fraction(spread: Spread) -> String {
    format!("{:.2} ({:.2}–{:.2})", spread.median, spread.min, spread.max)
}

/// With commas.
pub(crate) fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first column to the left, the others to the right.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|it| it.chars().count()).max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        for (n, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if n == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, role: Role, rates: &[u64]) -> Row {
        let run = |work: &u64| {
            let mut latency = Latency::new();
            latency.add(Duration::from_nanos(1_000_000_000 / work));
            Run {
                work: *work,
                wall: Duration::from_secs(2),
                cpu: vec![("server".to_owned(), 0.75), ("PostgreSQL".to_owned(), 0.25)],
                own_cpu: Duration::from_millis(1900),
                latency,
                calls: Calls::default(),
            }
        };
        let same_work = name != "rows";
        Row { name: name.to_owned(), role, same_work, runs: rates.iter().map(run).collect() }
    }

    fn report() -> Report {
        Report {
            scenario: "test".to_owned(),
            unit: "messages",
            rows: vec![
                row("ours", Role::Measured, &[1_000, 3_000, 2_000]),
                row("socket", Role::Floor, &[10_000, 10_000, 40_000]),
                row("rows", Role::Floor, &[10_000, 30_000, 40_000]),
            ],
            combined: Some(Combined {
                name: "both".to_owned(),
                of: vec!["socket".to_owned(), "rows".to_owned()],
            }),
        }
    }

    #[test]
    fn fractions_are_of_the_same_run() {
        let json = report().json();
        // 0.1, 0.3, 0.05.
        let fraction = &json["rows"][0]["fraction_of"]["socket"];
        assert_eq!(*fraction, json!({ "median": 0.1, "min": 0.05, "max": 0.3 }));
        assert_eq!(json["rows"][0]["work_per_cpu_second"]["median"], 2_000.0);
    }

    #[test]
    fn combined_floors_add_their_costs() {
        let json = report().json();
        let both = &json["rows"][3];
        assert_eq!(both["name"], "both");
        // 5,000, 7,500, 20,000.
        let rates = &both["work_per_cpu_second"];
        for (name, rate) in [("min", 5_000.0), ("median", 7_500.0), ("max", 20_000.0)] {
            assert!((rates[name].as_f64().unwrap() - rate).abs() < 1e-6, "{name}: {rates}");
        }
    }

    #[test]
    fn the_table_says_what_matters() {
        let text = report().text();
        let ours = text.lines().find(|line| line.starts_with("ours")).unwrap();
        for part in ["2,000 (1,000–3,000)", "0.10 (0.05–0.30)", "95 % !", "500"] {
            assert!(ours.contains(part), "{part}: {ours}");
        }
        assert!(text.contains("CPU of ours: server 75 %, PostgreSQL 25 %"), "{text}");
    }

    #[test]
    fn latencies_are_compared_with_those_who_do_the_same() {
        let json = report().json();
        let latencies = json["latencies"].as_array().unwrap();
        assert_eq!(latencies.len(), 1);
        assert_eq!(latencies[0]["times"], "socket");
        // 10, 3.3, 20 times.
        let p50 = &latencies[0]["p50"];
        for (name, times) in [("min", 10.0 / 3.0), ("median", 10.0), ("max", 20.0)] {
            // Three digits are kept of a latency.
            assert!((p50[name].as_f64().unwrap() / times - 1.0).abs() < 0.005, "{name}: {p50}");
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([f64::NAN]), None);
        assert_eq!(number(1_234_567.0), "1,234,567");
    }
}
