//! What is broken, and when. The whole plan follows from the seed before the run begins; two faults
//! are never under way at once, because they would hide each other.

use std::{fmt, rc::Rc, time::Duration};

use anyhow::Context;
use chat_check::history::What;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{dependencies::Dependencies, nodes::Node, proxy::Weather, random::Random, town::Town};

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL, and up again.
    NodeKilled,
    /// SIGSTOP, shorter than anybody's patience.
    NodePaused,
    /// SIGSTOP, longer than the time after which a silent peer is given up.
    NodeFrozen,
    /// SIGTERM, and up again.
    NodeRolled,
    /// Every connection to a node cut in the middle of a frame.
    FramesCut,
    /// Every connection to a node reset.
    ConnectionsReset,
    /// What is said to a node, and what it says, arrives nowhere.
    HalfOpen,
    /// What is said to a node, and what it says, waits.
    Held,
    /// A few kilobytes a second.
    SlowLink,
    /// Every other connection to a node reads nothing, while long messages are written.
    ReadersStop,
    /// A node's clock jumps an hour, and back.
    ClockJump,
    /// Redis is killed, and comes back empty.
    RedisKilled,
    /// Redis is emptied.
    RedisFlushed,
    /// Redis answers nobody.
    RedisPaused,
    /// All subscriptions are cut.
    SubscribersCut,
    /// Nothing can be published, while all subscriptions look well.
    PublishRefused,
    /// A node's connections to Redis are reset.
    BusReset,
    /// What a node says to Redis waits.
    BusHeld,
    /// PostgreSQL stops without any order.
    PostgresCrashed,
    /// All processes of PostgreSQL stand still.
    PostgresPaused,
    /// All connections to PostgreSQL are ended by it.
    BackendsEnded,
    /// Somebody holds a table.
    TableLocked,
    /// A node's connections to PostgreSQL are reset.
    StoreReset,
    /// What a node says to PostgreSQL waits.
    StoreHeld,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it is given on the command line: node-killed.
        for (place, letter) in format!("{self:?}").char_indices() {
            if letter.is_uppercase() && place > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// What a kind is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Node,
    Clock,
    Redis,
    Postgres,
    /// One node's way to what it stands on.
    Way,
}

impl Kind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::NodeKilled,
        Self::NodePaused,
        Self::NodeFrozen,
        Self::NodeRolled,
        Self::FramesCut,
        Self::ConnectionsReset,
        Self::HalfOpen,
        Self::Held,
        Self::SlowLink,
        Self::ReadersStop,
        Self::ClockJump,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::RedisPaused,
        Self::SubscribersCut,
        Self::PublishRefused,
        Self::BusReset,
        Self::BusHeld,
        Self::PostgresCrashed,
        Self::PostgresPaused,
        Self::BackendsEnded,
        Self::TableLocked,
        Self::StoreReset,
        Self::StoreHeld,
    ];

    /// The one with this name, as it is displayed.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.to_string() == name)
    }

    const fn about(self) -> About {
        match self {
            Self::NodeKilled
            | Self::NodePaused
            | Self::NodeFrozen
            | Self::NodeRolled
            | Self::FramesCut
            | Self::ConnectionsReset
            | Self::HalfOpen
            | Self::Held
            | Self::SlowLink
            | Self::ReadersStop => About::Node,
            Self::ClockJump => About::Clock,
            Self::RedisKilled
            | Self::RedisFlushed
            | Self::RedisPaused
            | Self::SubscribersCut
            | Self::PublishRefused => About::Redis,
            Self::PostgresCrashed
            | Self::PostgresPaused
            | Self::BackendsEnded
            | Self::TableLocked => About::Postgres,
            Self::BusReset | Self::BusHeld | Self::StoreReset | Self::StoreHeld => About::Way,
        }
    }

    /// Whether it can be done here.
    #[must_use]
    pub const fn fits(self, shared: bool, clocks: bool) -> bool {
        match self.about() {
            About::Node => true,
            About::Clock => clocks,
            About::Redis | About::Postgres | About::Way => shared,
        }
    }

    /// Milliseconds that it lasts, at least and at most.
    const fn lasts(self) -> (u64, u64) {
        match self {
            Self::NodeKilled | Self::NodeRolled => (0, 1_000),
            Self::NodePaused => (400, 2_000),
            // A device gives up after 6 s, a server after 5.
            Self::NodeFrozen | Self::HalfOpen => (6_500, 8_500),
            Self::FramesCut | Self::ConnectionsReset | Self::BusReset | Self::StoreReset => (0, 50),
            Self::Held => (500, 4_000),
            Self::SlowLink => (2_000, 5_000),
            Self::ReadersStop => (4_000, 7_000),
            Self::ClockJump => (1_500, 4_000),
            Self::RedisKilled => (200, 3_000),
            Self::RedisFlushed | Self::SubscribersCut | Self::BackendsEnded => (0, 50),
            Self::RedisPaused => (800, 2_500),
            Self::PublishRefused => (1_500, 4_000),
            Self::BusHeld | Self::StoreHeld => (1_000, 7_000),
            Self::PostgresCrashed => (0, 1_000),
            Self::PostgresPaused => (500, 4_000),
            Self::TableLocked => (1_500, 4_000),
        }
    }
}

