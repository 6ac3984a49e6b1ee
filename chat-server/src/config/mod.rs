//! The configuration: one struct, made from what was written in the file, the environment and the
//! flags. Every problem is found before the first is reported, each with its place.

mod flags;
mod keys;
mod parse;
mod print;
mod values;

use std::{
    ffi::OsString,
    fmt,
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use chat_sdk::{Limits, Origins, auth::accounts::SignUp};

pub(crate) use self::{
    flags::Flags,
    print::{print_default, print_effective},
    values::{Problem, Values},
};
use self::{parse::Reader, values::Source};
use crate::{peer::Network, secrets::Secret, telemetry::LogFilter, tls::TlsFiles};

/// Everything that can be set, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreChoice,
    /// `None`: there is one server.
    pub(crate) bus: Option<RedisChoice>,
    pub(crate) auth: Auth,
    /// `None`: files are not taken.
    pub(crate) files: Option<FilesChoice>,
    pub(crate) http: Http,
    /// `None`: the door is not encrypted.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
    pub(crate) drain: Drain,
    pub(crate) limits: Limits,
}

/// Where conversations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// In this database.
    Postgres(PostgresChoice),
}

/// Where files are kept.
#[derive(Debug, Clone)]
pub(crate) enum FilesChoice {
    /// In this folder.
    Folder(PathBuf),
    /// In this bucket.
    S3(Box<S3Choice>),
}

/// A bucket to be used.
#[derive(Debug, Clone)]
pub(crate) struct S3Choice {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: ObjectKey,
    pub(crate) virtual_hosted: bool,
    /// PEM.
    pub(crate) authorities: Option<Vec<u8>>,
}

/// A key that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ObjectKey(String);

impl ObjectKey {
    /// All of it, for whom connects.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey([redacted])")
    }
}

/// A PostgreSQL to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PostgresChoice {
    pub(crate) url: Url,
    /// PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Whether a start may change the schema.
    pub(crate) migrate: bool,
    pub(crate) write_connections: NonZeroU16,
    pub(crate) read_connections: NonZeroU16,
}

/// A Redis to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisChoice {
    /// Several: a cluster.
    pub(crate) urls: Vec<Url>,
    /// PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    pub(crate) prefix: String,
}

impl fmt::Display for RedisChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.urls.iter().enumerate() {
            write!(f, "{}{url}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Where something is reached. Does not show its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url(String);

impl Url {
    /// All of it, for whom connects.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(parse::without_password(&self.0).as_deref().unwrap_or(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Auth {
    /// What signs tokens, if somebody says; else it is generated.
    pub(crate) secret: Option<Secret>,
    pub(crate) sign_up: SignUp,
    pub(crate) token_lifetime: Duration,
    pub(crate) dev_user_ids: bool,
}

/// The doors.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) origins: Origins,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) header_timeout: Duration,
    pub(crate) connections_max: usize,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// Nowhere.
    Off,
    /// Here, or not at all when something else has the port: nobody asked for it.
    Try(SocketAddr),
    /// Here, because somebody said so.
    At(SocketAddr),
}

/// What is logged, and how it looks.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) level: LogFilter,
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Auto,
    Pretty,
    Json,
}

/// How long leaving may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Not ready, but everything goes on.
    pub(crate) notice: Duration,
    /// Clients move.
    pub(crate) clients: Duration,
    /// All of it.
    pub(crate) limit: Duration,
}

/// What of [`Drain::limit`] is left for committing, answering and closing.
const CLOSING_MIN: Duration = Duration::from_secs(2);

