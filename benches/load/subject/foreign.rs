//! Servers of ours that somebody else started, at their URLs, and people who have accounts there.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{Role, Subject, http::post, own::life};
use crate::dialect::{Chat, Person};

/// Members named in one request, which may have 64 KiB.
const MEMBERS_AT_A_TIME: usize = 500;

/// What is there.
pub(crate) struct Foreign<'a> {
    /// Of all nodes of the one chat.
    pub(crate) urls: &'a [String],
    /// A file with a user id and a token a line.
    pub(crate) people: &'a Path,
    /// How many of them it takes.
    pub(crate) count: usize,
    /// Who is in them, by number; the first one makes it.
    pub(crate) groups: &'a [Vec<usize>],
    /// Processes whose CPU and memory counts, if they run here.
    pub(crate) pids: &'a [u32],
}

/// Makes the groups there.
pub(crate) fn foreign(foreign: &Foreign<'_>) -> anyhow::Result<Subject> {
    let addresses: Vec<SocketAddr> =
        foreign.urls.iter().map(|url| address(url)).collect::<Result<_, _>>()?;
    let first = *addresses.first().context("at least one --url")?;
    let text = fs::read_to_string(foreign.people)
        .with_context(|| format!("cannot read {}", foreign.people.display()))?;
    let people = people(&text)?;
    if people.len() < foreign.count {
        bail!("{} people are needed, and {} are in the file", foreign.count, people.len());
    }
    let life = life();
    let mut groups = Vec::with_capacity(foreign.groups.len());
    for (n, members) in foreign.groups.iter().enumerate() {
        let key = format!("load-{life:08x}-{n}");
        groups.push(make_group(first, &people, members, &key)?);
    }
    let named = foreign.pids.iter().map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        (name.map_or_else(|_| pid.to_string(), |name| name.trim().to_owned()), *pid)
    });
    Ok(Subject {
        name: "server".to_owned(),
        role: Role::Measured,
        dialect: Box::new(Chat::new(first.to_string(), life)),
        addresses,
        people,
        groups,
        follows: Vec::new(),
        processes: named.collect(),
        metrics: None,
        database: None,
        _keep: Vec::new(),
    })
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let Some(authority) = url.strip_prefix("http://") else {
        bail!("{url}: http:// only; TLS would be what is measured");
    };
    let authority = authority.trim_end_matches('/');
    let mut all = if authority.contains(':') {
        authority.to_socket_addrs()
    } else {
        (authority, 80).to_socket_addrs()
    }
    .with_context(|| format!("{url}: HOST or HOST:PORT is expected"))?;
    all.next().with_context(|| format!("{url} has no address"))
}

fn people(text: &str) -> anyhow::Result<Vec<Person>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            let (user, token) = line
                .trim()
                .split_once(' ')
                .with_context(|| format!("line {}: USER TOKEN is expected", n + 1))?;
            Ok(Person { user: user.to_owned(), token: token.trim().to_owned() })
        })
        .collect()
}

fn make_group(
    server: SocketAddr,
    people: &[Person],
    members: &[usize],
    key: &str,
) -> anyhow::Result<String> {
    let (owner, others) = members.split_first().context("a group has members")?;
    let token = Some(people[*owner].token.as_str());
    let some = |members: &[usize]| -> Vec<&str> {
        members.iter().map(|who| people[*who].user.as_str()).collect()
    };
    let mut others = others.chunks(MEMBERS_AT_A_TIME);
    let first = others.next().map(some).unwrap_or_default();
    let body = json!({ "kind": "group", "title": "load", "members": first });
    let made = post(server, "/conversations", token, Some(key), &body)?;
    let id = made["id"].as_str().context("a group has an id")?.to_owned();
    for more in others {
        let path = format!("/conversations/{id}/members");
        post(server, &path, token, None, &json!({ "users": some(more) }))?;
    }
    Ok(id)
}

/// Makes accounts by the public API and writes a line for each, as the file of people has them.
pub(crate) fn register(url: &str, count: usize, out: &mut impl Write) -> anyhow::Result<()> {
    let server = address(url)?;
    let life = life();
    for n in 0..count {
        let name = format!("load-{life:08x}-{n}");
        let body = json!({ "name": name, "password": format!("correct horse {life:x} {n}") });
        let made = post(server, "/user/register", None, None, &body)?;
        let text = |field: &str| made[field].as_str().map(str::to_owned);
        let (user, token) = text("user_id")
            .zip(text("token"))
            .with_context(|| format!("no account in {}", Value::to_string(&made)))?;
        writeln!(out, "{user} {token}")?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_read_line_by_line() {
        let found = people("u_1 t1\n\nu_2  t2 \n").unwrap();
        let found: Vec<_> = found.iter().map(|it| (&*it.user, &*it.token)).collect();
        assert_eq!(found, [("u_1", "t1"), ("u_2", "t2")]);
        assert!(people("u_1").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn a_url_is_an_address() {
        assert_eq!(address("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(address("http://127.0.0.1").unwrap(), "127.0.0.1:80".parse().unwrap());
        for url in ["https://127.0.0.1", "127.0.0.1:8080"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
