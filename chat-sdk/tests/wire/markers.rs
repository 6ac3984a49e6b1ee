//! Receipts and what is unread.

use chat_sdk::To;
use serde_json::{Value, json};

use crate::support::{Ask, Client, Server, user};

async fn receipt(client: &mut Client) -> (String, u64, u64) {
    let frame = client.next_of("receipt").await;
    let place = |name: &str| frame[name].as_u64().unwrap();
    (frame["user"].as_str().unwrap().to_owned(), place("received"), place("read"))
}

/// A direct conversation of alice and bob with events 1 to 11, messages of both by turns.
async fn talk(server: &Server) -> String {
    let mut id = String::new();
    for n in 0..10 {
        let (from, to) = if n % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        id = server.say(from, To::User(user(to)), &n.to_string()).await.conversation.to_string();
    }
    id
}

#[tokio::test]
async fn markers_only_grow_and_never_pass_the_head() {
    let server = Server::new().await;
    let id = talk(&server).await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let mut tablet = server.connect("bob").await;
    for (mark, told) in [
        (json!({"received": 5}), Some((5, 0))),
        (json!({"read": 3}), Some((5, 3))),
        // What is read was received.
        (json!({"read": 7}), Some((7, 7))),
        // Never back, and nobody is told what is no news.
        (json!({"received": 2, "read": 1}), None),
        (json!({"read": 7}), None),
        (json!({}), None),
        (json!({"received": 8, "read": 4}), Some((8, 7))),
        (json!({"read": 9007199254740991u64}), Some((11, 11))),
        (json!({"received": 12}), None),
    ] {
        let mut command = mark.clone();
        command["type"] = json!("mark");
        command["id"] = json!("m");
        command["conversation"] = json!(id);
        bob.command(command).await;
        bob.next_of("done").await;
        if let Some((received, read)) = told {
            // The other side and one's own other devices.
            for client in [&mut alice, &mut tablet] {
                assert_eq!(receipt(client).await, ("bob".to_owned(), received, read), "{mark}");
            }
        }
        for client in [&mut alice, &mut tablet] {
            let rest = client.so_far().await;
            assert!(rest.iter().all(|it| it["type"] != "receipt"), "{mark}: {rest:?}");
        }
    }
    let path = format!("/conversations/{id}/marker");
    let marker = server.ask(Ask::new("PUT", &path).by("bob").json(json!({"read": 2}))).await;
    assert_eq!(marker.json(), json!({"user": "bob", "received": 11, "read": 11}));
    bob.command(json!({"type": "mark", "id": "f", "conversation": "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e", "read": 1})).await;
    assert_eq!(bob.next_of("error").await["problem"]["code"], "not_found");
}

#[tokio::test]
async fn unread_is_what_a_recount_of_the_log_says() {
    let server = Server::new().await;
    let id = talk(&server).await;
    let recount = |log: &Value, me: &str, read: u64| {
        let foreign = |it: &&Value| {
            it["event"]["type"] == "message" && it["from"] != me && it["seq"].as_u64() > Some(read)
        };
        log.as_array().unwrap().iter().filter(foreign).count()
    };
    for read in [0, 1, 2, 3, 6, 7, 11] {
        for me in ["alice", "bob"] {
            let mark = Ask::new("PUT", &format!("/conversations/{id}/marker")).by(me);
            server.ask(mark.json(json!({"read": read}))).await;
            let log =
                server.ask(Ask::get(&format!("/conversations/{id}/events")).by(me)).await.json();
            let one = server.ask(Ask::get(&format!("/conversations/{id}")).by(me)).await.json();
            let all = server.ask(Ask::get("/conversations").by(me)).await.json();
            assert_eq!(all, json!([one]));
            assert_eq!(one["unread"], recount(&log, me, read), "{me} {read}");
            assert_eq!((&one["read"], &one["head"]), (&json!(read), &json!(11)));
            assert_eq!(one["last"], log[10]);
            assert_eq!(one["markers"].as_array().unwrap().len(), 2);
        }
    }
}

#[tokio::test]
async fn a_device_that_comes_back_is_told_how_far_the_others_are() {
    let server = Server::new().await;
    let id = talk(&server).await;
    let alice = server.connect("alice").await;
    let epoch = alice.welcome["epoch"].clone();
    drop(alice);
    let mark = Ask::new("PUT", &format!("/conversations/{id}/marker")).by("bob");
    server.ask(mark.json(json!({"read": 6, "received": 9}))).await;
    let (_alice, before) =
        server.resume("alice", json!({"epoch": epoch, "positions": {&id: 11}})).await;
    let bobs =
        json!({"type": "receipt", "conversation": id, "user": "bob", "received": 9, "read": 6});
    assert!(before.contains(&bobs), "{before:?}");
}
