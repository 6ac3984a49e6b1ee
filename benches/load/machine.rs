//! What the system knows of processes and gives to them: CPU time, memory, cores, open files. Linux.

use std::{cell::Cell, fs, time::Duration};

use anyhow::Context;
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Ticks of /proc a second, on every architecture that Linux runs on.
const TICKS: f64 = 100.0;

/// As many open files as the system allows; what is started inherits it.
pub(crate) fn allow_files() -> anyhow::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files")?;
    Ok(limit.current.unwrap_or(u64::MAX))
}

/// Where the measured and the measuring run, apart from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// On one core each.
    Apart { subject: usize, generator: usize },
    /// There is only one.
    Shared,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn find() -> Self {
        let allowed = sched_getaffinity(None).ok();
        let mut cores =
            (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_some_and(|it| it.is_set(*cpu)));
        match (cores.next(), cores.next()) {
            (Some(subject), Some(generator)) => Self::Apart { subject, generator },
            (_, _) => Self::Shared,
        }
    }

    /// Does this on the core of what is measured: what it starts stays there.
    pub(crate) fn as_subject<T>(self, start: impl FnOnce() -> T) -> T {
        self.move_to(|subject, _| subject);
        let started = start();
        self.as_generator();
        started
    }

    /// Moves this thread to the core of the generator.
    pub(crate) fn as_generator(self) {
        self.move_to(|_, generator| generator);
        ALONE.set(self != Self::Shared);
    }

    fn move_to(self, choose: impl FnOnce(usize, usize) -> usize) {
        match self {
            Self::Apart { subject, generator } => {
                let mut only = CpuSet::new();
                only.set(choose(subject, generator));
                sched_setaffinity(None, &only).expect("it was among the allowed ones");
            }
            Self::Shared => {}
        }
    }
}

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has been given a core that nothing which is measured runs on.
pub(crate) fn has_own_core() -> bool {
    ALONE.get()
}

/// CPU that this thread used so far.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// CPU that a process and its children used so far, those that ended among them, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    process_cpu_seconds(pid) + children(pid).into_iter().map(cpu_seconds).sum::<f64>()
}

fn process_cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The name in parentheses may contain anything.
    let Some((_, numbers)) = stat.rsplit_once(") ") else { return 0.0 };
    // utime, stime, and cutime, cstime of the children that were waited for.
    let ticks = numbers.split(' ').skip(11).take(4).filter_map(|it| it.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}

/// Bytes that a process and its children have in memory.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    status(pid, "VmRSS:") * 1024 + children(pid).into_iter().map(resident_bytes).sum::<u64>()
}

/// Threads of a process.
pub(crate) fn threads(pid: u32) -> u64 {
    status(pid, "Threads:")
}

/// Descriptors that a process has open.
pub(crate) fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |all| all.count() as u64)
}

/// A number of the system's account of a process; KiB where it is memory.
fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_process_is_what_it_used() {
        let (pid, before) = (std::process::id(), own_cpu());
        let at_first = cpu_seconds(pid);
        while own_cpu() - before < Duration::from_millis(300) {
            std::hint::black_box(());
        }
        // Other tests may run beside, and ticks are counted.
        assert!(cpu_seconds(pid) - at_first >= 0.25, "{}", cpu_seconds(pid) - at_first);
        assert!(resident_bytes(pid) > 1_000_000);
        assert!(threads(pid) >= 1);
        let before = descriptors(pid);
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(descriptors(pid) >= before + 40, "{before} {held:?}");
        assert_eq!((cpu_seconds(u32::MAX), descriptors(u32::MAX)), (0.0, 0));
    }
}
