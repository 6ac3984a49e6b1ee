//! Cases, how they are run, and what is said about it.

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;

/// A case that takes longer hangs. The longest takes a few seconds on a slow disk.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The cases of a group: their names, and how each is run.
pub(super) type Cases<F> = Vec<(&'static str, fn(Trial<F>) -> Boxed<()>)>;

/// One behaviour that a contract asks for, of one implementation.
pub struct Case {
    /// The behaviour, as `group::behaviour`.
    pub name: &'static str,
    run: Box<dyn FnOnce(Arc<AtomicBool>) -> Boxed<()> + Send>,
}

impl Case {
    /// Each of these for what the factory makes.
    pub(super) fn all<F: Send + Sync + ?Sized + 'static>(
        factory: &Arc<F>,
        cases: Cases<F>,
    ) -> Vec<Self> {
        cases
            .into_iter()
            .map(|(name, run)| {
                let factory = Arc::clone(factory);
                Self { name, run: Box::new(move |skipped| run(Trial { factory, skipped })) }
            })
            .collect()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes the cases of a group out of the names of functions.
macro_rules! cases {
    ($group:literal: $($case:ident),* $(,)?) => {
        vec![$((concat!($group, "::", stringify!($case)), |trial| Box::pin($case(trial)))),*]
    };
}
pub(super) use cases;

/// What one run of a case is given.
pub(super) struct Trial<F: ?Sized> {
    pub(super) factory: Arc<F>,
    skipped: Arc<AtomicBool>,
}

impl<F: ?Sized> Trial<F> {
    pub(super) fn share(&self) -> Self {
        Self { factory: Arc::clone(&self.factory), skipped: Arc::clone(&self.skipped) }
    }

    /// The implementation cannot do what the case needs.
    pub(super) fn skip(&self) {
        self.skipped.store(true, Ordering::Relaxed);
    }
}

/// What became of the cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many hold.
    pub passed: usize,
    /// Those that do not, and what they say.
    pub failed: Vec<(&'static str, String)>,
    /// Those that need something that the factory does not offer.
    pub skipped: Vec<&'static str>,
}

impl Report {
    /// Runs the cases, one after the other, each with a store of its own.
    pub async fn of(cases: impl IntoIterator<Item = Case>) -> Self {
        let mut report = Self::default();
        for case in cases {
            let skipped = Arc::new(AtomicBool::new(false));
            let run = AssertUnwindSafe((case.run)(Arc::clone(&skipped))).catch_unwind();
            match tokio::time::timeout(CASE_TIMEOUT, run).await {
                Ok(Ok(())) if skipped.load(Ordering::Relaxed) => report.skipped.push(case.name),
                Ok(Ok(())) => report.passed += 1,
                Ok(Err(panic)) => report.failed.push((case.name, message(&*panic))),
                Err(_) => report.failed.push((case.name, "does not come to an end".to_owned())),
            }
        }
        report
    }

    /// Goes on if every case that could be run holds.
    ///
    /// # Panics
    /// With the names of those that do not, and what they say.
    #[allow(clippy::print_stderr, reason = "it speaks as a test does")]
    pub fn expect_conformance(&self) {
        assert!(self.failed.is_empty(), "the contract is not kept:\n{self}");
        // Said aloud: a case that was not run is easily taken for one that passed.
        if !self.skipped.is_empty() {
            eprintln!("{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, why) in &self.failed {
            writeln!(f, "failed  {name}: {why}")?;
        }
        for name in &self.skipped {
            writeln!(f, "skipped {name}")?;
        }
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        write!(f, "{} passed, {failed} failed, {skipped} skipped", self.passed)
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn holds(_: Trial<()>) {}
    async fn fails(_: Trial<()>) {
        panic!("no {}", "way");
    }
    async fn needs_more(trial: Trial<()>) {
        trial.skip();
    }

    #[tokio::test]
    async fn a_report_names_what_failed_and_what_was_skipped() {
        let cases: Cases<()> = cases!["a": holds, fails, needs_more];
        let report = Report::of(Case::all(&Arc::new(()), cases)).await;
        assert_eq!(report.passed, 1);
        assert_eq!(report.failed, [("a::fails", "no way".to_owned())]);
        assert_eq!(report.skipped, ["a::needs_more"]);
    }
}
