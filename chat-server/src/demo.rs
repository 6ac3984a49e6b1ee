//! `demo`: a server with something to look at, which is gone when it ends.

mod script;

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use chat_sdk::{
    Body, ClientKey, ConversationId, Entrance, Kind, Marker, Message, Role, Seq, Store, Text,
    Timestamp, Title, UserId,
    auth::accounts::AccountRole,
    env::{Clock, Random, SystemClock, SystemRandom},
    store::{Append, Mark, Open, Write, Written},
};

use self::script::Line;
use crate::{
    banner::LogIn,
    config::{Config, Flags, StoreChoice},
    node::Node,
    secrets::hex,
    serve::Server,
    stored::Stored,
    telemetry,
};

/// Writes that are committed together.
const BATCH: usize = 200;

/// Serves until a signal comes.
pub(crate) fn run(settings: &Flags) -> anyhow::Result<ExitCode> {
    let (chosen, values) = Config::load(settings)?;
    let (config, _temporary) = if values.is_default("data_dir") {
        let folder = Temporary::new()?;
        let settings = settings.clone().or("data_dir", folder.0.display().to_string());
        (Config::load(&settings)?.0, Some(folder))
    } else {
        (chosen, None)
    };
    refuse_what_is_in_use(&config)?;
    telemetry::start_logging(&config.log);
    crate::run_async(async {
        let server = Server::start(config).await?;
        let log_ins = fill(server.node()).await.context("cannot fill the demonstration")?;
        server.run(log_ins).await
    })
}

/// A demonstration does not mix with anybody's data.
fn refuse_what_is_in_use(config: &Config) -> anyhow::Result<()> {
    let StoreChoice::Sqlite(database) = &config.store else {
        bail!("a demonstration keeps its data in SQLite: leave `store` as it is");
    };
    let is_used = fs::read_dir(&config.data_dir).is_ok_and(|mut entries| entries.next().is_some());
    if is_used || database.exists() {
        bail!(
            "{} is not empty, and a demonstration does not touch what is there",
            config.data_dir.display()
        );
    }
    Ok(())
}

/// A folder that is gone with its owner.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("chat-demo-{}", hex(&random::<8>())));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %Path::display(&self.0), %error, "left behind");
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::default().fill(&mut bytes);
    bytes
}

/// Easy to copy by hand, and another one each time: a demonstration may be on a network.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = random::<12>().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}

/// Makes the users and what they have said to each other so far.
async fn fill(node: &Node) -> anyhow::Result<Vec<LogIn>> {
    let mut log_ins = Vec::new();
    let mut users = Vec::new();
    for (name, display_name, role) in [
        ("alice", "Alice Ahlberg", AccountRole::Admin),
        ("bob", "Bob Okafor", AccountRole::User),
        ("carol", "Carol Núñez", AccountRole::User),
    ] {
        let password = password();
        users.push(node.accounts().create_user(name, Some(display_name), &password, role).await?);
        log_ins.push(LogIn { name: name.to_owned(), password });
    }
    let Stored::Sqlite(store) = node.store() else { bail!("not in SQLite") };
    let now = SystemClock.now();
    let [alice, bob, carol] = <[UserId; 3]>::try_from(users).expect("three users were made");

    let group = ConversationId::group(&alice, &ClientKey::new("demo")?);
    let script = script::group();
    let members = vec![alice.clone(), bob.clone(), carol.clone()];
    let open = opening(group, Kind::Group, Some(Title::new("Boathouse")?), &members);
    tell(store, open, &members, &script, now).await?;

    let direct = ConversationId::direct(&alice, &bob);
    let script = script::direct();
    let members = vec![alice.clone(), bob.clone()];
    let open = opening(direct, Kind::Direct, None, &members);
    tell(store, open, &members, &script, now).await?;
    Ok(log_ins)
}

fn opening(
    conversation: ConversationId,
    kind: Kind,
    title: Option<Title>,
    members: &[UserId],
) -> Open {
    let by = members.first().cloned();
    // When, is said by the first line.
    Open {
        conversation,
        kind,
        title,
        by,
        key: None,
        members: members.to_vec(),
        entrance: Entrance::default(),
        at: Timestamp::default(),
    }
}

/// Writes a conversation as if it had happened over the past weeks, the last line a moment ago, and
/// leaves its first member with something unread.
async fn tell(
    store: &impl Store,
    open: Open,
    members: &[UserId],
    script: &[Line],
    now: Timestamp,
) -> anyhow::Result<()> {
    let conversation = open.conversation;
    let before = |ago: Duration| {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(ago))
    };
    let first = script.first().map_or(now, |line| before(line.ago));
    let mut writes = vec![Write::Open(Open { at: first, ..open })];
    for (number, line) in script.iter().enumerate() {
        writes.push(Write::Append(Append {
            conversation,
            by: Some(members[line.by].clone()),
            requires: Role::Member,
            key: Some(ClientKey::new(format!("demo-{number}"))?),
            at: before(line.ago),
            body: Body::Message(Message::new(Text::new(&line.text)?)),
        }));
    }
    let head = Seq::new(writes.len() as u64);
    for (number, user) in members.iter().enumerate() {
        let unread = if number == 0 { script::UNREAD } else { 0 };
        let read = Seq::new(head.get().saturating_sub(unread));
        let marker = Marker { received: head, read };
        writes.push(Write::Mark(Mark { conversation, user: user.clone(), marker }));
    }
    for batch in writes.chunks(BATCH) {
        for written in store.write(batch.to_vec()).await? {
            if let Written::Refused(why) = written {
                bail!("the script does not fit the store: {why:?}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_new_each_time_and_long_enough() {
        let one = password();
        assert_eq!(one.len(), 14);
        assert_ne!(one, password());
    }

    #[test]
    fn a_temporary_folder_is_private_and_goes() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Temporary::new().unwrap();
        let path = folder.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("chat.db"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_scripts_end_unread_and_in_order() {
        for (script, members) in [(script::group(), 3), (script::direct(), 2)] {
            assert!(script.is_sorted_by(|one, next| one.ago >= next.ago));
            assert!(script.iter().all(|line| line.by < members));
            let unread = &script[script.len() - script::UNREAD as usize..];
            assert!(
                unread.iter().all(|line| line.by != 0),
                "alice did not write what she has not read"
            );
        }
    }
}
