//! Bodies: ours, which are always short and whole, and those of requests, which may be anything.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::{
    blob::BlobStream,
    limits::Limits,
    protocol::{Code, Problem},
    store::BoxError,
};

/// The body of an answer: whole, or the bytes of a file as they come. An error means that a file
/// broke off, and that the connection has to end, so that nobody takes what came for all of it.
#[derive(Debug)]
pub struct ChatBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Streamed {
        bytes: BlobStream,
        /// How many are to come.
        left: u64,
    },
}

impl Default for ChatBody {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for ChatBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl ChatBody {
    /// So many bytes of a file.
    pub(super) const fn streamed(bytes: BlobStream, length: u64) -> Self {
        Self(Kind::Streamed { bytes, left: length })
    }
}

impl Body for ChatBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(whole) => Pin::new(whole)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Kind::Streamed { bytes, left } => match ready!(bytes.poll_next(cx)) {
                Some(Ok(piece)) => Poll::Ready(Some(match left.checked_sub(piece.len() as u64) {
                    Some(rest) => {
                        *left = rest;
                        Ok(Frame::data(piece))
                    }
                    None => Err("a file is longer than it was".into()),
                })),
                Some(Err(why)) => {
                    warn!(error = &why as &dyn std::error::Error, "a download broke off");
                    Poll::Ready(Some(Err(why.into())))
                }
                None if *left > 0 => {
                    *left = 0;
                    Poll::Ready(Some(Err("a file is shorter than it was".into())))
                }
                None => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Streamed { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Streamed { left, .. } => SizeHint::with_exact(*left),
        }
    }
}

/// Reads a JSON body within its limits. Counts what arrives; what a header says of it proves
/// nothing.
pub(super) async fn json<T, B>(headers: &HeaderMap, body: B, limits: &Limits) -> Result<T, Problem>
where
    T: DeserializeOwned,
    B: Body<Error: Into<BoxError>> + Send,
{
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "send Content-Type: application/json",
        ));
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body uncompressed"));
    }
    let too_large = || {
        let detail = format!("the body is larger than {} bytes", limits.body_bytes_max);
        Problem::new(Code::TooLarge, detail)
    };
    // Not trusted, but a reason to say no before anything is taken.
    if body.size_hint().lower() > limits.body_bytes_max as u64 {
        return Err(too_large());
    }
    let collected = Limited::new(body, limits.body_bytes_max).collect();
    let collected = tokio::time::timeout(limits.body_timeout, collected)
        .await
        .map_err(|_| Problem::new(Code::Timeout, "the body did not arrive in time"))?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(why) if why.is::<LengthLimitError>() => return Err(too_large()),
        Err(_) => return Err(Problem::new(Code::Malformed, "the body broke off")),
    };
    // A list could be taken for the fields of an object, in the order in which we happen to name them.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Code::Malformed, "the body is not a JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|why| {
        let code = match why.classify() {
            serde_json::error::Category::Data => Code::Invalid,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Code::Malformed,
        };
        Problem::new(code, why.to_string())
    })
}
