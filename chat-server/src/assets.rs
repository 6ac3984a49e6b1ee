//! The front end, which is part of the program: what is in `frontend/dist` when the server is
//! built is in the binary, in debug builds too, so that what is tested is what is shipped.
//!
//! Nothing is compressed here and no file is read: the build of the front end wrote `.br` and `.gz`
//! beside what is worth it. Where there was no front end at build time, a page says so.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
        IF_NONE_MATCH, VARY,
    },
};
use http_body_util::Full;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::secrets::hex;

#[derive(RustEmbed)]
#[folder = "../frontend/dist"]
#[allow_missing = true]
struct Dist;

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

/// Whether a front end is in this binary.
pub(crate) fn is_there() -> bool {
    Dist::get(INDEX).is_some()
}

/// Answers everything that is not the API.
pub(crate) fn answer<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = find(request);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}

fn find<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD here\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path().trim_start_matches('/');
    if let Some(response) = file(path, request.headers()) {
        return response;
    }
    if !is_page(path, request.headers()) {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    // The front end's own routes: it looks at the address itself.
    file(INDEX, request.headers()).unwrap_or_else(missing)
}

/// Whether this is a place in the front end, and not a file that is not there.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let is_file = path.starts_with("assets/")
        || path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.contains('.'));
    let accepts_html = headers.get_all(ACCEPT).iter().all(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/html") || accept.contains("*/*"))
    });
    !is_file && accepts_html
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    // The compressed forms are no files of their own.
    if ENCODINGS.iter().any(|(_, ending)| path.ends_with(ending)) {
        return None;
    }
    let plain = Dist::get(path)?;
    let form = ENCODINGS
        .iter()
        .filter(|(encoding, _)| accepts(headers, encoding))
        .find_map(|(encoding, ending)| Some((*encoding, Dist::get(&format!("{path}{ending}"))?)));
    let has_forms = ENCODINGS
        .iter()
        .any(|(_, ending)| Dist::get(&format!("{path}{ending}")).is_some());
    let (encoding, file) = match form {
        Some((encoding, file)) => (Some(encoding), file),
        None => (None, plain),
    };
    let tag = entity_tag(&file);
    let unchanged = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|seen| matches(seen, &tag));

    let mut response = Response::new(if unchanged {
        Full::default()
    } else {
        body(file)
    });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(
        CACHE_CONTROL,
        if path.starts_with("assets/") {
            FOREVER
        } else {
            REVALIDATE
        },
    );
    if has_forms {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if !unchanged {
        headers.insert(CONTENT_TYPE, content_type(path));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    Some(response)
}

fn body(file: EmbeddedFile) -> Full<Bytes> {
    Full::new(match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    })
}

/// Names these bytes; the compressed forms have other bytes and so other tags.
fn entity_tag(file: &EmbeddedFile) -> HeaderValue {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    HeaderValue::try_from(tag).expect("hexadecimal digits are visible ASCII")
}

fn matches(seen: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(seen), Ok(tag)) = (seen.to_str(), tag.to_str()) else {
        return false;
    };
    seen.split(',')
        .map(str::trim)
        .any(|seen| seen == "*" || seen.trim_start_matches("W/") == tag)
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
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
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
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
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
    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
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
