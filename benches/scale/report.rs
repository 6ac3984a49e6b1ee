//! The tables, as they stand in `docs/capacity.md`.

use std::fmt::Write as _;

use super::{
    costs::{
        BUS_BYTES, CONNECTION_BYTES, EVENT_DISK_BYTES, MEMBER_DISK_BYTES, SUBSCRIPTION_BYTES,
        WAL_WRITE_BYTES,
    },
    plan::{Plan, met},
    population::{KINDS, MESSAGES_PER_DAY},
    traffic::Design,
};

/// Conversations of a kind that are looked at, for each population.
pub(crate) const SAMPLE: usize = 4_000;
/// The same on the way up to the limits.
const SAMPLE_ON_THE_WAY: usize = 800;

pub(crate) fn tables() -> String {
    let plans: Vec<_> = [
        ("10 thousand", 1e4, Design::Today),
        ("1 million", 1e6, Design::Today),
        ("1 million, changed", 1e6, Design::Changed),
        ("100 million", 1e8, Design::Today),
        ("100 million, changed", 1e8, Design::Changed),
    ]
    .into_iter()
    .map(|(name, users, design)| (name, Plan::new(users, design, SAMPLE)))
    .collect();
    let mut page = String::new();
    page.push_str(&traffic(&plans));
    page.push_str(&machines(&plans));
    page.push_str(&storms(&plans));
    page.push_str(&limits());
    page
}

