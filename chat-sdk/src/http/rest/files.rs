//! `/files`: uploads that can be resumed (tus 1.0: core, creation, expiration, termination), and
//! downloads.

pub(in crate::http) mod description;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    files::{
        address::Part,
        download::{Addressed, Download},
        error::FileError,
        upload::Progress,
    },
    http::{
        ChatBody,
        range::{self, Asked},
        reply::{self, Reply},
        service::{Shared, query},
    },
    model::{File, FileId, Timestamp, UserId},
    protocol::{Code, Problem},
    store::BoxError,
};

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The one version that is spoken.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The content type of bytes that go on with an upload.
const OFFSET_BYTES: &str = "application/offset+octet-stream";
/// Files that one question may name.
const IDS_MAX: usize = 100;

/// A document that a browser opens all the same does nothing: no script, no form, no request, and an
/// origin of its own.
const HARMLESS: HeaderValue =
    HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

fn problem(why: &FileError) -> Problem {
    why.into()
}

/// A file with where it is to be had for a while.
#[derive(Serialize, ToSchema)]
#[schema(as = AddressedFile)]
struct FileShape<'a> {
    #[serde(flatten)]
    file: &'a File,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_address: Option<&'a str>,
    expires_at: Timestamp,
}

impl<'a> From<&'a Addressed> for FileShape<'a> {
    fn from(addressed: &'a Addressed) -> Self {
        Self {
            file: &addressed.file,
            address: &addressed.address,
            thumbnail_address: addressed.thumbnail.as_deref(),
            expires_at: addressed.expires_at,
        }
    }
}

/// What of the upload protocol is spoken here.
pub(in crate::http) fn spoken(shared: &Shared) -> Reply {
    let mut reply = tus(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(TUS_VERSION, VERSION);
    headers.insert(TUS_EXTENSION, HeaderValue::from_static("creation,expiration,termination"));
    headers.insert(TUS_MAX_SIZE, shared.node.limits.file_bytes_max.into());
    reply
}

/// `/files`: an upload begins, or addresses are asked for.
pub(in crate::http) async fn all(
    shared: &Shared,
    parts: &Parts,
    me: &UserId,
) -> Result<Reply, Problem> {
    let files = &shared.node.files;
    if parts.method == Method::GET {
        let query = query(parts);
        let ids = query.text("ids").unwrap_or_default();
        let ids: Result<Vec<FileId>, _> =
            ids.split(',').filter(|id| !id.is_empty()).map(str::parse).collect();
        let ids = ids.map_err(|_| Problem::new(Code::Invalid, "ids must name files"))?;
        if ids.is_empty() || ids.len() > IDS_MAX {
            return Err(Problem::new(Code::Invalid, format!("ids must name 1 to {IDS_MAX} files")));
        }
        let addressed = files.addressed(me, &ids).await.map_err(|why| problem(&why))?;
        let shapes: Vec<_> = addressed.iter().map(FileShape::from).collect();
        return Ok(reply::json(StatusCode::OK, &shapes));
    }
    check_version(&parts.headers)?;
    let size = number(&parts.headers, &UPLOAD_LENGTH)?;
    let name = name(&parts.headers)?;
    let progress = files.begin(me, &name, size).await.map_err(|why| problem(&why))?;
    let mut reply = tus(StatusCode::CREATED);
    // Relative to this one, wherever the chat is mounted.
    let location = format!("files/{}", progress.file);
    let location = HeaderValue::from_str(&location).expect("an id is ASCII");
    reply.headers_mut().insert(header::LOCATION, location);
    tell(&mut reply, &progress);
    Ok(reply)
}

/// `/files/{file}`: an upload goes on, is asked about, or is given up.
pub(in crate::http) async fn one<B>(
    shared: &Shared,
    file: FileId,
    parts: &Parts,
    body: B,
    me: &UserId,
) -> Result<Reply, Problem>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    check_version(&parts.headers)?;
    let node = &shared.node;
    match parts.method {
        Method::HEAD => {
            let progress = node.files.progress(me, file).await.map_err(|why| problem(&why))?;
            let mut reply = tus(StatusCode::OK);
            reply.headers_mut().insert(UPLOAD_LENGTH, progress.size.into());
            tell(&mut reply, &progress);
            Ok(reply)
        }
        Method::DELETE => {
            node.files.give_up(me, file).await.map_err(|why| problem(&why))?;
            Ok(tus(StatusCode::NO_CONTENT))
        }
        _ => {
            let content_type = parts.headers.get(header::CONTENT_TYPE);
            if content_type.is_none_or(|it| it != OFFSET_BYTES) {
                let detail = format!("send Content-Type: {OFFSET_BYTES}");
                return Err(Problem::new(Code::UnsupportedMediaType, detail));
            }
            if parts.headers.contains_key(header::CONTENT_ENCODING) {
                return Err(Problem::new(Code::UnsupportedMediaType, "send the bytes as they are"));
            }
            let offset = number(&parts.headers, &UPLOAD_OFFSET)?;
            let announced = body.size_hint().lower();
            let bytes = futures_util::stream::unfold(Box::pin(body), |mut body| async move {
                loop {
                    match body.frame().await? {
                        Ok(frame) => {
                            // Trailers mean nothing here.
                            let Ok(mut bytes) = frame.into_data() else { continue };
                            let length = bytes::Buf::remaining(&bytes);
                            let bytes = bytes::Buf::copy_to_bytes(&mut bytes, length);
                            return Some((Ok(bytes), body));
                        }
                        Err(why) => return Some((Err(why.into()), body)),
                    }
                }
            });
            let taken = node.take_upload(me, file, offset, announced, Box::pin(bytes)).await;
            let progress = taken.map_err(|why| problem(&why))?;
            let mut reply = tus(StatusCode::NO_CONTENT);
            tell(&mut reply, &progress);
            Ok(reply)
        }
    }
}

