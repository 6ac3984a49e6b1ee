//! Files, over the chat's HTTP: bring one, and fetch one.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};

use super::http::{Asked, Http, HttpError, unreadable};
use crate::{
    model::{File, FileId},
    protocol::Code,
};

/// Bytes that are brought at once: what is brought again at most when a connection breaks.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of an answer that says something about a file.
const SHORT: usize = 64 * 1024;
/// How often in a row a piece is tried.
const TRIES: u32 = 5;
/// Before the next try; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

impl Http {
    /// Uploads a file, and goes on where it was when the connection breaks. What it answers can be sent
    /// in a [`Message`](crate::Message)'s `files`, once; a file that is sent in no message is gone after
    /// a day. Dropping the future leaves an upload that expires.
    ///
    /// ```no_run
    /// # use chat_sdk::{Message, Text, client::Http};
    /// # async fn run(http: Http, token: &str, picture: bytes::Bytes) -> Result<(), chat_sdk::client::HttpError> {
    /// let file = http.upload(token, "boat.png", picture).await?;
    /// let mut message = Message::new(Text::none());
    /// message.files.push(file);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`HttpError::Refused`] with `too_large`, `quota_exceeded` or `forbidden` before anything is
    /// brought, and as every request.
    pub async fn upload(&self, token: &str, name: &str, bytes: Bytes) -> Result<File, HttpError> {
        let begin = self.about_files(
            Method::POST,
            "/files",
            token,
            vec![
                (UPLOAD_LENGTH, bytes.len().to_string()),
                (UPLOAD_METADATA, format!("filename {}", STANDARD.encode(name))),
            ],
        );
        let (headers, _) = self.answer(begin, SHORT).await?;
        let location = headers.get(header::LOCATION).and_then(|it| it.to_str().ok());
        let id = location.and_then(|it| it.rsplit('/').next()?.parse::<FileId>().ok());
        let id = id.ok_or_else(|| unreadable("no place for the upload"))?;
        let route = format!("/files/{id}");
        let (mut offset, mut failures) = (0, 0);
        while offset < bytes.len() {
            let piece = bytes.slice(offset..bytes.len().min(offset + PIECE_BYTES));
            let mut asked = self.about_files(
                Method::PATCH,
                &route,
                token,
                vec![
                    (UPLOAD_OFFSET, offset.to_string()),
                    (header::CONTENT_TYPE, "application/offset+octet-stream".to_owned()),
                ],
            );
            asked.body = piece;
            let why = match self.answer(asked, SHORT).await {
                Ok((headers, _)) => {
                    (offset, failures) = (offset_of(&headers)?, 0);
                    continue;
                }
                Err(why) => why,
            };
            let again = match &why {
                HttpError::Unreachable(_) => true,
                HttpError::Refused(problem) => {
                    problem.code.retryable() || problem.code == Code::WrongOffset
                }
                HttpError::Unreadable(_) => false,
            };
            failures += 1;
            if !again || failures >= TRIES {
                return Err(why);
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
            // Some of it may have come.
            let asked = self.about_files(Method::HEAD, &route, token, Vec::new());
            if let Ok((headers, _)) = self.answer(asked, SHORT).await {
                offset = offset_of(&headers)?;
            }
        }
        let route = format!("/files?ids={id}");
        let asked = self.about_files(Method::GET, &route, token, Vec::new());
        let (_, described) = self.answer(asked, SHORT).await?;
        let described: Vec<File> = serde_json::from_slice(&described).map_err(unreadable)?;
        described.into_iter().next().ok_or_else(|| unreadable("the file is not there"))
    }

    /// The bytes of a file, at most so many.
    ///
    /// # Errors
    /// [`HttpError::Refused`] with `not_found` when the user may not have it, and as every request.
    pub async fn download(
        &self,
        token: &str,
        file: FileId,
        bytes_max: usize,
    ) -> Result<Bytes, HttpError> {
        let route = format!("/files/{file}/content");
        let asked = self.about_files(Method::GET, &route, token, Vec::new());
        Ok(self.answer(asked, bytes_max).await?.1)
    }

    fn about_files<'a>(
        &self,
        method: Method,
        route: &'a str,
        token: &'a str,
        headers: Vec<(HeaderName, String)>,
    ) -> Asked<'a> {
        Asked { method, route, token: Some(token), headers, body: Bytes::new() }
    }
}

fn offset_of(headers: &HeaderMap) -> Result<usize, HttpError> {
    let offset = headers.get(UPLOAD_OFFSET).and_then(|it| it.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| unreadable("no offset of the upload"))
}
