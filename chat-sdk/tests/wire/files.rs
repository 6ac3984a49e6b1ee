//! Files over HTTP: uploads that go on where they were, and who gets what of them.

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chat_sdk::{
    Amend, Amendment, BlobStore, Change, Chat, ChatBuilder, ConversationId, FileId, Limits,
    MemoryBlobStore, Policy, Seq, Timestamp, UserId, Verdict,
    blob::{Blob, BlobError, BlobId, BlobStream},
    env::Clock,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Ask, PATIENCE, Reply, Server, TokenIsUser, read_reply, user};

/// Blobs that the test can look at beside the server.
#[derive(Clone, Default)]
struct Shared(Arc<MemoryBlobStore>);

impl BlobStore for Shared {
    async fn put(&self, id: BlobId, bytes: BlobStream) -> Result<u64, BlobError> {
        self.0.put(id, bytes).await
    }
    async fn get(
        &self,
        id: BlobId,
        range: std::ops::Range<u64>,
    ) -> Result<Option<BlobStream>, BlobError> {
        self.0.get(id, range).await
    }
    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        self.0.delete(id).await
    }
    async fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Result<Vec<Blob>, BlobError> {
        self.0.list(after, limit).await
    }
}

impl Shared {
    async fn count(&self) -> usize {
        self.0.list(None, NonZeroU16::MAX).await.unwrap().len()
    }

