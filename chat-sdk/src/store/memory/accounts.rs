//! Accounts in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::MemoryStore;
use crate::{
    auth::accounts::{Account, AccountChange, AccountRole, AccountStore, CreateWhen, Creation},
    model::{CredentialId, Timestamp, UserId},
    store::{StoreError, account_search},
};

#[derive(Clone, Default)]
pub(super) struct Book {
    accounts: BTreeMap<UserId, Account>,
    by_name: BTreeMap<String, UserId>,
    revoked: BTreeSet<CredentialId>,
}

impl Book {
    fn has_admin(&self) -> bool {
        self.accounts.values().any(|account| account.role == AccountRole::Admin)
    }
}

impl AccountStore for MemoryStore {
    async fn create_account(
        &self,
        account: Account,
        when: CreateWhen,
    ) -> Result<Creation, StoreError> {
        let book = &mut self.lock().accounts;
        if book.by_name.contains_key(&account.name_key) {
            return Ok(Creation::NameTaken);
        }
        if when == CreateWhen::NoAdminYet && book.has_admin() {
            return Ok(Creation::AdminExists);
        }
        if book.accounts.contains_key(&account.user) {
            return Err(StoreError::Defect("the user has an account of another name".into()));
        }
        book.by_name.insert(account.name_key.clone(), account.user.clone());
        book.accounts.insert(account.user.clone(), account);
        Ok(Creation::Created)
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.lock().accounts.accounts.get(user).cloned())
    }

    async fn account_by_name(&self, name_key: &str) -> Result<Option<Account>, StoreError> {
        let book = &self.lock().accounts;
        Ok(book.by_name.get(name_key).and_then(|user| book.accounts.get(user)).cloned())
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let book = &self.lock().accounts;
        let asked: BTreeSet<_> = users.iter().collect();
        Ok(asked.into_iter().filter_map(|user| book.accounts.get(user)).cloned().collect())
    }

    async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let book = &self.lock().accounts;
        Ok(book
            .by_name
            .iter()
            .filter(|(name_key, _)| after.is_none_or(|after| name_key.as_str() > after))
            .filter_map(|(_, user)| book.accounts.get(user))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn search_accounts(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let book = &self.lock().accounts;
        let enabled = || {
            book.by_name.values().filter_map(|user| book.accounts.get(user)).filter(|a| !a.disabled)
        };
        let by_name = |account: &&Account| account.name_key.starts_with(prefix);
        let by_word = |account: &&Account| {
            account_search::words(&account.display_name).iter().any(|word| word.starts_with(prefix))
        };
        Ok(enabled()
            .filter(by_name)
            .chain(enabled().filter(|account| !by_name(account) && by_word(account)))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn change_account(
        &self,
        user: &UserId,
        change: AccountChange,
    ) -> Result<Option<Account>, StoreError> {
        let book = &mut self.lock().accounts;
        let Some(account) = book.accounts.get_mut(user) else {
            return Ok(None);
        };
        match change {
            AccountChange::Password(hash) => {
                account.password_hash = hash;
                account.generation += 1;
            }
            AccountChange::Disable => {
                account.disabled = true;
                account.generation += 1;
            }
            AccountChange::Enable => account.disabled = false,
        }
        Ok(Some(account.clone()))
    }

    async fn replace_password_hash(
        &self,
        user: &UserId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let book = &mut self.lock().accounts;
        let account = book.accounts.get_mut(user).filter(|account| account.password_hash == old);
        let found = account.is_some();
        if let Some(account) = account {
            account.password_hash = new.to_owned();
        }
        Ok(found)
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        Ok(self.lock().accounts.has_admin())
    }

    async fn revoke_token(
        &self,
        token: &CredentialId,
        // Without a clock nothing is known to have expired.
        _expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.lock().accounts.revoked.insert(token.clone());
        Ok(())
    }

    async fn is_revoked(&self, token: &CredentialId) -> Result<bool, StoreError> {
        Ok(self.lock().accounts.revoked.contains(token))
    }
}
