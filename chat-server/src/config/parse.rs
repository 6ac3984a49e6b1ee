//! What a written value means.

use std::{fmt::Display, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use chat_sdk::{Origins, auth::accounts::SignUp};

use super::{
    LogFormat, Problem, Url, Values,
    keys::{self, Form},
    values::Source,
};

/// Reads values by their meaning and collects what does not have one.
pub(super) struct Reader<'a> {
    values: &'a Values,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a Values, problems: &'a mut Vec<Problem>) -> Self {
        Self { values, problems }
    }

    /// The value of a setting that has a default; the default where what was written means
    /// nothing, so that everything else is read as well.
    pub(super) fn read<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        self.read_if_set(name, &parse).unwrap_or_else(|| {
            let key = keys::find(name).expect("only settings of the table are read");
            parse(key.default).unwrap_or_else(|error| panic!("the default of {name}: {error}"))
        })
    }

    /// The value of a setting, if it is set and means something.
    pub(super) fn read_if_set<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.values.get(name)?;
        match parse(value.text.trim()) {
            Ok(meaning) => Some(meaning),
            Err(error) => {
                let secret = keys::find(name).is_some_and(|key| key.form == Form::Secret);
                let text = without_password(&value.text).unwrap_or_else(|| value.text.clone());
                let shown = if secret { String::new() } else { format!(" = {text:?}") };
                self.problems
                    .push(Problem::new(&value.source, format_args!("{name}{shown}: {error}")));
                None
            }
        }
    }

    /// A value that is fine by itself and yet cannot stand.
    pub(super) fn problem(&mut self, name: &str, what: impl Display) {
        let source = self.source(name).cloned().unwrap_or(Source::Default);
        self.problems.push(Problem::new(source, format_args!("{name} {what}")));
    }

    pub(super) fn source(&self, name: &str) -> Option<&Source> {
        self.values.get(name).map(|value| &value.source)
    }

    /// How strong the source of a setting is, if it is set.
    pub(super) fn strength(&self, name: &str) -> Option<u8> {
        self.source(name).map(|source| match source {
            Source::Default => 0,
            Source::File { .. } => 1,
            Source::Env(_) => 2,
            Source::Flag(_) => 3,
        })
    }
}

/// Whatever its type reads.
pub(super) fn plain<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

pub(super) fn path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(text.into()) }
}

/// The parts of a URL before, of, and after its password, if it has one. What cannot be read is
/// rather taken for a password than shown.
fn password(url: &str) -> Option<(&str, &str, &str)> {
    if url.starts_with("sqlite") {
        return None;
    }
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let end = start + url[start..].find(['/', '?', '#']).unwrap_or(url.len() - start);
    let end = start + url[start..end].rfind('@').or_else(|| url[start..].rfind('@'))?;
    let colon = start + url[start..end].find(':')?;
    Some((&url[..=colon], &url[colon + 1..end], &url[end..]))
}

/// As it may be shown, if it has a password (or several have). Also one that stands in the query,
/// as PostgreSQL allows.
pub(super) fn without_password(urls: &str) -> Option<String> {
    let hide = |url: &str| match password(url) {
        Some((before, _, after)) => format!("{before}***{after}"),
        None => match url.split_once("password=") {
            Some((before, _)) => format!("{before}password=***"),
            None => url.to_owned(),
        },
    };
    let shown = urls.split(',').map(hide).collect::<Vec<_>>().join(",");
    (shown != urls).then_some(shown)
}

/// What the setting `store` may say.
pub(super) enum Store {
    InDataDir,
    File(PathBuf),
    Postgres(Url),
}

pub(super) fn store(text: &str) -> Result<Store, &'static str> {
    match text.split_once(':') {
        None if text == "sqlite" => Ok(Store::InDataDir),
        Some(("sqlite", file)) if !file.is_empty() => Ok(Store::File(file.into())),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
            Ok(Store::Postgres(Url(text.to_owned())))
        }
        Some(_) | None => Err("expected sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE"),
    }
}

/// Where files are kept, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Files {
    Off,
    InDataDir,
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
}

pub(super) fn files(text: &str) -> Result<Files, &'static str> {
    if let Some(place) = text.strip_prefix("s3://") {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if !bucket.is_empty() {
            let (bucket, prefix) = (bucket.to_owned(), prefix.trim_end_matches('/').to_owned());
            return Ok(Files::S3 { bucket, prefix });
        }
    }
    match text.split_once(':') {
        None if text == "off" => Ok(Files::Off),
        None if text == "folder" => Ok(Files::InDataDir),
        Some(("folder", path)) if !path.is_empty() => Ok(Files::Folder(path.into())),
        Some(_) | None => Err("expected folder, folder:PATH, s3://BUCKET/PREFIX or off"),
    }
}

