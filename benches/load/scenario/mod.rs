//! What is played against servers, one file each, and what all of them share: who is compared, and the
//! window in which it counts.

mod options;
mod exchange;
mod fan_out;
mod across;
mod direct;
mod hot;
mod idle;
mod connect;
mod ledger;
mod resume;
mod mixed;
mod suite;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::options::{Common, Compared, SOCKETS, Timing, Wishes, rate};
pub(crate) use self::{
    across::Across, connect::Connect, direct::Direct, fan_out::FanOut, hot::Hot, idle::Idle,
    mixed::Mixed, resume::Resume, suite::Suite,
};
use crate::{
    crowd::{Crowd, Play, Voice},
    dialect::Heard,
    machine::own_cpu,
    report::{Latency, Row, Run},
    subject::{Role, Subject},
};

/// One of those that are compared.
struct Contestant<'a> {
    name: String,
    role: Role,
    /// Whether it does what the others do, or only a part of it.
    same_work: bool,
    run: Box<dyn FnMut() -> anyhow::Result<Run> + 'a>,
}

/// These, each of whom does all that is to be done.
fn contestants<'a>(
    subjects: &'a [Subject],
    once: impl Fn(&Subject) -> anyhow::Result<Run> + Copy + 'a,
) -> Vec<Contestant<'a>> {
    let each = subjects.iter().map(|subject| Contestant {
        name: subject.name.clone(),
        role: subject.role,
        same_work: true,
        run: Box::new(move || once(subject)),
    });
    each.collect()
}

/// Has everybody run in turn, as often as is asked for: what the machine does meanwhile hits all.
fn side_by_side(runs: u32, mut contestants: Vec<Contestant<'_>>) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = contestants
        .iter()
        .map(|it| Row {
            name: it.name.clone(),
            role: it.role,
            same_work: it.same_work,
            runs: Vec::new(),
        })
        .collect();
    for run in 1..=runs {
        for (contestant, row) in contestants.iter_mut().zip(&mut rows) {
            eprintln!("run {run} of {runs}: {}", contestant.name);
            let measured = (contestant.run)();
            row.runs.push(measured.with_context(|| format!("run {run} of {}", contestant.name))?);
        }
    }
    Ok(rows)
}

/// What nobody hears who is there and has done nothing wrong.
fn undisturbed(who: usize, heard: &Heard) -> Result<(), String> {
    match heard {
        Heard::Refused(why) => Err(format!("{who} was refused: {why}")),
        Heard::Wrong(why) => Err(format!("{who} was told what is wrong: {why}")),
        Heard::Closed(code) => Err(format!("{who} was closed with {code}")),
        Heard::Ready | Heard::Delivered(_) | Heard::Acked(_) | Heard::Later(_) => Ok(()),
    }
}

/// A play that can be measured.
trait Measured: Play {
    /// When this sends next by itself; `None`: it only answers.
    fn due(&self) -> Option<Instant>;

    /// Sends what is due.
    fn send_due(&mut self, voice: &mut dyn Voice, now: Instant);

    /// From now on it counts.
    fn begin_window(&mut self);

    /// What was done since, and how long each took.
    fn end_window(&mut self) -> (u64, Latency);

    /// Nothing new is sent any more.
    fn finish(&mut self);

    /// Whether everything that was sent has arrived.
    fn is_complete(&self) -> bool;

    /// What must not have happened, if it has.
    fn fault(&self) -> Option<&str>;
}

/// Before a device that was told to come later does.
const PAUSE: Duration = Duration::from_millis(500);
/// For what is on its way when a run ends.
const LAST_ARRIVALS: Duration = Duration::from_secs(20);

/// Warms up, measures a window, and waits until everything has arrived.
fn measure(
    timing: &Timing,
    subject: &Subject,
    crowd: &mut Crowd,
    play: &mut impl Measured,
) -> anyhow::Result<Run> {
    play_until(crowd, play, Instant::now() + Duration::from_secs(timing.warm_up))?;
    play.begin_window();
    let (began, calls) = (Instant::now(), crowd.calls());
    let (cpu, own) = (subject.cpu(), own_cpu());
    play_until(crowd, play, began + Duration::from_secs(timing.seconds))?;
    let (work, latency) = play.end_window();
    let (wall, own) = (began.elapsed(), own_cpu() - own);
    let (cpu, calls) = (subject.cpu_since(&cpu), crowd.calls().since(calls));
    let own_cpu = own.saturating_sub(calls.idle);
    let run = Run { work, wall, cpu, own_cpu, latency, calls };
    play.finish();
    let deadline = Instant::now() + LAST_ARRIVALS;
    while !play.is_complete() && Instant::now() < deadline {
        crowd.turn(Instant::now() + Duration::from_millis(100), play)?;
        check(play)?;
    }
    if !play.is_complete() {
        bail!("something that was sent has not arrived within {LAST_ARRIVALS:?}");
    }
    if work == 0 {
        bail!("nothing at all happened in the window");
    }
    Ok(run)
}

fn play_until(crowd: &mut Crowd, play: &mut impl Measured, end: Instant) -> anyhow::Result<()> {
    while Instant::now() < end {
        play.send_due(&mut crowd.voice(), Instant::now());
        let until = play.due().map_or(end, |due| due.min(end));
        crowd.turn(until, play)?;
        check(play)?;
    }
    Ok(())
}

fn check(play: &impl Measured) -> anyhow::Result<()> {
    match play.fault() {
        Some(fault) => bail!("{fault}"),
        None => Ok(()),
    }
}
