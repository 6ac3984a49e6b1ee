//! Messages that are answered, edited, deleted, reacted to and pinned: live, and in pages.

use chat_sdk::To;
use serde_json::{Value, json};

use crate::support::{Ask, Client, Server};

/// What happened in the next event, without its frame.
async fn next(client: &mut Client) -> Value {
    client.next_of("event").await["event"].clone()
}

async fn page(server: &Server, who: &str, conversation: &str) -> Value {
    let path = format!("/conversations/{conversation}/messages");
    let reply = server.ask(Ask::new("GET", &path).by(who)).await;
    assert_eq!(reply.status, 200);
    reply.json()
}

#[tokio::test]
async fn what_is_done_to_a_message_is_seen_live_and_in_pages() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await.to_string();
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let say = json!({"type": "send", "key": "k", "conversation": group, "text": "teh boat"});
    alice.command(say).await;
    assert_eq!(next(&mut bob).await, json!({"type": "message", "text": "teh boat"}));

    let on = |kind: &str, more: Value| {
        let mut frame = json!({"type": kind, "id": "7", "conversation": group, "message": 2});
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    alice.send(&on("edit", json!({"text": "the boat"})).to_string()).await;
    assert_eq!(alice.next_of("done").await["id"], "7");
    let edited = json!({"type": "edited", "message": 2, "text": "the boat"});
    assert_eq!(next(&mut bob).await, edited);
    for client in [&mut bob, &mut alice] {
        client.send(&on("react", json!({"emoji": "👍", "on": true})).to_string()).await;
        client.next_of("done").await;
    }
    let answer =
        json!({"type": "send", "key": "r", "conversation": group, "text": "nice", "reply_to": 2});
    bob.command(answer).await;
    alice.send(&on("pin", json!({"on": true})).to_string()).await;
    alice.next_of("done").await;

    let seen = page(&server, "alice", &group).await;
    assert_eq!(seen["head"], 7);
    let first = &seen["messages"][0];
    assert_eq!((&first["seq"], &first["event"]["text"]), (&json!(2), &json!("teh boat")));
    assert_eq!((&first["edit"]["seq"], &first["edit"]["text"]), (&json!(3), &json!("the boat")));
    assert_eq!(first["reactions"], json!([{"emoji": "👍", "count": 2, "mine": true}]));
    assert_eq!(first["pinned"], true);
    let second = &seen["messages"][1];
    assert_eq!(second["event"], json!({"type": "message", "text": "nice", "reply_to": 2}));
    assert_eq!(second.get("pinned"), None);

    alice.send(&on("delete", json!({})).to_string()).await;
    alice.next_of("done").await;
    let left = page(&server, "bob", &group).await;
    assert_eq!(left["messages"].as_array().unwrap().len(), 1);
    let path = format!("/conversations/{group}/events");
    let log = server.ask(Ask::new("GET", &path).by("bob")).await;
    let text = log.json().to_string();
    assert!(!text.contains("boat"), "{text}");
    assert_eq!(log.json()[1]["event"], json!({"type": "erased"}));
}

#[tokio::test]
async fn what_a_message_says_now_is_said_wherever_it_is_shown() {
    let server = Server::new().await;
    let sent = json!({"to": "bob", "content": "teh boat"});
    let sent = server.ask(Ask::new("POST", "/messages").by("alice").json(sent)).await.json();
    let direct = format!("/conversations/{}", sent["conversation"].as_str().unwrap());
    let message = format!("{direct}/messages/{}", sent["seq"]);
    let edit = async |text: &str| {
        let ask = Ask::new("PATCH", &message).by("alice").json(json!({"text": text}));
        assert_eq!(server.ask(ask).await.status, 204);
    };
    let see = async |path: &str| server.ask(Ask::new("GET", path).by("bob")).await.json();
    assert_eq!(see(&direct).await["last"].get("edit"), None);
    edit("the baot").await;
    edit("the boat").await;

    let last = see(&direct).await["last"].clone();
    assert_eq!(
        (&last["event"]["text"], &last["edit"]["text"]),
        (&json!("teh boat"), &json!("the boat"))
    );
    assert_eq!(see("/conversations").await[0]["last"], last);
    assert_eq!(see("/messages?with=alice").await[0]["content"], "the boat");
    let edits = see(&format!("{message}/edits")).await;
    let said: Vec<_> = edits.as_array().unwrap().iter().map(|it| &it["event"]["text"]).collect();
    assert_eq!(said, ["the baot", "the boat"]);

    let deletion = Ask::new("DELETE", &message).by("alice");
    assert_eq!(server.ask(deletion).await.status, 204);
    assert_eq!(see(&direct).await.get("last"), None);
    assert_eq!(see(&direct).await["unread"], 0);
    assert_eq!(see("/messages?with=alice").await, json!([]));
    assert_eq!(see(&format!("{message}/edits")).await, json!([]));
}