/// A configuration that does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Invalid(pub(crate) Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Config {
    /// From the process's environment, the flags, and the file that one of them may name.
    pub(crate) fn load(flags: &Flags) -> Result<(Self, Values), Invalid> {
        Self::from_sources(flags.file(), std::env::vars_os(), flags)
    }

    fn from_sources(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &Flags,
    ) -> Result<(Self, Values), Invalid> {
        let mut problems = Vec::new();
        let values = Values::gather(file, env, flags.given(), &mut problems);
        let config = Self::read(&mut Reader::new(&values, &mut problems));
        if problems.is_empty() { Ok((config, values)) } else { Err(Invalid(problems)) }
    }

    /// The values by their meaning; those without one are among the reader's problems.
    fn read(from: &mut Reader<'_>) -> Self {
        let data_dir = from.read("data_dir", parse::path);
        let bus = value_or_file(from, "bus", "bus_file", parse::bus).flatten();
        let files = files(from, &data_dir, bus.is_some());
        let config = Self {
            listen: from.read("listen", parse::plain),
            public_url: from.read_if_set("public_url", parse::url),
            store: match value_or_file(from, "store", "store_file", parse::store) {
                None | Some(parse::Store::InDataDir) => {
                    StoreChoice::Sqlite(data_dir.join("chat.db"))
                }
                Some(parse::Store::File(path)) => StoreChoice::Sqlite(path),
                Some(parse::Store::Postgres(url)) => StoreChoice::Postgres(PostgresChoice {
                    url,
                    authorities: from.read_if_set("postgres.ca_file", parse::file),
                    migrate: from.read("postgres.migrate", parse::plain),
                    write_connections: from.read("postgres.write_connections", parse::plain),
                    read_connections: from.read("postgres.read_connections", parse::plain),
                }),
            },
            bus: bus.map(|urls| RedisChoice {
                urls,
                authorities: from.read_if_set("redis.ca_file", parse::file),
                prefix: from.read("redis.prefix", parse::prefix),
            }),
            files,
            data_dir,
            auth: Auth {
                secret: secret(from),
                sign_up: from.read("auth.sign_up", parse::sign_up),
                token_lifetime: from.read("auth.token_lifetime", parse::nonzero_time),
                dev_user_ids: from.read("auth.dev_user_ids", parse::plain),
            },
            http: Http {
                origins: from.read("http.origins", parse::origins),
                trusted_proxies: from
                    .read_if_set("http.trusted_proxies", parse::list)
                    .unwrap_or_default(),
                header_timeout: from.read("http.header_timeout", parse::nonzero_time),
                connections_max: from.read("http.connections_max", parse::at_least_one),
            },
            tls: tls(from),
            metrics: match from.read("metrics.listen", parse::address_or_off) {
                None => Metrics::Off,
                Some(address) if from.source("metrics.listen") == Some(&Source::Default) => {
                    Metrics::Try(address)
                }
                Some(address) => Metrics::At(address),
            },
            log: Log {
                level: from.read("log.level", parse::plain),
                format: from.read("log.format", parse::log_format),
            },
            drain: Drain {
                notice: from.read("drain.notice", parse::time),
                clients: from.read("drain.clients", parse::time),
                limit: from.read("drain.limit", parse::time),
            },
            limits: limits(from),
        };
        config.check_relations(from);
        config
    }

    fn check_relations(&self, from: &mut Reader<'_>) {
        let Drain { notice, clients, limit } = self.drain;
        if notice + clients + CLOSING_MIN > limit {
            from.problem("drain.limit", format_args!(
                "must be at least {}s longer than drain.notice and drain.clients together, for what is in flight",
                CLOSING_MIN.as_secs()
            ));
        }
        if self.bus.is_some() && !matches!(self.store, StoreChoice::Postgres(_)) {
            from.problem(
                "bus",
                "is for several servers, and they need a store that they share: PostgreSQL",
            );
        }
        if self.auth.dev_user_ids && !self.listen.ip().is_loopback() {
            from.problem("auth.dev_user_ids", format_args!(
                "would let anybody who reaches {} be anybody; it works on a loopback address only",
                self.listen
            ));
        }
        if let Err(error) = self.limits.check() {
            from.problem("limits.text_chars_max", error);
        }
    }
}

