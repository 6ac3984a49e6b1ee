//! A message in the host's own transaction: both or neither, and heard although nobody says so.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use chat_sdk::{Chat, ClientKey, Draft, Limits, PostgresStore, SendError, Text, To, store::Page};
use testbed::Postgres;
use tokio_postgres::NoTls;

use crate::support::{Server, TokenIsUser, user};

struct Shop {
    _postgres: Postgres,
    store: PostgresStore,
    client: tokio_postgres::Client,
    here: Server,
    elsewhere: Server,
}

impl Shop {
    /// Two nodes that hear nothing of each other but what they find in the store every so often, and
    /// a table of the host's.
    async fn new(look: Duration) -> Self {
        let postgres = Postgres::start();
        let url = postgres.new_database();
        let store = PostgresStore::connect(&url).await.unwrap();
        let limits = Limits { position_check: look, membership_check: look, ..Limits::default() };
        let node = async |store: PostgresStore| {
            let builder = Chat::builder(TokenIsUser).store(store).limits(limits.clone());
            Server::start(builder).await
        };
        let here = node(store.clone()).await;
        let elsewhere = node(PostgresStore::connect(&url).await.unwrap()).await;
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE orders (id int PRIMARY KEY)").await.unwrap();
        Self { _postgres: postgres, store, client, here, elsewhere }
    }

    async fn orders(&self) -> i64 {
        self.client.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
    }

    async fn texts(&self) -> Vec<(u64, String)> {
        let (shop, buyer) = (user("shop"), user("buyer"));
        let conversation = self.here.chat.open(&shop, &buyer).await.unwrap();
        let page = self.here.chat.history(&buyer, conversation, Page::Newest, 100).await.unwrap();
        let texts = page.events.into_iter().filter_map(|event| match event.body {
            chat_sdk::Body::Message(chat_sdk::Message { text, .. }) => {
                Some((event.seq.get(), text.as_str().to_owned()))
            }
            _ => None,
        });
        texts.collect()
    }
}

fn thanks(order: u32) -> Draft {
    let text = Text::new(format!("thank you for order {order}")).unwrap();
    Draft::new(user("shop"), To::User(user("buyer")), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_and_its_message_are_committed_together_or_not_at_all() {
    let mut shop = Shop::new(Duration::from_secs(3_600)).await;
    let mut buyer = shop.here.connect("buyer").await;
    let chat = shop.here.chat.clone();

    // Taken back: no order, no message, not even a conversation.
    let transaction = shop.client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (1)", &[]).await.unwrap();
    let message = chat.send_in(&shop.store, &transaction, thanks(1)).await.unwrap();
    transaction.rollback().await.unwrap();
    drop(message);
    assert_eq!(shop.orders().await, 0);

    let transaction = shop.client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (2)", &[]).await.unwrap();
    let draft = thanks(2).key(ClientKey::new("order-2").unwrap());
    let message = chat.send_in(&shop.store, &transaction, draft.clone()).await.unwrap();
    transaction.commit().await.unwrap();
    let sent = message.committed();
    assert_eq!((sent.event.seq.get(), sent.duplicate), (2, false), "no number was lost");
    assert_eq!(buyer.next_of("event").await["seq"], 1);
    assert_eq!(buyer.next_of("event").await["event"]["text"], "thank you for order 2");

    // The same key again is the same message; another text is refused, and the order stands.
    let transaction = shop.client.transaction().await.unwrap();
    let again = chat.send_in(&shop.store, &transaction, draft).await.unwrap();
    let other = thanks(3).key(ClientKey::new("order-2").unwrap());
    let refused = chat.send_in(&shop.store, &transaction, other).await.unwrap_err();
    assert!(matches!(refused, SendError::KeyConflict), "{refused}");
    transaction.execute("INSERT INTO orders VALUES (3)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(again.committed().duplicate);
    assert_eq!((shop.orders().await, shop.texts().await.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_heard_everywhere_although_the_process_dies_after_the_commit() {
    let mut shop = Shop::new(Duration::from_millis(100)).await;
    let mut clients = [shop.here.connect("buyer").await, shop.elsewhere.connect("buyer").await];
    let chat = shop.here.chat.clone();
    for order in 1..=3 {
        let transaction = shop.client.transaction().await.unwrap();
        let message = chat.send_in(&shop.store, &transaction, thanks(order)).await.unwrap();
        transaction.commit().await.unwrap();
        // As far as anybody can tell, the process ends here.
        drop(message);
    }
    for client in &mut clients {
        let mut seqs = Vec::new();
        while seqs.len() < 4 {
            seqs.push(client.next_of("event").await["seq"].as_u64().unwrap());
        }
        assert_eq!(seqs, [1, 2, 3, 4]);
    }
}
