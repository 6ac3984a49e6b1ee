//! The story of one chat in a terminal: what it is, what is wrong or under way and what to do about
//! it, and everything that belongs to it.
//!
//! [`read`] asks the API server with the rights of whoever calls; [`tell`] makes text of what it
//! found and knows neither network nor clock.

mod advice;
mod facts;
mod table;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerState, Pod},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::Timestamp,
};
use kube::ResourceExt;

pub use self::facts::{Child, Facts, read};
use self::table::Table;
use crate::{crd::ChatCluster, labels};

/// Events that are told.
const EVENTS_MAX: usize = 10;

/// How the text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// With colours of a terminal.
    pub colours: bool,
    /// Columns, over which long texts are wrapped; none for no wrapping.
    pub width: Option<usize>,
}

/// How the chat is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be, for the newest generation.
    Ready,
    /// No operator has looked at it yet.
    Unseen,
    /// The operator has not come to the last change yet.
    Behind,
    /// Somebody has to do something.
    Stalled,
    /// Something takes its time.
    UnderWay,
    /// It is not ready for another reason.
    NotReady,
}

impl Verdict {
    /// What holds for this chat.
    #[must_use]
    pub fn of(cluster: &ChatCluster) -> Self {
        let observed = cluster.status.as_ref().and_then(|it| it.observed_generation);
        let Some(observed) = observed.filter(|it| *it >= 0) else { return Self::Unseen };
        if cluster.metadata.generation.is_some_and(|it| it > observed) {
            return Self::Behind;
        }
        if holds(cluster, "Stalled") {
            return Self::Stalled;
        }
        if holds(cluster, "Reconciling") {
            return Self::UnderWay;
        }
        if holds(cluster, "Ready") { Self::Ready } else { Self::NotReady }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unseen => "not seen by an operator",
            Self::Behind => "waiting for the operator",
            Self::Stalled => "stalled",
            Self::UnderWay => "under way",
            Self::NotReady => "not ready",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Ready => "\x1b[32m",
            Self::Behind | Self::UnderWay => "\x1b[33m",
            Self::Unseen | Self::Stalled | Self::NotReady => "\x1b[31m",
        }
    }
}

fn condition<'a>(cluster: &'a ChatCluster, type_: &str) -> Option<&'a Condition> {
    cluster.status.as_ref()?.conditions.iter().find(|it| it.type_ == type_)
}

fn holds(cluster: &ChatCluster, type_: &str) -> bool {
    condition(cluster, type_).is_some_and(|it| it.status == "True")
}

/// The story, each line with its end.
#[must_use]
pub fn tell(facts: &Facts, now: Timestamp, look: Look) -> String {
    let mut story = String::new();
    header(&mut story, facts, now, look);
    trouble(&mut story, facts, look);
    let told: [(&str, Option<Table>); 5] = [
        ("Conditions", conditions(facts, now)),
        ("Servers", pods(facts, now)),
        ("Objects", children(facts, now)),
        ("Last migration", migration(facts, now)),
        ("Events", events(facts, now)),
    ];
    for (title, table) in told {
        if let Some(table) = table {
            line(&mut story, format_args!(""));
            line(&mut story, format_args!("{title}"));
            story.push_str(&table.render(look.width));
        }
    }
    if !facts.gaps.is_empty() {
        line(&mut story, format_args!(""));
        line(&mut story, format_args!("Not everything could be read"));
        for gap in &facts.gaps {
            story.push_str(&table::paragraph(gap, look.width));
        }
    }
    story
}

fn line(story: &mut String, text: std::fmt::Arguments<'_>) {
    let written = writeln!(story, "{text}");
    debug_assert!(written.is_ok(), "a String takes everything");
}

fn header(story: &mut String, facts: &Facts, now: Timestamp, look: Look) {
    let cluster = &facts.cluster;
    let verdict = Verdict::of(cluster);
    let (on, off) = if look.colours { (verdict.colour(), "\x1b[0m") } else { ("", "") };
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    line(story, format_args!("ChatCluster {namespace}/{name}: {on}{}{off}", verdict.word()));
    let status = cluster.status.clone().unwrap_or_default();
    let spec = &cluster.spec;
    let mut table = Table::plain();
    table.row(["Age".to_owned(), age(cluster.creation_timestamp().map(|it| it.0), now)]);
    table.row(["Image".to_owned(), wanted_image(cluster)]);
    let version = match (&status.version, &status.image) {
        (Some(version), Some(image)) if *image == wanted_image(cluster) => version.clone(),
        (Some(version), _) => format!("{version} was rolled out last"),
        (None, _) => "none was rolled out yet".to_owned(),
    };
    table.row(["Version".to_owned(), version]);
    let desired = if spec.hibernated { 0 } else { spec.replicas };
    let servers = format!(
        "{desired} desired, {} there, {} ready, {} of the newest version, {} leaving",
        status.replicas,
        status.ready_replicas,
        status.updated_replicas,
        status.terminating_replicas
    );
    table.row(["Servers".to_owned(), servers]);
    if let Some(autoscaling) = &spec.autoscaling {
        let bounds =
            format!("between {} and {}", autoscaling.min_replicas, autoscaling.max_replicas);
        table.row(["Autoscaling".to_owned(), bounds]);
    }
    if let Some(service) = &status.service_name {
        let place = format!("Service {service}, port {}", spec.service.port);
        table.row(["Reached at".to_owned(), place]);
    }
    if spec.hibernated {
        let wakes = format!("yes; {} servers when it is taken out of hibernation", spec.replicas);
        table.row(["Hibernated".to_owned(), wakes]);
    }
    if spec.paused {
        table.row(["Paused".to_owned(), "yes; nothing is changed".to_owned()]);
    }
    story.push_str(&table.render(look.width));
}

