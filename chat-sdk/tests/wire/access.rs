//! Who may do what over HTTP: every route by everybody.

use std::{collections::BTreeSet, net::IpAddr};

use chat_sdk::{
    Change, Chat, ConversationId, Draft, Entrance, Limits, LinkToken, MemoryBlobStore, MemoryStore,
    NewGroup, NewLink, Role, Text, Title, To, UserId,
    auth::{Accounts, accounts::AccountLimits},
};
use serde_json::{Value, json};

use crate::support::{Ask, Server};

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");
const ROUTES: &str = include_str!("../../src/http/route.rs");

/// Everybody there is, to a group.
const ROLES: [&str; 8] =
    ["owner", "admin", "member", "reader", "former member", "stranger", "anonymous", "bad token"];

/// For any caller, for a user, for whoever is in it, for who writes there, for the member who wrote the
/// message, for an admin.
const ANYBODY: fn(u16) -> [u16; 8] = |ok| [ok; 8];
const USERS: fn(u16) -> [u16; 8] = |ok| [ok, ok, ok, ok, ok, ok, 401, 401];
const MEMBERS: fn(u16) -> [u16; 8] = |ok| [ok, ok, ok, ok, 404, 404, 401, 401];
const WRITERS: fn(u16) -> [u16; 8] = |ok| [ok, ok, ok, 403, 404, 404, 401, 401];
const AUTHOR: fn(u16) -> [u16; 8] = |ok| [403, 403, ok, 403, 404, 404, 401, 401];
const AUTHOR_OR_ADMIN: [u16; 8] = [204, 204, 204, 403, 404, 404, 401, 401];
const ADMINS: fn(u16) -> [u16; 8] = |ok| [ok, ok, 403, 403, 404, 404, 401, 401];
/// The member began the upload.
const UPLOADER: fn(u16) -> [u16; 8] = |ok| [404, 404, ok, 404, 404, 404, 401, 401];
const OWNERS: fn(u16) -> [u16; 8] = |ok| [ok, 403, 403, 403, 404, 404, 401, 401];

