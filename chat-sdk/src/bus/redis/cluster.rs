//! Who serves what: the masters, and what happens when parts move between them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::{Pipeline, RedisError, Value};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::{
    Shared,
    backoff::Backoff,
    channel::{PARTS, slot_of_budgets, slot_of_part},
    publisher::Publisher,
    server::{Address, ConnectError},
    subscriber::Subscriber,
};

/// So often the map is read again without a reason, because not every move is told to us: a slot
/// without a subscriber, a master that has been cut off from the others.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long a server may take to say who serves what.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which server has which part. Replaced as a whole.
#[derive(Default)]
pub(super) struct Routes {
    masters: Vec<Arc<Master>>,
    parts: Vec<Option<usize>>,
    budgets: Option<usize>,
}

/// A server that has parts.
pub(super) struct Master {
    pub(super) publisher: Arc<Publisher>,
    pub(super) subscriber: Arc<Subscriber>,
}

impl Routes {
    /// The server of a part, as an index into [`masters`](Self::masters).
    pub(super) fn of_part(&self, part: usize) -> Option<usize> {
        self.parts.get(part).copied().flatten()
    }

    pub(super) fn of_budgets(&self) -> Option<&Arc<Master>> {
        self.masters.get(self.budgets?)
    }

    pub(super) fn masters(&self) -> &[Arc<Master>] {
        &self.masters
    }

    /// How many parts nobody serves, as far as we know.
    pub(super) fn orphans(&self) -> usize {
        PARTS - self.parts.iter().flatten().count()
    }
}

/// One server has it all.
pub(super) fn single(shared: &Arc<Shared>, address: &Address) {
    let everything = [Range { first: 0, last: u16::MAX, master: address.clone() }];
    install(shared, &everything);
}

/// Keeps the routes of a cluster, until it is stopped.
pub(super) async fn keep(shared: Arc<Shared>) {
    shared.stop.run_until_cancelled(look(&shared)).await;
}

async fn look(shared: &Arc<Shared>) {
    let mut backoff = Backoff::default();
    let mut known = true;
    for round in 0.. {
        match find(shared, round).await {
            Ok(ranges) => {
                install(shared, &ranges);
                backoff.reset();
                known = true;
                let _ = timeout(LOOK_EVERY, shared.look_again.notified()).await;
            }
            Err(why) if known => {
                warn!(error = &why as &dyn std::error::Error, "no server of the cluster known");
                known = false;
            }
            Err(why) => debug!(error = &why as &dyn std::error::Error, "still none known"),
        }
        // Also after a success: many may have reasons to look again at the same moment.
        sleep(backoff.next()).await;
    }
}

/// Why nobody says who serves what.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("there is nobody to ask")]
    Nobody,
    #[error("{address} cannot be reached")]
    Unreachable {
        address: Address,
        #[source]
        why: ConnectError,
    },
    #[error("{address} does not say who serves what")]
    Refused {
        address: Address,
        #[source]
        why: RedisError,
    },
    #[error("{address} does not serve as part of a cluster")]
    Empty { address: Address },
}

/// Asks one after the other, beginning with another one each time: one that has been cut off from
/// the others does not know that it is wrong.
async fn find(shared: &Arc<Shared>, round: usize) -> Result<Vec<Range>, Unknown> {
    let routes = shared.routes();
    let mut addresses: Vec<_> =
        routes.masters.iter().map(|it| it.publisher.address().clone()).collect();
    addresses.extend(shared.seeds.iter().cloned());
    let count = addresses.len().max(1);
    addresses.rotate_left(round % count);
    let mut last = Unknown::Nobody;
    for address in addresses {
        match ask(shared, address).await {
            Ok(ranges) => return Ok(ranges),
            Err(why) => last = why,
        }
    }
    Err(last)
}

async fn ask(shared: &Arc<Shared>, address: Address) -> Result<Vec<Range>, Unknown> {
    let connection = match shared.access.connect(&address, PATIENCE, None).await {
        Ok(connection) => connection,
        Err(why) => return Err(Unknown::Unreachable { address, why }),
    };
    let mut question = Pipeline::with_capacity(1);
    question.cmd("CLUSTER").arg("SLOTS");
    let answer = connection
        .ask(&question)
        .await
        .and_then(|mut answers| answers.pop().unwrap_or_default().extract_error());
    match answer {
        Err(why) => Err(Unknown::Refused { address, why }),
        Ok(answer) => match ranges(&answer, &address) {
            ranges if ranges.is_empty() => Err(Unknown::Empty { address }),
            ranges => Ok(ranges),
        },
    }
}