fn wanted_image(cluster: &ChatCluster) -> String {
    let image = &cluster.spec.image;
    match (&image.digest, &image.tag) {
        (Some(digest), _) => format!("{}@{digest}", image.repository),
        (None, Some(tag)) => format!("{}:{tag}", image.repository),
        (None, None) => image.repository.clone(),
    }
}

/// What is wrong or under way, and what to do.
fn trouble(story: &mut String, facts: &Facts, look: Look) {
    let cluster = &facts.cluster;
    let of_condition =
        |type_: &str| condition(cluster, type_).map(|it| (it.reason.clone(), it.message.clone()));
    let (title, what) = match Verdict::of(cluster) {
        Verdict::Ready => return,
        Verdict::Unseen => {
            ("What is wrong", Some(("Unseen".to_owned(), advice::UNSEEN.to_owned())))
        }
        Verdict::Behind => {
            ("What is under way", Some(("Behind".to_owned(), advice::BEHIND.to_owned())))
        }
        Verdict::Stalled => ("What is wrong", of_condition("Stalled")),
        Verdict::UnderWay => ("What is under way", of_condition("Reconciling")),
        Verdict::NotReady => ("What is wrong", of_condition("Ready")),
    };
    let (reason, message) =
        what.unwrap_or_else(|| ("Unknown".to_owned(), advice::NO_CONDITION.to_owned()));
    line(story, format_args!(""));
    line(story, format_args!("{title}"));
    let message = if message.is_empty() { reason.clone() } else { format!("{reason}: {message}") };
    story.push_str(&table::paragraph(&message, look.width));
    line(story, format_args!("What to do"));
    for step in advice::advice(&reason, facts) {
        story.push_str(&table::paragraph(&step, look.width));
    }
}

fn conditions(facts: &Facts, now: Timestamp) -> Option<Table> {
    let status = facts.cluster.status.as_ref()?;
    let mut table = Table::titled(["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for it in &status.conditions {
        let since = age(Some(it.last_transition_time.0), now);
        let (message, reason) = (it.message.clone(), it.reason.clone());
        table.row([it.type_.clone(), it.status.clone(), reason, since, message]);
    }
    (!status.conditions.is_empty()).then_some(table)
}

fn pods(facts: &Facts, now: Timestamp) -> Option<Table> {
    let titles = ["NAME", "NODE", "STATE", "READY", "RESTARTS", "AGE", "CONNECTIONS", "IMAGE"];
    let mut table = Table::titled(titles);
    for pod in &facts.pods {
        let name = pod.name_any();
        let node = pod.spec.as_ref().and_then(|it| it.node_name.clone());
        let server = server_status(pod);
        let restarts = server.map_or(0, |it| it.restart_count);
        let ready = if server.is_some_and(|it| it.ready) { "yes" } else { "no" };
        let connections = facts.connections.get(&name).map(ToString::to_string);
        table.row([
            name,
            node.unwrap_or_else(nothing),
            pod_state(pod, now),
            ready.to_owned(),
            restarts.to_string(),
            age(pod.creation_timestamp().map(|it| it.0), now),
            connections.unwrap_or_else(nothing),
            pod_image(pod).map_or_else(nothing, |image| version_of(&image)),
        ]);
    }
    (!facts.pods.is_empty()).then_some(table)
}

fn nothing() -> String {
    "-".to_owned()
}

fn server_status(pod: &Pod) -> Option<&k8s_openapi::api::core::v1::ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|it| it.name == labels::CONTAINER)
}

fn pod_image(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.iter().find(|it| it.name == labels::CONTAINER)?.image.clone()
}

/// The tag of an image, or the beginning of its digest.
fn version_of(image: &str) -> String {
    const DIGEST_CHARS: usize = 12;
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.chars().take(DIGEST_CHARS).collect();
    }
    // A colon before the last slash is a port.
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or_else(nothing, |(_, tag)| tag.to_owned())
}

