//! Servers of others as subjects, started for the measurement: those of `benches/peers` by its
//! script, Centrifugo and Tinode from programs that the user has. None of them stores anything, unless
//! its name says so; they are told who somebody is by a signed token, as ours is.

use std::{
    any::Any,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use testbed::{Redis, free_port};

use super::{
    POSTGRES, Process, Role, SECRET, Subject,
    own::{ACQUAINTANCE, users, with_tokens},
    tinode,
};
use crate::{
    dialect::{Centrifugo, Dialect, Nats, SocketIo, Tinode, Ws},
    machine::Cores,
};

const START: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/start");
/// Of a channel, as much as a client that was away for a while wants to have again.
const HISTORY: (u32, &str) = (100, "300s");

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// NATS, over its own protocol
    Nats,
    /// A small server on ws for Node.js
    Ws,
    /// A small server on Socket.IO
    SocketIo,
    /// Centrifugo, over its JSON protocol; needs --centrifugo
    Centrifugo,
    /// The same with its history in Redis: what comes nearest to a log that outlives the server
    CentrifugoHistory,
    /// Tinode, over its JSON protocol, with its log in PostgreSQL; needs --tinode
    Tinode,
}

/// What to start.
pub(crate) struct Beside<'a> {
    pub(crate) peer: Peer,
    /// The program, for those that need it.
    pub(crate) centrifugo: Option<&'a Path>,
    /// The folder of its programs, for the same reason.
    pub(crate) tinode: Option<&'a Path>,
    pub(crate) nodes: Nodes,
    pub(crate) people: usize,
    /// Who is in them, by number.
    pub(crate) groups: &'a [Vec<usize>],
}

/// How many servers are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nodes {
    One,
    /// Connected as the users of each connect them: by Redis, or as a cluster.
    Two,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Nats => "NATS",
            Self::Ws => "ws",
            Self::SocketIo => "Socket.IO",
            Self::Centrifugo => "Centrifugo",
            Self::CentrifugoHistory => "Centrifugo, history in Redis",
            Self::Tinode => "Tinode, PostgreSQL",
        }
    }

    fn dialect(self, address: SocketAddr) -> Box<dyn Dialect> {
        let host = address.to_string();
        match self {
            Self::Nats => Box::new(Nats::new(SECRET)),
            Self::Ws => Box::new(Ws::new(host)),
            Self::SocketIo => Box::new(SocketIo::new(host)),
            Self::Centrifugo | Self::CentrifugoHistory => Box::new(Centrifugo::new(host)),
            Self::Tinode => Box::new(Tinode::new(host, tinode::KEY)),
        }
    }

    fn needs_redis(self, nodes: Nodes) -> bool {
        match self {
            Self::Nats | Self::Tinode => false,
            Self::Ws | Self::SocketIo | Self::Centrifugo => nodes == Nodes::Two,
            Self::CentrifugoHistory => true,
        }
    }
}

/// Starts it.
pub(crate) fn peer(beside: &Beside<'_>, cores: Cores) -> anyhow::Result<Subject> {
    let name = beside.peer.name();
    let (mut processes, mut keep): (Vec<_>, Vec<Box<dyn Any>>) = Default::default();
    let redis = if beside.peer.needs_redis(beside.nodes) {
        let redis = cores.as_subject(Redis::start);
        processes.push(("Redis".to_owned(), redis.pid().context("Redis has just started")?));
        Some(redis)
    } else {
        None
    };
    let redis_url = redis.as_ref().map(Redis::url);
    let count = match beside.nodes {
        Nodes::One => 1,
        Nodes::Two => 2,
    };
    let ports: Vec<u16> = (0..count * 2).map(|_| free_port()).collect();
    let (ports, routes) = ports.split_at(count);
    let mut settled = None;
    for (n, port) in ports.iter().enumerate() {
        let node = Node {
            port: *port,
            redis: redis_url.as_deref(),
            route: (count > 1).then(|| routes[n]),
            // The first one is there already.
            other_route: (n > 0).then(|| routes[0]),
        };
        let started = match beside.peer {
            Peer::Nats => scripted("nats", &node, cores)?,
            Peer::Ws => scripted("ws", &node, cores)?,
            Peer::SocketIo => scripted("socket-io", &node, cores)?,
            Peer::Centrifugo | Peer::CentrifugoHistory => {
                let program = beside.centrifugo.context("Centrifugo needs --centrifugo FILE")?;
                let history = beside.peer == Peer::CentrifugoHistory;
                let (process, folder) = centrifugo(program, &node, history, cores)?;
                keep.push(Box::new(folder));
                process
            }
            Peer::Tinode => {
                if beside.nodes == Nodes::Two {
                    bail!("two servers of Tinode are not measured");
                }
                let programs = beside.tinode.context("Tinode needs --tinode FOLDER")?;
                let running = tinode::start(programs, *port, beside.people, beside.groups, cores)?;
                processes.push((POSTGRES.to_owned(), running.postgres));
                keep.extend(running.keep);
                settled = Some((running.people, running.groups));
                running.server
            }
        };
        let what = if count > 1 { format!("node {}", n + 1) } else { "server".to_owned() };
        processes.insert(n, (what, started.id()));
        keep.insert(0, Box::new(started));
    }
    if let Some(redis) = redis {
        keep.push(Box::new(redis));
    }
    match beside.nodes {
        Nodes::One => {}
        Nodes::Two => sleep(ACQUAINTANCE),
    }
    let addresses: Vec<SocketAddr> =
        ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
    let (people, groups) = match settled {
        Some(settled) => settled,
        // The others know nobody before somebody comes, and no group that nobody is in.
        None => {
            let groups = (0..beside.groups.len()).map(|n| format!("group{n}"));
            (with_tokens(&users(beside.people))?, groups.collect())
        }
    };
    let mut follows = vec![Vec::new(); beside.people];
    for (group, members) in groups.iter().zip(beside.groups) {
        for who in members {
            follows[*who].push(group.clone());
        }
    }
    Ok(Subject {
        name: name.to_owned(),
        role: Role::Measured,
        dialect: beside.peer.dialect(addresses[0]),
        addresses,
        people,
        groups,
        follows,
        processes,
        metrics: None,
        database: None,
        _keep: keep,
    })
}

