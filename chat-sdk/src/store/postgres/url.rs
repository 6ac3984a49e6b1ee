//! What the URL says: where the server is, as whom, and how carefully to speak with it.

use std::{borrow::Cow, error::Error, path::Path, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{SslMode, TargetSessionAttrs},
};

use super::{error::OpenError, tls::Trust};
use crate::tls::TlsRoots;

/// Options of the URL that tokio-postgres understands and that are passed on to it.
const PASSED_ON: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// How long sent bytes may stay unacknowledged before the connection counts as dead. Without it, a
/// host that vanished is noticed after a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(4);

/// After how much silence the other host is asked whether it is there, and how often then.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Where to connect, and how it is secured. May read a file.
pub(super) fn parse(url: &str, roots: Option<&TlsRoots>) -> Result<(Config, Trust), OpenError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(OpenError::NotUrl);
    }
    // The options begin after the host, and a password may hold a question mark.
    let host = url.find('@').unwrap_or(0);
    let (place, options) = match url[host..].find('?') {
        Some(index) => (&url[..host + index], &url[host + index + 1..]),
        None => (url, ""),
    };

    let mut mode = None;
    let mut root_file = None;
    let mut passed_on = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or(OpenError::Url(None))?;
        match name {
            "sslmode" => mode = Some(decoded(value)?),
            "sslrootcert" => root_file = Some(decoded(value)?),
            name if PASSED_ON.contains(&name) => passed_on.push(option),
            _ => return Err(OpenError::UnknownOption(PASSED_ON.join(", "))),
        }
    }

    let roots = match (roots, root_file.as_deref()) {
        (Some(roots), _) => Some(roots.clone()),
        (None, Some("system")) => Some(TlsRoots::System),
        (None, Some(file)) => {
            Some(TlsRoots::Pem(std::fs::read(Path::new(file)).map_err(OpenError::RootFile)?))
        }
        (None, None) => None,
    };
    let trust = trust(mode.as_deref(), roots)?;

    let mut config: Config =
        format!("{place}?{}", passed_on.join("&")).parse().map_err(unreadable)?;
    config.ssl_mode(match trust {
        Trust::Plain => SslMode::Disable,
        Trust::Opportunistic => SslMode::Prefer,
        Trust::Verified(_) => SslMode::Require,
    });
    defaults(&mut config);
    Ok((config, trust))
}

fn trust(mode: Option<&str>, roots: Option<TlsRoots>) -> Result<Trust, OpenError> {
    match (mode, roots) {
        (Some("disable"), None) => Ok(Trust::Plain),
        (Some("disable"), Some(_)) => Err(OpenError::Contradiction),
        // Whoever names an authority wants it asked.
        (None | Some("prefer"), Some(roots)) => Ok(Trust::Verified(roots)),
        (None | Some("prefer"), None) => Ok(Trust::Opportunistic),
        (Some("require" | "verify-ca" | "verify-full"), roots) => {
            Ok(Trust::Verified(roots.unwrap_or_default()))
        }
        (Some(_), _) => Err(OpenError::SslMode),
    }
}

/// What the URL did not say.
fn defaults(config: &mut Config) {
    if config.get_application_name().is_none() {
        config.application_name("chat");
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED_MAX);
    }
    if config.get_keepalives_interval().is_none() {
        config
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
    }
    // Of several hosts the one is meant that can be written.
    let several = config.get_hosts().len().max(config.get_hostaddrs().len()) > 1;
    if several && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

fn decoded(value: &str) -> Result<Cow<'_, str>, OpenError> {
    percent_decode_str(value).decode_utf8().map_err(|_| OpenError::Url(None))
}

/// The library's error, if it names the option only, and not what stands there.
fn unreadable(error: tokio_postgres::Error) -> OpenError {
    let why = error.source().map(ToString::to_string);
    OpenError::Url(why.filter(|why| why.starts_with("invalid value for option")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust_of(options: &str, roots: Option<&TlsRoots>) -> Result<Trust, String> {
        let url = format!("postgres://u:p@h/d{options}");
        parse(&url, roots).map(|(_, trust)| trust).map_err(|error| error.to_string())
    }

    #[test]
    fn the_mode_and_the_authorities_say_how_a_connection_is_secured() {
        let own = TlsRoots::Pem(b"own".to_vec());
        let verified = |roots: &TlsRoots| Ok(Trust::Verified(roots.clone()));
        assert_eq!(trust_of("", None), Ok(Trust::Opportunistic));
        assert_eq!(trust_of("?sslmode=prefer", None), Ok(Trust::Opportunistic));
        assert_eq!(trust_of("?sslmode=disable", None), Ok(Trust::Plain));
        for mode in ["require", "verify-ca", "verify-full"] {
            let options = format!("?sslmode={mode}");
            assert_eq!(trust_of(&options, None), verified(&TlsRoots::System));
            assert_eq!(trust_of(&options, Some(&own)), verified(&own));
        }
        assert_eq!(trust_of("", Some(&own)), verified(&own));
        assert_eq!(trust_of("?sslmode=prefer", Some(&own)), verified(&own));
        assert_eq!(trust_of("?sslrootcert=system", None), verified(&TlsRoots::System));
        assert!(trust_of("?sslmode=disable", Some(&own)).unwrap_err().contains("contradicts"));
        assert!(trust_of("?sslmode=allow", None).unwrap_err().contains("verify-full"));
        assert!(
            trust_of("?sslrootcert=/nowhere/at/all", None).unwrap_err().contains("sslrootcert")
        );
    }

    #[test]
    fn what_the_url_says_goes_before_the_defaults() {
        let (config, _) = parse("postgresql://u@h/d?application_name=x&port=1", None).unwrap();
        assert_eq!(config.get_application_name(), Some("x"));
        let (config, _) = parse("postgres://u@one,two/d", None).unwrap();
        assert_eq!(config.get_application_name(), Some("chat"));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED_MAX));
    }

    #[test]
    fn a_bad_url_is_refused_and_no_error_holds_the_password() {
        for url in [
            "hunter2",
            "mysql://u:hunter2@h/d",
            "host=h password=hunter2 x=y",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:x@hunter2:99999/d",
            "postgres://u:p@h/d?hunter2=hunter2",
            "postgres://u:p@h/d?hunter2",
            "postgres://u:x@hunter2:y@h/d",
            "postgres://u:p@h/d?sslmode=hunter2",
            "postgres://u%ff:hunter2@h/d",
            "postgres://u:p@h/d?sslrootcert=%ffhunter2",
            "postgres://u:p@h/d?keepalives=hunter2",
        ] {
            let Err(error) = parse(url, None) else {
                panic!("{url} is taken");
            };
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