/// Slots from the first to the last, and who serves them.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

/// Reads the answer to `CLUSTER SLOTS`: ranges, each with its master before its replicas. What cannot
/// be read is left out: its parts have nobody, which is noticed.
fn ranges(answer: &Value, asked: &Address) -> Vec<Range> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    ranges.iter().filter_map(|range| read(range, asked)).collect()
}

fn read(range: &Value, asked: &Address) -> Option<Range> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        // "The one you are talking to."
        Value::Nil => "",
        _ => return None,
    };
    let host = match host {
        "" => asked.host.clone(),
        // One that does not know its own name.
        "?" => return None,
        host => host.to_owned(),
    };
    let number = |it: &i64| u16::try_from(*it).ok();
    let master = Address { host, port: number(port)? };
    Some(Range { first: number(first)?, last: number(last)?, master })
}

/// Takes over who serves what. A server whose parts have changed gets a new subscription, which
/// begins with telling a loss; the others go on undisturbed.
fn install(shared: &Arc<Shared>, ranges: &[Range]) {
    let master_of = |slot: u16| {
        let range = ranges.iter().find(|range| (range.first..=range.last).contains(&slot));
        range.map(|range| &range.master)
    };
    let mut served: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    // One that only keeps the budgets is a server too.
    let budgets = master_of(slot_of_budgets());
    served.extend(budgets.map(|address| (address, Vec::new())));
    for part in 0..PARTS {
        if let Some(address) = master_of(slot_of_part(part)) {
            served.entry(address).or_default().push(part);
        }
    }

    let old = shared.routes();
    let mut new = Routes { parts: vec![None; PARTS], ..Routes::default() };
    let mut begun = Vec::new();
    for (index, (address, parts)) in served.into_iter().enumerate() {
        if Some(address) == budgets {
            new.budgets = Some(index);
        }
        for part in &parts {
            new.parts[*part] = Some(index);
        }
        let before = old.masters.iter().find(|it| it.publisher.address() == address);
        let master = match before {
            Some(master) if master.subscriber.parts() == parts => master.clone(),
            _ => {
                let publisher = before.map_or_else(
                    || Arc::new(Publisher::new(address.clone(), shared.access.clone())),
                    |before| before.publisher.clone(),
                );
                info!(%address, parts = parts.len(), "a server of the bus");
                let stop = shared.stop.child_token();
                let subscriber = Arc::new(Subscriber::new(parts, publisher.clone(), stop));
                begun.push(subscriber.clone());
                Arc::new(Master { publisher, subscriber })
            }
        };
        new.masters.push(master);
    }

    // In this order: who changes what is wanted from now on tells the new ones, and these look at
    // what is wanted only afterwards.
    let new = Arc::new(new);
    shared.set_routes(new.clone());
    for subscriber in begun {
        let shared = shared.clone();
        shared.tasks.clone().spawn(async move { subscriber.run(&shared).await });
    }
    for master in &old.masters {
        if !new.masters.iter().any(|it| Arc::ptr_eq(&it.subscriber, &master.subscriber)) {
            master.subscriber.stop.cancel();
        }
    }
    shared.show_connected();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), bulk("id"), Value::Array(vec![])]);
        let replica = Value::Array(vec![bulk("replica"), Value::Int(1), bulk("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
    }

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn the_first_of_a_range_is_its_master() {
        let answer = Value::Array(vec![
            range(0, 99, bulk("one"), 7000),
            range(100, 100, Value::Nil, 7001),
            range(101, 102, bulk(""), 7002),
            range(103, 104, bulk("?"), 7003),
            range(105, 70_000, bulk("two"), 7004),
            Value::Int(3),
        ]);
        let asked = address("asked", 1);
        let read = ranges(&answer, &asked);
        assert_eq!(
            read,
            [
                Range { first: 0, last: 99, master: address("one", 7000) },
                Range { first: 100, last: 100, master: address("asked", 7001) },
                Range { first: 101, last: 102, master: address("asked", 7002) },
            ]
        );
        assert_eq!(ranges(&Value::Nil, &asked), []);
    }

    #[test]
    fn parts_and_budgets_have_slots() {
        assert!((0..PARTS).map(slot_of_part).chain([slot_of_budgets()]).all(|it| it < 16_384));
    }
}
