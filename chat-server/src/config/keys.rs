//! The table of settings: what each is called, what it means and what it is when nobody says.
//!
//! The file's keys, the environment's names, the flags, the help and the default file all come
//! from here, so that none of them can fall behind the others.

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path in the file: `log.level`.
    pub(crate) name: &'static str,
    /// What stands for its value in the help.
    pub(crate) value: &'static str,
    /// What it is when nobody says; empty: not set.
    pub(crate) default: &'static str,
    /// One sentence; more may follow after it.
    pub(crate) help: &'static str,
    /// How it may be given and shown.
    pub(crate) form: Form,
}

/// How a setting may be given and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// File, environment and flag.
    Plain,
    /// Yes or no; as a flag it may stand without a value.
    Switch,
    /// Several, separated by commas; in the file also an array.
    List,
    /// Where something is reached, maybe with a password: that is not shown, and refused in a flag.
    /// Each has a twin `<name>_file`.
    Url,
    /// No flag, because everybody on the machine can read a command line; never shown. Each has a
    /// twin `<name>_file`.
    Secret,
}

/// A heading in the help and what stands below it.
#[derive(Debug)]
pub(crate) struct Group {
    /// The heading.
    pub(crate) title: &'static str,
    /// The settings.
    pub(crate) keys: &'static [Key],
}

/// What the names of variables begin with. Two underscores, because Kubernetes gives every
/// container variables like `CHAT_SERVER_PORT` for a Service called `chat-server`.
pub(crate) const ENV_PREFIX: &str = "CHAT_SERVER__";

const fn key(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    form: Form,
    help: &'static str,
) -> Key {
    Key { name, value, default, help, form }
}

