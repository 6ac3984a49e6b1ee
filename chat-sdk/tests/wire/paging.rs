//! History, page by page.

use chat_sdk::{Limits, To};
use serde_json::Value;

use crate::support::{Ask, Reply, Server, user};

const MESSAGES: u64 = 23;

/// A direct conversation with events 1 (created) to 24.
async fn filled() -> (Server, String) {
    let server = Server::with(Limits { page_default: 10, page_max: 20, ..Limits::default() }).await;
    let mut conversation = String::new();
    for n in 0..MESSAGES {
        let (from, to) = if n % 2 == 0 { ("alice", "b&b") } else { ("b&b", "alice") };
        conversation =
            server.say(from, To::User(user(to)), &n.to_string()).await.conversation.to_string();
    }
    (server, conversation)
}

fn seqs(page: &Reply) -> Vec<u64> {
    assert_eq!(page.status, 200, "{page:?}");
    page.json().as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect()
}

async fn page(server: &Server, path: &str) -> Reply {
    server.ask(Ask::get(path).by("alice")).await
}

/// Follows the links from this page to both ends; all that was seen, in the order of the log.
async fn walk(server: &Server, path: &str) -> Vec<u64> {
    let bare = path.split('?').next().unwrap();
    let start = page(server, path).await;
    let mut seen: Vec<u64> = seqs(&start);
    let mut at = start.link("prev");
    while let Some(query) = at {
        let older = page(server, &format!("{bare}{query}")).await;
        assert!(older.link("next").is_some(), "there is a way back");
        seen.splice(0..0, seqs(&older));
        at = older.link("prev");
    }
    let mut at = start.link("next");
    while let Some(query) = at {
        let newer = page(server, &format!("{bare}{query}")).await;
        assert!(newer.link("prev").is_some(), "there is a way back");
        seen.extend(seqs(&newer));
        at = newer.link("next");
    }
    seen
}

#[tokio::test]
async fn the_newest_page_comes_by_default_in_ascending_order() {
    let (server, id) = filled().await;
    for path in ["/messages?with=b%26b".to_owned(), format!("/conversations/{id}/events")] {
        let newest = page(&server, &path).await;
        assert_eq!(seqs(&newest), (15..=24).collect::<Vec<_>>());
        assert!(newest.link("prev").is_some() && newest.link("next").is_none());
    }
}

#[tokio::test]
async fn links_lead_from_any_page_to_both_ends_without_a_gap_or_an_overlap() {
    let (server, id) = filled().await;
    for (path, first) in
        [("/messages?with=b%26b".to_owned(), 2), (format!("/conversations/{id}/events?"), 1)]
    {
        let whole: Vec<u64> = (first..=24).collect();
        for query in [
            "",
            "&limit=1",
            "&limit=7",
            "&limit=1000",
            "&around=12&limit=4",
            "&after=0",
            "&before=25",
        ] {
            assert_eq!(walk(&server, &format!("{path}{query}")).await, whole, "{path}{query}");
        }
    }
}

#[tokio::test]
async fn before_after_and_around_mean_what_they_say() {
    let (server, id) = filled().await;
    let events = format!("/conversations/{id}/events");
    for (query, expected) in [
        ("?before=5&limit=3", vec![2, 3, 4]),
        ("?after=5&limit=3", vec![6, 7, 8]),
        ("?before=1", vec![]),
        ("?after=24", vec![]),
        ("?after=9007199254740991", vec![]),
        ("?after=18446744073709551615", vec![]),
        ("?before=9007199254740991&limit=1", vec![24]),
        ("?limit=2", vec![23, 24]),
        ("?limit=", (15..=24).collect()),
        ("?limit=99999999999", (5..=24).collect()),
    ] {
        assert_eq!(seqs(&page(&server, &format!("{events}{query}")).await), expected, "{query}");
    }
    let around = seqs(&page(&server, &format!("{events}?around=12&limit=5")).await);
    assert!(around.contains(&12) && around.len() == 5, "{around:?}");
    for bad in [
        "before=1&after=2",
        "before=x",
        "after=-1",
        "around=1.5",
        "after=1e3",
        "limit=0",
        "after=99999999999999999999",
    ] {
        let reply = page(&server, &format!("{events}?{bad}")).await;
        assert_eq!((reply.status, reply.code()), (422, "invalid".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn rest_and_the_live_connection_show_the_same_event() {
    let server = Server::new().await;
    let mut bob = server.connect("bob").await;
    server
        .say(
            "alice",
            To::User(user("bob")),
            "a \"quote\", a \\ and a \u{1F469}\u{200D}\u{1F680}\u{202E}\u{7}",
        )
        .await;
    let mut live = Vec::new();
    for _ in 0..2 {
        let mut event: Value = bob.next_of("event").await;
        event.as_object_mut().unwrap().remove("type");
        live.push(event);
    }
    let id = live[0]["conversation"].as_str().unwrap().to_owned();
    let read = page(&server, &format!("/conversations/{id}/events")).await.json();
    assert_eq!(read, Value::Array(live));
}
