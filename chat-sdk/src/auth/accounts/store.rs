//! Where accounts are kept: the [`AccountStore`] port.

use std::future::Future;

use crate::{
    model::{CredentialId, Profile, Timestamp, UserId},
    store::StoreError,
};

/// What an account may do beyond chatting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRole {
    /// Nothing.
    User,
    /// Administers the server.
    Admin,
}

/// One account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its user, for ever.
    pub user: UserId,
    /// The handle, as its owner spelled it.
    pub name: String,
    /// What names are unique by: `name` case-folded and normalised.
    pub name_key: String,
    /// What is shown.
    pub display_name: String,
    /// A PHC string.
    pub password_hash: String,
    /// User or administrator.
    pub role: AccountRole,
    /// A disabled account cannot sign in, and its tokens do not hold.
    pub disabled: bool,
    /// Part of every token; raised by a new password or by disabling, which ends all older tokens.
    pub generation: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// What others see.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile {
            user: self.user.clone(),
            name: self.name.clone(),
            display_name: self.display_name.clone(),
        }
    }
}

/// Under which condition an account is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateWhen {
    /// If its name is free.
    NameFree,
    /// If, besides, there is no administrator yet.
    NoAdminYet,
}

/// What became of a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is there.
    Created,
    /// Somebody has the name.
    NameTaken,
    /// There is an administrator already.
    AdminExists,
}

/// A change of an account; each raises `generation` except [`AccountChange::Enable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// A new password, as a PHC string.
    Password(String),
    /// No more signing in.
    Disable,
    /// Signing in again.
    Enable,
}

/// Keeps accounts and revoked tokens. Each method is atomic, and what it answered `Ok` to survives
/// the death of any process. Names are compared by `name_key` alone.
pub trait AccountStore: Send + Sync + 'static {
    /// Makes an account under a condition, checked in the same transaction.
    fn create_account(
        &self,
        account: Account,
        when: CreateWhen,
    ) -> impl Future<Output = Result<Creation, StoreError>> + Send;

    /// By its user.
    fn account(
        &self,
        user: &UserId,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;

    /// Whose token this is: the account of `user`, unless the token was revoked. Asked whenever
    /// somebody comes in, so stores answer it in one step; without it, it is two questions.
    fn holder(
        &self,
        user: &UserId,
        token: &CredentialId,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send {
        async move {
            if self.is_revoked(token).await? {
                return Ok(None);
            }
            self.account(user).await
        }
    }

    /// By its `name_key`.
    fn account_by_name(
        &self,
        name_key: &str,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;

    /// Those of these users that have an account, disabled ones included, in any order.
    fn accounts(
        &self,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<Account>, StoreError>> + Send;

    /// Accounts by `name_key`, after this one, at most `limit`.
    fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Account>, StoreError>> + Send;

    /// Enabled accounts of which the name or a word of the display name begins with `prefix`
    /// (given case-folded and normalised like `name_key`; `%`, `_` and the like mean themselves),
    /// names first, then by `name_key`, at most `limit`.
    fn search_accounts(
        &self,
        prefix: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Account>, StoreError>> + Send;

    /// Changes an account; `None` if there is none, else what it is now.
    fn change_account(
        &self,
        user: &UserId,
        change: AccountChange,
    ) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;

    /// Stores the same password under other parameters: `new` in the place of `old`, if `old` is
    /// still what is stored; answers whether it was. Unlike [`AccountChange::Password`] it leaves
    /// `generation` alone. Without it, accounts keep the parameters they were made with.
    fn replace_password_hash(
        &self,
        user: &UserId,
        old: &str,
        new: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let _ = (user, old, new);
        async { Ok(false) }
    }

    /// Whether any account, disabled or not, is an administrator's. Without it, accounts are listed
    /// until one is found.
    fn has_admin(&self) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            const PAGE: usize = 500;
            let mut after = None::<String>;
            loop {
                let page = self.list_accounts(after.as_deref(), PAGE).await?;
                if page.iter().any(|account| account.role == AccountRole::Admin) {
                    return Ok(true);
                }
                match page.into_iter().last() {
                    Some(last) => after = Some(last.name_key),
                    None => return Ok(false),
                }
            }
        }
    }

    /// This token does not hold any more; need not be remembered after `expires_at`.
    fn revoke_token(
        &self,
        token: &CredentialId,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether it was revoked.
    fn is_revoked(
        &self,
        token: &CredentialId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
