//! A bot that lives elsewhere: it speaks to a chat over the network and goes on where it stopped.
//!
//! ```sh
//! CHAT_URL=https://chat.example.org CHAT_USER=echo CHAT_PASSWORD=… \
//!     cargo run -p chat-sdk --example remote_bot
//! ```
//!
//! `CHAT_TOKEN` in place of the name and the password is a bearer token of the bot's user;
//! `CHAT_RESUME` names the file in which it keeps where it is.

use std::{env, error::Error, fs, io, path::Path};

use chat_sdk::{
    Body, ClientKey, Event, Message, Text,
    client::{Client, ClientEvent, LogIn, SendError, TokenError, TokenSource},
    protocol::{Resume, SendTo},
};

/// The bot's credential, whichever there is.
enum Credential {
    Token(String),
    Password(LogIn),
}

impl TokenSource for Credential {
    async fn token(&self, stale: Option<&str>) -> Result<String, TokenError> {
        match self {
            Self::Token(token) => token.token(stale).await,
            Self::Password(log_in) => log_in.token(stale).await,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("CHAT_URL")?;
    let credential = match env::var("CHAT_TOKEN") {
        Ok(token) => Credential::Token(token),
        Err(_) => {
            let (name, password) = (env::var("CHAT_USER")?, env::var("CHAT_PASSWORD")?);
            Credential::Password(LogIn::new(&url, name, password)?)
        }
    };
    let file = env::var("CHAT_RESUME").unwrap_or_else(|_| "remote_bot.json".to_owned());
    let file = Path::new(&file);

    let mut builder = Client::builder(url, credential);
    if let Some(resume) = load(file)? {
        builder = builder.resume(resume);
    }
    let (client, mut events) = builder.start()?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => break,
        };
        match event {
            Some(ClientEvent::Event(event)) => {
                answer(&client, event).await?;
                // Behind the answer: a bot that dies in between answers again, under the same key.
                store(file, &client)?;
            }
            Some(ClientEvent::Synced) => println!("live as {:?}", client.me()),
            Some(ClientEvent::Disconnected { why, retry_in }) => {
                eprintln!("{why}; again in {retry_in:?}");
            }
            Some(ClientEvent::Closed(because)) => return Err(because.to_string().into()),
            Some(_) => {}
            None => break,
        }
    }
    client.close().await;
    Ok(())
}

/// Answers what others say. The key is made of the question's place, so a question that is seen
/// twice is answered once.
async fn answer(client: &Client, event: Event) -> Result<(), SendError> {
    let Body::Message(Message { text, .. }) = event.body else { return Ok(()) };
    if event.from.is_none() || event.from == client.me() {
        return Ok(());
    }
    let text = Text::new(format!("you said: {}", text.as_str())).expect("not blank");
    let key = ClientKey::new(format!("re-{}", event.seq)).expect("short and ASCII");
    let to = SendTo::Conversation(event.conversation);
    match client.send_with_key(key, to, text)?.await {
        Ok(_) => Ok(()),
        // The bot may have been removed, or the answer is too long: there is nobody to tell.
        Err(SendError::Refused { problem, .. } | SendError::Unsure { problem, .. }) => {
            eprintln!("not answered: {}", problem.code.title());
            Ok(())
        }
        Err(why) => Err(why),
    }
}

fn load(file: &Path) -> Result<Option<Resume>, Box<dyn Error>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// Replaces the file in one step, so that it is never half written.
fn store(file: &Path, client: &Client) -> Result<(), Box<dyn Error>> {
    let Some(resume) = client.resume() else { return Ok(()) };
    let fresh = file.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(&resume)?)?;
    Ok(fs::rename(fresh, file)?)
}
