//! A bot inside the host's process: it reads the committed events and answers.

use std::time::Duration;

use chat_sdk::{
    Body, Chat, ClientKey, Draft, Event, Events, FromExtension, Message, Text, To, UserId,
    events::Heard, store::Page,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(FromExtension).start().await?;
    let (ann, echo) = (UserId::new("ann")?, UserId::new("echo")?);
    // Listens before anybody can speak: what was committed before is in the log, not here.
    let bot = tokio::spawn(answer(chat.clone(), chat.events(), echo.clone()));

    let mut events = chat.events();
    let hello = Draft::new(ann.clone(), To::User(echo.clone()), Text::new("is anybody there?")?);
    let sent = chat.send(hello).await?;
    // Ann, like any other listener, hears the answer.
    loop {
        match events.next().await {
            Some(Heard::Event(event)) if event.from.as_ref() == Some(&echo) => break,
            Some(_) => {}
            None => return Err("the chat ended".into()),
        }
    }
    let history = chat.history(&ann, sent.event.conversation, Page::Newest, 10).await?;
    for event in history.events {
        if let (Body::Message(Message { text, .. }), Some(from)) = (event.body, event.from) {
            println!("{from}: {}", text.as_str());
        }
    }
    chat.shutdown(Duration::ZERO).await;
    bot.abort();
    Ok(())
}

/// Answers everything that is said to it. The key is made of the question's place, so a bot that
/// is started again and sees an event twice answers once.
async fn answer(chat: Chat, mut events: Events, me: UserId) {
    while let Some(heard) = events.next().await {
        let Heard::Event(Event { conversation, seq, from: Some(from), body, .. }) = heard else {
            continue;
        };
        let Body::Message(Message { text, .. }) = body else { continue };
        if from == me {
            continue;
        }
        let text = Text::new(format!("you said: {}", text.as_str())).expect("not blank");
        let key = ClientKey::new(format!("re-{seq}")).expect("short and ASCII");
        let draft = Draft::new(me.clone(), To::Conversation(conversation), text).key(key);
        if let Err(why) = chat.send(draft).await {
            eprintln!("not answered: {why}");
        }
    }
}