/// All settings.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Server",
        keys: &[
            key(
                "listen",
                "ADDRESS",
                "127.0.0.1:8080",
                Form::Plain,
                "Address of the front end and the API. Port 0 takes a free one",
            ),
            key(
                "public_url",
                "URL",
                "",
                Form::Plain,
                "Where people reach this server when it stands behind a proxy; used in links",
            ),
            key(
                "data_dir",
                "FOLDER",
                "./data",
                Form::Plain,
                "Folder of everything that is kept; made with mode 0700",
            ),
            key(
                "store",
                "STORE",
                "sqlite",
                Form::Url,
                "Where conversations are kept: sqlite (chat.db in the data folder), sqlite:FILE, or postgres://USER@HOST/DATABASE, which several servers can share",
            ),
            key(
                "store_file",
                "FILE",
                "",
                Form::Plain,
                "File that holds store, for a URL with a password",
            ),
            key(
                "bus",
                "BUS",
                "local",
                Form::Url,
                "How the servers of one chat tell each other what happens: local (there is one server), redis://HOST, or the URLs of a Redis Cluster's nodes with commas between them",
            ),
            key(
                "bus_file",
                "FILE",
                "",
                Form::Plain,
                "File that holds bus, for a URL with a password",
            ),
        ],
    },
    Group {
        title: "Accounts",
        keys: &[
            key(
                "auth.secret",
                "SECRET",
                "",
                Form::Secret,
                "Signs the log-in tokens, at least 32 bytes. Generated into the data folder if not set",
            ),
            key("auth.secret_file", "FILE", "", Form::Plain, "File that holds auth.secret"),
            key(
                "auth.sign_up",
                "WHO",
                "open",
                Form::Plain,
                "Who may make an account: open (anybody), closed (administrators make them)",
            ),
            key(
                "auth.token_lifetime",
                "TIME",
                "30d",
                Form::Plain,
                "How long a log-in holds without being renewed; clients renew it while they are connected",
            ),
            key(
                "auth.dev_user_ids",
                "BOOL",
                "false",
                Form::Switch,
                "Lets anybody be anybody with /ws?user_id=: for development, and only on a loopback address",
            ),
        ],
    },
    Group {
        title: "Files",
        keys: &[
            key(
                "files.store",
                "PLACE",
                "",
                Form::Plain,
                "Where the bytes of uploaded files are kept: folder (files in the data folder), folder:PATH, s3://BUCKET, s3://BUCKET/PREFIX, or off. Without it a folder; off when there is a bus, because a folder is not shared",
            ),
            key(
                "files.s3_endpoint",
                "URL",
                "",
                Form::Plain,
                "Where the object store is reached, if it is not Amazon's; with http: instead of https: everybody on the way can read the files",
            ),
            key("files.s3_region", "TEXT", "us-east-1", Form::Plain, "Its region"),
            key(
                "files.s3_access_key_id",
                "TEXT",
                "",
                Form::Plain,
                "Name of the key for the object store",
            ),
            key(
                "files.s3_secret_access_key",
                "SECRET",
                "",
                Form::Secret,
                "The key for the object store",
            ),
            key(
                "files.s3_secret_access_key_file",
                "FILE",
                "",
                Form::Plain,
                "File that holds files.s3_secret_access_key",
            ),
            key(
                "files.s3_virtual_hosted",
                "BOOL",
                "false",
                Form::Switch,
                "Whether the bucket's name is part of the host's name instead of the path",
            ),
            key(
                "files.ca_file",
                "FILE",
                "",
                Form::Plain,
                "Certificates (PEM) of the authorities that may vouch for the object store; the machine's, if not set",
            ),
        ],
    },
    Group {
        title: "PostgreSQL and Redis",
        keys: &[
            key(
                "postgres.ca_file",
                "FILE",
                "",
                Form::Plain,
                "Certificates (PEM) of the authorities that may vouch for PostgreSQL; the machine's, if not set",
            ),
            key(
                "postgres.migrate",
                "BOOL",
                "true",
                Form::Switch,
                "Whether a start brings the tables to the newest version; with false it refuses older ones, and chat-server migrate does it",
            ),
            key(
                "postgres.write_connections",
                "NUMBER",
                "4",
                Form::Plain,
                "Connections of this server that write: so many batches of messages are committed at a time",
            ),
            key(
                "postgres.read_connections",
                "NUMBER",
                "8",
                Form::Plain,
                "Connections of this server for everything else",
            ),
            key(
                "redis.ca_file",
                "FILE",
                "",
                Form::Plain,
                "Certificates (PEM) of the authorities that may vouch for Redis; the machine's, if not set",
            ),
            key(
                "redis.prefix",
                "TEXT",
                "chat",
                Form::Plain,
                "What the names of channels and keys begin with; chats that share a Redis need different ones",
            ),
        ],
    },
    Group {
        title: "HTTP",
        keys: &[
            key(
                "http.origins",
                "ORIGINS",
                "same-host",
                Form::List,
                "Web pages that may open live connections: same-host, any, or same-host and these origins (https://chat.example.org)",
            ),
            key(
                "http.trusted_proxies",
                "NETWORKS",
                "",
                Form::List,
                "Proxies whose X-Forwarded-For is believed, as addresses or networks like 10.0.0.0/8",
            ),
            key(
                "http.header_timeout",
                "TIME",
                "5s",
                Form::Plain,
                "Time for the head of a request to arrive; also how long an idle connection is kept",
            ),
            key(
                "http.connections_max",
                "NUMBER",
                "10000",
                Form::Plain,
                "Open connections that are not live (WebSocket) connections; above, they are refused",
            ),
        ],
    },
    Group {
        title: "TLS",
        keys: &[
            key(
                "tls.cert_file",
                "FILE",
                "",
                Form::Plain,
                "Certificate (PEM, with those between it and its authority): the door speaks HTTPS then. Read again when it changes",
            ),
            key(
                "tls.key_file",
                "FILE",
                "",
                Form::Plain,
                "Private key (PEM) of tls.cert_file; both or none. Looked at every 30 s and at SIGHUP",
            ),
        ],
    },
    Group {
        title: "Metrics",
        keys: &[key(
            "metrics.listen",
            "ADDRESS",
            "127.0.0.1:9090",
            Form::Plain,
            "Address of Prometheus metrics (/metrics), or off",
        )],
    },
    Group {
        title: "Log",
        keys: &[
            key(
                "log.level",
                "LEVEL",
                "info",
                Form::Plain,
                "error, warn, info, debug or trace; or by target: info,chat_sdk=debug. Other libraries never log below info",
            ),
            key(
                "log.format",
                "FORMAT",
                "auto",
                Form::Plain,
                "pretty, json, or auto: pretty on a terminal",
            ),
        ],
    },
    Group {
        title: "Leaving",
        keys: &[
            key(
                "drain.notice",
                "TIME",
                "0s",
                Form::Plain,
                "After SIGTERM, how long /readyz says no while everything goes on, so that a load balancer looks elsewhere first",
            ),
            key(
                "drain.clients",
                "TIME",
                "5s",
                Form::Plain,
                "Then, how long clients have to move before their connections are closed",
            ),
            key(
                "drain.limit",
                "TIME",
                "25s",
                Form::Plain,
                "After SIGTERM the process is gone within this time",
            ),
        ],
    },
    Group {
        title: "Balance",
        keys: &[
            key(
                "balance.above",
                "PERCENT",
                "25",
                Form::Plain,
                "How far above the mean of all servers this one may be in live connections before it tells its surplus to move, so that servers that are added get their share; 0: any number",
            ),
            key(
                "balance.after",
                "TIME",
                "60s",
                Form::Plain,
                "How long it has to be above; longer than a new server takes until clients reach it",
            ),
        ],
    },
    Group {
        title: "Limits",
        keys: &[
            key(
                "limits.connections_max",
                "NUMBER",
                "100000",
                Form::Plain,
                "Live connections of this server",
            ),
            key(
                "limits.connections_per_user_max",
                "NUMBER",
                "32",
                Form::Plain,
                "Live connections of one user",
            ),
            key(
                "limits.connections_per_address_max",
                "NUMBER",
                "10000",
                Form::Plain,
                "Live connections from one address",
            ),
            key(
                "limits.heartbeat",
                "TIME",
                "25s",
                Form::Plain,
                "How often a client pings; below the idle time-out of every proxy on the way",
            ),
            key("limits.text_chars_max", "NUMBER", "8000", Form::Plain, "Characters of a message"),
            key(
                "limits.sends_per_second",
                "NUMBER",
                "20",
                Form::Plain,
                "Messages a second of one user, over time",
            ),
            key(
                "limits.sends_burst",
                "NUMBER",
                "60",
                Form::Plain,
                "Messages that a user may send at once after a pause",
            ),
            key(
                "limits.frames_per_second",
                "NUMBER",
                "100",
                Form::Plain,
                "Frames of one live connection, over ten seconds; above, it is closed as flooding",
            ),
            key(
                "limits.admissions_per_second",
                "NUMBER",
                "500",
                Form::Plain,
                "Live connections let in a second; more are told to come back, so that those who are there notice little",
            ),
            key(
                "limits.position_check",
                "TIME",
                "10s",
                Form::Plain,
                "How often heads are compared with the store, in case the bus has lost something",
            ),
            key(
                "limits.membership_check",
                "TIME",
                "20s",
                Form::Plain,
                "How often memberships are, in case the news of one was lost",
            ),
            key(
                "limits.credential_check",
                "TIME",
                "30s",
                Form::Plain,
                "How often log-ins of live connections are, in case the news of a log-out was lost",
            ),
            key(
                "limits.file_bytes_max",
                "BYTES",
                "104857600",
                Form::Plain,
                "Bytes of one uploaded file",
            ),
            key(
                "limits.file_bytes_per_user_max",
                "BYTES",
                "5368709120",
                Form::Plain,
                "Bytes of all files of one user together",
            ),
            key("limits.members_max", "NUMBER", "10000", Form::Plain, "Members of one group"),
            key(
                "limits.channel_members_max",
                "NUMBER",
                "100000",
                Form::Plain,
                "Members of one channel",
            ),
            key(
                "limits.links_max",
                "NUMBER",
                "100",
                Form::Plain,
                "Links to one conversation that were not revoked",
            ),
            key(
                "limits.moves_per_second",
                "NUMBER",
                "1000",
                Form::Plain,
                "Clients that all servers of a chat together tell to move, a second, while they restart or share out",
            ),
        ],
    },
];

