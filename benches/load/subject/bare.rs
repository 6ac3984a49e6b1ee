//! A floor as a subject: this program again, in a process of its own.

use std::process::Command;

use anyhow::Context;

use super::{Process, Role, Subject, own};
use crate::{
    dialect::{self, Dialect, Person},
    floor::{self, Floor},
    machine::Cores,
};

/// Starts a floor for this many people.
pub(crate) fn bare(
    name: &str,
    floor: Floor,
    cores: Cores,
    people: usize,
) -> anyhow::Result<Subject> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(program);
    command.args(floor.arguments());
    let (process, address) =
        cores.as_subject(|| Process::start(&mut command, floor::heard_listening))?;
    let (dialect, people): (Box<dyn Dialect>, _) = match floor {
        Floor::FanOut { .. } | Floor::Direct | Floor::Accept => {
            (Box::new(dialect::Floor), numbered(people))
        }
        Floor::Upgrade => (
            Box::new(dialect::Chat::upgrade_only(address.to_string())),
            own::with_tokens(&own::users(people))?,
        ),
    };
    Ok(Subject {
        name: name.to_owned(),
        role: Role::Floor,
        dialect,
        addresses: vec![address],
        people,
        groups: vec!["everybody".to_owned()],
        follows: Vec::new(),
        processes: vec![("floor".to_owned(), process.id())],
        metrics: None,
        database: None,
        _keep: vec![Box::new(process)],
    })
}

/// People are numbers where nobody asks for a name.
fn numbered(count: usize) -> Vec<Person> {
    (0..count).map(|n| Person { user: n.to_string(), token: String::new() }).collect()
}