#[tokio::test]
async fn pinned_messages_are_listed_page_by_page() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let path = format!("/conversations/{group}/messages");
    for n in 2..9 {
        server.say("bob", To::Conversation(group), &format!("message {n}")).await;
    }
    let pin = async |method: &str, n: u64| {
        let pin = Ask::new(method, &format!("{path}/{n}/pin")).by("alice");
        assert_eq!(server.ask(pin).await.status, 204);
    };
    for n in [7, 2, 5, 3] {
        pin("PUT", n).await;
    }
    pin("DELETE", 5).await;
    let first = server.ask(Ask::new("GET", &format!("{path}?pinned=true&limit=2")).by("bob")).await;
    let seqs = |page: &Value| -> Vec<u64> {
        let messages = page["messages"].as_array().unwrap().iter();
        messages
            .map(|it| (it["pinned"] == true).then(|| it["seq"].as_u64().unwrap()).unwrap())
            .collect()
    };
    assert_eq!(seqs(&first.json()), [3, 7]);
    let older = first.header("link").unwrap();
    let older = older.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let second = server.ask(Ask::new("GET", &format!("{path}{older}")).by("bob")).await;
    assert_eq!(seqs(&second.json()), [2]);
    assert!(!second.header("link").unwrap().contains("prev"), "there are no older ones");
    let nonsense = server.ask(Ask::new("GET", &format!("{path}?pinned=maybe")).by("bob")).await;
    assert_eq!((nonsense.status, nonsense.code()), (422, "invalid".to_owned()));
}

#[tokio::test]
async fn a_change_that_is_asked_for_again_with_its_key_is_made_once() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    server.say("bob", To::Conversation(group), "hi").await;
    let path = format!("/conversations/{group}/messages/2");
    let ask = async |method: &str, key: &str, body: Value| {
        let ask = Ask::new(method, &path).by("bob").key(key);
        server.ask(if body.is_null() { ask } else { ask.json(body) }).await
    };
    for _ in 0..2 {
        assert_eq!(ask("PATCH", "e", json!({"text": "ho"})).await.status, 204);
    }
    assert_eq!(ask("PATCH", "e", json!({"text": "hu"})).await.code(), "key_conflict");
    for _ in 0..2 {
        assert_eq!(ask("DELETE", "d", Value::Null).await.status, 204);
    }
    assert_eq!(ask("DELETE", "d2", Value::Null).await.status, 404);
    let mut bob = server.connect("bob").await;
    let frame = json!({"type": "delete", "id": "1", "key": "d", "conversation": group.to_string(), "message": 2});
    bob.send(&frame.to_string()).await;
    assert_eq!(bob.next_of("done").await["id"], "1", "on the other door too");
    let log =
        server.ask(Ask::new("GET", &format!("/conversations/{group}/events")).by("bob")).await;
    let kinds: Vec<_> =
        log.json().as_array().unwrap().iter().map(|it| it["event"]["type"].clone()).collect();
    assert_eq!(kinds, ["created", "erased", "erased", "deleted"]);
}

#[tokio::test]
async fn the_same_over_http_and_who_may_not() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    server.say("bob", To::Conversation(group), "hi").await;
    let ask = async |who: &str, method: &str, path: &str, body: Option<Value>| {
        let path = format!("/conversations/{group}/messages/{path}");
        let ask = Ask::new(method, &path).by(who);
        server
            .ask(match body {
                Some(body) => ask.json(body),
                None => ask,
            })
            .await
            .status
    };
    let text = || Some(json!({"text": "ho"}));
    assert_eq!(ask("bob", "PATCH", "2", text()).await, 204);
    assert_eq!(ask("alice", "PATCH", "2", text()).await, 403, "somebody else's");
    assert_eq!(ask("bob", "PATCH", "1", text()).await, 404, "no message");
    assert_eq!(ask("bob", "PATCH", "99", text()).await, 404);
    assert_eq!(ask("eve", "PATCH", "2", text()).await, 404, "a stranger learns nothing");
    assert_eq!(ask("bob", "PATCH", "2", Some(json!({"text": ""}))).await, 422);
    for _ in 0..2 {
        assert_eq!(ask("alice", "PUT", "2/reactions/%F0%9F%91%8D", None).await, 204, "said again");
    }
    assert_eq!(ask("eve", "PUT", "2/reactions/%F0%9F%91%8D", None).await, 404);
    assert_eq!(ask("bob", "PUT", "2/pin", None).await, 403, "owners pin");
    assert_eq!(ask("alice", "PUT", "2/pin", None).await, 204);
    assert_eq!(ask("alice", "DELETE", "2/reactions/%F0%9F%91%8D", None).await, 204);
    assert_eq!(ask("alice", "DELETE", "2", None).await, 204, "an owner deletes");
    assert_eq!(ask("bob", "PATCH", "2", text()).await, 404, "it is gone");
    assert_eq!(ask("alice", "PUT", "2/pin", None).await, 404);
}