/// A row of the table: the route as PROTOCOL.md writes it, the query and body, and what each of
/// [`ROLES`] gets. `$…` is replaced: `$other` is another member.
fn table() -> Vec<(&'static str, &'static str, Value, [u16; 8])> {
    let password = "correct horse";
    vec![
        (
            "POST /user/login",
            "",
            json!({"identifier": "owner", "password": password}),
            ANYBODY(200),
        ),
        ("POST /user/register", "", json!({"name": "new$n", "password": password}), ANYBODY(201)),
        (
            "POST /user/setup",
            "",
            json!({"code": "guessed", "name": "root", "password": password}),
            ANYBODY(401),
        ),
        ("POST /user/token", "", Value::Null, USERS(200)),
        ("POST /user/logout", "", Value::Null, USERS(204)),
        ("GET /user", "", Value::Null, USERS(200)),
        ("GET /users", "?search=mem", Value::Null, USERS(200)),
        ("GET /messages", "?with=$other", Value::Null, USERS(200)),
        ("POST /messages", "", json!({"to": "$other", "content": "hi"}), USERS(201)),
        ("GET /conversations", "", Value::Null, USERS(200)),
        ("POST /conversations", "", json!({"kind": "direct", "user": "$other"}), USERS(200)),
        ("GET /conversations/{id}", "", Value::Null, MEMBERS(200)),
        ("PATCH /conversations/{id}", "", json!({"title": "Ships", "topic": "Sails"}), ADMINS(204)),
        ("GET /conversations/{id}/events", "", Value::Null, MEMBERS(200)),
        ("POST /conversations/{id}/messages", "", json!({"text": "hi"}), WRITERS(201)),
        ("GET /conversations/{id}/messages", "?pinned=true", Value::Null, MEMBERS(200)),
        ("PATCH /conversations/{id}/messages/{message}", "", json!({"text": "ho"}), AUTHOR(204)),
        ("DELETE /conversations/{id}/messages/{message}", "", Value::Null, AUTHOR_OR_ADMIN),
        ("GET /conversations/{id}/messages/{message}/edits", "", Value::Null, MEMBERS(200)),
        ("GET /conversations/{id}/messages/{message}/receipts", "", Value::Null, MEMBERS(200)),
        (
            "PUT /conversations/{id}/messages/{message}/reactions/{emoji}",
            "",
            Value::Null,
            WRITERS(204),
        ),
        (
            "DELETE /conversations/{id}/messages/{message}/reactions/{emoji}",
            "",
            Value::Null,
            WRITERS(204),
        ),
        ("PUT /conversations/{id}/messages/{message}/pin", "", Value::Null, ADMINS(204)),
        ("DELETE /conversations/{id}/messages/{message}/pin", "", Value::Null, ADMINS(204)),
        ("PUT /conversations/{id}/marker", "", json!({"read": 1}), MEMBERS(200)),
        ("GET /conversations/{id}/members", "", Value::Null, MEMBERS(200)),
        ("POST /conversations/{id}/members", "", json!({"users": ["$former"]}), ADMINS(204)),
        ("PATCH /conversations/{id}/members/{user}", "", json!({"role": "owner"}), OWNERS(204)),
        ("DELETE /conversations/{id}/members/{user}", "", Value::Null, ADMINS(204)),
        ("GET /conversations/{id}/links", "", Value::Null, ADMINS(200)),
        ("POST /conversations/{id}/links", "", json!({"uses_max": 1}), ADMINS(201)),
        ("DELETE /conversations/{id}/links/{link}", "", Value::Null, ADMINS(204)),
        ("POST /conversations/{id}/join", "", Value::Null, MEMBERS(200)),
        ("GET /join/{token}", "", Value::Null, USERS(200)),
        // The former member was removed.
        ("POST /join/{token}", "", Value::Null, [200, 200, 200, 200, 403, 201, 401, 401]),
        ("GET /directory", "", Value::Null, USERS(200)),
        ("OPTIONS /files", "", Value::Null, ANYBODY(204)),
        ("POST /files", "", Value::Null, USERS(201)),
        ("GET /files", "?ids=$sent", Value::Null, USERS(200)),
        ("HEAD /files/{file}", "", Value::Null, UPLOADER(200)),
        ("PATCH /files/{file}", "", Value::Null, UPLOADER(204)),
        ("DELETE /files/{file}", "", Value::Null, UPLOADER(204)),
        ("GET /files/{file}/content", "", Value::Null, MEMBERS(200)),
        ("GET /files/{file}/thumbnail", "", Value::Null, MEMBERS(200)),
        // Without an upgrade; sockets are the business of the other files.
        ("GET /ws", "", Value::Null, ANYBODY(426)),
        ("GET /openapi.json", "", Value::Null, ANYBODY(200)),
        ("GET /asyncapi.json", "", Value::Null, ANYBODY(200)),
        ("GET /api", "", Value::Null, ANYBODY(200)),
    ]
}

/// The rows of the table of routes in PROTOCOL.md, without their queries.
fn documented() -> BTreeSet<String> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let route = line.strip_prefix("| `")?.split_once('`')?.0;
        let (method, path) = route.split_once(' ')?;
        path.starts_with('/').then(|| format!("{method} {}", path.split('?').next().unwrap()))
    });
    rows.collect()
}

/// The paths that `Route::of` takes apart, read from its source.
fn implemented() -> BTreeSet<String> {
    let arms = ROUTES.lines().filter_map(|line| {
        let (pattern, _) = line.trim().strip_prefix('[')?.split_once("] =>")?;
        let segments = pattern.split(", ").map(|segment| match segment.strip_prefix('"') {
            Some(literal) => literal.trim_end_matches('"').to_owned(),
            None => format!("{{{segment}}}"),
        });
        Some(segments.fold(String::new(), |path, segment| path + "/" + &segment))
    });
    arms.collect()
}

#[test]
fn every_route_is_documented_and_has_a_row_in_the_table_of_who_may() {
    let rows: BTreeSet<String> = table().into_iter().map(|(route, ..)| route.to_owned()).collect();
    assert_eq!(rows, documented(), "PROTOCOL.md's table is this one");
    let paths = rows.iter().map(|row| row.split_once(' ').unwrap().1.to_owned());
    assert_eq!(paths.collect::<BTreeSet<_>>(), implemented(), "as is `Route`");
}

