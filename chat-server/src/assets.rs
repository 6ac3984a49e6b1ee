//! The front end, which is part of the program: what is in `frontend/dist` when the server is
//! built is in the binary, in debug builds too, so that what is tested is what is shipped.
//!
//! Nothing is compressed here and no file is read: the build of the front end wrote `.br` and `.gz`
//! beside what is worth it. Where there was no front end at build time, a page says so.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
    },
};
use http_body_util::Full;
use rust_embed::RustEmbed;

use crate::secrets::hex;

#[derive(RustEmbed)]
#[folder = "../frontend/dist"]
#[allow_missing = true]
struct Dist;

/// The files of a front end, by their path.
#[derive(Clone, Copy)]
pub(crate) struct FrontEnd(fn(&str) -> Option<File>);

/// One file.
struct File {
    content: Bytes,
    /// Of the content.
    sha256: [u8; 32],
}

/// What was there when the server was built.
pub(crate) const EMBEDDED: FrontEnd = FrontEnd(|path| {
    let file = Dist::get(path)?;
    let content = match file.data {
        Cow::Borrowed(content) => Bytes::from_static(content),
        Cow::Owned(content) => Bytes::from(content),
    };
    Some(File { content, sha256: file.metadata.sha256_hash() })
});

/// What a page may load: what this server serves. Pictures may also be made by the page itself;
/// the virtual list places its rows by inline styles.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; \
     connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);

/// For names with a hash of the content: a year, which is as long as caches believe in.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, but asked about each time.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

const INDEX: &str = "index.html";

/// How a file can be sent, best first, with what its name has at its end.
const ENCODINGS: &[(&str, &str)] = &[("br", ".br"), ("gzip", ".gz")];

impl FrontEnd {
    /// Whether there is one.
    pub(crate) fn is_there(self) -> bool {
        (self.0)(INDEX).is_some()
    }

    /// Answers everything that is not the API.
    pub(crate) fn answer<B>(self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut response = self.find(request);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
        response
    }

    fn find<B>(self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let path = request.uri().path().trim_start_matches('/');
        if let Some(response) = self.file(path, request.headers()) {
            return response;
        }
        if !is_page(path, request.headers()) {
            return text(StatusCode::NOT_FOUND, "not found\n");
        }
        // The front end's own routes: it looks at the address itself.
        self.file(INDEX, request.headers()).unwrap_or_else(missing)
    }

    fn file(self, path: &str, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        // The compressed forms are no files of their own.
        if ENCODINGS.iter().any(|(_, ending)| path.ends_with(ending)) {
            return None;
        }
        let plain = (self.0)(path)?;
        let forms: Vec<(&str, File)> = ENCODINGS
            .iter()
            .filter_map(|(encoding, ending)| {
                Some((*encoding, (self.0)(&format!("{path}{ending}"))?))
            })
            .collect();
        let varies = !forms.is_empty();
        let (encoding, file) = forms
            .into_iter()
            .find(|(encoding, _)| accepts(headers, encoding))
            .map_or((None, plain), |(encoding, file)| (Some(encoding), file));
        let tag = entity_tag(&file);
        let unchanged = headers.get_all(IF_NONE_MATCH).iter().any(|seen| matches(seen, &tag));

        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(ETAG, tag);
        headers
            .insert(CACHE_CONTROL, if path.starts_with("assets/") { FOREVER } else { REVALIDATE });
        if varies {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        headers.insert(CONTENT_TYPE, content_type(path));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        *response.body_mut() = Full::new(file.content);
        Some(response)
    }
}

/// Whether this is a place in the front end, and not a file that is not there.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let is_file = path.starts_with("assets/")
        || path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let accepts_html = headers.get_all(ACCEPT).iter().all(|accept| {
        accept.to_str().is_ok_and(|accept| accept.contains("text/html") || accept.contains("*/*"))
    });
    !is_file && accepts_html
}

/// Names these bytes; the compressed forms have other bytes and so other tags.
fn entity_tag(file: &File) -> HeaderValue {
    let tag = format!("\"{}\"", hex(&file.sha256[..16]));
    HeaderValue::try_from(tag).expect("hexadecimal digits are visible ASCII")
}

fn matches(seen: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(seen), Ok(tag)) = (seen.to_str(), tag.to_str()) else {
        return false;
    };
    seen.split(',').map(str::trim).any(|seen| seen == "*" || seen.trim_start_matches("W/") == tag)
}

/// Whether `Accept-Encoding` names this encoding and does not forbid it.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|member| {
            let mut parts = member.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
            let forbidden = parts
                .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .any(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            named && !forbidden
        })
}

fn content_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    })
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, NEVER);
    response
}

