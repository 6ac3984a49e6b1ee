//! What a server holds at a moment: memory, descriptors, threads, and what it says itself of those
//! who are alive in it. Judges whether it let go of everything.

use std::collections::BTreeMap;

use super::{Subject, http};
use crate::machine;

/// The gauges that have to fall when people leave.
const ALIVE: &[&str] = &[
    "chat_connections",
    "chat_users_online",
    "chat_server_connections_open",
    "chat_postgres_waiting",
];
/// Those of them that have to be nothing when nobody is there.
const PEOPLE: &[&str] = &["chat_connections", "chat_users_online"];
/// By how much memory may differ: allocators keep pages, and caches are filled by chance.
const MEMORY_SHARE: u64 = 10;
const MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// Of all processes that serve, without the database.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Vitals {
    pub(crate) resident_bytes: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// By name and labels; none where the server does not tell.
    pub(crate) gauges: BTreeMap<String, f64>,
}

impl Vitals {
    pub(crate) fn of(subject: &Subject) -> anyhow::Result<Self> {
        let gauges = match subject.metrics {
            Some(address) => gauges(&http::get(address, "/metrics")?),
            None => BTreeMap::new(),
        };
        Ok(Self {
            resident_bytes: subject.resident_bytes(),
            descriptors: subject.servers().map(machine::descriptors).sum(),
            threads: subject.servers().map(machine::threads).sum(),
            gauges,
        })
    }

    /// What is higher than it was `before`, when as much had been let go of.
    pub(crate) fn grown_since(&self, before: &Self) -> Vec<String> {
        let mut grown = Vec::new();
        let room = (before.resident_bytes / MEMORY_SHARE).max(MEMORY_BYTES);
        if self.resident_bytes > before.resident_bytes + room {
            grown.push(format!(
                "resident bytes: {} after {}",
                self.resident_bytes, before.resident_bytes
            ));
        }
        for (name, now, before) in [
            ("descriptors", self.descriptors, before.descriptors),
            ("threads", self.threads, before.threads),
        ] {
            if now > before {
                grown.push(format!("{name}: {now} after {before}"));
            }
        }
        for (name, now) in &self.gauges {
            let before = before.gauges.get(name).copied().unwrap_or_default();
            if *now > before {
                grown.push(format!("{name}: {now} after {before}"));
            }
        }
        grown
    }

    /// What the server says of people who have all left.
    pub(crate) fn still_there(&self) -> Vec<String> {
        let people = PEOPLE.iter().filter_map(|name| Some((name, self.gauges.get(*name)?)));
        people
            .filter(|(_, count)| **count > 0.0)
            .map(|(name, count)| format!("{name}: {count}, and nobody is there"))
            .collect()
    }

    /// One line.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{:.1} MiB resident, {} descriptors, {} threads",
            self.resident_bytes as f64 / f64::from(1 << 20),
            self.descriptors,
            self.threads
        );
        for (name, value) in &self.gauges {
            text.push_str(&format!(", {name} {value}"));
        }
        text
    }
}

fn gauges(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let plain = name.split('{').next()?;
        Some((ALIVE.contains(&plain).then(|| name.to_owned())?, value.parse().ok()?))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_let_go_of_is_named() {
        let text = "# TYPE chat_connections gauge\nchat_connections 0\n\
                    chat_server_connections_open{door=\"main\"} 1\nprocess_open_fds 12\n";
        let before =
            Vitals { resident_bytes: 100 << 20, descriptors: 20, threads: 4, gauges: gauges(text) };
        assert_eq!(before.gauges.len(), 2);
        assert_eq!(before.grown_since(&before), Vec::<String>::new());
        // Less, and a little more memory.
        let mut now = Vitals { resident_bytes: 109 << 20, descriptors: 19, ..before.clone() };
        assert_eq!(now.grown_since(&before), Vec::<String>::new());
        now.resident_bytes = 111 << 20;
        (now.descriptors, now.threads) = (21, 5);
        now.gauges.insert("chat_connections".to_owned(), 1.0);
        let grown = now.grown_since(&before);
        let names: Vec<_> = grown.iter().map(|it| it.split(':').next().unwrap()).collect();
        assert_eq!(before.still_there(), Vec::<String>::new());
        assert_eq!(now.still_there(), ["chat_connections: 1, and nobody is there"]);
        assert_eq!(names, ["resident bytes", "descriptors", "threads", "chat_connections"]);
    }
}