/// A fault that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// After the beginning of the chaos; if the one before takes longer, it is later.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// Which node, where it is about one.
    pub node: usize,
    /// How long.
    pub lasts: Duration,
    /// A number for what is left to the fault.
    pub dice: u64,
}

/// Everything that is to come.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The only kind, if there is one.
    pub single: Option<Kind>,
    /// In their order.
    pub faults: Vec<Planned>,
}

impl Schedule {
    /// What follows from a seed: half of the runs have a single kind of fault, because faults hide
    /// each other. `gap`: seconds between two faults at most.
    #[must_use]
    pub fn draw(
        seed: u64,
        chaos: Duration,
        nodes: usize,
        kinds: &[Kind],
        only: Option<Kind>,
        gap: f64,
    ) -> Self {
        let mut dice = Random::new(seed, "nemesis");
        let alone = dice.chance(500);
        let drawn = dice.pick(kinds).copied();
        let single = only.or(drawn.filter(|_| alone));
        let mut faults = Vec::new();
        let mut at = Duration::from_millis(500);
        // In a mix each kind has its turn before any comes again.
        let mut turns: Vec<Kind> = Vec::new();
        while at < chaos && !kinds.is_empty() {
            let pause = (gap * 1000.0) as u64;
            let kind = single.or_else(|| {
                if turns.is_empty() {
                    turns.extend(kinds);
                }
                let turn = usize::try_from(dice.below(turns.len() as u64)).unwrap_or(0);
                Some(turns.swap_remove(turn))
            });
            let Some(kind) = kind else { break };
            let (least, most) = kind.lasts();
            let lasts = Duration::from_millis(dice.between(least, most));
            let node = usize::try_from(dice.below(nodes as u64)).unwrap_or(0);
            faults.push(Planned { at, kind, node, lasts, dice: dice.next() });
            at += lasts + Duration::from_millis(dice.between(pause / 4, pause));
        }
        Self { single, faults }
    }
}

/// Who breaks things.
pub struct Nemesis {
    /// What they can be done to.
    pub nodes: Vec<Rc<Node>>,
    /// And these.
    pub dependencies: Dependencies,
    /// Who lives with it.
    pub town: Rc<Town>,
}

impl Nemesis {
    /// Does what is planned until this time, one after the other, and mends each; how many there
    /// were.
    ///
    /// # Errors
    /// Something cannot be broken or mended.
    pub async fn go(&self, schedule: &Schedule, until: Instant) -> anyhow::Result<u32> {
        let began = Instant::now();
        let mut done = 0;
        for planned in &schedule.faults {
            let at = began + planned.at;
            if at.max(Instant::now()) >= until {
                break;
            }
            sleep_until(at).await;
            self.one(done, planned).await?;
            done += 1;
        }
        sleep_until(until).await;
        Ok(done)
    }

    /// Breaks something and mends it.
    async fn one(&self, number: u32, planned: &Planned) -> anyhow::Result<()> {
        let Planned { kind, node, lasts, .. } = *planned;
        let named = match kind.about() {
            About::Node | About::Clock | About::Way => u32::try_from(node).ok(),
            About::Redis | About::Postgres => None,
        };
        let fault = What::Fault { fault: number, kind: kind.to_string(), node: named };
        self.town.book.note(fault);
        self.begin(planned).await.with_context(|| format!("{kind} does not begin"))?;
        // A lock is held, and given back, by what asks for it.
        if kind != Kind::TableLocked {
            sleep(lasts).await;
        }
        self.heal(planned).await.with_context(|| format!("{kind} is not mended"))?;
        self.town.book.note(What::Healed { fault: number });
        Ok(())
    }

    /// No message crosses nodes any more, and all subscriptions look well. Only where there is a
    /// bus.
    ///
    /// # Errors
    /// Redis does not take the order.
    pub async fn refuse_publishing(&self, refuse: bool, number: u32) -> anyhow::Result<()> {
        let kind = Kind::PublishRefused.to_string();
        let what = match refuse {
            true => What::Fault { fault: number, kind, node: None },
            false => What::Healed { fault: number },
        };
        if refuse {
            self.town.book.note(what.clone());
        }
        let rule = if refuse { "-publish" } else { "+publish" };
        let sharded = if refuse { "-spublish" } else { "+spublish" };
        self.redis(&["ACL", "SETUSER", "default", rule, sharded]).await?;
        if !refuse {
            self.town.book.note(what);
        }
        Ok(())
    }

