//! Counted instructions: what a delivery, a send and a connection cost, in a figure that two runs
//! agree on whatever else the machine does, so that CI can refuse what makes it worse.
//!
//! Tests run each workload once, without counting. `make instructions` compares with the baseline,
//! `make instructions-baseline` writes it; `-- --runs 10` shows how much the figures scatter.

mod baseline;
mod callgrind;
mod workload;

use std::process::ExitCode;

use self::{
    baseline::{Baseline, BuiltWith},
    callgrind::CountError,
    workload::Workload,
};

/// What this program was called for.
enum Call {
    /// By `cargo test`: does everything once.
    Once,
    /// By itself, under valgrind.
    Repeat(Workload, u32),
    /// Counts and compares.
    Compare,
    /// Counts and keeps the figures for later comparisons.
    Accept,
    /// Counts so many times and shows how much the figures differ.
    Scatter(u32),
}

fn call(args: &[String]) -> Result<Call, String> {
    // Cargo's own word for "measure" stands last.
    let (own, measure) = match args.split_last() {
        Some((last, own)) if last == "--bench" => (own, true),
        Some(_) | None => (args, false),
    };
    let own: Vec<_> = own.iter().map(String::as_str).collect();
    match own[..] {
        [] if measure => Ok(Call::Compare),
        [] => Ok(Call::Once),
        ["--accept"] => Ok(Call::Accept),
        ["--runs", runs] => {
            runs.parse().map(Call::Scatter).map_err(|why| format!("--runs {runs}: {why}"))
        }
        ["--repeat", name, times] => {
            let workload = Workload::named(name).ok_or_else(|| format!("no workload {name}"))?;
            let times = times.parse().map_err(|why| format!("{times} times: {why}"))?;
            Ok(Call::Repeat(workload, times))
        }
        _ => Err(format!("not understood: {}", own.join(" "))),
    }
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let done = match call(&args) {
        Ok(Call::Once) => {
            for workload in Workload::ALL {
                workload.repeat(1);
                println!("{}: done once, not counted", workload.name());
            }
            Ok(())
        }
        Ok(Call::Repeat(workload, times)) => {
            workload.repeat(times);
            Ok(())
        }
        Ok(Call::Compare) => compare(),
        Ok(Call::Accept) => count_all().map_err(|why| why.to_string()).and_then(|figures| {
            Baseline::of(BuiltWith::here(), figures).write()?;
            println!("{} is written", baseline::PATH);
            Ok(())
        }),
        Ok(Call::Scatter(runs)) => scatter(runs),
        Err(why) => Err(why),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Every workload with its figure.
fn count_all() -> Result<Vec<(Workload, u64)>, CountError> {
    Workload::ALL.into_iter().map(|it| Ok((it, callgrind::count(it)?))).collect()
}

fn compare() -> Result<(), String> {
    let figures = match count_all() {
        Ok(figures) => figures,
        Err(CountError::NoValgrind) if std::env::var_os("CI").is_none() => {
            println!("There is no valgrind here: nothing was counted, nothing compared.");
            return Ok(());
        }
        Err(why) => return Err(why.to_string()),
    };
    let baseline = Baseline::read()?;
    baseline.compare(&BuiltWith::here(), &figures)
}

fn scatter(runs: u32) -> Result<(), String> {
    println!("{:<14}{:>12}{:>12}{:>10}", "workload", "least", "most", "apart");
    for workload in Workload::ALL {
        let counted: Result<Vec<_>, _> = (0..runs).map(|_| callgrind::count(workload)).collect();
        let counted = counted.map_err(|why| why.to_string())?;
        let (Some(least), Some(most)) = (counted.iter().min(), counted.iter().max()) else {
            return Err("no run, no figure".to_owned());
        };
        let apart = 100.0 * (most - least) as f64 / *least as f64;
        println!("{:<14}{least:>12}{most:>12}{apart:>8.2} %", workload.name());
    }
    Ok(())
}
