//! Accounts in the same database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SqliteStore, row, writer::Commit};
use crate::{
    auth::accounts::{Account, AccountChange, AccountStore, CreateWhen, Creation},
    env::{Clock, SystemClock},
    model::{CredentialId, Timestamp, UserId},
    store::{
        StoreError, account_search,
        spelling::{REVOKED_KEPT, account_role, account_role_text, after_all, limit_of},
    },
};

macro_rules! account_columns {
    () => {
        "user, name, name_key, display_name, password_hash, role, disabled, generation, created_at"
    };
}

pub(super) use account_columns;

impl AccountStore for SqliteStore {
    async fn create_account(
        &self,
        account: Account,
        when: CreateWhen,
    ) -> Result<Creation, StoreError> {
        self.write_with(move |commit| create(commit, &account, when)).await
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        let user = user.clone();
        self.query(move |connection| by_user(connection, &user)).await
    }

    async fn holder(
        &self,
        user: &UserId,
        token: &CredentialId,
    ) -> Result<Option<Account>, StoreError> {
        let (user, token) = (user.clone(), token.clone());
        self.query(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    account_columns!(),
                    " FROM accounts WHERE user = ?1
                      AND NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE token = ?2)"
                ))?
                .query_row([user.as_str(), token.as_str()], account)
                .optional()
        })
        .await
    }

    async fn account_by_name(&self, name_key: &str) -> Result<Option<Account>, StoreError> {
        let name_key = name_key.to_owned();
        self.query(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    account_columns!(),
                    " FROM accounts WHERE name_key = ?1"
                ))?
                .query_row([name_key], account)
                .optional()
        })
        .await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        self.query(move |connection| {
            let mut accounts = Vec::with_capacity(users.len());
            for user in &users {
                accounts.extend(by_user(connection, user)?);
            }
            Ok(accounts)
        })
        .await
    }

    async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let after = after.map(str::to_owned);
        self.query(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    account_columns!(),
                    " FROM accounts WHERE ?1 IS NULL OR name_key > ?1 ORDER BY name_key LIMIT ?2"
                ))?
                .query_map(params![after, limit_of(limit)], account)?
                .collect()
        })
        .await
    }

    async fn search_accounts(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let prefix = prefix.to_owned();
        self.query(move |connection| {
            // Ranges of an index and not LIKE: nothing in the prefix means anything but itself.
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    account_columns!(),
                    " FROM (
                         SELECT user AS found, 0 AS rank FROM accounts
                         WHERE name_key >= ?1 AND name_key < ?2
                         UNION ALL
                         SELECT user, 1 FROM account_words WHERE word >= ?1 AND word < ?2
                     )
                     JOIN accounts ON user = found
                     WHERE NOT disabled GROUP BY user ORDER BY min(rank), name_key LIMIT ?3"
                ))?
                .query_map(params![prefix, after_all(&prefix), limit_of(limit)], account)?
                .collect()
        })
        .await
    }

    async fn change_account(
        &self,
        user: &UserId,
        change: AccountChange,
    ) -> Result<Option<Account>, StoreError> {
        let user = user.clone();
        self.write_with(move |commit| {
            let connection = commit.connection();
            match &change {
                AccountChange::Password(hash) => connection
                    .prepare_cached(
                        "UPDATE accounts SET password_hash = ?2, generation = generation + 1
                         WHERE user = ?1",
                    )?
                    .execute([user.as_str(), hash])?,
                AccountChange::Disable => connection
                    .prepare_cached(
                        "UPDATE accounts SET disabled = 1, generation = generation + 1
                         WHERE user = ?1",
                    )?
                    .execute([user.as_str()])?,
                AccountChange::Enable => connection
                    .prepare_cached("UPDATE accounts SET disabled = 0 WHERE user = ?1")?
                    .execute([user.as_str()])?,
            };
            by_user(connection, &user)
        })
        .await
    }

    async fn replace_password_hash(
        &self,
        user: &UserId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let (user, old, new) = (user.clone(), old.to_owned(), new.to_owned());
        self.write_with(move |commit| {
            let replaced = commit
                .connection()
                .prepare_cached(
                    "UPDATE accounts SET password_hash = ?3
                     WHERE user = ?1 AND password_hash = ?2",
                )?
                .execute([user.as_str(), &old, &new])?;
            Ok(replaced > 0)
        })
        .await
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        self.query(has_admin).await
    }

    async fn revoke_token(
        &self,
        token: &CredentialId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let token = token.clone();
        let forgotten = SystemClock.now().as_millis()
            - i64::try_from(REVOKED_KEPT.as_millis()).expect("a day is short");
        self.write_with(move |commit| {
            let connection = commit.connection();
            connection
                .prepare_cached("DELETE FROM revoked_tokens WHERE expires_at < ?1")?
                .execute([forgotten])?;
            connection
                .prepare_cached(
                    "INSERT INTO revoked_tokens (token, expires_at) VALUES (?1, ?2)
                     ON CONFLICT (token) DO UPDATE
                     SET expires_at = max(expires_at, excluded.expires_at)",
                )?
                .execute(params![token.as_str(), expires_at.as_millis()])?;
            Ok(())
        })
        .await
    }

    async fn is_revoked(&self, token: &CredentialId) -> Result<bool, StoreError> {
        let token = token.clone();
        self.query(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM revoked_tokens WHERE token = ?1")?
                .exists([token.as_str()])
        })
        .await
    }
}

fn create(
    commit: &mut Commit<'_>,
    account: &Account,
    when: CreateWhen,
) -> rusqlite::Result<Creation> {
    let connection = commit.connection();
    let taken = connection
        .prepare_cached("SELECT 1 FROM accounts WHERE name_key = ?1")?
        .exists([&account.name_key])?;
    if taken {
        return Ok(Creation::NameTaken);
    }
    if when == CreateWhen::NoAdminYet && has_admin(connection)? {
        return Ok(Creation::AdminExists);
    }
    connection
        .prepare_cached(concat!(
            "INSERT INTO accounts (",
            account_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![
            account.user.as_str(),
            account.name,
            account.name_key,
            account.display_name,
            account.password_hash,
            account_role_text(account.role),
            account.disabled,
            account.generation,
            account.created_at.as_millis(),
        ])?;
    let mut words =
        connection.prepare_cached("INSERT INTO account_words (word, user) VALUES (?1, ?2)")?;
    for word in account_search::words(&account.display_name) {
        words.execute([word.as_str(), account.user.as_str()])?;
    }
    Ok(Creation::Created)
}

fn has_admin(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM accounts WHERE role = 'admin'")?.exists(())
}

fn by_user(connection: &Connection, user: &UserId) -> rusqlite::Result<Option<Account>> {
    connection
        .prepare_cached(concat!("SELECT ", account_columns!(), " FROM accounts WHERE user = ?1"))?
        .query_row([user.as_str()], account)
        .optional()
}

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        user: row::user(row, 0)?,
        name: row.get(1)?,
        name_key: row.get(2)?,
        display_name: row.get(3)?,
        password_hash: row.get(4)?,
        role: row::column(row, 5, |role: String| account_role(&role))?,
        disabled: row.get(6)?,
        generation: row.get(7)?,
        created_at: Timestamp::from_millis(row.get(8)?),
    })
}