/// The URLs of a bus; `None`: there is one server.
pub(super) fn bus(text: &str) -> Result<Option<Vec<Url>>, &'static str> {
    if text == "local" {
        return Ok(None);
    }
    let urls: Vec<_> = text.split(',').map(|url| Url(url.trim().to_owned())).collect();
    let redis = |url: &Url| url.0.starts_with("redis://") || url.0.starts_with("rediss://");
    if urls.iter().all(redis) {
        Ok(Some(urls))
    } else {
        Err("expected local, redis://HOST or rediss://HOST, several with commas between them")
    }
}

/// What stands in the file with this name.
pub(super) fn file(path: &str) -> Result<Vec<u8>, std::io::Error> {
    std::fs::read(path)
}

pub(super) fn prefix(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, `-`, `_` or `.`")
    }
}

pub(super) fn url(text: &str) -> Result<String, &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "not a URL")?;
    match (uri.scheme_str(), uri.authority(), uri.query()) {
        (Some("http" | "https"), Some(_), None) => Ok(text.trim_end_matches('/').to_owned()),
        (_, _, _) => Err("expected a URL like https://chat.example.org"),
    }
}

pub(super) fn list<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty()).map(str::parse).collect()
}

pub(super) fn origins(text: &str) -> Result<Origins, &'static str> {
    match text {
        "same-host" => Ok(Origins::SameHost),
        "any" => Ok(Origins::Any),
        list => list
            .split(',')
            .map(|origin| self::origin(origin.trim()))
            .collect::<Result<_, _>>()
            .map(Origins::Also),
    }
}

/// An origin is a URL without a path, as browsers send it.
fn origin(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']) => {
            Ok(text.to_ascii_lowercase())
        }
        Some(_) | None => Err("expected same-host, any, or origins like https://chat.example.org"),
    }
}

pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, &'static str> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "expected an address like 127.0.0.1:9090, or off")
}

pub(super) fn at_least_one<T: FromStr + PartialOrd + From<u8>>(
    text: &str,
) -> Result<T, &'static str> {
    match text.parse() {
        Ok(number) if number >= T::from(1) => Ok(number),
        Ok(_) | Err(_) => Err("expected a number from 1"),
    }
}

pub(super) fn sign_up(text: &str) -> Result<SignUp, &'static str> {
    match text {
        "open" => Ok(SignUp::Open),
        "closed" => Ok(SignUp::Closed),
        _ => Err("expected open or closed"),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected auto, pretty or json"),
    }
}

/// A whole number and its unit, at most a year: longer is a slip of the pen.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a time like 500ms, 5s, 2m, 1h or 30d, at most 365d";
    const DAY_MS: u64 = 24 * 3_600_000;
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(unit_at);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return Err(EXPECTED),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis_each));
    match millis {
        Some(millis) if millis <= 365 * DAY_MS => Ok(Duration::from_millis(millis)),
        Some(_) | None => Err(EXPECTED),
    }
}

pub(super) fn nonzero_time(text: &str) -> Result<Duration, &'static str> {
    match time(text)? {
        Duration::ZERO => Err("must be longer than nothing"),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("30d"), Ok(Duration::from_secs(30 * 24 * 60 * 60)));
        for bad in ["", "5", "s", "-1s", "1.5s", "5 s", "366d", "99999999999999999999h", "1w"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_whole() {
        assert_eq!(origins("same-host"), Ok(Origins::SameHost));
        assert_eq!(
            origins("https://A.example, http://b.example:81"),
            Ok(Origins::Also(vec!["https://a.example".into(), "http://b.example:81".into()]))
        );
        for bad in ["", "a.example", "https://a.example/", "https://*.example", "https://"] {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_is_named() {
        assert!(matches!(store("sqlite"), Ok(Store::InDataDir)));
        assert!(
            matches!(store("sqlite:/a/b.db"), Ok(Store::File(path)) if path == Path::new("/a/b.db"))
        );
        assert!(matches!(store("postgres://localhost"), Ok(Store::Postgres(_))));
        for bad in ["", "sqlite:", "postgres:localhost", "memory"] {
            assert!(store(bad).is_err(), "{bad}");
        }
    }
}
