//! Rule 10, text comes back as it went in, byte for byte.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{World, renamed, title, unknown, user},
};
use crate::{
    model::{Body, ClientKey, Event, Message, Role},
    store::{Only, Page, Refusal},
};

pub(super) fn cases() -> Cases {
    cases!["text":
        plain_text_comes_back,
        spaces_and_line_ends_come_back,
        combining_marks_come_back,
        families_of_emoji_come_back,
        text_in_both_directions_comes_back,
        characters_beyond_the_basic_plane_come_back,
        noncharacters_come_back,
        control_characters_come_back,
        what_looks_like_markup_or_a_query_comes_back,
        what_looks_like_an_escape_comes_back,
        a_very_long_text_comes_back,
        texts_that_look_alike_are_different,
        titles_come_back,
        users_come_back,
        keys_come_back,
        events_of_unknown_kind_come_back_as_they_are,
    ]
}

/// Holds that each text is the same wherever it can be read.
async fn comes_back(trial: Trial, texts: &[&str]) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    for (index, text) in texts.iter().enumerate() {
        let append = w.keyed(id, "ann", &format!("k{index}"), text);
        let (event, _) = w.write(append.clone()).await.expect("it stands");
        same(&w, &event, text).await;
        assert_eq!(w.write(append).await, Ok((event, false)), "{text:?} repeated");
    }
}

async fn same(w: &World, event: &Event, text: &str) {
    let (id, at) = (event.conversation, event.seq.get());
    let read = w.read("bob", id, at - 1, at, 1).await.expect("a member reads");
    let page = w.page_for("bob", id, Page::Newest, Only::Messages, 1).await;
    let page = page.expect("a member reads").events;
    let last = w.summary("bob", id).await.last.expect("there is a message");
    for found in [event, &read[0], &page[0], &last] {
        let Body::Message(Message { text: found, .. }) = &found.body else {
            panic!("a message is a message");
        };
        assert_eq!(found.as_str(), text);
    }
}

async fn plain_text_comes_back(trial: Trial) {
    comes_back(trial, &["hi", "a", "The harbour is closed today.", "0", "NULL", "null", "true"])
        .await;
}

async fn spaces_and_line_ends_come_back(trial: Trial) {
    let texts = [
        " leading",
        "trailing ",
        "a  b",
        "a\nb",
        "a\r\nb",
        "a\rb",
        "\n\na\n",
        "a\tb",
        "a\u{a0}b",
        "a\u{2028}b\u{2029}c",
        "a\u{85}b",
        "\u{feff}a",
        "a\u{200b}b",
    ];
    comes_back(trial, &texts).await;
}

async fn combining_marks_come_back(trial: Trial) {
    let tower = format!("z{}", "\u{35c}\u{31b}\u{322}".repeat(60));
    let texts = [
        "é",
        "e\u{301}",
        "\u{301}alone",
        "ậ",
        "a\u{323}\u{302}",
        "a\u{302}\u{323}",
        "각",
        "\u{1100}\u{1161}\u{11a8}",
        "क्ष",
        &tower,
    ];
    comes_back(trial, &texts).await;
}

async fn families_of_emoji_come_back(trial: Trial) {
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";
    let texts = [
        "👍",
        "👍🏽",
        "🇩🇪",
        "🇩",
        "❤\u{fe0f}",
        "❤\u{fe0e}",
        family,
        "\u{200d}",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    ];
    comes_back(trial, &texts).await;
}

async fn text_in_both_directions_comes_back(trial: Trial) {
    let texts = [
        "שלום",
        "مرحبا hello",
        "\u{202e}desrever\u{202c}",
        "\u{2066}a\u{2069}",
        "\u{200f}\u{200e}a",
        "\u{61c}a",
    ];
    comes_back(trial, &texts).await;
}

async fn characters_beyond_the_basic_plane_come_back(trial: Trial) {
    let texts = ["𝒳", "𠜎𠜱𠝹", "\u{10000}", "\u{10ffff}", "a\u{1f600}b\u{1f600}", "\u{f0000}"];
    comes_back(trial, &texts).await;
}

async fn noncharacters_come_back(trial: Trial) {
    let texts = [
        "\u{ffff}",
        "\u{fffe}",
        "\u{fdd0}",
        "\u{1ffff}",
        "\u{fffd}",
        "a\u{ffff}b",
        "\u{e000}",
        "\u{d7ff}",
    ];
    comes_back(trial, &texts).await;
}

async fn control_characters_come_back(trial: Trial) {
    let all: String = (1..32_u8).chain([127]).map(char::from).chain(['x']).collect();
    comes_back(trial, &["a\u{1}b", "\u{1b}[31mred", "a\u{7f}", "\u{8}x", "x\u{9f}", &all]).await;
}

