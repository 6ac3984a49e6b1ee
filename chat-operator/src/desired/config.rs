//! The server's configuration file: what the user says, and what follows from the resource.

use serde_json::{Map, Value};
use toml::Table;

use crate::{crd::ChatCluster, labels};

/// Where the file lies in a pod.
pub(crate) const FOLDER: &str = "/etc/chat-server/config";
/// What it is called.
pub(crate) const FILE: &str = "chat.toml";
/// Where the secrets lie.
pub(crate) const SECRETS: &str = "/etc/chat-server/secrets";
/// Where the certificate lies.
pub(crate) const TLS: &str = "/etc/chat-server/tls";

/// What the resource says elsewhere or what has to be as it is, and so cannot be said in `config`: a
/// setting, or a table by its name with a dot; and where it is said.
const OWNED: &[(&str, &str)] = &[
    ("listen", "the operator chooses it"),
    ("data_dir", "nothing is kept in a pod"),
    ("store", "spec.database"),
    ("store_file", "spec.database"),
    ("bus", "spec.redis"),
    ("bus_file", "spec.redis"),
    ("postgres.", "spec.database"),
    ("redis.", "spec.redis"),
    ("auth.secret", "spec.auth.secretRef"),
    ("auth.secret_file", "spec.auth.secretRef"),
    ("metrics.", "the operator chooses it"),
    ("drain.", "spec.drain"),
    ("tls.", "spec.tls"),
    ("limits.moves_per_second", "spec.drain.movesPerSecond"),
];

/// The file.
///
/// # Errors
///
/// What is wrong with the user's part, for the user.
pub(crate) fn file(cluster: &ChatCluster) -> Result<String, String> {
    let mut table = table(&cluster.spec.config, "")?;
    let spec = &cluster.spec;
    let mut set = |path: &str, value: toml::Value| set(&mut table, path, value);
    let secret = |name: &str| toml::Value::from(format!("{SECRETS}/{name}"));
    let seconds = |seconds: i64| toml::Value::from(format!("{seconds}s"));

    set("listen", format!("0.0.0.0:{}", super::pod::HTTP).into())?;
    set("metrics.listen", format!("0.0.0.0:{}", super::pod::METRICS).into())?;
    set("store_file", secret("database-url"))?;
    set("bus_file", secret("redis-url"))?;
    set("postgres.write_connections", spec.database.write_connections.into())?;
    set("postgres.read_connections", spec.database.read_connections.into())?;
    // Whoever migrates does it before any server of the new version starts.
    set("postgres.migrate", false.into())?;
    if spec.database.ca_secret_ref.is_some() {
        set("postgres.ca_file", secret("database-ca.crt"))?;
    }
    if spec.redis.ca_secret_ref.is_some() {
        set("redis.ca_file", secret("redis-ca.crt"))?;
    }
    let prefix = spec.redis.prefix.clone();
    set("redis.prefix", prefix.unwrap_or_else(|| labels::redis_prefix(cluster)).into())?;
    if spec.auth.is_some() {
        set("auth.secret_file", secret("auth-secret"))?;
    }
    set("drain.notice", seconds(spec.drain.notice_seconds))?;
    // Told within the first half of the time that they have.
    set("drain.clients", seconds(spec.drain.window_seconds))?;
    set("drain.limit", seconds(spec.drain.limit_seconds()))?;
    set("limits.moves_per_second", spec.drain.moves_per_second.into())?;
    if spec.tls.is_some() {
        set("tls.cert_file", format!("{TLS}/tls.crt").into())?;
        set("tls.key_file", format!("{TLS}/tls.key").into())?;
    }
    if spec.config.get("log").is_none_or(|log| log.get("format").is_none()) {
        set("log.format", "json".into())?;
    }
    Ok(toml::to_string(&table).expect("a table of plain values can be written"))
}

/// As TOML, if nothing in it is owned.
fn table(map: &Map<String, Value>, prefix: &str) -> Result<Table, String> {
    let mut table = Table::new();
    for (key, value) in map {
        let path = format!("{prefix}{key}");
        let taken = OWNED.iter().find(|(owned, _)| {
            owned
                .strip_suffix('.')
                .map_or(path == *owned, |table| path == table || path.starts_with(owned))
        });
        if let Some((_, place)) = taken {
            return Err(format!("spec.config.{path} cannot be set: {place}"));
        }
        let value = match value {
            Value::Null => return Err(format!("spec.config.{path} is null: leave it out")),
            Value::Object(map) => toml::Value::Table(self::table(map, &format!("{path}."))?),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                toml::Value::try_from(value)
                    .map_err(|why| format!("spec.config.{path} cannot be written: {why}"))?
            }
        };
        table.insert(key.clone(), value);
    }
    Ok(table)
}

fn set(table: &mut Table, path: &str, value: toml::Value) -> Result<(), String> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| Table::new().into());
            let inner =
                inner.as_table_mut().ok_or_else(|| format!("spec.config.{head} is a table"))?;
            set(inner, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    fn written(config: Value) -> Result<Table, String> {
        let mut cluster = fixture::cluster();
        cluster.spec.config = serde_json::from_value(config).unwrap();
        file(&cluster).map(|text| text.parse().unwrap())
    }

    #[test]
    fn what_the_user_says_stands_beside_what_follows() {
        let table = written(json!({
            "log": { "level": "debug" },
            "limits": { "text_chars_max": 100 },
            "http": { "origins": ["https://a.example", "https://b.example"] },
        }));
        let table = table.unwrap();
        assert_eq!(table["log"]["level"].as_str(), Some("debug"));
        assert_eq!(table["log"]["format"].as_str(), Some("json"));
        assert_eq!(table["limits"]["text_chars_max"].as_integer(), Some(100));
        assert_eq!(table["limits"]["moves_per_second"].as_integer(), Some(1000));
        assert_eq!(table["http"]["origins"].as_array().unwrap().len(), 2);
        assert_eq!(table["store_file"].as_str(), Some("/etc/chat-server/secrets/database-url"));
    }

    #[test]
    fn what_is_said_elsewhere_or_cannot_be_said_is_refused_by_its_name() {
        for (config, needle) in [
            (json!({ "listen": "1.2.3.4:80" }), "spec.config.listen"),
            (json!({ "store": "sqlite" }), "spec.database"),
            (json!({ "postgres": { "migrate": true } }), "spec.config.postgres"),
            (json!({ "drain": {} }), "spec.drain"),
            (json!({ "limits": { "moves_per_second": 5 } }), "movesPerSecond"),
            (json!({ "auth": { "secret": "hush" } }), "spec.auth.secretRef"),
            (json!({ "log": null }), "null"),
            (json!({ "log": "debug" }), "spec.config.log is a table"),
            (json!({ "limits": { "a": [null] } }), "spec.config.limits.a"),
        ] {
            let why = written(config.clone()).expect_err(&config.to_string());
            assert!(why.contains(needle), "{why}");
        }
    }
}