type Named = (&'static str, Plan);
type Row = (&'static str, fn(&Plan) -> String);

fn table(title: &str, plans: &[Named], rows: &[Row]) -> String {
    let mut table = format!("\n**{title}**\n\n| |");
    for (name, _) in plans {
        let _ = write!(table, " {name} |");
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(plans.len()));
    table.push('\n');
    for (name, of) in rows {
        let _ = write!(table, "| {name} |");
        for (_, plan) in plans {
            let _ = write!(table, " {} |", of(plan));
        }
        table.push('\n');
    }
    table
}

fn traffic(plans: &[Named]) -> String {
    table(
        "A second of the busiest hour",
        plans,
        &[
            ("connections", |it| round(it.population.connections())),
            ("conversations", |it| {
                round(KINDS.iter().map(|kind| it.population.conversations(kind)).sum())
            }),
            ("new connections", |it| round(it.traffic.connects)),
            ("messages", |it| round(it.traffic.messages)),
            ("markers written", |it| round(it.traffic.marks)),
            ("frames: messages", |it| round(it.traffic.delivered)),
            ("frames: markers", |it| round(it.traffic.delivered_marks)),
            ("frames: typing", |it| round(it.traffic.delivered_typing)),
            ("servers with a follower of a message", |it| round(it.traffic.servers_of_a_message)),
            ("published on the bus", |it| round(it.traffic.published)),
            ("brought by the bus to a server", |it| round(it.traffic.heard)),
            ("of these, signs of life", |it| round(it.traffic.heard_alive)),
            ("followed, all servers added up", |it| round(it.traffic.followed)),
            ("writes that share a transaction", |it| round(it.traffic.writes_of_a_transaction)),
            ("busiest server against the mean", |it| round(it.traffic.hottest_node)),
            ("busiest conversation: messages", |it| round(it.traffic.hottest_sends)),
            ("busiest conversation: with markers", |it| round(it.traffic.hottest_writes)),
            ("busiest conversation: frames", |it| round(it.traffic.hottest_delivered)),
        ],
    )
}

fn machines(plans: &[Named]) -> String {
    table(
        "What it takes",
        plans,
        &[
            ("servers (4 cores)", |it| round(it.traffic.nodes)),
            ("connections of each", |it| round(it.population.connections() / it.traffic.nodes)),
            ("their memory for connections, each, GB", |it| {
                round(it.population.connections() / it.traffic.nodes * CONNECTION_BYTES / 1e9)
            }),
            ("cores at work, all servers", |it| round(it.server_cores)),
            ("network out of the busiest, Mbit/s", |it| round(it.network_bytes() * 8.0 / 1e6)),
            ("Redis threads at work", |it| round(it.redis_threads())),
            ("Redis masters", |it| {
                it.masters.map_or("none is enough".to_owned(), |(n, _)| n.to_string())
            }),
            ("the busiest of them", |it| {
                it.masters.map_or("–".to_owned(), |(_, busy)| format!("{:.0} %", busy * 100.0))
            }),
            ("the busiest of 128 parts, threads", |it| round(it.busiest_part())),
            ("Redis: subscriptions", |it| round(it.traffic.subscriptions)),
            ("Redis: memory for them, GB", |it| {
                round(it.traffic.subscriptions * SUBSCRIPTION_BYTES / 1e9)
            }),
            ("Redis: network out, all, Mbit/s", |it| {
                round(it.traffic.heard * BUS_BYTES * 8.0 / 1e6)
            }),
            ("PostgreSQL: transactions a second", |it| round(it.traffic.transactions())),
            ("PostgreSQL cores: writes", |it| round(it.postgres.writes)),
            ("PostgreSQL cores: position check", |it| round(it.postgres.position_check)),
            ("PostgreSQL cores: membership check", |it| round(it.postgres.membership_check)),
            ("PostgreSQL cores: credential check", |it| round(it.postgres.credential_check)),
            ("PostgreSQL cores: who comes", |it| round(it.postgres.coming)),
            ("PostgreSQL cores at work", |it| round(it.postgres.all())),
            ("PostgreSQL machines (32 cores, half used)", |it| round(it.primaries())),
            ("PostgreSQL connections", |it| round(it.postgres_connections())),
            ("write-ahead log, MB/s", |it| round(it.traffic.writes() * WAL_WRITE_BYTES / 1e6)),
            ("disk of messages, TB a year", |it| {
                let events = it.population.users * MESSAGES_PER_DAY * 365.0;
                round(events * EVENT_DISK_BYTES / 1e12)
            }),
            ("disk of memberships, GB", |it| {
                let seats =
                    it.population.users * KINDS.iter().map(|kind| kind.of_a_user).sum::<f64>();
                round(seats * MEMBER_DISK_BYTES / 1e9)
            }),
        ],
    )
}

fn storms(plans: &[Named]) -> String {
    table(
        "When servers go",
        plans,
        &[
            ("one dies: seconds until all its clients are back", |it| {
                it.dead_server.seconds.to_string()
            }),
            ("resumes in the worst second", |it| round(f64::from(it.dead_server.resumes))),
            ("cores of PostgreSQL for them", |it| round(it.resume_cores())),
            ("all replaced, 1,000 moves a second: minutes", |it| round(it.update_s() / 60.0)),
            ("moves of a client, with a balancer that sends it anywhere", |it| {
                format!("{:.2}", it.moves_of_a_client)
            }),
            ("round of a server's position check, s", |it| round(it.position_round_s())),
        ],
    )
}

fn limits() -> String {
    let mut table = "\n**Which limit is met first**\n\n| | users, as it is | users, changed |\n| --- | ---: | ---: |\n".to_owned();
    let [today, changed] =
        [Design::Today, Design::Changed].map(|design| met(design, SAMPLE_ON_THE_WAY, 1e8));
    let users = |met: &Option<f64>| met.map_or("above 100 million".to_owned(), rough);
    for (limit, at) in &today {
        let other = changed.iter().find(|(name, _)| name == limit);
        let other = other.map_or(String::new(), |(_, at)| users(at));
        let _ = writeln!(table, "| {limit} | {} | {other} |", users(at));
    }
    table
}

/// Two digits: nobody knows more.
fn rough(of: f64) -> String {
    let unit = 10_f64.powf((of.log10() - 1.0).floor());
    grouped((of / unit).round() * unit)
}

/// Three digits below a thousand, two above.
fn round(of: f64) -> String {
    if of == 0.0 {
        "0".to_owned()
    } else if of < 0.1 {
        "below 0.1".to_owned()
    } else if of < 10.0 {
        let one = format!("{of:.1}");
        one.strip_suffix(".0").unwrap_or(&one).to_owned()
    } else if of < 1_000.0 {
        format!("{of:.0}")
    } else {
        rough(of)
    }
}

fn grouped(of: f64) -> String {
    if of >= 1e9 {
        return format!("{} billion", (of / 1e8).round() / 10.0);
    }
    if of >= 1e6 {
        return format!("{} million", (of / 1e5).round() / 10.0);
    }
    let digits = format!("{of:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_say_as_much_as_is_known() {
        for (of, said) in [
            (0.0, "0"),
            (0.04, "below 0.1"),
            (1.04, "1"),
            (2.36, "2.4"),
            (7.36, "7.4"),
            (99.6, "100"),
            (12_345.0, "12,000"),
            (987_654.0, "990,000"),
            (1_250_000.0, "1.3 million"),
            (3_456_000_000.0, "3.5 billion"),
        ] {
            assert_eq!(round(of), said);
        }
    }

    /// The page's tables are this program's output.
    #[test]
    fn the_page_says_what_the_program_prints() {
        let page = include_str!("../../docs/capacity.md");
        let (_, rest) = page.split_once("<!-- chat-scale: begins -->\n").expect("a first mark");
        let (tables, _) = rest.split_once("<!-- chat-scale: ends -->").expect("a second mark");
        assert!(
            tables.trim() == super::tables().trim(),
            "docs/capacity.md: replace what is between the marks by what chat-scale prints"
        );
    }
}