/// One of the servers that are one.
struct Node<'a> {
    port: u16,
    redis: Option<&'a str>,
    /// Where it listens for another one of its kind, which NATS wants.
    route: Option<u16>,
    /// Where another one does.
    other_route: Option<u16>,
}

fn scripted(name: &str, node: &Node<'_>, cores: Cores) -> anyhow::Result<Process> {
    // What has to be installed or built first is not done on the core of what is measured.
    let prepared = Command::new(START).args([name, "--prepare"]).stdin(Stdio::null()).status();
    if !prepared.with_context(|| format!("cannot start {START}"))?.success() {
        bail!("{START} {name} --prepare failed");
    }
    let mut command = Command::new(START);
    command.args([name, &node.port.to_string()]).env("PEER_SECRET", SECRET);
    if let Some(redis) = node.redis {
        command.args(["--redis", redis]);
    }
    if name == "nats"
        && let Some(route) = node.route
    {
        command.args(["--cluster", &route.to_string()]);
        if let Some(other) = node.other_route {
            command.args(["--route", &other.to_string()]);
        }
    }
    let ready = format!("ready on {}", node.port);
    let (process, ()) = cores.as_subject(|| {
        Process::start(&mut command, |line| (line.trim_end() == ready).then_some(()))
    })?;
    Ok(process)
}

/// Starts it with the little that it has to be told, in a folder that goes with it.
fn centrifugo(
    program: &Path,
    node: &Node<'_>,
    history: bool,
    cores: Cores,
) -> anyhow::Result<(Process, tempfile::TempDir)> {
    let folder = tempfile::tempdir().context("a folder for Centrifugo")?;
    let file: PathBuf = folder.path().join("config.json");
    fs::write(&file, centrifugo_settings(node, history).to_string())
        .context("Centrifugo's configuration")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(&file).current_dir(folder.path()).stdout(Stdio::null());
    let process = cores.as_subject(|| Process::start_listening(&mut command, node.port))?;
    Ok((process, folder))
}

/// As its documentation has it for speed: what a channel can do beyond passing messages on stays off
/// (presence, joins, recovery, delta compression, and compression as a whole), write buffers are
/// shared between connections, errors alone are logged. A person's own channel comes with the
/// connection, without a round trip for it.
fn centrifugo_settings(node: &Node<'_>, history: bool) -> Value {
    let mut group = json!({
        "name": "group",
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
    });
    let mut user = json!({
        "name": "user",
        "allow_user_limited_channels": true,
        "allow_publish_for_client": true,
    });
    if history {
        for namespace in [&mut group, &mut user] {
            namespace["history_size"] = HISTORY.0.into();
            namespace["history_ttl"] = HISTORY.1.into();
        }
    }
    let mut settings = json!({
        "http_server": { "address": "127.0.0.1", "port": node.port },
        "log": { "level": "error" },
        "websocket": { "use_write_buffer_pool": true },
        "client": {
            "token": { "hmac_secret_key": SECRET },
            "subscribe_to_user_personal_channel": {
                "enabled": true,
                "personal_channel_namespace": "user",
            },
        },
        "channel": { "namespaces": [group, user] },
    });
    if let Some(redis) = node.redis {
        settings["engine"] = json!({ "type": "redis", "redis": { "address": [redis] } });
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Node<'static> = Node { port: 8000, redis: None, route: None, other_route: None };

    #[test]
    fn centrifugo_keeps_a_history_only_where_it_is_named_after_it() {
        let plain = centrifugo_settings(&ALONE, false);
        assert_eq!(plain["engine"], Value::Null);
        let node = Node { redis: Some("redis://127.0.0.1:1"), ..ALONE };
        let kept = centrifugo_settings(&node, true);
        assert_eq!(kept["engine"]["redis"]["address"], json!(["redis://127.0.0.1:1"]));
        for n in 0..2 {
            assert_eq!(plain["channel"]["namespaces"][n]["history_size"], Value::Null);
            assert_eq!(kept["channel"]["namespaces"][n]["history_size"], 100);
        }
    }

    #[test]
    fn tinode_is_one_server_whose_programs_are_named() {
        for (nodes, words) in [(Nodes::One, "needs --tinode"), (Nodes::Two, "not measured")] {
            let peer = Peer::Tinode;
            let beside =
                Beside { peer, centrifugo: None, tinode: None, nodes, people: 1, groups: &[] };
            let refused = super::peer(&beside, Cores::Shared).err().map(|why| why.to_string());
            assert!(refused.as_ref().is_some_and(|it| it.contains(words)), "{refused:?}");
        }
    }
}
