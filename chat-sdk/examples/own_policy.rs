//! The host's own rules: guests may answer but not begin, and nobody shouts in groups.

use std::time::Duration;

use chat_sdk::{
    Chat, ConversationId, Draft, FromExtension, Policy, SendError, Text, To, UserId, Verdict,
};

struct HouseRules;

impl Policy for HouseRules {
    async fn may_message(&self, from: &UserId, to: &UserId) -> Verdict {
        let guest = |user: &UserId| user.as_str().starts_with("guest-");
        if guest(from) && guest(to) {
            Verdict::deny("guests cannot write to guests")
        } else {
            Verdict::Allow
        }
    }

    async fn may_send(&self, _from: &UserId, _to: ConversationId, text: &str) -> Verdict {
        let shouts = text.chars().any(char::is_alphabetic) && text == text.to_uppercase();
        if shouts { Verdict::deny("please do not shout") } else { Verdict::Allow }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(FromExtension).policy(HouseRules).start().await?;
    let [ann, one, two] = ["ann", "guest-1", "guest-2"].map(|id| UserId::new(id).expect("valid"));
    let hi = Text::new("hi")?;

    chat.send(Draft::new(ann.clone(), To::User(one.clone()), hi.clone())).await?;
    println!("ann → guest-1: sent");
    match chat.send(Draft::new(one, To::User(two), hi)).await {
        Err(SendError::Denied(why)) => println!("guest-1 → guest-2: {why}"),
        other => return Err(format!("the rule did not hold: {other:?}").into()),
    }
    chat.shutdown(Duration::ZERO).await;
    Ok(())
}
