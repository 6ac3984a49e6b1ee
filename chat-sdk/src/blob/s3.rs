//! Blobs as objects of a bucket, in S3 or whatever speaks like it.
//!
//! The library brings the protocol; the requests go through a client of our own, so that the
//! cryptography is ring's here too.

use std::{fmt, future::Future, num::NonZeroU16, ops::Range, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, MultipartId, ObjectStore, ObjectStoreExt,
    PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{
        HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpResponseBody, HttpService,
    },
    multipart::MultipartStore,
    path::Path,
};

use super::{Blob, BlobError, BlobId, BlobStore, BlobStream};
use crate::{
    model::Timestamp,
    tls::{TlsError, TlsRoots, client_config},
};

/// What is sent at once: above the 5 MiB that S3 wants of every part but the last, and with its
/// 10,000 parts enough for a blob of 78 GiB. What a `put` holds is one part.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the answer to one request may take to begin, a part's way there included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request is repeated while the other side is away or busy.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Which bucket, and with whose rights.
#[derive(Clone)]
pub struct S3Options {
    /// Where: `https://host[:port]`. `None`: Amazon's, of the region.
    pub endpoint: Option<String>,
    /// Which region; others than Amazon mostly take any.
    pub region: String,
    /// The bucket, which has to be there.
    pub bucket: String,
    /// What the names of all objects begin with, so that a bucket can have other uses.
    pub prefix: String,
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Whether the bucket's name is part of the host's name instead of the path.
    pub virtual_hosted: bool,
    /// Whether an endpoint with `http:` is taken: what is sent there, anybody on the way can read.
    pub allow_http: bool,
    /// Whose certificates are trusted.
    pub tls_roots: TlsRoots,
}

impl S3Options {
    /// A bucket of Amazon's.
    #[must_use]
    pub fn new(
        bucket: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: bucket.into(),
            prefix: String::new(),
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            virtual_hosted: false,
            allow_http: false,
            tls_roots: TlsRoots::System,
        }
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, region, bucket, prefix, access_key_id, .. } = self;
        f.debug_struct("S3Options")
            .field("endpoint", endpoint)
            .field("region", region)
            .field("bucket", bucket)
            .field("prefix", prefix)
            .field("access_key_id", access_key_id)
            .finish_non_exhaustive()
    }
}

/// The options cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3Error {
    /// The trusted certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The endpoint is unencrypted, and that is not allowed.
    #[error("the endpoint is not https")]
    Unencrypted,
    /// The prefix cannot begin the name of an object.
    #[error("the prefix is not allowed")]
    Prefix(#[source] crate::store::BoxError),
    /// The library does not take them.
    #[error("the object store cannot be set up")]
    Setup(#[source] crate::store::BoxError),
}

/// Blobs as objects of a bucket.
///
/// A `put` that was dropped or whose process died may leave an unfinished multipart upload, which is
/// in no list but costs money: the bucket should have a lifecycle rule that aborts those that are
/// older than a day (`AbortIncompleteMultipartUpload`).
#[derive(Debug)]
pub struct S3BlobStore {
    bucket: AmazonS3,
    prefix: Path,
}

impl S3BlobStore {
    /// Looks at the options; nothing is sent yet.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn new(options: S3Options) -> Result<Self, S3Error> {
        let endpoint = options.endpoint.as_deref();
        if !options.allow_http && endpoint.is_some_and(|it| !it.starts_with("https://")) {
            return Err(S3Error::Unencrypted);
        }
        let prefix = Path::parse(&options.prefix).map_err(|why| S3Error::Prefix(why.into()))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(options.bucket)
            .with_region(options.region)
            .with_access_key_id(options.access_key_id)
            .with_secret_access_key(options.secret_access_key)
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_allow_http(options.allow_http)
            .with_retry(RetryConfig { retry_timeout: RETRY_FOR, ..RetryConfig::default() })
            .with_http_connector(Connector(Requests::new(&options.tls_roots)?));
        if let Some(endpoint) = options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let bucket = builder.build().map_err(|why| S3Error::Setup(why.into()))?;
        Ok(Self { bucket, prefix })
    }

    fn path(&self, id: BlobId) -> Path {
        self.prefix.clone().join(id.to_string())
    }

    /// Sends what is longer than one part.
    async fn put_parts(
        &self,
        path: &Path,
        upload: &MultipartId,
        first: Bytes,
        bytes: &mut Parts,
    ) -> Result<u64, BlobError> {
        let mut length = 0;
        let mut parts = Vec::new();
        let mut part = first;
        while !part.is_empty() {
            length += part.len() as u64;
            let payload = PutPayload::from_bytes(part);
            let sent = self.bucket.put_part(path, upload, parts.len(), payload).await;
            parts.push(sent.map_err(failed)?);
            part = bytes.next().await?;
        }
        self.bucket.complete_multipart(path, upload, parts).await.map_err(failed)?;
        Ok(length)
    }
}