/// Leaving, the reason why it does not run, or its phase.
fn pod_state(pod: &Pod, now: Timestamp) -> String {
    if let Some(at) = &pod.metadata.deletion_timestamp {
        // The moment at which it is killed, which is when its grace has run out.
        let left = at.0.duration_since(now).as_secs();
        return if left > 0 { format!("leaving, {left}s left") } else { "leaving".to_owned() };
    }
    let state = server_status(pod).and_then(|it| it.state.as_ref());
    let reason = state.and_then(|ContainerState { waiting, terminated, .. }| {
        let waits = waiting.as_ref().and_then(|it| it.reason.clone());
        waits.or_else(|| terminated.as_ref().and_then(|it| it.reason.clone()))
    });
    let status = pod.status.as_ref();
    reason
        .or_else(|| status.and_then(|it| it.reason.clone()))
        .or_else(|| status.and_then(|it| it.phase.clone()))
        .unwrap_or_else(nothing)
}

fn children(facts: &Facts, now: Timestamp) -> Option<Table> {
    let mut table = Table::titled(["KIND", "VERSION", "NAME", "GENERATION", "AGE"]);
    for child in &facts.children {
        let Child { kind, api_version, name, generation, created } = child;
        let generation = generation.map_or_else(nothing, |it| it.to_string());
        let age = age(*created, now);
        table.row([kind.clone(), api_version.clone(), name.clone(), generation, age]);
    }
    (!facts.children.is_empty()).then_some(table)
}

fn migration(facts: &Facts, now: Timestamp) -> Option<Table> {
    let job = facts.migration.as_ref()?;
    let mut table = Table::titled(["JOB", "STATE", "AGE", "IMAGE", "MESSAGE"]);
    let (state, message) = job_state(job);
    let image = job.spec.as_ref().and_then(|it| it.template.spec.as_ref());
    let image = image.and_then(|it| it.containers.first()).and_then(|it| it.image.clone());
    table.row([
        job.name_any(),
        state,
        age(job.creation_timestamp().map(|it| it.0), now),
        image.map_or_else(nothing, |it| version_of(&it)),
        message,
    ]);
    Some(table)
}

fn job_state(job: &Job) -> (String, String) {
    let Some(status) = &job.status else { return ("not begun".to_owned(), nothing()) };
    let ended = |type_: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.into_iter().find(|it| it.type_ == type_ && it.status == "True").cloned()
    };
    let words = |it: k8s_openapi::api::batch::v1::JobCondition| {
        let words = [it.reason, it.message].into_iter().flatten().filter(|it| !it.is_empty());
        words.collect::<Vec<_>>().join(": ")
    };
    if let Some(failure) = ended("Failed") {
        ("failed".to_owned(), words(failure))
    } else if ended("Complete").is_some() {
        let spent = status.start_time.as_ref().zip(status.completion_time.as_ref());
        let took = spent.map_or_else(nothing, |(from, to)| {
            format!("took {}", span(to.0.duration_since(from.0).as_secs()))
        });
        ("done".to_owned(), took)
    } else if status.active.unwrap_or_default() > 0 {
        ("running".to_owned(), nothing())
    } else {
        ("waiting".to_owned(), nothing())
    }
}

fn events(facts: &Facts, now: Timestamp) -> Option<Table> {
    let mut newest: Vec<&Event> = facts.events.iter().collect();
    newest.sort_by_key(|it| std::cmp::Reverse(event_time(it)));
    newest.truncate(EVENTS_MAX);
    let mut table = Table::titled(["AGE", "TYPE", "REASON", "NOTE"]);
    // The last one stands at the end, next to where one types.
    for event in newest.iter().rev() {
        let count = event.series.as_ref().map_or(1, |it| it.count);
        let note = event.note.clone().unwrap_or_default();
        table.row([
            age(event_time(event), now),
            event.type_.clone().unwrap_or_else(nothing),
            event.reason.clone().unwrap_or_else(nothing),
            if count > 1 { format!("{note} ({count} times)") } else { note },
        ]);
    }
    (!newest.is_empty()).then_some(table)
}

/// When it happened last, whichever of the APIs wrote it.
fn event_time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|it| it.last_observed_time.0);
    let deprecated = event.deprecated_last_timestamp.as_ref().map(|it| it.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|it| it.0);
    series.or_else(|| event.event_time.as_ref().map(|it| it.0)).or(deprecated).or(created)
}

fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(nothing, |since| span(now.duration_since(since).as_secs()))
}

/// In the largest unit of which there are at least two.
fn span(seconds: i64) -> String {
    // Clocks differ a little.
    let seconds = seconds.max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
