//! The account store behind a pointer, so that [`Accounts`](super::Accounts) has no type parameter.

use std::{future::Future, pin::Pin};

use super::{Account, AccountChange, AccountStore, CreateWhen, Creation};
use crate::{
    model::{CredentialId, Timestamp, UserId},
    store::StoreError,
};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

pub(super) trait DynAccountStore: Send + Sync + 'static {
    fn create_account(&self, account: Account, when: CreateWhen) -> Answer<'_, Creation>;
    fn holder<'a>(
        &'a self,
        user: &'a UserId,
        token: &'a CredentialId,
    ) -> Answer<'a, Option<Account>>;
    fn account_by_name<'a>(&'a self, name_key: &'a str) -> Answer<'a, Option<Account>>;
    fn accounts<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, Vec<Account>>;
    fn list_accounts<'a>(
        &'a self,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<Account>>;
    fn search_accounts<'a>(&'a self, prefix: &'a str, limit: usize) -> Answer<'a, Vec<Account>>;
    fn change_account<'a>(
        &'a self,
        user: &'a UserId,
        change: AccountChange,
    ) -> Answer<'a, Option<Account>>;
    fn replace_password_hash<'a>(
        &'a self,
        user: &'a UserId,
        old: &'a str,
        new: &'a str,
    ) -> Answer<'a, bool>;
    fn has_admin(&self) -> Answer<'_, bool>;
    fn revoke_token<'a>(&'a self, token: &'a CredentialId, expires_at: Timestamp)
    -> Answer<'a, ()>;
}

impl<S: AccountStore> DynAccountStore for S {
    fn create_account(&self, account: Account, when: CreateWhen) -> Answer<'_, Creation> {
        Box::pin(AccountStore::create_account(self, account, when))
    }

    fn holder<'a>(
        &'a self,
        user: &'a UserId,
        token: &'a CredentialId,
    ) -> Answer<'a, Option<Account>> {
        Box::pin(AccountStore::holder(self, user, token))
    }

    fn account_by_name<'a>(&'a self, name_key: &'a str) -> Answer<'a, Option<Account>> {
        Box::pin(AccountStore::account_by_name(self, name_key))
    }

    fn accounts<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        Box::pin(AccountStore::accounts(self, users))
    }

    fn list_accounts<'a>(
        &'a self,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<Account>> {
        Box::pin(AccountStore::list_accounts(self, after, limit))
    }

    fn search_accounts<'a>(&'a self, prefix: &'a str, limit: usize) -> Answer<'a, Vec<Account>> {
        Box::pin(AccountStore::search_accounts(self, prefix, limit))
    }

    fn change_account<'a>(
        &'a self,
        user: &'a UserId,
        change: AccountChange,
    ) -> Answer<'a, Option<Account>> {
        Box::pin(AccountStore::change_account(self, user, change))
    }

    fn replace_password_hash<'a>(
        &'a self,
        user: &'a UserId,
        old: &'a str,
        new: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(AccountStore::replace_password_hash(self, user, old, new))
    }

    fn has_admin(&self) -> Answer<'_, bool> {
        Box::pin(AccountStore::has_admin(self))
    }

    fn revoke_token<'a>(
        &'a self,
        token: &'a CredentialId,
        expires_at: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(AccountStore::revoke_token(self, token, expires_at))
    }
}