/// On whose behalf a signed address was made, if this is one.
pub(in crate::http) fn signed(
    shared: &Shared,
    parts: &Parts,
    file: FileId,
    part: Part,
) -> Result<Option<UserId>, Problem> {
    let query = query(parts);
    let Some(signature) = query.text("signature") else { return Ok(None) };
    // Equal for every reason.
    let refused = || Problem::of(Code::Unauthenticated);
    let user: UserId = query.text("user").and_then(|it| it.parse().ok()).ok_or_else(refused)?;
    let expires = query.text("expires").and_then(|it| it.parse().ok()).ok_or_else(refused)?;
    let (signer, now) = (&shared.node.files.signer, shared.node.ports.clock.now());
    if signer.holds(file, part, &user, Timestamp::from_millis(expires), signature, now) {
        Ok(Some(user))
    } else {
        Err(refused())
    }
}

/// The bytes of a file, all or some of them.
pub(in crate::http) async fn download(
    shared: &Shared,
    parts: &Parts,
    me: &UserId,
    file: FileId,
    part: Part,
) -> Result<Reply, Problem> {
    let files = &shared.node.files;
    let download = files.open(me, file, part).await.map_err(|why| problem(&why))?;
    // Bytes never change under an id.
    let tag = format!("\"{file}-{}\"", part.name());
    let asked = range::asked(&parts.headers, &tag, download.size);
    let (status, range) = match &asked {
        Asked::Nothing => (StatusCode::NOT_MODIFIED, 0..0),
        Asked::All => (StatusCode::OK, 0..download.size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
        Asked::Beyond => {
            let mut reply = reply::problem(&Problem::of(Code::RangeNotSatisfiable));
            let size = HeaderValue::from_str(&format!("bytes */{}", download.size));
            reply.headers_mut().insert(header::CONTENT_RANGE, size.expect("a number is ASCII"));
            return Ok(reply);
        }
    };
    let mut reply = Response::new(ChatBody::default());
    if asked != Asked::Nothing {
        let length = range.end - range.start;
        let bytes = files.read(&download, range.clone()).await.map_err(|why| problem(&why))?;
        *reply.body_mut() = ChatBody::streamed(bytes, length);
        reply.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    if let Asked::Part(range) = asked {
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, download.size);
        let part = HeaderValue::from_str(&part).expect("numbers are ASCII");
        headers.insert(header::CONTENT_RANGE, part);
    }
    describe(headers, &download);
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("an id is ASCII"));
    Ok(reply)
}