/// Instead of the front end, when there was none at build time.
fn missing() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, include_str!("missing.html"));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    const FIXTURE: FrontEnd = FrontEnd(|path| {
        let content = match path {
            "index.html" => "<!doctype html>",
            "theme.js" => "theme",
            "assets/app-B4x.js" => "plain",
            "assets/app-B4x.js.br" => "br",
            "assets/app-B4x.js.gz" => "gz",
            _ => return None,
        };
        let mut sha256 = [0; 32];
        sha256[..content.len()].copy_from_slice(content.as_bytes());
        Some(File { content: Bytes::from_static(content.as_bytes()), sha256 })
    });

    async fn get(
        front_end: FrontEnd,
        path: &str,
        fields: &[(http::HeaderName, &str)],
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in fields {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (parts, body) = front_end.answer(&request).into_parts();
        assert_eq!(parts.headers[CONTENT_SECURITY_POLICY], PAGE_POLICY);
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn the_best_form_that_is_accepted_is_sent_as_it_was_compressed() {
        for (accepted, encoding, content) in [
            ("gzip, deflate, br, zstd", Some("br"), "br"),
            ("gzip", Some("gzip"), "gz"),
            ("br;q=0, gzip;q=0.1", Some("gzip"), "gz"),
            ("identity", None, "plain"),
        ] {
            let (_, headers, body) =
                get(FIXTURE, "/assets/app-B4x.js", &[(ACCEPT_ENCODING, accepted)]).await;
            assert_eq!(headers.get(CONTENT_ENCODING).map(|it| it.to_str().unwrap()), encoding);
            assert_eq!(body, content);
            assert_eq!(headers[VARY], "accept-encoding");
            assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        }
    }

    #[tokio::test]
    async fn a_name_with_a_hash_is_kept_for_ever_and_others_are_asked_about() {
        let (_, headers, _) = get(FIXTURE, "/assets/app-B4x.js", &[]).await;
        assert_eq!(headers[CACHE_CONTROL], FOREVER);
        for path in ["/", "/index.html", "/theme.js", "/c/1"] {
            let (_, headers, _) = get(FIXTURE, path, &[]).await;
            assert_eq!(headers[CACHE_CONTROL], REVALIDATE, "{path}");
        }
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let br = (ACCEPT_ENCODING, "br");
        let (_, headers, _) = get(FIXTURE, "/assets/app-B4x.js", std::slice::from_ref(&br)).await;
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        let seen = (IF_NONE_MATCH, tag.as_str());
        let (status, headers, body) = get(FIXTURE, "/assets/app-B4x.js", &[br, seen.clone()]).await;
        assert_eq!(status, StatusCode::NOT_MODIFIED);
        assert_eq!(headers[ETAG], tag);
        assert!(body.is_empty());
        // The tag of one form is not the tag of another.
        let (status, _, _) = get(FIXTURE, "/assets/app-B4x.js", &[seen]).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[tokio::test]
    async fn places_in_the_front_end_are_the_front_end_and_missing_files_are_missing() {
        for path in ["/", "/login", "/setup?code=x", "/c/0197a3f2/m/13"] {
            let (status, headers, body) = get(FIXTURE, path, &[(ACCEPT, "text/html")]).await;
            assert_eq!((status, &*body), (StatusCode::OK, &b"<!doctype html>"[..]), "{path}");
            assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        }
        for path in
            ["/assets/app-old.js", "/favicon.ico", "/assets/app-B4x.js.br", "/../Cargo.toml"]
        {
            let (status, _, _) = get(FIXTURE, path, &[(ACCEPT, "*/*")]).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
        let (status, _, _) = get(FIXTURE, "/login", &[(ACCEPT, "application/json")]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn without_a_front_end_a_page_says_what_is_missing() {
        const NONE: FrontEnd = FrontEnd(|_| None);
        assert!(FIXTURE.is_there() && !NONE.is_there());
        let (status, headers, body) = get(NONE, "/login", &[(ACCEPT, "text/html")]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CACHE_CONTROL], NEVER);
        let page = String::from_utf8(body.to_vec()).unwrap();
        assert!(page.contains("npm --prefix frontend run build"), "{page}");
        let (status, _, _) = get(NONE, "/assets/x.js", &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn an_encoding_is_used_if_it_is_named_and_not_forbidden() {
        let accepts = |field, encoding| accepts(&headers(ACCEPT_ENCODING, field), encoding);
        assert!(accepts("gzip, deflate, br, zstd", "br"));
        assert!(accepts("GZIP;q=0.5", "gzip"));
        assert!(!accepts("br;q=0, gzip", "br"));
        assert!(!accepts("br; q=0.000", "br"));
        assert!(!accepts("brx, gzip", "br"));
        assert!(!accepts("", "br"));
    }

    #[test]
    fn a_place_in_the_front_end_is_a_page_and_a_file_that_is_not_there_is_none() {
        let html = headers(ACCEPT, "text/html,application/xhtml+xml;q=0.9");
        for path in ["", "login", "c/0197a3f2/m/13", "setup"] {
            assert!(is_page(path, &html), "{path}");
        }
        for path in ["assets/gone", "favicon.ico", "a/b.js"] {
            assert!(!is_page(path, &html), "{path}");
        }
        assert!(is_page("login", &headers(ACCEPT, "*/*")));
        assert!(!is_page("login", &headers(ACCEPT, "application/json")));
    }

    #[test]
    fn a_tag_that_was_seen_matches_in_a_list_and_weakly() {
        let tag = HeaderValue::from_static("\"a\"");
        for seen in ["\"a\"", "\"b\", \"a\"", "W/\"a\"", "*"] {
            assert!(matches(&HeaderValue::from_static(seen), &tag), "{seen}");
        }
        assert!(!matches(&HeaderValue::from_static("\"ab\""), &tag));
    }
}
