//! Prints what the chat says of itself: `cargo run --example describe -- openapi`, or `asyncapi`.

use chat_sdk::{Chat, FromExtension, MemoryStore, auth::Accounts};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let accounts = Accounts::builder(MemoryStore::new(), [0; 32]).start().await?;
    let chat = Chat::builder(FromExtension).accounts(accounts).start().await?;
    let document = match std::env::args().nth(1).as_deref() {
        Some("asyncapi") => chat.asyncapi(),
        _ => chat.openapi(),
    };
    println!("{}", String::from_utf8(document.to_vec())?);
    Ok(())
}