    async fn becomes(&self, count: usize) {
        let waiting = async {
            while self.count().await != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("blobs come and go");
    }
}

/// A time of day that the test sets.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_767_323_045_678)))
    }

    fn turn(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn builder(limits: Limits) -> (ChatBuilder, Shared, Hand) {
    let (blobs, clock) = (Shared::default(), Hand::new());
    let builder = Chat::builder(TokenIsUser).limits(limits);
    (builder.blobs(blobs.clone()).clock(clock.clone()), blobs, clock)
}

async fn server() -> Server {
    Server::start(builder(Limits::default()).0).await
}

fn begin(by: &str, name: &str, size: usize) -> Ask {
    Ask::new("POST", "/files")
        .by(by)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", &size.to_string())
        .header("upload-metadata", &format!("filename {}", STANDARD.encode(name)))
}

fn go_on(by: &str, id: &str, offset: usize, bytes: &[u8]) -> Ask {
    Ask::new("PATCH", &format!("/files/{id}"))
        .by(by)
        .header("tus-resumable", "1.0.0")
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", &offset.to_string())
        .body(bytes)
}

impl Server {
    async fn begin(&self, by: &str, name: &str, size: usize) -> String {
        let reply = self.ask(begin(by, name, size)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.header("upload-offset"), Some("0"));
        assert!(reply.header("upload-expires").is_some());
        reply.header("location").unwrap().strip_prefix("files/").unwrap().to_owned()
    }

    async fn upload(&self, by: &str, name: &str, bytes: &[u8]) -> String {
        let id = self.begin(by, name, bytes.len()).await;
        let reply = self.ask(go_on(by, &id, 0, bytes)).await;
        assert_eq!((reply.status, reply.header("tus-resumable")), (204, Some("1.0.0")));
        assert_eq!(reply.header("upload-offset"), Some(&*bytes.len().to_string()));
        id
    }

    async fn offset(&self, by: &str, id: &str) -> usize {
        let ask = Ask::new("HEAD", &format!("/files/{id}")).by(by);
        let reply = self.ask(ask).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply.header("upload-offset").unwrap().parse().unwrap()
    }

    async fn send_files(&self, by: &str, to: ConversationId, files: &[&str]) -> Reply {
        let body = json!({"files": files});
        self.ask(Ask::new("POST", &format!("/conversations/{to}/messages")).by(by).json(body)).await
    }

    async fn content(&self, by: &str, id: &str) -> Reply {
        self.ask(Ask::get(&format!("/files/{id}/content")).by(by)).await
    }

    /// What a user is told of a file, addresses included.
    async fn told(&self, by: &str, id: &str) -> Option<Value> {
        let reply = self.ask(Ask::get(&format!("/files?ids={id}")).by(by)).await;
        assert_eq!(reply.status, 200);
        reply.json().as_array().unwrap().first().cloned()
    }
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 9]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn a_file_is_uploaded_sent_and_read() {
    let server = server().await;
    let group = server.group(&["alice", "bob"]).await;
    let mut bob = server.connect("bob").await;
    let picture = png(900, 450);
    let id = server.upload("alice", "Böat.png", &picture).await;
    let sent = server.send_files("alice", group, &[&id]).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let file = json!({"id": id, "name": "Böat.png", "type": "image/png", "size": picture.len(),
        "width": 900, "height": 450, "thumbnail": true});
    assert_eq!(sent.json()["event"], json!({"type": "message", "text": "", "files": [file]}));
    let (_, live) = bob.up_to("event").await;
    assert_eq!(live["event"], sent.json()["event"]);
    let reply = server.content("bob", &id).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == picture, "other bytes");
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", &*picture.len().to_string()),
        ("content-disposition", "inline; filename=\"B_at.png\"; filename*=UTF-8''B%C3%B6at.png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox; frame-ancestors 'none'"),
        ("cache-control", "private, no-cache"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let small = server.ask(Ask::get(&format!("/files/{id}/thumbnail")).by("bob")).await;
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/jpeg")));
    let small = image::load_from_memory(&small.body).unwrap();
    assert_eq!((small.width(), small.height()), (640, 320));
}

#[tokio::test]
async fn a_send_over_the_socket_takes_files_and_its_repetition_takes_nothing_again() {
    let server = server().await;
    let group = server.group(&["alice", "bob"]).await;
    let id = server.upload("alice", "a.txt", b"hello").await;
    let mut alice = server.connect("alice").await;
    let send = json!({"type": "send", "id": "1", "key": "k", "conversation": group,
        "text": "look", "files": [id]});
    alice.command(send.clone()).await;
    let (_, first) = alice.up_to("ack").await;
    alice.command(send).await;
    let (_, again) = alice.up_to("ack").await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
    // Of another message it is not, and nobody else has it to send.
    for by in ["alice", "bob"] {
        let reply = server.send_files(by, group, &[&id]).await;
        assert_eq!((reply.status, reply.code()), (404, "not_found".to_owned()), "{by}");
    }
    let empty = json!({"type": "send", "id": "2", "key": "k2", "conversation": group, "text": ""});
    alice.command(empty).await;
    let (_, error) = alice.up_to("error").await;
    assert_eq!(error["problem"]["code"], "malformed");
    let none = server.send_files("alice", group, &[]).await;
    assert_eq!((none.status, none.code()), (422, "invalid".to_owned()));
    let many: Vec<_> = (0..11).map(|n| format!("f_{n:032x}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let many = server.send_files("alice", group, &many).await;
    assert_eq!((many.status, many.code()), (422, "invalid".to_owned()));
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_where_it_was() {
    let server = server().await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let id = server.begin("alice", "long.bin", bytes.len()).await;
    let mut at = 0;
    for sent in [100_000, 70_001] {
        let mut ask = go_on("alice", &id, at, &bytes[at..]);
        let head = ask.head();
        ask.body = None;
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&head).await.unwrap();
        socket.write_all(&bytes[at..at + sent]).await.unwrap();
        drop(socket);
        at += sent;
        let arrives = async {
            while server.offset("alice", &id).await != at {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, arrives).await.expect("what came is kept");
    }
    // From a place that it is not at, nothing is taken.
    for offset in [0, at - 1, at + 1] {
        let reply = server.ask(go_on("alice", &id, offset, &bytes[..10])).await;
        assert_eq!((reply.status, reply.code()), (409, "wrong_offset".to_owned()), "{offset}");
    }
    let reply = server.ask(go_on("alice", &id, at, &bytes[at..])).await;
    assert_eq!((reply.status, reply.header("upload-offset")), (204, Some("300000")));
    let whole = server.content("alice", &id).await;
    assert!(whole.body == bytes, "{} bytes, and others", whole.body.len());
    // Over the seams too.
    let part = Ask::get(&format!("/files/{id}/content")).by("alice");
    let part = server.ask(part.header("range", "bytes=99990-170010")).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), Some("bytes 99990-170010/300000"));
    assert!(part.body == bytes[99_990..=170_010]);
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_its_bytes_are_taken() {
    let limits = Limits {
        file_bytes_max: 1_000,
        file_bytes_per_user_max: 2_500,
        files_waiting_max: 3,
        ..Limits::default()
    };
    let (builder, blobs, _) = builder(limits);
    let server = Server::start(builder).await;
    let code = |reply: Reply| (reply.status, reply.code());
    let spoken = server.ask(Ask::new("OPTIONS", "/files")).await;
    assert_eq!(spoken.status, 204);
    assert_eq!(spoken.header("tus-max-size"), Some("1000"));
    assert_eq!(spoken.header("tus-version"), Some("1.0.0"));
    assert_eq!(spoken.header("tus-extension"), Some("creation,expiration,termination"));

    let too_large = (413, "too_large".to_owned());
    assert_eq!(code(server.ask(begin("alice", "x", 1_001)).await), too_large);
    assert_eq!(code(server.ask(begin("alice", "x", 0)).await), (422, "invalid".to_owned()));
    for odd in ["", "-1", "1e3", "99999999999999999999999", "10, 10"] {
        let ask = Ask::new("POST", "/files").by("alice").header("upload-length", odd);
        assert_eq!(code(server.ask(ask).await), (422, "invalid".to_owned()), "{odd}");
    }
    let id = server.begin("alice", "x", 1_000).await;
    server.begin("alice", "y", 1_000).await;
    let over = (413, "quota_exceeded".to_owned());
    assert_eq!(code(server.ask(begin("alice", "z", 501)).await), over);
    server.begin("alice", "z", 1).await;
    assert_eq!(code(server.ask(begin("alice", "w", 1)).await), over, "too many wait");
    server.begin("bob", "z", 1_000).await;

    // More than is left: refused by what is announced, with no byte sent; and by what comes.
    let mut ask = go_on("alice", &id, 0, &[]);
    ask.body = None;
    let ask = ask.header("content-length", "1001");
    assert_eq!(code(server.ask(ask).await), too_large);
    let mut ask = go_on("alice", &id, 0, &[]);
    ask.body = Some([b"3e9\r\n".to_vec(), vec![7; 1_001], b"\r\n0\r\n\r\n".to_vec()].concat());
    let ask = ask.header("transfer-encoding", "chunked");
    assert_eq!(code(server.ask(ask).await), too_large);
    assert_eq!(server.offset("alice", &id).await, 0);
    blobs.becomes(0).await;
    // Whoever gives one up has room again.
    let deleted = Ask::new("DELETE", &format!("/files/{id}")).by("alice");
    assert_eq!(server.ask(deleted).await.status, 204);
    server.begin("alice", "w", 1_000).await;
}

#[tokio::test]
async fn a_request_that_is_no_upload_is_told_why() {
    let server = server().await;
    let id = server.begin("alice", "x", 10).await;
    let code = |reply: Reply| (reply.status, reply.code());
    let mut ask = go_on("alice", &id, 0, b"hello");
    ask.headers.retain(|(name, _)| name != "content-type");
    let typed = (415, "unsupported_media_type".to_owned());
    assert_eq!(code(server.ask(ask).await), typed);
    let zipped = go_on("alice", &id, 0, b"hello").header("content-encoding", "gzip");
    assert_eq!(code(server.ask(zipped).await), typed);
    let mut ask = go_on("alice", &id, 0, b"hello");
    ask.headers.retain(|(name, _)| name != "upload-offset");
    assert_eq!(code(server.ask(ask).await), (422, "invalid".to_owned()));
    let mut ask = go_on("alice", &id, 0, b"hello");
    ask.headers.retain(|(name, _)| name != "tus-resumable");
    let version = ask.header("tus-resumable", "0.2.2");
    assert_eq!(code(server.ask(version).await), (412, "upload_version".to_owned()));
    // Nothing of that was taken, and a plain client need not say which version it does not know.
    let mut ask = go_on("alice", &id, 0, b"hello");
    ask.headers.retain(|(name, _)| name != "tus-resumable");
    assert_eq!(server.ask(ask).await.status, 204);
    assert_eq!(server.offset("alice", &id).await, 5);
    // What is not complete cannot be sent or read.
    let group = server.group(&["alice", "bob"]).await;
    assert_eq!(server.send_files("alice", group, &[&id]).await.status, 404);
    assert_eq!(server.content("alice", &id).await.status, 404);
}

#[tokio::test]
async fn a_chat_without_a_place_for_files_says_so() {
    let server = Server::new().await;
    let reply = server.ask(begin("alice", "x", 10)).await;
    assert_eq!((reply.status, reply.code()), (403, "forbidden".to_owned()));
    let alice = server.connect("alice").await;
    assert_eq!(alice.welcome["limits"]["file_bytes_max"], 0);
}

/// Nobody uploads what is called a program.
struct NoPrograms;

impl Policy for NoPrograms {
    async fn may_upload(&self, _: &UserId, name: &str, _: u64) -> Verdict {
        if name.ends_with(".exe") { Verdict::deny("no programs") } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn the_host_is_asked_first() {
    let server = Server::start(builder(Limits::default()).0.policy(NoPrograms)).await;
    let reply = server.ask(begin("alice", "a.exe", 10)).await;
    assert_eq!((reply.status, reply.code()), (403, "forbidden".to_owned()));
    server.begin("alice", "a.txt", 10).await;
}

#[tokio::test]
async fn what_a_browser_might_run_is_saved_and_not_shown() {
    let server = server().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for (name, bytes) in [
        ("x.svg", &svg[..]),
        ("x.png", &svg[..]),
        ("x.html", b"<!doctype html><script>alert(1)</script>"),
        ("x.jpg", b"<html><body onload=alert(1)>"),
        ("x.xml", b"<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'/>"),
        ("x.pdf", b"%PDF-1.7\n"),
        ("x.gif", b"alert(1)"),
        ("x.bin", b"\0\x01\x02"),
    ] {
        let id = server.upload("alice", name, bytes).await;
        let reply = server.content("alice", &id).await;
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"), "{name}");
        let disposition = reply.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment;"), "{name}: {disposition}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
        let small = server.ask(Ask::get(&format!("/files/{id}/thumbnail")).by("alice")).await;
        assert_eq!(small.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_picture_that_is_a_bomb_is_a_file_like_another() {
    let limits = Limits { picture_pixels_max: 10_000, ..Limits::default() };
    let server = Server::start(builder(limits).0).await;
    let id = server.upload("alice", "big.png", &png(101, 100)).await;
    let told = server.told("alice", &id).await.unwrap();
    assert_eq!((&told["width"], &told["height"]), (&json!(101), &json!(100)));
    assert_eq!(told.get("thumbnail"), None);
    let mut broken = png(50, 50);
    broken.truncate(60);
    let id = server.upload("alice", "broken.png", &broken).await;
    assert_eq!(server.content("alice", &id).await.body, broken);
}

#[tokio::test]
async fn parts_and_conditions_are_answered_as_http_has_it() {
    let server = server().await;
    let id = server.upload("alice", "a.txt", b"0123456789").await;
    let get = || Ask::get(&format!("/files/{id}/content")).by("alice");
    let whole = server.ask(get()).await;
    let tag = whole.header("etag").unwrap().to_owned();
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-1,4-5", 200, "0123456789", None),
    ] {
        let reply = server.ask(get().header("range", range)).await;
        assert_eq!((reply.status, &*reply.body), (status, body.as_bytes()), "{range}");
        assert_eq!(reply.header("content-range"), content_range, "{range}");
        assert_eq!(reply.header("etag"), Some(&*tag));
    }
    let beyond = server.ask(get().header("range", "bytes=10-")).await;
    assert_eq!((beyond.status, beyond.code()), (416, "range_not_satisfiable".to_owned()));
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    let known = server.ask(get().header("if-none-match", &tag)).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = get().header("range", "bytes=2-4").header("if-range", "\"other\"");
    assert_eq!(server.ask(other).await.status, 200);
    // Who may not have it is not told that nothing changed.
    let eve = Ask::get(&format!("/files/{id}/content")).by("eve").header("if-none-match", &tag);
    assert_eq!(server.ask(eve).await.status, 404);
}

/// A group with a message of alice's and its picture: alice, bob, carol who left, dave who was removed.
async fn shown(server: &Server) -> (ConversationId, String) {
    let group = server.group(&["alice", "bob", "carol", "dave"]).await;
    let id = server.upload("alice", "a.png", &png(10, 10)).await;
    assert_eq!(server.send_files("alice", group, &[&id]).await.status, 201);
    server.chat.change(Some(&user("carol")), group, Change::Remove(user("carol"))).await.unwrap();
    server.change(group, Change::Remove(user("dave"))).await;
    (group, id)
}

#[tokio::test]
async fn only_members_get_a_file() {
    let server = server().await;
    let (_, id) = shown(&server).await;
    for (who, may) in
        [("alice", true), ("bob", true), ("carol", false), ("dave", false), ("eve", false)]
    {
        for part in ["content", "thumbnail"] {
            let reply = server.ask(Ask::get(&format!("/files/{id}/{part}")).by(who)).await;
            assert_eq!(reply.status, if may { 200 } else { 404 }, "{part} for {who}");
            if !may {
                let nothing = format!("/files/f_{}/{part}", "0".repeat(32));
                let nothing = server.ask(Ask::get(&nothing).by(who)).await;
                assert_eq!(reply.json(), nothing.json(), "it looks like none");
            }
        }
        assert_eq!(server.told(who, &id).await.is_some(), may, "the address for {who}");
    }
    for part in ["content", "thumbnail"] {
        let path = format!("/files/{id}/{part}");
        assert_eq!(server.ask(Ask::get(&path)).await.status, 401, "nobody");
        assert_eq!(server.ask(Ask::get(&path).bearer("expired")).await.status, 401, "bad token");
    }
    let all = server.ask(Ask::get(&format!("/files?ids={id}"))).await;
    assert_eq!(all.status, 401);
}

#[tokio::test]
async fn a_file_without_a_message_is_its_owners() {
    let server = server().await;
    let id = server.upload("alice", "a.png", &png(10, 10)).await;
    for (who, may) in [("alice", true), ("bob", false)] {
        assert_eq!(server.content(who, &id).await.status == 200, may, "{who}");
        assert_eq!(server.told(who, &id).await.is_some(), may, "{who}");
    }
    // Nor does anybody else learn of it, go on with it or delete it.
    for method in ["HEAD", "DELETE"] {
        let reply = server.ask(Ask::new(method, &format!("/files/{id}")).by("bob")).await;
        assert_eq!(reply.status, 404, "{method}");
    }
    assert_eq!(server.ask(go_on("bob", &id, 0, b"x")).await.status, 404);
    assert_eq!(server.content("alice", &id).await.status, 200);
}

#[tokio::test]
async fn a_signed_address_is_for_one_user_for_a_while_and_for_members_still() {
    let (builder, _, clock) = builder(Limits::default());
    let server = Server::start(builder).await;
    let (group, id) = shown(&server).await;
    let told = server.told("bob", &id).await.unwrap();
    let content = format!("/{}", told["address"].as_str().unwrap());
    let thumbnail = format!("/{}", told["thumbnail_address"].as_str().unwrap());
    let get = async |path: &str| server.ask(Ask::get(path)).await.status;
    assert_eq!((get(&content).await, get(&thumbnail).await), (200, 200), "without a token");
    assert_eq!(server.told("bob", &id).await.unwrap(), told, "the same again: it can be cached");

    // Of nothing else.
    let (path, query) = content.split_once('?').unwrap();
    let other = server.upload("alice", "b.png", &png(5, 5)).await;
    let swapped = content.replace(&id, &other);
    let named = content.replace("user=bob", "user=alice");
    let later = {
        let expires = query.split('&').find_map(|it| it.strip_prefix("expires=")).unwrap();
        content.replace(expires, "99999999999999")
    };
    for (what, path) in [
        ("another file", swapped),
        ("another user", named),
        ("a later end", later),
        ("another part", thumbnail.replace("thumbnail?", "content?")),
        ("no signature", format!("{path}?user=bob&expires=99999999999999")),
        ("an empty one", format!("{path}?user=bob&expires=99999999999999&signature=")),
        ("a guess", format!("{path}?{}0", query.split_at(query.len() - 1).0)),
    ] {
        let last = query.chars().last().unwrap();
        if what == "a guess" && last == '0' {
            continue;
        }
        assert_eq!(get(&path).await, 401, "{what}");
    }
    // A token of one's own does not make it hold either.
    let alices = Ask::get(&content.replace("user=bob", "user=alice")).by("alice");
    assert_eq!(server.ask(alices).await.status, 401);

    // It is asked again whether they may.
    server.change(group, Change::Remove(user("bob"))).await;
    assert_eq!((get(&content).await, get(&thumbnail).await), (404, 404), "removed since");
    server.change(group, Change::Add(vec![user("bob")], None)).await;
    assert_eq!(get(&content).await, 200);
    clock.turn(Duration::from_secs(10 * 60));
    assert_eq!((get(&content).await, get(&thumbnail).await), (401, 401), "it has ended");
    let fresh = server.told("bob", &id).await.unwrap();
    assert_eq!(get(&format!("/{}", fresh["address"].as_str().unwrap())).await, 200);
    // And with the message, the file.
    let amend = Amend::new(user("alice"), group, Seq::new(2), Amendment::Delete);
    server.chat.amend(amend).await.unwrap();
    assert_eq!(get(&format!("/{}", fresh["address"].as_str().unwrap())).await, 404);
}

#[tokio::test]
async fn with_its_message_a_file_goes_and_its_bytes_too() {
    let limits = Limits { file_collection: Duration::from_millis(20), ..Limits::default() };
    let (builder, blobs, _) = builder(limits);
    let server = Server::start(builder).await;
    let group = server.group(&["alice", "bob"]).await;
    let (gone, kept) = (
        server.upload("alice", "a.png", &png(10, 10)).await,
        server.upload("alice", "b.txt", b"stays").await,
    );
    for id in [&gone, &kept] {
        assert_eq!(server.send_files("alice", group, &[id]).await.status, 201);
    }
    assert_eq!(blobs.count().await, 3, "two files, one with a small picture");
    let attached = Ask::new("DELETE", &format!("/files/{gone}")).by("alice");
    assert_eq!(server.ask(attached).await.status, 403, "it goes with its message");
    let deleted = Ask::new("DELETE", &format!("/conversations/{group}/messages/2")).by("alice");
    assert_eq!(server.ask(deleted).await.status, 204);
    for who in ["alice", "bob"] {
        assert_eq!(server.content(who, &gone).await.status, 404, "at once");
        assert_eq!(server.content(who, &kept).await.status, 200);
    }
    blobs.becomes(1).await;
}

#[tokio::test]
async fn what_nobody_sends_expires_and_strays_are_swept() {
    let often = Duration::from_millis(20);
    let limits = Limits { file_collection: often, file_sweep: often, ..Limits::default() };
    let (builder, blobs, clock) = builder(limits.clone());
    // From an earlier life of the database: the blob store's clock says that it is of now, so it is
    // old once the day has passed.
    blobs.put(BlobId::from_bytes([9; 16]), BlobStream::of(Bytes::from_static(b"?"))).await.unwrap();
    clock.0.store(chat_sdk::env::SystemClock.now().as_millis(), Ordering::SeqCst);
    let server = Server::start(builder).await;
    let group = server.group(&["alice", "bob"]).await;
    let (complete, sent) = (
        server.upload("alice", "a.txt", b"waits").await,
        server.upload("alice", "b.txt", b"is sent").await,
    );
    let begun = server.begin("alice", "c.txt", 10).await;
    assert_eq!(server.ask(go_on("alice", &begun, 0, b"half")).await.status, 204);
    assert_eq!(server.send_files("alice", group, &[&sent]).await.status, 201);
    assert_eq!(blobs.count().await, 4);
    clock.turn(limits.file_kept + Duration::from_secs(1));
    blobs.becomes(1).await;
    for id in [&complete, &begun] {
        let ask = Ask::new("HEAD", &format!("/files/{id}")).by("alice");
        assert_eq!(server.ask(ask).await.status, 404);
    }
    assert_eq!(server.content("bob", &sent).await.body, b"is sent");
}

#[tokio::test]
async fn of_two_uploads_at_once_nothing_is_mixed() {
    let server = server().await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let id = server.begin("alice", "x", bytes.len()).await;
    let both = [0, 1].map(|_| server.ask(go_on("alice", &id, 0, &bytes)));
    let replies = futures_util::future::join_all(both).await;
    let mut status: Vec<_> = replies.iter().map(|it| it.status).collect();
    status.sort_unstable();
    // The second may come when the first is done, and finds that nothing is left to bring.
    assert!(status == [204, 409], "{status:?}");
    assert!(server.content("alice", &id).await.body == bytes);
}

#[tokio::test]
async fn a_user_has_so_many_uploads_at_once() {
    let limits = Limits { uploads_at_once_per_user_max: 2, ..Limits::default() };
    let server = Server::start(builder(limits).0).await;
    let mut sockets = Vec::new();
    for name in ["a", "b"] {
        let id = server.begin("alice", name, 100).await;
        let mut ask = go_on("alice", &id, 0, &[0; 100]);
        let head = ask.head();
        ask.body = None;
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&head).await.unwrap();
        sockets.push((socket, id));
    }
    let third = server.begin("alice", "c", 1_000).await;
    // Both have begun when their first byte is asked for; until then this one gets on, bit by bit.
    let mut at = 0;
    let reply = loop {
        let reply = server.ask(go_on("alice", &third, at, b"x")).await;
        if reply.status != 204 {
            break reply;
        }
        at += 1;
    };
    assert_eq!((reply.status, reply.code()), (503, "overloaded".to_owned()));
    assert!(reply.header("retry-after").is_some());
    let bobs = server.upload("bob", "d", b"abc").await;
    assert_eq!(server.content("bob", &bobs).await.status, 200);
    for (mut socket, _) in sockets {
        socket.write_all(&[0; 100]).await.unwrap();
        let reply = read_reply(&mut socket, false).await.unwrap();
        assert_eq!(reply.status, 204);
    }
    assert_eq!(server.ask(go_on("alice", &third, at, b"x")).await.status, 204);
}

#[tokio::test]
async fn a_host_sends_files_too() {
    let (builder, ..) = builder(Limits::default());
    let server = Server::start(builder).await;
    let group = server.group(&["alice", "bob"]).await;
    let id = server.upload("alice", "a.txt", b"hello").await;
    let draft = chat_sdk::Draft::new(
        user("alice"),
        chat_sdk::To::Conversation(group),
        chat_sdk::Text::none(),
    );
    let refused = server.chat.send(draft.clone()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the text is empty");
    let draft = draft.files([id.parse::<FileId>().unwrap()]);
    let sent = server.chat.send(draft).await.unwrap();
    let chat_sdk::Body::Message(message) = sent.event.body else { panic!("no message") };
    assert_eq!(message.files[0].name.as_str(), "a.txt");
}
