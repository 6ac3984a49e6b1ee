//! A floor as a subject: this program again, in a process of its own.

use std::process::Command;

use anyhow::Context;

use super::{Process, Role, Subject, numbered};
use crate::{
    dialect,
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
    Ok(Subject {
        name: name.to_owned(),
        role: Role::Floor,
        dialect: Box::new(dialect::Floor),
        addresses: vec![address],
        people: numbered(people),
        groups: vec!["everybody".to_owned()],
        processes: vec![("floor".to_owned(), process.id())],
        _keep: vec![Box::new(process)],
    })
}