struct World {
    server: Server,
    users: [(UserId, String); 7],
}

impl World {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let limits =
            AccountLimits { address_burst: 10_000, name_burst: 1_000, ..Default::default() };
        let accounts = Accounts::builder(MemoryStore::new(), [7; 32]).limits(limits);
        let accounts = accounts.start().await.unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let mut users = Vec::new();
        for name in ["owner", "admin", "member", "reader", "former", "stranger", "other"] {
            let token = accounts.register(name, None, "correct horse", address).await.unwrap();
            users.push((token.user, token.token));
        }
        // The same few people do all of it.
        let limits = Limits { sends_burst: 10_000, files_waiting_max: 10_000, ..Limits::default() };
        let chat = Chat::builder(accounts.clone()).accounts(accounts).store(store).limits(limits);
        let chat = chat.blobs(MemoryBlobStore::new());
        Self { server: Server::start(chat).await, users: users.try_into().unwrap() }
    }

    /// An upload of this many bytes that the member begins.
    async fn begin_upload(&self, size: usize) -> String {
        let ask = Ask::new("POST", "/files").bearer(&self.users[2].1);
        let reply = self.server.ask(ask.header("upload-length", &size.to_string())).await;
        reply.header("location").unwrap().strip_prefix("files/").unwrap().to_owned()
    }

    /// A picture that the member sent into the group.
    async fn sent_file(&self, group: ConversationId) -> String {
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(3, 2).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let picture = picture.into_inner();
        let file = self.begin_upload(picture.len()).await;
        let ask = Ask::new("PATCH", &format!("/files/{file}")).header("upload-offset", "0");
        let ask = ask.header("content-type", "application/offset+octet-stream").body(picture);
        assert_eq!(self.server.ask(ask.bearer(&self.users[2].1)).await.status, 204);
        let draft = Draft::new(self.user(2).clone(), To::Conversation(group), Text::none());
        self.server.chat.send(draft.files([file.parse().unwrap()])).await.unwrap();
        file
    }

    fn user(&self, role: usize) -> &UserId {
        &self.users[role].0
    }

    /// A group in which everybody has the place that their role says, and the member has written.
    async fn group(&self) -> (ConversationId, LinkToken) {
        let [owner, admin, member, reader, former, _, other] = &self.users;
        let group = NewGroup {
            by: owner.0.clone(),
            title: Title::new("Boats").unwrap(),
            members: [admin, member, reader, former, other].map(|(user, _)| user.clone()).into(),
            key: None,
            channel: false,
            entrance: Entrance::default(),
        };
        let group = self.server.chat.open_group(group).await.unwrap();
        let hi = Draft::new(member.0.clone(), To::Conversation(group), Text::new("hi").unwrap());
        assert_eq!(self.server.chat.send(hi).await.unwrap().event.seq.get(), 2);
        for (user, role) in [(admin, Role::Admin), (reader, Role::Reader)] {
            self.server.change(group, Change::SetRole(user.0.clone(), role)).await;
        }
        self.server.change(group, Change::Remove(former.0.clone())).await;
        let new = NewLink { by: None, conversation: group, expires_at: None, uses_max: None };
        let (token, _) = self.server.chat.make_link(new).await.unwrap();
        (group, token)
    }
}