/// Which of two settings counts that say the same, by its value or by a file that holds it: the one
/// that was said by the stronger source. True: the file.
fn is_in_file(from: &mut Reader<'_>, value: &str, file: &str) -> Option<bool> {
    let (by_value, by_file) = (from.strength(value), from.strength(file));
    if by_value.is_some() && by_value == by_file {
        from.problem(file, format_args!("is set beside {value}; only one of them can count"));
        return None;
    }
    Some(by_value < by_file)
}

/// Where files are kept. A folder that nobody asked for is none where several servers would each have
/// their own.
fn files(from: &mut Reader<'_>, data_dir: &Path, several: bool) -> Option<FilesChoice> {
    let in_data_dir = || FilesChoice::Folder(data_dir.join("files"));
    match from.read_if_set("files.store", parse::files) {
        None => (!several).then(in_data_dir),
        Some(parse::Files::Off) => None,
        Some(parse::Files::InDataDir) => Some(in_data_dir()),
        Some(parse::Files::Folder(path)) => Some(FilesChoice::Folder(path)),
        Some(parse::Files::S3 { bucket, prefix }) => {
            let (key, file) = ("files.s3_secret_access_key", "files.s3_secret_access_key_file");
            let secret_access_key = if is_in_file(from, key, file)? {
                from.read_if_set(file, |path| {
                    let text = std::fs::read_to_string(path).map_err(|why| why.to_string())?;
                    Ok::<_, String>(ObjectKey(text.trim().to_owned()))
                })
            } else {
                from.read_if_set(key, |text| Ok::<_, &str>(ObjectKey(text.to_owned())))
            };
            let access_key_id =
                from.read_if_set("files.s3_access_key_id", |id| Ok::<_, &str>(id.to_owned()));
            let (Some(access_key_id), Some(secret_access_key)) = (access_key_id, secret_access_key)
            else {
                let what = "needs files.s3_access_key_id and files.s3_secret_access_key beside it";
                from.problem("files.store", what);
                return None;
            };
            Some(FilesChoice::S3(Box::new(S3Choice {
                bucket,
                prefix,
                endpoint: from.read_if_set("files.s3_endpoint", parse::url),
                region: from.read("files.s3_region", |region| Ok::<_, &str>(region.to_owned())),
                access_key_id,
                secret_access_key,
                virtual_hosted: from.read("files.s3_virtual_hosted", parse::plain),
                authorities: from.read_if_set("files.ca_file", parse::file),
            })))
        }
    }
}

fn secret(from: &mut Reader<'_>) -> Option<Secret> {
    if is_in_file(from, "auth.secret", "auth.secret_file")? {
        from.read_if_set("auth.secret_file", |path| Secret::from_file(Path::new(path)))
    } else {
        from.read_if_set("auth.secret", Secret::from_text)
    }
}

/// A URL, which may have a password: that is not for the command line.
fn value_or_file<T>(
    from: &mut Reader<'_>,
    name: &str,
    file: &str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Option<T> {
    if is_in_file(from, name, file)? {
        return from.read_if_set(file, |path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            parse(text.trim()).map_err(str::to_owned)
        });
    }
    let in_flag = matches!(from.source(name), Some(Source::Flag(_)));
    from.read_if_set(name, |text| {
        if in_flag && parse::without_password(text).is_some() {
            return Err("has a password, and everybody on this machine can read a command line; \
                 say it in the environment or in a file");
        }
        parse(text)
    })
}

/// The certificate of the door. Read once here, so that one that cannot be used is a mistake in the
/// configuration.
fn tls(from: &mut Reader<'_>) -> Option<TlsFiles> {
    let cert = from.read_if_set("tls.cert_file", parse::path);
    let key = from.read_if_set("tls.key_file", parse::path);
    match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let files = TlsFiles { cert, key };
            if let Err(error) = files.load() {
                from.problem("tls.cert_file", format_args!("and tls.key_file: {error}"));
            }
            Some(files)
        }
        (Some(_), None) => {
            from.problem("tls.cert_file", "needs tls.key_file beside it");
            None
        }
        (None, Some(_)) => {
            from.problem("tls.key_file", "needs tls.cert_file beside it");
            None
        }
    }
}

