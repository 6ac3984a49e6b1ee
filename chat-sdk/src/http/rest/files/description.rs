use http::Method;
use serde_json::{Value, json};

use super::{FileShape, OFFSET_BYTES};
use crate::{
    http::description::{Operation, Schemas, operation},
    protocol::Code,
};

/// What a place for bytes may be answered with.
const WRITES: &[Code] = &[Code::Overloaded, Code::Draining];

fn bytes(_: &mut Schemas) -> Value {
    json!({"type": "string", "format": "binary"})
}

pub(in crate::http) fn operations() -> Vec<Operation> {
    let number = || json!({"type": "integer", "minimum": 0});
    let tus = |method, path, name, summary| {
        operation(method, path, name, summary)
            .header(
                "Tus-Resumable",
                json!({"type": "string"}),
                "The version of tus that the client speaks: 1.0.0.",
            )
            .may(&[Code::UploadVersion])
    };
    let download = |path, name, summary| {
        operation(Method::GET, path, name, summary)
            .header("Range", json!({"type": "string"}), "One range of bytes.")
            .answers_as(200, "*/*", bytes, "All of it; `attachment` unless it is harmless to show.")
            .with("ETag")
            .answers_as(206, "*/*", bytes, "The part that was asked for.")
            .with("ETag")
            .with("Content-Range")
            .answers_nothing(304, "What is held is this one.")
            .with("ETag")
            .query("user", json!({"type": "string"}), "Of a signed address.")
            .query("expires", number(), "Of a signed address: until when, in milliseconds of 1970.")
            .query("signature", json!({"type": "string"}), "Of a signed address.")
            .may(&[Code::Forbidden, Code::RangeNotSatisfiable])
    };
    vec![
        operation(Method::OPTIONS, "/files", "tus", "What of tus is spoken")
            .of_anybody()
            .always()
            .answers_nothing(204, "In its headers."),
        tus(Method::POST, "/files", "beginUpload", "Begins an upload")
            .needs_header("Upload-Length", number(), "How many bytes the file has.")
            .header(
                "Upload-Metadata",
                json!({"type": "string"}),
                "`filename` and the name in Base64; anything else is passed over.",
            )
            .answers_nothing(201, "Where it goes on.")
            .with("Location")
            .with("Upload-Offset")
            .may(&[Code::Forbidden, Code::TooLarge, Code::QuotaExceeded, Code::Invalid])
            .may(WRITES),
        operation(Method::GET, "/files", "files", "Addresses of files")
            .asks_for("ids", json!({"type": "string"}), "1 to 100 ids, separated by commas.")
            .answers(
                200,
                Schemas::list_of::<FileShape<'static>>,
                "Those that the caller may have, with signed addresses.",
            ),
        tus(Method::HEAD, "/files/{file}", "upload", "How far an upload is")
            .answers_nothing(200, "In its headers.")
            .with("Upload-Offset")
            .with("Upload-Length"),
        tus(Method::PATCH, "/files/{file}", "goOn", "Goes on with an upload")
            .needs_header("Upload-Offset", number(), "From where on; as many as are there.")
            .takes_as(OFFSET_BYTES, bytes)
            .answers_nothing(204, "How many are there now.")
            .with("Upload-Offset")
            .may(&[
                Code::Invalid,
                Code::TooLarge,
                Code::WrongOffset,
                Code::UnsupportedMediaType,
                Code::Timeout,
                Code::Malformed,
            ])
            .may(WRITES),
        tus(Method::DELETE, "/files/{file}", "giveUp", "Gives up a file that no message carries")
            .answers_nothing(204, "It is gone.")
            .may(&[Code::Forbidden])
            .may(WRITES),
        download("/files/{file}/content", "content", "The bytes of a file"),
        download("/files/{file}/thumbnail", "thumbnail", "A small picture of a file"),
    ]
}
