//! The figures that were accepted, and what is said when new ones differ.

use std::{collections::BTreeMap, process::Command};

use serde::Deserialize;

use crate::workload::Workload;

/// Where they are kept.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");

/// How far above its baseline a figure may be, in percent. Ten runs of one program differ by 0.01;
/// the rest is room for a compiler that inlines something else when a change is made elsewhere.
const TOLERANCE_PERCENT: f64 = 2.0;

/// What the figures depend on besides our sources: another one counts something else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltWith {
    /// The compiler.
    rustc: String,
    /// Whose instructions they are.
    target: String,
    /// The allocator, and how memory is copied.
    libc: String,
    /// Which processor it pretends to be decides which copying that is.
    valgrind: String,
}

impl BuiltWith {
    /// What there is on this machine.
    pub fn here() -> Self {
        Self {
            rustc: said(
                &std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()),
                "--version",
            ),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            libc: said("getconf", "GNU_LIBC_VERSION"),
            valgrind: said("valgrind", "--version"),
        }
    }
}

/// The first line of what a program answers.
fn said(program: &str, arg: &str) -> String {
    let answer = Command::new(program).arg(arg).output();
    let answer = answer.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let line = answer.ok().and_then(|it| it.lines().next().map(str::to_owned));
    line.unwrap_or_else(|| "unknown".to_owned())
}

/// Figures that were accepted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    built_with: BuiltWith,
    instructions: BTreeMap<String, u64>,
}

impl Baseline {
    /// These are accepted.
    pub fn of(built_with: BuiltWith, figures: Vec<(Workload, u64)>) -> Self {
        let instructions = figures.into_iter().map(|(it, figure)| (it.name().to_owned(), figure));
        Self { built_with, instructions: instructions.collect() }
    }

    /// Reads what was accepted before.
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(PATH).map_err(|why| format!("{PATH}: {why}"))?;
        toml::from_str(&text).map_err(|why| format!("{PATH}: {why}"))
    }

    /// Keeps it.
    pub fn write(&self) -> Result<(), String> {
        let BuiltWith { rustc, target, libc, valgrind } = &self.built_with;
        let mut text = format!(
            "# Instructions of one unit of each workload of benches/instructions, as callgrind counts\n\
             # them. Written by `make instructions-baseline`; the commit that changes it says why.\n\n\
             [built_with]\nrustc = {rustc:?}\ntarget = {target:?}\nlibc = {libc:?}\n\
             valgrind = {valgrind:?}\n\n[instructions]\n"
        );
        for (name, figure) in &self.instructions {
            text.push_str(&format!("{name} = {figure}\n"));
        }
        std::fs::write(PATH, text).map_err(|why| format!("{PATH}: {why}"))
    }

    /// Prints old and new beside each other. An error where something got worse, or where there is
    /// nothing to compare with.
    pub fn compare(&self, here: &BuiltWith, figures: &[(Workload, u64)]) -> Result<(), String> {
        let comparable = self.built_with == *here;
        println!("{:<14}{:>12}{:>12}{:>10}  one unit", "instructions", "baseline", "now", "change");
        let (mut worse, mut better) = (Vec::new(), Vec::new());
        for (workload, now) in figures {
            let name = workload.name();
            let Some(before) = self.instructions.get(name) else {
                println!("{name:<14}{:>12}{now:>12}{:>10}  {}", "none", "", workload.unit());
                worse.push(format!("{name}: {now}, without a baseline"));
                continue;
            };
            let percent = 100.0 * (*now as f64 - *before as f64) / *before as f64;
            println!("{name:<14}{before:>12}{now:>12}{percent:>+8.2} %  {}", workload.unit());
            let line = format!("{name}: {before} before, {now} now, {percent:+.2} %");
            if percent > TOLERANCE_PERCENT {
                worse.push(line);
            } else if percent < -TOLERANCE_PERCENT {
                better.push(line);
            }
        }
        if !comparable {
            println!(
                "Not compared: the baseline was made with other tools.\n  then: {:?}\n  now:  {here:?}\n\
                 On the machine that counts, make instructions-baseline makes a new one.",
                self.built_with
            );
            return Ok(());
        }
        if !better.is_empty() {
            println!(
                "Better by more than {TOLERANCE_PERCENT} %:\n  {}\n\
                 make instructions-baseline keeps it that way.",
                better.join("\n  ")
            );
        }
        if worse.is_empty() {
            return Ok(());
        }
        Err(format!(
            "Worse by more than {TOLERANCE_PERCENT} %:\n  {}\n\
             Find out why (valgrind --tool=callgrind, callgrind_annotate). If it is worth it:\n\
             make instructions-baseline, and the reason in the commit.",
            worse.join("\n  ")
        ))
    }
}