/// All settings, in the order of the help.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

impl Key {
    /// Its variable: `CHAT_SERVER__LOG__LEVEL`.
    pub(crate) fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.replace('.', "__").to_ascii_uppercase())
    }

    /// Its flag without the dashes: `log-level`. A secret has none.
    pub(crate) fn flag(&self) -> Option<String> {
        match self.form {
            Form::Plain | Form::Switch | Form::List | Form::Url => {
                Some(self.name.replace(['.', '_'], "-"))
            }
            Form::Secret => None,
        }
    }
}

/// The candidate that somebody may have meant, if one is near.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_settings_share_a_name_a_variable_or_a_flag() {
        let mut seen = HashSet::new();
        for key in all() {
            assert!(seen.insert(key.name.to_owned()), "{}", key.name);
            assert!(seen.insert(key.env()), "{}", key.env());
            if let Some(flag) = key.flag() {
                // A flag of one word is spelled like its key.
                assert!(flag == key.name || seen.insert(flag.clone()), "{flag}");
            }
        }
    }

    #[test]
    fn every_secret_has_a_file_twin() {
        for key in all().filter(|key| matches!(key.form, Form::Secret | Form::Url)) {
            assert!(find(&format!("{}_file", key.name)).is_some(), "{}", key.name);
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let names = || all().map(|key| key.name);
        assert_eq!(nearest("lissten", names()), Some("listen"));
        assert_eq!(nearest("log.levl", names()), Some("log.level"));
        assert_eq!(nearest("zzz", names()), None);
    }
}
