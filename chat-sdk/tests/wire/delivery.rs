//! A message and its ways: live, repeated, and after a disconnect.

use crate::support::{self, Server};

#[tokio::test]
async fn a_message_reaches_every_device_of_both_and_is_acknowledged() {
    let server = Server::new().await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let mut bob_too = server.connect("bob").await;

    alice.send(r#"{"type":"send","id":"1","key":"k1","to":"bob","text":"hi"}"#).await;
    let ack = alice.next_of("ack").await;
    assert_eq!(
        (&ack["id"], &ack["seq"], &ack["duplicate"]),
        (&"1".into(), &2.into(), &false.into())
    );
    for device in [&mut bob, &mut bob_too] {
        let created = device.next_of("event").await;
        assert_eq!((&created["seq"], &created["event"]["type"]), (&1.into(), &"created".into()));
        let event = device.next_of("event").await;
        assert_eq!(event["event"]["text"], "hi");
        assert_eq!(
            (&event["seq"], &event["from"], &event["key"]),
            (&2.into(), &"alice".into(), &"k1".into())
        );
        assert_eq!(event["conversation"], ack["conversation"]);
    }

    // The same key again, from another device, later: the first answer.
    let mut again = server.connect("alice").await;
    again.send(r#"{"type":"send","id":"9","key":"k1","to":"bob","text":"hi"}"#).await;
    let second = again.next_of("ack").await;
    assert_eq!((&second["seq"], &second["duplicate"]), (&2.into(), &true.into()));
    // And with another content: refused.
    again.send(r#"{"type":"send","id":"10","key":"k1","to":"bob","text":"ho"}"#).await;
    let error = again.next_of("error").await;
    assert_eq!(error["problem"]["code"], "key_conflict");
}

#[tokio::test]
async fn a_device_that_comes_back_gets_exactly_what_it_missed() {
    let server = Server::new().await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    alice.send(r#"{"type":"send","id":"1","key":"k1","to":"bob","text":"one"}"#).await;
    let conversation = bob.next_of("event").await["conversation"].as_str().unwrap().to_owned();
    assert_eq!(bob.next_of("event").await["seq"], 2);
    drop(bob);
    for n in 2..40 {
        alice
            .send(&format!(r#"{{"type":"send","id":"{n}","key":"k{n}","to":"bob","text":"{n}"}}"#))
            .await;
        alice.next_of("ack").await;
    }
    let mut bob = support::Client::open(server.address, "/ws?token=token-bob", true).await.unwrap();
    let epoch = chat_epoch(&server).await;
    bob.send(&format!(
        r#"{{"type":"hello","version":1,"resume":{{"epoch":"{epoch}","positions":{{"{conversation}":2}}}}}}"#
    ))
    .await;
    assert_eq!(bob.next().await["resumed"], true);
    for seq in 3..=40 {
        let frame = bob.next().await;
        assert_eq!((&frame["type"], &frame["seq"]), (&"event".into(), &seq.into()), "{frame}");
    }
    assert_eq!(bob.next().await["type"], "receipt");
    bob.next_of("synced").await;
}

async fn chat_epoch(server: &Server) -> String {
    let mut client =
        support::Client::open(server.address, "/ws?token=token-x", true).await.unwrap();
    client.send(r#"{"type":"hello","version":1}"#).await;
    client.next().await["epoch"].as_str().unwrap().to_owned()
}

/// Everybody comes in, and nothing holds when it is looked at again.
struct Forgetful;

impl chat_sdk::Authenticator for Forgetful {
    async fn authenticate(
        &self,
        credentials: chat_sdk::Credentials<'_>,
    ) -> Result<chat_sdk::Identity, chat_sdk::AuthError> {
        chat_sdk::Authenticator::authenticate(&support::TokenIsUser, credentials).await
    }

    async fn still_valid(&self, _: &chat_sdk::Identity) -> bool {
        false
    }
}

#[tokio::test]
async fn who_came_in_by_the_development_switch_is_not_asked_for_a_credential_later() {
    let limits = chat_sdk::Limits {
        credential_check: std::time::Duration::from_millis(1),
        ..chat_sdk::Limits::default()
    };
    let builder = chat_sdk::Chat::builder(Forgetful).limits(limits).dev_user_ids(true);
    let server = Server::start(builder).await;
    let mut switched =
        support::Client::open(server.address, "/ws?user_id=bob", true).await.unwrap();
    switched.send(r#"{"type":"hello","version":1}"#).await;
    switched.next_of("synced").await;
    // Two looks at all connections, of which the first is over when the second has begun.
    for _ in 0..2 {
        assert_eq!(server.connect("alice").await.close_code().await, 4502);
    }
    switched.send(r#"{"type":"ping"}"#).await;
    switched.next_of("pong").await;
}
