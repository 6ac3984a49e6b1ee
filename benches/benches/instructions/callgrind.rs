//! Counts the instructions of a workload: this program runs itself under callgrind, once with n
//! repetitions and once with 2n. Start-up, set-up and the way out are in both, so the difference is
//! n repetitions and nothing else.

use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::workload::Workload;

/// Nothing was counted.
#[derive(Debug)]
pub enum CountError {
    /// It is not installed.
    NoValgrind,
    /// Something else, in words.
    Failed(String),
}

impl std::fmt::Display for CountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoValgrind => f.write_str("there is no valgrind here; scripts/needs.sh gets it"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Instructions of one unit of this workload.
pub fn count(workload: Workload) -> Result<u64, CountError> {
    let times = workload.repetitions();
    let folder = tempfile::tempdir().map_err(|why| CountError::Failed(why.to_string()))?;
    let (short, long) = (folder.path().join("short"), folder.path().join("long"));
    // Beside each other: neither knows how long it takes.
    let running = [start(workload, times, &short)?, start(workload, 2 * times, &long)?];
    for child in running {
        let ended = child.wait_with_output().map_err(|why| CountError::Failed(why.to_string()))?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            return Err(CountError::Failed(format!("{} under valgrind: {said}", workload.name())));
        }
    }
    let more = total(&long)?.checked_sub(total(&short)?);
    let more = more.ok_or_else(|| {
        CountError::Failed(format!("{}: twice as often cost less", workload.name()))
    })?;
    Ok(more / (u64::from(times) * workload.units()))
}

fn start(workload: Workload, times: u32, counted: &Path) -> Result<Child, CountError> {
    let own = std::env::current_exe().map_err(|why| CountError::Failed(why.to_string()))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]);
    valgrind.arg(format!("--callgrind-out-file={}", counted.display()));
    valgrind.arg(own).args(["--repeat", workload.name(), &times.to_string()]);
    valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    valgrind.spawn().map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => CountError::NoValgrind,
        _ => CountError::Failed(format!("valgrind: {why}")),
    })
}

/// What callgrind counted in all.
fn total(counted: &Path) -> Result<u64, CountError> {
    let text = std::fs::read_to_string(counted)
        .map_err(|why| CountError::Failed(format!("what callgrind wrote cannot be read: {why}")))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|it| it.trim().parse().ok());
    total.ok_or_else(|| CountError::Failed("callgrind wrote no total".to_owned()))
}