    async fn redis(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let Dependencies::Shared { redis, .. } = &self.dependencies else { return Ok(()) };
        let redis = redis.clone();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            redis.cli(&arguments);
        })
        .await
    }

    /// Runs SQL beside the nodes.
    async fn sql(&self, sql: String) -> anyhow::Result<()> {
        let Dependencies::Shared { postgres, database, .. } = &self.dependencies else {
            return Ok(());
        };
        let (postgres, database) = (postgres.clone(), database.clone());
        blocking(move || {
            postgres.sql(&database, &sql);
        })
        .await
    }

    async fn begin(&self, planned: &Planned) -> anyhow::Result<()> {
        let node = &self.nodes[planned.node];
        match planned.kind {
            Kind::NodeKilled => node.kill(),
            Kind::NodePaused | Kind::NodeFrozen => node.pause(),
            Kind::NodeRolled => node.leave().await?,
            Kind::FramesCut => node.door.cut(),
            Kind::ConnectionsReset => node.door.reset(),
            Kind::HalfOpen => node.door.set(Weather::Swallowed),
            Kind::Held => node.door.set(Weather::Held),
            Kind::SlowLink => {
                let rates = [2_000, 8_000, 30_000];
                let rate = rates[(planned.dice % 3) as usize];
                node.door.set(Weather::Slow(rate));
            }
            Kind::ReadersStop => {
                self.town.loud.set(true);
                node.door.set(Weather::Unread);
            }
            Kind::ClockJump => {
                let hour = if planned.dice.is_multiple_of(2) { 3_600 } else { -3_600 };
                node.set_clock(hour)?;
            }
            Kind::RedisPaused => {
                let millis = planned.lasts.as_millis().to_string();
                self.redis(&["CLIENT", "PAUSE", &millis, "ALL"]).await?;
            }
            Kind::RedisFlushed => self.redis(&["FLUSHALL"]).await?,
            Kind::SubscribersCut => self.redis(&["CLIENT", "KILL", "TYPE", "pubsub"]).await?,
            Kind::PublishRefused => {
                self.redis(&["ACL", "SETUSER", "default", "-publish", "-spublish"]).await?;
            }
            Kind::BusReset => node.bus.iter().for_each(|bus| bus.reset()),
            Kind::BusHeld => node.bus.iter().for_each(|bus| bus.set(Weather::Held)),
            Kind::StoreReset => node.store.iter().for_each(|store| store.reset()),
            Kind::StoreHeld => node.store.iter().for_each(|store| store.set(Weather::Held)),
            Kind::BackendsEnded => {
                let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                           WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.sql(sql.to_owned()).await?;
            }
            Kind::TableLocked => {
                let tables = ["chat_conversations", "chat_events", "chat_members"];
                let table = tables[(planned.dice % 3) as usize];
                let seconds = planned.lasts.as_secs_f64();
                let sql = format!(
                    "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; \
                     SELECT pg_sleep({seconds}); COMMIT;"
                );
                self.sql(sql).await?;
            }
            Kind::RedisKilled | Kind::PostgresCrashed | Kind::PostgresPaused => {
                if let Dependencies::Shared { postgres, redis, .. } = self.dependencies.clone() {
                    let kind = planned.kind;
                    blocking(move || match kind {
                        Kind::RedisKilled => redis.kill(),
                        Kind::PostgresCrashed => postgres.crash(),
                        _ => postgres.pause(),
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    async fn heal(&self, planned: &Planned) -> anyhow::Result<()> {
        let node = &self.nodes[planned.node];
        match planned.kind {
            Kind::NodeKilled | Kind::NodeRolled => node.start().await?,
            Kind::NodePaused | Kind::NodeFrozen => node.resume(),
            Kind::HalfOpen | Kind::Held | Kind::SlowLink => node.door.set(Weather::Clear),
            Kind::ReadersStop => {
                self.town.loud.set(false);
                node.door.set(Weather::Clear);
            }
            Kind::ClockJump => node.set_clock(0)?,
            Kind::PublishRefused => {
                self.redis(&["ACL", "SETUSER", "default", "+publish", "+spublish"]).await?;
            }
            Kind::BusHeld => node.bus.iter().for_each(|bus| bus.set(Weather::Clear)),
            Kind::StoreHeld => node.store.iter().for_each(|store| store.set(Weather::Clear)),
            Kind::RedisKilled | Kind::PostgresCrashed | Kind::PostgresPaused => {
                if let Dependencies::Shared { postgres, redis, .. } = self.dependencies.clone() {
                    let kind = planned.kind;
                    blocking(move || match kind {
                        Kind::RedisKilled => redis.start_again(),
                        Kind::PostgresCrashed => postgres.start_again(),
                        _ => postgres.resume(),
                    })
                    .await?;
                }
            }
            // Over by themselves.
            Kind::FramesCut
            | Kind::ConnectionsReset
            | Kind::RedisFlushed
            | Kind::RedisPaused
            | Kind::SubscribersCut
            | Kind::BusReset
            | Kind::StoreReset
            | Kind::BackendsEnded
            | Kind::TableLocked => {}
        }
        Ok(())
    }
}

async fn blocking(work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(work).await.context("what should break something broke itself")
}

/// The plan for people and programs.
#[must_use]
pub fn describe(schedule: &Schedule) -> serde_json::Value {
    let faults: Vec<_> = schedule
        .faults
        .iter()
        .map(|it| {
            format!(
                "{:.1}s {} on {} for {} ms",
                it.at.as_secs_f64(),
                it.kind,
                it.node,
                it.lasts.as_millis()
            )
        })
        .collect();
    json!({"single": schedule.single.map(|kind| kind.to_string()), "faults": faults})
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, path::PathBuf};

    use chat_check::history::Phase;

    use super::*;
    use crate::{book::Book, nodes::NodePlan};

    /// PostgreSQL and Redis of one's own, and a node that is not started.
    async fn nemesis(folder: PathBuf) -> Nemesis {
        let dependencies = tokio::task::spawn_blocking(Dependencies::shared).await.unwrap();
        let (server, sabotage, faketime) = (PathBuf::new(), None, None);
        let plan = NodePlan { server, folder, sabotage, hasty: false, faketime };
        let node = Node::prepare(0, &plan, &dependencies, "secret").await.unwrap();
        let town = Town {
            book: Book::default(),
            phase: Cell::new(Phase::Chaos),
            doors: Vec::new(),
            citizens: Vec::new(),
            people: 0,
            loud: Cell::new(false),
            pause: 1,
            waiting_max: 1,
            standings: Default::default(),
        };
        Nemesis { nodes: vec![Rc::new(node)], dependencies, town: Rc::new(town) }
    }

    async fn published(nemesis: &Nemesis) -> String {
        let Dependencies::Shared { redis, .. } = nemesis.dependencies.clone() else {
            unreachable!("they are shared")
        };
        tokio::task::spawn_blocking(move || redis.cli(&["PUBLISH", "a", "b"])).await.unwrap()
    }

    #[test]
    fn what_nodes_stand_on_can_be_broken_and_mended() {
        let folder = std::env::temp_dir().join(format!("torture-nemesis-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let nemesis = nemesis(folder.clone()).await;
            for table in ["chat_conversations", "chat_events", "chat_members"] {
                nemesis.sql(format!("CREATE TABLE {table} (id int)")).await.unwrap();
            }
            for kind in Kind::ALL.iter().copied() {
                let dependency =
                    matches!(kind.about(), About::Redis | About::Postgres | About::Way);
                if !dependency {
                    continue;
                }
                let (at, lasts) = (Duration::ZERO, Duration::from_millis(200));
                let planned = Planned { at, kind, node: 0, lasts, dice: 1 };
                nemesis.begin(&planned).await.unwrap();
                if kind == Kind::PublishRefused {
                    assert!(published(&nemesis).await.contains("NOPERM"));
                }
                sleep(lasts).await;
                nemesis.heal(&planned).await.unwrap();
                assert_eq!(published(&nemesis).await, "0", "{kind}");
                nemesis.sql("SELECT 1".to_owned()).await.unwrap();
            }
        });
        let _ = std::fs::remove_dir_all(folder);
    }

    fn draw(seed: u64) -> Schedule {
        Schedule::draw(seed, Duration::from_secs(600), 3, Kind::ALL, None, 4.0)
    }

    #[test]
    fn the_same_seed_plans_the_same_faults_and_others_plan_others() {
        assert_eq!(draw(1).faults, draw(1).faults);
        assert_ne!(draw(1).faults, draw(2).faults);
    }

    #[test]
    fn half_of_the_runs_have_one_kind_and_the_others_have_all() {
        let single = (0..100).filter(|seed| draw(*seed).single.is_some()).count();
        assert!((30..70).contains(&single), "{single}");
        let mixed = (0..).map(draw).find(|it| it.single.is_none()).unwrap();
        assert!(mixed.faults.len() >= 40, "{}", mixed.faults.len());
        for kind in Kind::ALL {
            assert!(mixed.faults.iter().any(|it| it.kind == *kind), "{kind}");
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(&kind.to_string()), Some(*kind));
        }
        assert_eq!(Kind::NodeKilled.to_string(), "node-killed");
    }
}
