//! Gathers the settings from where they may stand: defaults, then the file, then the environment,
//! then the flags. Knows which words were written where; what they mean is not its business.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::keys::{self, ENV_PREFIX, Form, Key};

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A variable.
    Env(String),
    /// A flag, dashes included.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// As written; the members of a list are separated by commas.
    pub(crate) text: String,
    /// Where.
    pub(crate) source: Source,
}

/// Everything that was written, by the name of the setting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

/// Something in a configuration that somebody has to mend: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct Problem {
    /// A file with its line, a variable, a flag.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) what: String,
}

impl Problem {
    pub(crate) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }
}

impl Values {
    /// The defaults, and over them whatever the sources say.
    pub(crate) fn gather(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = (&'static Key, String)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut values = Self::default();
        for key in keys::all().filter(|key| !key.default.is_empty()) {
            values.set(key, key.default.to_owned(), Source::Default);
        }
        if let Some(path) = file {
            values.read_file(path, problems);
        }
        values.read_env(env, problems);
        for (key, text) in flags {
            let flag = key.flag().expect("what was given as a flag has one");
            values.set(key, text, Source::Flag(format!("--{flag}")));
        }
        values
    }

    /// What was written for a setting, if anything was.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        debug_assert!(keys::find(name).is_some(), "no setting is called {name}");
        self.0.get(name)
    }

    /// Whether nobody said anything about a setting.
    pub(crate) fn is_default(&self, name: &str) -> bool {
        self.get(name).is_none_or(|value| value.source == Source::Default)
    }

    fn set(&mut self, key: &'static Key, text: String, source: Source) {
        self.0.insert(key.name, Value { text, source });
    }

    fn read_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return problems.push(Problem::new(path.display(), error)),
        };
        self.read_toml(path, &text, problems);
    }

    fn read_toml(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) {
        let at = |span: Range<usize>| Source::File {
            path: path.to_owned(),
            line: 1 + text[..span.start].matches('\n').count(),
        };
        match DeTable::parse(text) {
            Ok(table) => self.read_table("", table.get_ref(), &at, problems),
            Err(error) => {
                let place = at(error.span().unwrap_or(0..0));
                problems.push(Problem::new(place, error.message()));
            }
        }
    }

    fn read_table(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        at: &impl Fn(Range<usize>) -> Source,
        problems: &mut Vec<Problem>,
    ) {
        for (word, value) in table {
            let name = format!("{prefix}{}", word.get_ref());
            let source = at(word.span());
            let is_section = keys::all().any(|key| key.name.starts_with(&format!("{name}.")));
            match (value.get_ref(), keys::find(&name)) {
                (DeValue::Table(table), None) if is_section => {
                    self.read_table(&format!("{name}."), table, at, problems);
                }
                (value, Some(key)) => match written(key, value) {
                    Ok(text) => self.set(key, text, source),
                    Err(what) => problems.push(Problem::new(source, format!("`{name}` {what}"))),
                },
                (_, None) => problems.push(Problem::new(source, unknown(&name))),
            }
        }
    }

    fn read_env(
        &mut self,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in env {
            let Some(name) = name.to_str() else { continue };
            // An empty variable is how many tools spell one that is not set.
            if value.is_empty() || name == CONFIG_ENV {
                continue;
            }
            let key = keys::all().find(|key| key.env() == name);
            match (key, value.into_string()) {
                (Some(key), Ok(value)) => self.set(key, value, Source::Env(name.to_owned())),
                (Some(_), Err(_)) => problems.push(Problem::new(name, "is not UTF-8")),
                (None, _) => problems.extend(stray(name)),
            }
        }
    }
}

/// Names the file; not a setting itself, because a file cannot say where it is.
pub(crate) const CONFIG_ENV: &str = "CHAT_SERVER__CONFIG";

fn unknown(name: &str) -> String {
    match keys::nearest(name, keys::all().map(|key| key.name)) {
        Some(near) => format!("unknown key `{name}`; did you mean `{near}`?"),
        None => format!("unknown key `{name}`"),
    }
}

/// What is wrong with a variable that is not one of ours, if anything is: whatever has our prefix
/// must be known, and what looks like one of ours with another prefix was meant to be one.
/// `CHAT_SERVER_PORT_8080_TCP` and the like are Kubernetes speaking of a Service.
fn stray(name: &str) -> Option<Problem> {
    let envs: Vec<String> = keys::all().map(Key::env).chain([CONFIG_ENV.to_owned()]).collect();
    if let Some(rest) = name.strip_prefix(ENV_PREFIX) {
        let near = keys::nearest(rest, envs.iter().map(|env| &env[ENV_PREFIX.len()..]));
        return Some(Problem::new(
            name,
            match near {
                Some(near) => format!("unknown variable; did you mean {ENV_PREFIX}{near}?"),
                None => "unknown variable".to_owned(),
            },
        ));
    }
    let rest = name.strip_prefix("CHAT_")?;
    let rest = rest.strip_prefix("SERVER_").unwrap_or(rest);
    let meant = envs.iter().find(|env| {
        let ours = &env[ENV_PREFIX.len()..];
        ours == rest || ours.replace("__", "_") == rest
    })?;
    Some(Problem::new(name, format!("is not read; did you mean {meant}?")))
}