/// What a browser has to know to do no harm with it.
fn describe(headers: &mut HeaderMap, download: &Download) {
    let shown = download.shown_as().and_then(|it| HeaderValue::from_str(it.as_str()).ok());
    let disposition = if shown.is_some() { "inline" } else { "attachment" };
    let disposition = disposition_of(disposition, download.file.name.as_str());
    let unknown = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, shown.unwrap_or(unknown));
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HARMLESS);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // One's own browser may keep it, and asks each time whether one still may have it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

/// RFC 8187: what may stand in a header as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

fn disposition_of(disposition: &str, name: &str) -> HeaderValue {
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) { c } else { '_' };
    let ascii: String = name.chars().map(|c| if c == ' ' { c } else { plain(c) }).collect();
    let encoded = utf8_percent_encode(name, PLAIN);
    let value = format!("{disposition}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&value).expect("only ASCII without control characters is left")
}

/// An answer as the upload protocol wants it.
fn tus(status: StatusCode) -> Reply {
    let mut reply = reply::no_content();
    *reply.status_mut() = status;
    reply.headers_mut().insert(TUS_RESUMABLE, VERSION);
    reply
}

fn tell(reply: &mut Reply, progress: &Progress) {
    let headers = reply.headers_mut();
    headers.insert(UPLOAD_OFFSET, progress.received.into());
    if let Some(at) = progress.expires_at {
        headers.insert(UPLOAD_EXPIRES, http_date(at));
    }
}

/// RFC 9110, section 5.6.7.
fn http_date(at: Timestamp) -> HeaderValue {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&date).expect("a date is ASCII")
}

/// A client that says which version it speaks has to speak ours.
fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(TUS_RESUMABLE) {
        Some(version) if version != VERSION => {
            Err(Problem::new(Code::UploadVersion, "Tus-Resumable: 1.0.0 is spoken here"))
        }
        Some(_) | None => Ok(()),
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let digits = value.filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|it| it.parse().ok())
        .ok_or_else(|| Problem::new(Code::Invalid, format!("{name} must be a number of bytes")))
}

/// `filename` of `Upload-Metadata`: pairs of a name and Base64, separated by commas.
fn name(headers: &HeaderMap) -> Result<String, Problem> {
    let wrong = || Problem::new(Code::Invalid, "upload-metadata must be names and Base64");
    let Some(metadata) = headers.get(UPLOAD_METADATA) else { return Ok(String::new()) };
    let metadata = metadata.to_str().map_err(|_| wrong())?;
    for pair in metadata.split(',') {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        if name == "filename" {
            let bytes = STANDARD.decode(value.trim()).map_err(|_| wrong())?;
            return String::from_utf8(bytes).map_err(|_| wrong());
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        for (name, value) in [
            ("a.png", "inline; filename=\"a.png\"; filename*=UTF-8''a.png"),
            ("a b\".x", "inline; filename=\"a b_.x\"; filename*=UTF-8''a%20b%22.x"),
            ("ü;x=1", "inline; filename=\"_;x=1\"; filename*=UTF-8''%C3%BC%3Bx%3D1"),
            ("a\r\nb: c", "inline; filename=\"a__b: c\"; filename*=UTF-8''a%0D%0Ab%3A%20c"),
            ("%41\\", "inline; filename=\"_41_\"; filename*=UTF-8''%2541%5C"),
        ] {
            assert_eq!(disposition_of("inline", name), value);
        }
    }

    #[test]
    fn metadata_is_pairs_of_names_and_base64() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(UPLOAD_METADATA, HeaderValue::from_static(value));
            name(&headers).map_err(|why| why.code)
        };
        assert_eq!(of("filename Ym9hdC5wbmc="), Ok("boat.png".to_owned()));
        assert_eq!(of("filetype aW1hZ2U=, filename Ym9hdC5wbmc=,x"), Ok("boat.png".to_owned()));
        assert_eq!(of("other Ym9hdC5wbmc="), Ok(String::new()));
        assert_eq!(of("filename ???"), Err(Code::Invalid));
        assert_eq!(of("filename /w=="), Err(Code::Invalid));
        assert_eq!(name(&HeaderMap::new()), Ok(String::new()));
    }

    #[test]
    fn a_date_is_written_as_http_has_it() {
        assert_eq!(
            http_date(Timestamp::from_millis(784_111_777_000)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}
