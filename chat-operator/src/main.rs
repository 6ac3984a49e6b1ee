//! The operator's command line.

use chat_operator::crd;

fn main() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&crd::definition())?);
    Ok(())
}