/// The text of a value in the file.
fn written(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Array(members) if key.form == Form::List => {
            let members: Option<Vec<&str>> =
                members.iter().map(|member| member.get_ref().as_str()).collect();
            members.map(|members| members.join(",")).ok_or_else(|| "holds texts only".to_owned())
        }
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => Err(format!("cannot be {}", article(value.type_str()))),
    }
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(toml: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> (Values, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.toml");
        std::fs::write(&path, toml).unwrap();
        let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let flags =
            flags.iter().map(|(name, value)| (keys::find(name).unwrap(), (*value).to_owned()));
        let mut problems = Vec::new();
        let values = Values::gather(Some(&path), env, flags, &mut problems);
        let folder = format!("{}/", folder.path().display());
        (values, problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect())
    }

    fn check_problem(toml: &str, env: &[(&str, &str)], expected: &str) {
        let (_, problems) = gather(toml, env, &[]);
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_the_default() {
        const FILE: &str = "[log]\nlevel = 'warn'";
        const ENV: &[(&str, &str)] = &[("CHAT_SERVER__LOG__LEVEL", "debug")];
        const FLAG: &[(&str, &str)] = &[("log.level", "trace")];
        for (file, env, flag, level, source) in [
            ("", &[][..], &[][..], "info", "default"),
            (FILE, &[], &[], "warn", "chat.toml:2"),
            ("", ENV, &[], "debug", "environment CHAT_SERVER__LOG__LEVEL"),
            (FILE, ENV, &[], "debug", "environment CHAT_SERVER__LOG__LEVEL"),
            ("", &[], FLAG, "trace", "flag --log-level"),
            (FILE, &[], FLAG, "trace", "flag --log-level"),
            ("", ENV, FLAG, "trace", "flag --log-level"),
            (FILE, ENV, FLAG, "trace", "flag --log-level"),
        ] {
            let (values, problems) = gather(file, env, flag);
            assert!(problems.is_empty(), "{problems:?}");
            let value = values.get("log.level").unwrap();
            assert_eq!(value.text, level);
            assert!(value.source.to_string().ends_with(source), "{}", value.source);
        }
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let (values, problems) = gather("", &[("CHAT_SERVER__LISTEN", "")], &[]);
        assert!(problems.is_empty());
        assert_eq!(values.get("listen").unwrap().source, Source::Default);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_its_neighbour() {
        check_problem(
            "\nlissten = 'x'",
            &[],
            "chat.toml:2: unknown key `lissten`; did you mean `listen`?",
        );
        check_problem(
            "[log]\nlevl = 'x'",
            &[],
            "chat.toml:2: unknown key `log.levl`; did you mean `log.level`?",
        );
        check_problem("[zebra]\nstripes = 3", &[], "chat.toml:1: unknown key `zebra`");
        check_problem("log = 3", &[], "chat.toml:1: unknown key `log`; did you mean `log.level`?");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        check_problem("listen = 1.5", &[], "chat.toml:1: `listen` cannot be a float");
        check_problem("listen = ['a']", &[], "chat.toml:1: `listen` cannot be an array");
        check_problem("listen.port = 1", &[], "chat.toml:1: `listen` cannot be a table");
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let (_, problems) = gather("a = 'b'\nlisten = ", &[], &[]);
        assert!(problems[0].starts_with("chat.toml:2: "), "{problems:?}");
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_neighbour() {
        check_problem(
            "",
            &[("CHAT_SERVER__LISTN", "x")],
            "CHAT_SERVER__LISTN: unknown variable; did you mean CHAT_SERVER__LISTEN?",
        );
        check_problem("", &[("CHAT_SERVER__ZZZ", "x")], "CHAT_SERVER__ZZZ: unknown variable");
        for name in ["CHAT_LOG_LEVEL", "CHAT_LOG__LEVEL", "CHAT_SERVER_LOG_LEVEL"] {
            check_problem(
                "",
                &[(name, "x")],
                &format!("{name}: is not read; did you mean CHAT_SERVER__LOG__LEVEL?"),
            );
        }
    }

    #[test]
    fn what_kubernetes_says_of_services_is_not_ours() {
        for name in [
            "CHAT_SERVER_PORT",
            "CHAT_SERVER_SERVICE_HOST",
            "CHAT_SERVER_PORT_8080_TCP_ADDR",
            "CHAT_PORT",
            "CHAT_SERVICE_PORT_HTTP",
            "PATH",
        ] {
            let (_, problems) = gather("", &[(name, "tcp://10.0.0.1:80")], &[]);
            assert!(problems.is_empty(), "{problems:?}");
        }
    }

    #[test]
    fn a_list_may_be_an_array() {
        let (values, problems) = gather("http.trusted_proxies = ['10.0.0.0/8', '::1']", &[], &[]);
        assert!(problems.is_empty());
        assert_eq!(values.get("http.trusted_proxies").unwrap().text, "10.0.0.0/8,::1");
    }
}
