//! Accounts in the same database.

use tokio_postgres::Row;

use super::{
    PostgresStore,
    error::Failure,
    read::{Query, query},
    row,
    session::in_schema,
};
use crate::{
    auth::accounts::{Account, AccountChange, AccountRole, AccountStore, CreateWhen, Creation},
    env::{Clock, SystemClock},
    model::{CredentialId, Timestamp, UserId},
    store::{
        StoreError, account_search,
        spelling::{REVOKED_KEPT, account_role, account_role_text, after_all, limit_of},
    },
};

macro_rules! account_columns {
    () => {
        "a.id, a.name, a.name_key, a.display_name, a.password_hash, a.role, a.disabled, \
         a.generation, a.created_at"
    };
}

pub(super) use account_columns;

impl AccountStore for PostgresStore {
    async fn create_account(
        &self,
        account: Account,
        when: CreateWhen,
    ) -> Result<Creation, StoreError> {
        self.run_on_reads(move |session| {
            let account = account.clone();
            Box::pin(async move {
                let (client, schema) = session.client_and_schema();
                let transaction = client.transaction().await?;
                if when == CreateWhen::NoAdminYet || account.role == AccountRole::Admin {
                    // Rare, and nothing less keeps two nodes from making the first one at once.
                    let lock = "LOCK TABLE {schema}.chat_accounts IN SHARE ROW EXCLUSIVE MODE";
                    transaction.batch_execute(&in_schema(lock, schema)).await?;
                }
                let created = create(&transaction, schema, &account, when).await?;
                transaction.commit().await.map_err(|error| Failure::from(error).final_())?;
                Ok(created)
            })
        })
        .await
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        self.one(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM {schema}.chat_accounts a WHERE a.id = $1"
            ),
            user.as_str().to_owned(),
        ))
        .await
    }

    async fn holder(
        &self,
        user: &UserId,
        token: &CredentialId,
    ) -> Result<Option<Account>, StoreError> {
        self.one(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM {schema}.chat_accounts a WHERE a.id = $1 AND NOT EXISTS
                 (SELECT FROM {schema}.chat_revoked_tokens WHERE token = $2)"
            ),
            user.as_str().to_owned(),
            token.as_str().to_owned(),
        ))
        .await
    }

    async fn account_by_name(&self, name_key: &str) -> Result<Option<Account>, StoreError> {
        self.one(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM {schema}.chat_accounts a WHERE a.name_key = $1"
            ),
            name_key.to_owned(),
        ))
        .await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let users: Vec<_> = users.iter().map(|user| user.as_str().to_owned()).collect();
        self.all(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM {schema}.chat_accounts a WHERE a.id = ANY($1::text[])"
            ),
            users,
        ))
        .await
    }

    async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.all(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM {schema}.chat_accounts a WHERE $1::text IS NULL OR a.name_key > $1
                ORDER BY a.name_key LIMIT $2"
            ),
            after.map(str::to_owned),
            limit_of(limit),
        ))
        .await
    }

    async fn search_accounts(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        // Ranges of an index and not LIKE: nothing in the prefix means anything but itself.
        self.all(query!(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM (
                    SELECT id, min(rank) AS rank FROM (
                        SELECT id, 0 AS rank FROM {schema}.chat_accounts
                        WHERE name_key >= $1 AND name_key < $2
                        UNION ALL
                        SELECT account, 1 FROM {schema}.chat_account_words
                        WHERE word >= $1 AND word < $2) either
                    GROUP BY id) f
                JOIN {schema}.chat_accounts a ON a.id = f.id
                WHERE NOT a.disabled ORDER BY f.rank, a.name_key LIMIT $3"
            ),
            prefix.to_owned(),
            after_all(prefix),
            limit_of(limit),
        ))
        .await
    }

    async fn change_account(
        &self,
        user: &UserId,
        change: AccountChange,
    ) -> Result<Option<Account>, StoreError> {
        let user = user.as_str().to_owned();
        let query = match change {
            AccountChange::Password(hash) => query!(
                concat!(
                    "UPDATE {schema}.chat_accounts a
                    SET password_hash = $2, generation = generation + 1 WHERE id = $1 RETURNING ",
                    account_columns!()
                ),
                user,
                hash,
            ),
            AccountChange::Disable => query!(
                concat!(
                    "UPDATE {schema}.chat_accounts a
                    SET disabled = true, generation = generation + 1 WHERE id = $1 RETURNING ",
                    account_columns!()
                ),
                user,
            ),
            AccountChange::Enable => query!(
                concat!(
                    "UPDATE {schema}.chat_accounts a
                    SET disabled = false WHERE id = $1 RETURNING ",
                    account_columns!()
                ),
                user,
            ),
        };
        self.change(query).await?.first().map(account).transpose()
    }

    async fn replace_password_hash(
        &self,
        user: &UserId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let replaced = self
            .change(query!(
                "UPDATE {schema}.chat_accounts SET password_hash = $3
                WHERE id = $1 AND password_hash = $2 RETURNING id",
                user.as_str().to_owned(),
                old.to_owned(),
                new.to_owned(),
            ))
            .await?;
        Ok(!replaced.is_empty())
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        let found = self
            .rows(query!("SELECT FROM {schema}.chat_accounts WHERE role = 'admin' LIMIT 1"))
            .await?;
        Ok(!found.is_empty())
    }

    async fn revoke_token(
        &self,
        token: &CredentialId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let forgotten = SystemClock.now().as_millis()
            - i64::try_from(REVOKED_KEPT.as_millis()).expect("a day is short");
        // A few of the old ones each time, and those that another node is at are left to it.
        self.change(query!(
            "WITH old AS (
                DELETE FROM {schema}.chat_revoked_tokens WHERE token IN (
                    SELECT token FROM {schema}.chat_revoked_tokens
                    WHERE expires_at < $3 AND token <> $1
                    ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED))
            INSERT INTO {schema}.chat_revoked_tokens AS t (token, expires_at) VALUES ($1, $2)
            ON CONFLICT (token) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at)",
            token.as_str().to_owned(),
            expires_at.as_millis(),
            forgotten,
        ))
        .await
        .map(|_| ())
    }

    async fn is_revoked(&self, token: &CredentialId) -> Result<bool, StoreError> {
        let found = self
            .rows(query!(
                "SELECT FROM {schema}.chat_revoked_tokens WHERE token = $1",
                token.as_str().to_owned(),
            ))
            .await?;
        Ok(!found.is_empty())
    }
}