fn limits(from: &mut Reader<'_>) -> Limits {
    let text_chars_max: usize = from.read("limits.text_chars_max", parse::at_least_one);
    let defaults = Limits::default();
    // The limits in bytes follow from the one in characters, which people think in: two bytes a
    // character, as in the defaults, and whatever must hold a text grows with it.
    let text_bytes_max = defaults.text_bytes_max.max(text_chars_max.saturating_mul(2));
    // What the descriptions of files take of an event.
    let files = defaults.files_per_message_max * 2_048;
    let envelope = text_bytes_max.saturating_mul(2).saturating_add(4 * 1024);
    Limits {
        connections_max: from.read("limits.connections_max", parse::at_least_one),
        connections_per_user_max: from.read("limits.connections_per_user_max", parse::at_least_one),
        connections_per_address_max: from
            .read("limits.connections_per_address_max", parse::at_least_one),
        heartbeat: from.read("limits.heartbeat", parse::nonzero_time),
        text_chars_max,
        text_bytes_max,
        frame_bytes_max: defaults.frame_bytes_max.max(envelope),
        body_bytes_max: defaults.body_bytes_max.max(envelope),
        mailbox_bytes_max: defaults
            .mailbox_bytes_max
            .max(text_bytes_max.saturating_mul(7).saturating_add(4 * 1024 + files)),
        sends_per_second: from.read("limits.sends_per_second", parse::at_least_one),
        sends_burst: from.read("limits.sends_burst", parse::at_least_one),
        frames_per_second: from.read("limits.frames_per_second", parse::at_least_one),
        admissions_per_second: from.read("limits.admissions_per_second", parse::at_least_one),
        position_check: from.read("limits.position_check", parse::nonzero_time),
        membership_check: from.read("limits.membership_check", parse::nonzero_time),
        credential_check: from.read("limits.credential_check", parse::nonzero_time),
        file_bytes_max: from.read("limits.file_bytes_max", parse::at_least_one),
        file_bytes_per_user_max: from.read("limits.file_bytes_per_user_max", parse::at_least_one),
        members_max: from.read("limits.members_max", parse::at_least_one),
        channel_members_max: from.read("limits.channel_members_max", parse::at_least_one),
        links_max: from.read("limits.links_max", parse::at_least_one),
        moves_per_second: from.read("limits.moves_per_second", parse::at_least_one),
        balance_above_percent: from.read("balance.above", parse::plain),
        balance_after: from.read("balance.after", parse::nonzero_time),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(env: &[(&str, &str)]) -> Result<Config, String> {
        let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::from_sources(None, env, &Flags::default())
            .map(|(config, _)| config)
            .map_err(|invalid| invalid.to_string())
    }

    fn check_refused(env: &[(&str, &str)], expected: &str) {
        let problems = load(env).unwrap_err();
        assert!(problems.contains(expected), "{problems}");
    }

    #[test]
    fn the_defaults_hold() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(config.store, StoreChoice::Sqlite("./data/chat.db".into()));
        assert_eq!(config.metrics, Metrics::Try("127.0.0.1:9090".parse().unwrap()));
        assert_eq!(config.limits, Limits::default());
        assert!(!config.auth.dev_user_ids);
    }

    #[test]
    fn metrics_that_somebody_asked_for_must_be_there() {
        let config = load(&[("CHAT_SERVER__METRICS__LISTEN", "127.0.0.1:9090")]).unwrap();
        assert_eq!(config.metrics, Metrics::At("127.0.0.1:9090".parse().unwrap()));
        let config = load(&[("CHAT_SERVER__METRICS__LISTEN", "off")]).unwrap();
        assert_eq!(config.metrics, Metrics::Off);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let problems = load(&[
            ("CHAT_SERVER__LISTEN", "here"),
            ("CHAT_SERVER__LOG__FORMAT", "xml"),
            ("CHAT_SERVER__DRAIN__LIMIT", "soon"),
            ("CHAT_SERVER__ZZZ", "1"),
        ])
        .unwrap_err();
        for name in ["LISTEN", "LOG__FORMAT", "DRAIN__LIMIT", "ZZZ"] {
            assert!(problems.contains(name), "{name} in {problems}");
        }
    }

    #[test]
    fn a_switch_for_development_stays_on_the_machine() {
        check_refused(
            &[("CHAT_SERVER__AUTH__DEV_USER_IDS", "true"), ("CHAT_SERVER__LISTEN", "0.0.0.0:80")],
            "loopback",
        );
        assert!(load(&[("CHAT_SERVER__AUTH__DEV_USER_IDS", "true")]).is_ok());
    }

    #[test]
    fn leaving_needs_time_for_what_is_in_flight() {
        check_refused(&[("CHAT_SERVER__DRAIN__LIMIT", "6s")], "drain.limit");
        assert!(load(&[("CHAT_SERVER__DRAIN__LIMIT", "7s")]).is_ok());
    }

    #[test]
    fn a_secret_is_given_once_and_is_long_enough() {
        let long = "x".repeat(32);
        check_refused(&[("CHAT_SERVER__AUTH__SECRET", "short")], "32 bytes");
        check_refused(
            &[("CHAT_SERVER__AUTH__SECRET", &long), ("CHAT_SERVER__AUTH__SECRET_FILE", "/x")],
            "only one of them",
        );
        check_refused(&[("CHAT_SERVER__AUTH__SECRET_FILE", "/does/not/exist")], "/does/not/exist");
        assert!(load(&[("CHAT_SERVER__AUTH__SECRET", &long)]).unwrap().auth.secret.is_some());
    }

    #[test]
    fn a_certificate_has_a_key_and_both_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (cert, key) = (path("tls.crt"), path("tls.key"));
        let cert = ("CHAT_SERVER__TLS__CERT_FILE", &*cert);
        let key = ("CHAT_SERVER__TLS__KEY_FILE", &*key);
        check_refused(&[cert], "tls.cert_file needs tls.key_file");
        check_refused(&[key], "tls.key_file needs tls.cert_file");
        check_refused(&[cert, key], "tls.crt");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(cert.1, made.cert.pem()).unwrap();
        std::fs::write(key.1, "secret").unwrap();
        let problems = load(&[cert, key]).unwrap_err();
        assert!(problems.contains("holds no private key") && !problems.contains("secret"));
        std::fs::write(key.1, made.signing_key.serialize_pem()).unwrap();
        assert!(load(&[cert, key]).unwrap().tls.is_some());
        assert_eq!(load(&[]).unwrap().tls, None);
    }

    #[test]
    fn several_servers_share_a_database() {
        let store = ("CHAT_SERVER__STORE", "postgres://chat@db/chat");
        let bus = ("CHAT_SERVER__BUS", "redis://one:7000, rediss://two:7000");
        check_refused(&[bus], "PostgreSQL");
        let config = load(&[store, bus]).unwrap();
        assert_eq!(config.bus.unwrap().urls.len(), 2);
        let StoreChoice::Postgres(choice) = config.store else { panic!("PostgreSQL") };
        assert_eq!((choice.write_connections.get(), choice.read_connections.get()), (4, 8));
        check_refused(&[("CHAT_SERVER__STORE", "mysql://db")], "postgres://");
        check_refused(&[store, ("CHAT_SERVER__BUS", "nats://x")], "redis://HOST");
        check_refused(&[store, ("CHAT_SERVER__POSTGRES__CA_FILE", "/does/not/exist")], "CA_FILE");
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let url = "postgres://chat:hunter2@db:5432/chat?sslmode=require";
        let config = load(&[("CHAT_SERVER__STORE", url)]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        for broken in [
            "mysql://chat:hunter2@db",
            "postgres:chat:hunter2@db",
            "redis://:hunter2@db",
            "mysql://chat:hunter2/or@more@db",
            "mysql://db?user=chat&password=hunter2",
        ] {
            for name in ["CHAT_SERVER__STORE", "CHAT_SERVER__BUS"] {
                if let Err(problems) = load(&[(name, broken)]) {
                    assert!(!problems.contains("hunter2"), "{problems}");
                }
            }
        }
        let flags = Flags::default().or("store", url);
        let refused = Config::from_sources(None, [], &flags).unwrap_err().to_string();
        assert!(refused.contains("command line") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_url_with_a_password_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "postgres://chat:hunter2@db/chat\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = load(&[("CHAT_SERVER__STORE_FILE", path)]).unwrap();
        let StoreChoice::Postgres(choice) = config.store else { panic!("PostgreSQL") };
        assert_eq!(choice.url.reveal(), "postgres://chat:hunter2@db/chat");
        check_refused(
            &[("CHAT_SERVER__STORE_FILE", path), ("CHAT_SERVER__STORE", "sqlite")],
            "only one of them",
        );
    }

    #[test]
    fn a_problem_with_a_secret_does_not_repeat_it() {
        let problems = load(&[("CHAT_SERVER__AUTH__SECRET", "hunter2")]).unwrap_err();
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn files_are_kept_beside_the_data_unless_it_is_said_otherwise() {
        let folder = |config: &Config| match &config.files {
            Some(FilesChoice::Folder(path)) => Some(path.clone()),
            _ => None,
        };
        let config = load(&[]).unwrap();
        assert_eq!(folder(&config), Some(config.data_dir.join("files")));
        let store = |text| ("CHAT_SERVER__FILES__STORE", text);
        assert!(load(&[store("off")]).unwrap().files.is_none());
        let config = load(&[store("folder:/srv/files")]).unwrap();
        assert_eq!(folder(&config), Some("/srv/files".into()));
        // Several servers share no folder, unless somebody says that they do.
        let shared = [
            ("CHAT_SERVER__STORE", "postgres://chat@db/chat"),
            ("CHAT_SERVER__BUS", "redis://one"),
        ];
        assert!(load(&shared).unwrap().files.is_none());
        let config = load(&[shared[0], shared[1], store("folder:/shared")]).unwrap();
        assert_eq!(folder(&config), Some("/shared".into()));
        check_refused(&[store("ftp://x")], "s3://BUCKET");
        check_refused(&[store("s3://")], "s3://BUCKET");
    }

    #[test]
    fn a_bucket_needs_a_key_which_is_not_shown() {
        let store = ("CHAT_SERVER__FILES__STORE", "s3://bucket/some/prefix/");
        check_refused(&[store], "files.s3_access_key_id");
        let id = ("CHAT_SERVER__FILES__S3_ACCESS_KEY_ID", "name");
        let key = ("CHAT_SERVER__FILES__S3_SECRET_ACCESS_KEY", "hunter2");
        let endpoint = ("CHAT_SERVER__FILES__S3_ENDPOINT", "https://minio.example.org:9000/");
        let config = load(&[store, id, key, endpoint]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let Some(FilesChoice::S3(choice)) = config.files else { panic!("a bucket") };
        assert_eq!((&*choice.bucket, &*choice.prefix), ("bucket", "some/prefix"));
        assert_eq!(choice.endpoint.as_deref(), Some("https://minio.example.org:9000"));
        assert_eq!(choice.secret_access_key.reveal(), "hunter2");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter3\n").unwrap();
        let file = file.path().to_str().unwrap();
        let in_file = ("CHAT_SERVER__FILES__S3_SECRET_ACCESS_KEY_FILE", file);
        let Some(FilesChoice::S3(choice)) = load(&[store, id, in_file]).unwrap().files else {
            panic!("a bucket")
        };
        assert_eq!(choice.secret_access_key.reveal(), "hunter3");
        check_refused(&[store, id, key, in_file], "only one of them");
    }

    #[test]
    fn longer_messages_widen_what_must_hold_them() {
        let config = load(&[("CHAT_SERVER__LIMITS__TEXT_CHARS_MAX", "100000")]).unwrap();
        assert!(config.limits.check().is_ok());
        assert!(config.limits.frame_bytes_max > 400_000);
    }
}