#[tokio::test]
async fn every_route_answers_everybody_as_the_table_says() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    let mut n = 0;
    for (route, query, body, expected) in table() {
        let (method, path) = route.split_once(' ').unwrap();
        for (role, expected) in expected.into_iter().enumerate() {
            n += 1;
            let (group, token) = world.group().await;
            let file = match path {
                "/files/{file}" => world.begin_upload(5).await,
                _ if path.starts_with("/files") => world.sent_file(group).await,
                _ => String::new(),
            };
            let fill = |text: &str| {
                text.replace("{id}", &group.to_string())
                    .replace("{file}", &file)
                    .replace("$sent", &file)
                    .replace("{user}", world.user(6).as_str())
                    .replace("{link}", token.link().as_str())
                    .replace("{token}", token.as_str())
                    .replace("{message}", "2")
                    .replace("{emoji}", "%F0%9F%91%8D")
                    .replace("$other", world.user(6).as_str())
                    .replace("$former", world.user(4).as_str())
                    .replace("$n", &n.to_string())
            };
            let mut bearer = match role {
                0..6 => Some(world.users[role].1.clone()),
                6 => None,
                _ => Some("of.nobody.atall".to_owned()),
            };
            if route == "POST /user/logout" && role < 6 {
                // Of a token of its own, so that the others go on.
                let fresh = Ask::new("POST", "/user/token").bearer(&bearer.unwrap());
                let fresh = world.server.ask(fresh).await.json();
                bearer = Some(fresh["token"].as_str().unwrap().to_owned());
            }
            let mut ask = Ask::new(method, &fill(&format!("{path}{query}")));
            if let Some(token) = &bearer {
                ask = ask.bearer(token);
            }
            ask = match route {
                "POST /files" => ask.header("upload-length", "5"),
                "PATCH /files/{file}" => ask
                    .header("upload-offset", "0")
                    .header("content-type", "application/offset+octet-stream")
                    .body("hello"),
                _ => ask,
            };
            if !body.is_null() {
                ask = ask.json(serde_json::from_str(&fill(&body.to_string())).unwrap());
            }
            let reply = world.server.ask(ask).await;
            if reply.status != expected {
                let got = String::from_utf8_lossy(&reply.body).into_owned();
                wrong.push(format!(
                    "{route} by {}: {} for {expected}: {got}",
                    ROLES[role], reply.status
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_conversation_from_none() {
    let world = World::new().await;
    let (group, token) = world.group().await;
    let group = group.to_string();
    let nothing = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e";
    for (route, query, body, _) in table() {
        let (method, path) = route.split_once(' ').unwrap();
        if !path.contains("{id}") {
            continue;
        }
        let mut answers = Vec::new();
        for id in [&*group, nothing] {
            let path = path
                .replace("{id}", id)
                .replace("{user}", world.user(6).as_str())
                .replace("{link}", token.link().as_str())
                .replace("{message}", "2")
                .replace("{emoji}", "%2B1");
            let mut ask = Ask::new(method, &format!("{path}{query}")).bearer(&world.users[5].1);
            if !body.is_null() {
                ask = ask.json(body.clone());
            }
            let reply = world.server.ask(ask).await;
            answers.push((reply.status, reply.json()));
        }
        assert_eq!(answers[0], answers[1], "{route}");
    }
}

#[tokio::test]
async fn a_group_keeps_an_owner_and_a_direct_conversation_its_users() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let leave =
        |who: &str| Ask::new("DELETE", &format!("/conversations/{group}/members/{who}")).by(who);
    assert_eq!(server.ask(leave("alice")).await.code(), "last_owner");
    server.change(group, Change::SetRole("bob".parse().unwrap(), Role::Owner)).await;
    assert_eq!(server.ask(leave("alice")).await.status, 204);
    assert_eq!(server.ask(leave("alice")).await.code(), "not_found");
    // The last one may: a group without members needs no owner.
    assert_eq!(server.ask(leave("bob")).await.status, 204);

    let direct = Ask::new("POST", "/conversations").by("alice");
    let direct = server.ask(direct.json(json!({"kind": "direct", "user": "bob"}))).await.json();
    let path = format!("/conversations/{}", direct["id"].as_str().unwrap());
    let left = server.ask(Ask::new("DELETE", &format!("{path}/members/alice")).by("alice")).await;
    assert_eq!((left.status, left.code()), (422, "invalid".to_owned()));
    let named = server.ask(Ask::new("PATCH", &path).by("alice").json(json!({"title": "x"}))).await;
    assert_eq!(named.code(), "invalid");
    let other = server.ask(Ask::new("PATCH", &path).by("eve").json(json!({"title": "x"}))).await;
    assert_eq!(other.code(), "not_found");
}