impl BlobStore for S3BlobStore {
    async fn put(&self, id: BlobId, bytes: BlobStream) -> Result<u64, BlobError> {
        let path = self.path(id);
        let mut bytes = Parts::of(bytes);
        let first = bytes.next().await?;
        if first.len() < PART_BYTES {
            let length = first.len() as u64;
            self.bucket.put(&path, PutPayload::from_bytes(first)).await.map_err(failed)?;
            return Ok(length);
        }
        let upload = self.bucket.create_multipart(&path).await.map_err(failed)?;
        let length = self.put_parts(&path, &upload, first, &mut bytes).await;
        if length.is_err() {
            // What went wrong is the answer; what cannot be aborted is left to the bucket's rule.
            let _ = self.bucket.abort_multipart(&path, &upload).await;
        }
        length
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobStream>, BlobError> {
        let path = self.path(id);
        let length = match self.bucket.head(&path).await {
            Ok(meta) => meta.size,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(why) => return Err(failed(why)),
        };
        let end = range.end.min(length);
        // Nothing cannot be asked for.
        if range.start >= end {
            return Ok(Some(BlobStream::of(Bytes::new())));
        }
        let range = Some(GetRange::Bounded(range.start..end));
        let options = GetOptions { range, ..GetOptions::default() };
        match self.bucket.get_opts(&path, options).await {
            Ok(found) => Ok(Some(BlobStream::new(found.into_stream().map_err(failed)))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(why) => Err(failed(why)),
        }
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match self.bucket.delete(&self.path(id)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(why) => Err(failed(why)),
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Result<Vec<Blob>, BlobError> {
        let prefix = Some(&self.prefix);
        let mut objects = match after {
            Some(after) => self.bucket.list_with_offset(prefix, &self.path(after)),
            None => self.bucket.list(prefix),
        };
        let mut page = Vec::new();
        while page.len() < limit.get().into()
            && let Some(object) = objects.next().await
        {
            let object = object.map_err(failed)?;
            // What somebody else put into the bucket is left alone.
            let id = object.location.filename().and_then(|name| name.parse().ok());
            let Some(id) = id.filter(|id| self.path(*id) == object.location) else { continue };
            let at = Timestamp::from_millis(object.last_modified.timestamp_millis());
            page.push(Blob { id, bytes: object.size, at });
        }
        Ok(page)
    }
}

/// Pieces of any size, made into parts of one: some servers want all but the last to be equal.
struct Parts {
    bytes: BlobStream,
    /// What came of the next part.
    begun: BytesMut,
}

impl Parts {
    fn of(bytes: BlobStream) -> Self {
        Self { bytes, begun: BytesMut::new() }
    }

    /// As much as is sent at once; less only at the end, and then nothing.
    async fn next(&mut self) -> Result<Bytes, BlobError> {
        while self.begun.len() < PART_BYTES
            && let Some(piece) = self.bytes.next().await
        {
            self.begun.extend_from_slice(&piece?);
        }
        let length = self.begun.len().min(PART_BYTES);
        Ok(self.begun.split_to(length).freeze())
    }
}

fn failed(why: Error) -> BlobError {
    match why {
        Error::NotImplemented { .. }
        | Error::NotSupported { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => BlobError::Defect(why.into()),
        why => BlobError::Unavailable(why.into()),
    }
}

type Https = Client<HttpsConnector<HttpConnector>, HttpRequestBody>;

/// Makes the library's requests.
#[derive(Debug, Clone)]
struct Requests(Https);

impl Requests {
    fn new(roots: &TlsRoots) -> Result<Self, TlsError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_nodelay(true);
        let https = HttpsConnector::from((http, client_config(roots)?));
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https);
        Ok(Self(client))
    }

    async fn request(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.0.request(request)).await;
        let answer = answer.map_err(|why| HttpError::new(HttpErrorKind::Timeout, why))?;
        let answer = answer.map_err(|why| {
            let kind =
                if why.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, why)
        })?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(
                body.map_err(|why| HttpError::new(HttpErrorKind::Interrupted, why)),
            )
        }))
    }
}

// Spelled as the library's macro does, which is not worth a dependency for one function.
impl HttpService for Requests {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.request(request))
    }
}

#[derive(Debug)]
struct Connector(Requests);

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> S3Options {
        let options = S3Options::new("bucket", "name", "secret");
        let tls_roots = TlsRoots::System;
        S3Options { endpoint: Some(endpoint.to_owned()), tls_roots, ..options }
    }

    #[test]
    fn an_endpoint_is_encrypted_unless_it_is_said_otherwise() {
        let refused = S3BlobStore::new(at("http://127.0.0.1:1")).unwrap_err();
        assert!(matches!(refused, S3Error::Unencrypted), "{refused:?}");
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", at("https://a")).contains("secret"));
    }

    #[tokio::test]
    async fn pieces_of_any_size_become_parts_of_one() {
        let piece = Bytes::from(vec![7; 3_000_000]);
        let pieces = futures_util::stream::iter((0..6).map(move |_| Ok(piece.clone())));
        let mut bytes = Parts::of(BlobStream::new(pieces));
        let mut parts = Vec::new();
        loop {
            let part = bytes.next().await.unwrap();
            if part.is_empty() {
                break;
            }
            parts.push(part.len());
        }
        assert_eq!(parts, [PART_BYTES, PART_BYTES, 18_000_000 - 2 * PART_BYTES]);
    }
}
