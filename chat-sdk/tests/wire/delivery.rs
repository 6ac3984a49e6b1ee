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