async fn what_looks_like_markup_or_a_query_comes_back(trial: Trial) {
    let texts = [
        "'; DROP TABLE events; --",
        "\"",
        "''",
        "%",
        "_",
        "a%b_c",
        "?1",
        ":a",
        "$1",
        "@p",
        "<script>alert(1)</script>",
        "&amp;",
        "{\"type\":\"left\"}",
        "[1,2]",
        "--",
        "/*",
        "{{a}}",
        "${a}",
    ];
    comes_back(trial, &texts).await;
}

async fn what_looks_like_an_escape_comes_back(trial: Trial) {
    let texts =
        ["\\", "\\\\", "\\n", "\\u0000", "\\0", "\\x00", "\\ud83d", "%00", "&#0;", "\\'", "a\\"];
    comes_back(trial, &texts).await;
}

async fn a_very_long_text_comes_back(trial: Trial) {
    let (plain, wide, escaped) =
        ("x".repeat(16 * 1024), "👍".repeat(20_000), "\u{1}\"\\".repeat(10_000));
    comes_back(trial, &[&plain, &wide, &escaped]).await;
}

async fn texts_that_look_alike_are_different(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let pairs =
        [("é", "e\u{301}"), ("a", "а"), ("a", "ａ"), ("ﬁ", "fi"), ("a", "a\u{200b}"), ("ß", "ss")];
    for (index, (one, other)) in pairs.into_iter().enumerate() {
        let key = format!("k{index}");
        w.write(w.keyed(id, "ann", &key, one)).await.expect("it stands");
        let written = w.write(w.keyed(id, "ann", &key, other)).await;
        assert_eq!(written, Err(Refusal::KeyConflict), "{one:?} is not {other:?}");
    }
}

async fn titles_come_back(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let longest = "👍".repeat(128);
    for name in ["e\u{301}", "é", "👩\u{200d}👦", "'\"\\%_", "\u{202e}x", "\u{ffff}", &longest]
    {
        w.put(id, "ann", renamed(name)).await.expect("an owner may");
        assert_eq!(w.summary("ann", id).await.title, Some(title(name)), "{name:?}");
    }
}

async fn users_come_back(trial: Trial) {
    let w = trial.world().await;
    let longest = "👍".repeat(16);
    let names = [
        "a@example.org",
        "A@example.org",
        "é",
        "e\u{301}",
        " ",
        "  ",
        "'",
        "\"",
        "%",
        "_",
        "\\",
        "0",
        "00",
        "NULL",
        "\u{202e}x",
        "\u{ffff}",
        "\u{200d}",
        &longest,
    ];
    let id = w.group(&names).await;
    for name in names {
        let event = w.say(id, name, "hi").await;
        assert_eq!(event.from, Some(user(name)));
        assert_eq!(w.summary(name, id).await.unread, w.head(id).await - 2, "{name:?}");
        w.mark(id, name, u64::MAX, u64::MAX).await.expect("a member may");
    }
    let log = w.log(id).await;
    let authors: Vec<_> = log[1..].iter().map(|event| event.from.clone()).collect();
    assert_eq!(authors, names.map(|name| Some(user(name))));
    let mut sorted = names.map(user);
    sorted.sort_unstable();
    let members: Vec<_> = w.roles(id).await.into_iter().map(|(user, _)| user).collect();
    assert_eq!(members, sorted);
    assert_eq!(w.summary(names[0], id).await.role, Role::Owner);
}

async fn keys_come_back(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let all: String = (b' '..=b'~').map(char::from).collect();
    for key in [&all[..48], &all[48..], " ", "'", "%", "\\"] {
        let (event, _) = w.write(w.keyed(id, "ann", key, "hi")).await.expect("it stands");
        assert_eq!(event.key, Some(ClientKey::new(key).expect("a valid key")));
        assert_eq!(w.log(id).await.last(), Some(&event));
    }
}

async fn events_of_unknown_kind_come_back_as_they_are(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let bodies = [
        r#"{"type":"reaction","to":3,"emoji":"👍"}"#,
        r#"{ "type" : "poll" ,  "options":[1, 2.0, 1e3, 18446744073709551616, null] }"#,
        r#"{"b":1,"a":2,"type":"x","b":3}"#,
        r#"{"type":"edit","text":"\u0065\u0301 \/ \ud83d\ude00"}"#,
        r#"{"type":"deep","a":[[[[[[[[[[[[{"b":{}}]]]]]]]]]]]]}"#,
    ];
    for json in bodies {
        w.put(id, "ann", unknown(json)).await.expect("a member may");
        let log = w.log(id).await;
        let Some(Body::Other(found)) = log.last().map(|event| &event.body) else {
            panic!("an unknown kind stays one");
        };
        assert_eq!(found.as_json(), json);
    }
}
