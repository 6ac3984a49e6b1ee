//! Which web pages may connect. WebSockets know no CORS: with a cookie, any page could.

use http::{HeaderMap, Uri, header};

/// Whose pages may open a WebSocket. Programs, which send no `Origin`, are not concerned: they have
/// to bring a credential of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages of the host that the request was sent to.
    #[default]
    SameHost,
    /// Pages of the same host and of these origins (`https://app.example.org`), compared exactly.
    Also(Vec<String>),
    /// Pages of anybody. Only safe when no cookie signs anybody in.
    Any,
}

impl Origins {
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
        match self {
            Self::Any => true,
            Self::SameHost => same_host(origin, headers),
            Self::Also(list) => {
                list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                    || same_host(origin, headers)
            }
        }
    }
}

/// An origin is `scheme://host[:port]`; a browser leaves out the port that the scheme implies, on
/// both headers alike.
fn same_host(origin: &str, headers: &HeaderMap) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    !authority.as_str().contains('@')
        && host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "chat.example.org:8080".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        origins.allow(&headers)
    }

    #[test]
    fn only_pages_of_the_same_host_by_default() {
        let origins = Origins::default();
        assert!(allowed(&origins, None));
        assert!(allowed(&origins, Some("https://chat.example.org:8080")));
        assert!(allowed(&origins, Some("http://Chat.Example.org:8080")));
        for foreign in [
            "null",
            "",
            "https://evil.example",
            "https://chat.example.org:8080.evil.example",
            "https://chat.example.org",
            "https://chat.example.org:8080@evil.example",
            "https://evil.example/chat.example.org:8080",
            "file://chat.example.org:8080",
        ] {
            assert!(!allowed(&origins, Some(foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn a_listed_origin_is_compared_whole() {
        let origins = Origins::Also(vec!["https://app.example.org".to_owned()]);
        assert!(allowed(&origins, Some("https://app.example.org")));
        assert!(!allowed(&origins, Some("https://app.example.org.evil.example")));
        assert!(!allowed(&origins, Some("http://app.example.org")));
        assert!(allowed(&Origins::Any, Some("https://anybody.example")));
    }
}
