//! `user …`: accounts, straight in the database, whether a server runs beside it or not. A running
//! server finds out when it next asks whether its connections' credentials still hold.

use std::io::{self, Write};

use anyhow::Context;
use chat_sdk::{
    Limits,
    auth::accounts::{Account, AccountRole, Accounts},
};

use super::password;
use crate::{cli::UserCommand, config::Config, stored::Stored};

/// Accounts read at a time.
const PAGE: usize = 500;

/// Carries out one command.
pub(crate) fn run(command: UserCommand, config: &Config) -> anyhow::Result<()> {
    // Before anything is opened: a person may take their time.
    let password = match &command {
        UserCommand::Create { name, .. } | UserCommand::Passwd { name } => password::ask(name)?,
        UserCommand::List { .. } | UserCommand::Disable { .. } | UserCommand::Enable { .. } => {
            String::new()
        }
    };
    crate::run_async(async {
        let store = Stored::open(config).await?;
        let done = async { carry_out(command, &store.accounts(config).await?, &password).await };
        let done = done.await;
        store.close().await;
        done
    })
}

async fn carry_out(
    command: UserCommand,
    accounts: &Accounts,
    password: &str,
) -> anyhow::Result<()> {
    let say = |what: String| writeln!(io::stdout(), "{what}");
    match command {
        UserCommand::Create { name, display_name, admin } => {
            let role = if admin { AccountRole::Admin } else { AccountRole::User };
            let user = accounts
                .create_user(&name, display_name.as_deref(), password, role)
                .await
                .with_context(|| format!("cannot make {name}"))?;
            let what = if admin { "administrator" } else { "user" };
            say(format!("made {what} {name} ({user})"))?;
        }
        UserCommand::List { json } => list(accounts, json).await?,
        UserCommand::Passwd { name } => {
            accounts
                .set_password(&name, password)
                .await
                .with_context(|| format!("cannot set the password of {name}"))?;
            say(format!("{name} has a new password; {}", connections_end()))?;
        }
        UserCommand::Disable { name } => {
            accounts.disable(&name).await.with_context(|| format!("cannot disable {name}"))?;
            say(format!("{name} cannot log in any more; {}", connections_end()))?;
        }
        UserCommand::Enable { name } => {
            accounts.enable(&name).await.with_context(|| format!("cannot enable {name}"))?;
            say(format!("{name} can log in again"))?;
        }
    }
    Ok(())
}

fn connections_end() -> String {
    let within = Limits::default().credential_check;
    format!("a running server ends open connections within {} s", within.as_secs())
}

async fn list(accounts: &Accounts, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if !json {
        writeln!(out, "{:<32} {:<6} {:<9} {:<24} DISPLAY NAME", "NAME", "ROLE", "STATE", "MADE")?;
    }
    let mut after: Option<String> = None;
    loop {
        let page = accounts.list(after.as_deref(), PAGE).await?;
        for account in &page {
            if json {
                writeln!(out, "{}", as_json(account))?;
            } else {
                let Account { name, display_name, created_at, .. } = account;
                let (role, state) = (role(account), state(account));
                writeln!(out, "{name:<32} {role:<6} {state:<9} {created_at:<24} {display_name}")?;
            }
        }
        match page.last() {
            Some(last) => after = Some(last.name_key.clone()),
            None => return Ok(()),
        }
    }
}

fn as_json(account: &Account) -> serde_json::Value {
    serde_json::json!({
        "user_id": account.user.as_str(),
        "name": account.name,
        "display_name": account.display_name,
        "role": role(account),
        "disabled": account.disabled,
        "created_at": account.created_at.to_string(),
    })
}

const fn role(account: &Account) -> &'static str {
    match account.role {
        AccountRole::User => "user",
        AccountRole::Admin => "admin",
    }
}

const fn state(account: &Account) -> &'static str {
    if account.disabled { "disabled" } else { "enabled" }
}
