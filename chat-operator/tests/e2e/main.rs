//! The operator, its charts and real chat-servers on a real control plane.
//!
//! One control plane and one operator for all scenarios; each has a namespace of its own. Run by
//! `make e2e`; a part of it by `make e2e E2E=name`.

mod crowd;
mod lab;
mod life;
mod moving;
mod reconciling;
mod secrets;
mod charts;
mod operators;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::lab::Lab;

fn main() -> ExitCode {
    kubelab::enter();
    let mut arguments = Arguments::from_args();
    // Two cores are few for several crowds, and what is counted should not be another's.
    arguments.test_threads.get_or_insert(1);
    let runtime = Arc::new(Runtime::new().expect("a runtime starts"));
    let lab = if arguments.list {
        None
    } else {
        let lab = runtime.block_on(async {
            let lab = Lab::start().await?;
            lab.install_operator().await?;
            anyhow::Ok(lab)
        });
        match lab {
            Ok(lab) => Some(Arc::new(lab)),
            Err(why) => {
                eprintln!("the lab does not start: {why:#}");
                return ExitCode::FAILURE;
            }
        }
    };
    let mut trials = Vec::new();
    let mut add = |name: &'static str, scenario: fn(Arc<Lab>) -> Scenario| {
        let (lab, runtime) = (lab.clone(), runtime.clone());
        trials.push(Trial::test(name, move || {
            let lab = lab.expect("the lab was started");
            runtime.block_on(scenario(lab)).map_err(|why| Failed::from(format!("{why:#}")))
        }));
    };
    life::scenarios(&mut add);
    moving::scenarios(&mut add);
    reconciling::scenarios(&mut add);
    secrets::scenarios(&mut add);
    charts::scenarios(&mut add);
    operators::scenarios(&mut add);
    // Last, because it looks back at all the others.
    operators::in_the_end(&mut add);
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(lab);
    conclusion.exit_code()
}

/// One scenario, as it runs.
pub type Scenario = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// Adds a scenario.
pub type Add<'a> = &'a mut dyn FnMut(&'static str, fn(Arc<Lab>) -> Scenario);