impl PostgresStore {
    async fn all(&self, query: Query) -> Result<Vec<Account>, StoreError> {
        self.rows(query).await?.iter().map(account).collect()
    }

    async fn one(&self, query: Query) -> Result<Option<Account>, StoreError> {
        self.rows(query).await?.first().map(account).transpose()
    }
}

async fn create(
    transaction: &tokio_postgres::Transaction<'_>,
    schema: &str,
    account: &Account,
    when: CreateWhen,
) -> Result<Creation, Failure> {
    let taken = in_schema("SELECT FROM {schema}.chat_accounts WHERE name_key = $1", schema);
    if transaction.query_opt(&taken, &[&account.name_key]).await?.is_some() {
        return Ok(Creation::NameTaken);
    }
    if when == CreateWhen::NoAdminYet {
        let sql = "SELECT FROM {schema}.chat_accounts WHERE role = 'admin' LIMIT 1";
        if transaction.query_opt(&in_schema(sql, schema), &[]).await?.is_some() {
            return Ok(Creation::AdminExists);
        }
    }
    let insert = in_schema(
        "INSERT INTO {schema}.chat_accounts (id, name, name_key, display_name, password_hash, role,
            disabled, generation, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name_key) DO NOTHING",
        schema,
    );
    let made = transaction
        .execute(
            &insert,
            &[
                &account.user.as_str(),
                &account.name,
                &account.name_key,
                &account.display_name,
                &account.password_hash,
                &account_role_text(account.role),
                &account.disabled,
                &i64::from(account.generation),
                &account.created_at.as_millis(),
            ],
        )
        .await?;
    if made == 0 {
        // Somebody else was faster, after we had looked.
        return Ok(Creation::NameTaken);
    }
    let words = in_schema(
        "INSERT INTO {schema}.chat_account_words (word, account)
        SELECT word, $2 FROM unnest($1::text[]) AS w(word)",
        schema,
    );
    let folded = account_search::words(&account.display_name);
    transaction.execute(&words, &[&folded, &account.user.as_str()]).await?;
    Ok(Creation::Created)
}

pub(super) fn account(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        user: row::user(row, 0)?,
        name: row::get(row, 1)?,
        name_key: row::get(row, 2)?,
        display_name: row::get(row, 3)?,
        password_hash: row::get(row, 4)?,
        role: row::column(row, 5, account_role)?,
        disabled: row::get(row, 6)?,
        generation: row::column(row, 7, |generation: i64| u32::try_from(generation))?,
        created_at: Timestamp::from_millis(row::get(row, 8)?),
    })
}
