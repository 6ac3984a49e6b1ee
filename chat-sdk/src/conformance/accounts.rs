//! The contract of the [`AccountStore`].

use std::{future::Future, sync::Arc};

use super::report::{self, Case, Report, cases};
use crate::{
    auth::accounts::{
        Account, AccountChange, AccountRole, AccountStore, CreateWhen, Creation, fold,
    },
    model::{CredentialId, Timestamp, UserId},
    store::StoreError,
};

/// How the suite comes by account stores. Problems are best reported by a panic.
pub trait AccountStoreFactory: Send + Sync + 'static {
    /// The implementation.
    type Store: AccountStore;

    /// A store without any data, that shares nothing with those before.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Ends the store and opens it again on the same data, as a restart does. `None`: its data
    /// ends with it; what survives a restart is not tested then.
    fn reopen(&self, store: Self::Store) -> impl Future<Output = Option<Self::Store>> + Send {
        drop(store);
        async { None }
    }
}

/// Holds the contract against an implementation.
///
/// # Panics
/// If it is not kept: with the names of all cases that failed, and why.
pub async fn account_store<F: AccountStoreFactory>(factory: F) {
    Report::of(account_store_cases(factory)).await.expect_conformance();
}

/// All cases, to run some of them, or to look at the [`Report`].
#[must_use]
pub fn account_store_cases<F: AccountStoreFactory>(factory: F) -> Vec<Case> {
    Case::all(&Arc::new(factory), all())
}

type Trial<F> = report::Trial<F>;

fn all<F: AccountStoreFactory>() -> report::Cases<F> {
    cases!["accounts":
        a_new_account_is_found_as_it_was_made,
        a_missing_account_is_not_found,
        a_taken_name_is_refused,
        names_are_compared_by_their_key_alone,
        a_refused_account_leaves_nothing,
        of_many_with_one_name_one_is_made,
        the_first_administrator_is_made_once,
        of_many_first_administrators_one_is_made,
        a_disabled_administrator_is_one,
        further_administrators_need_no_condition,
        accounts_of_many_users_are_those_that_exist,
        accounts_are_listed_by_name_key,
        pages_of_accounts_hold_each_once,
        a_search_finds_the_beginning_of_a_name,
        a_search_finds_the_beginning_of_a_word,
        a_search_does_not_find_the_middle,
        a_search_finds_each_once_and_names_first,
        a_search_is_bounded,
        a_search_takes_wildcards_for_themselves,
        a_search_finds_no_disabled_account,
        a_search_finds_folded_words,
        a_new_password_raises_the_generation,
        disabling_raises_the_generation_and_enabling_does_not,
        a_change_of_nobody_is_none,
        a_change_touches_one_account,
        changes_from_many_tasks_all_count,
        a_hash_is_replaced_only_if_it_is_the_old_one,
        a_revoked_token_stays_revoked,
        a_token_is_revoked_by_its_name_alone,
        a_revoked_token_has_no_holder,
        a_token_can_be_revoked_twice,
        odd_text_comes_back,
        accounts_survive_a_restart,
    ]
}

async fn open<F: AccountStoreFactory>(trial: &Trial<F>) -> F::Store {
    trial.factory.open().await
}

fn user(name: &str) -> UserId {
    UserId::new(format!("u-{name}")).expect("a valid user")
}

fn token(name: &str) -> CredentialId {
    CredentialId::new(name).expect("a valid token")
}

/// Long after everything.
const LATER: Timestamp = Timestamp::from_secs(7_000_000_000);

fn account(name: &str, display_name: &str) -> Account {
    Account {
        user: user(&fold(name)),
        name: name.to_owned(),
        name_key: fold(name),
        display_name: display_name.to_owned(),
        password_hash: format!("$argon2id$of-{name}"),
        role: AccountRole::User,
        disabled: false,
        generation: 0,
        created_at: Timestamp::from_millis(1_767_323_045_678),
    }
}

fn admin(name: &str) -> Account {
    Account { role: AccountRole::Admin, ..account(name, name) }
}

fn ok<T>(answer: Result<T, StoreError>) -> T {
    answer.expect("the store answers")
}

async fn make(store: &impl AccountStore, account: Account) {
    let creation = ok(store.create_account(account, CreateWhen::NameFree).await);
    assert_eq!(creation, Creation::Created);
}

async fn make_all(store: &impl AccountStore, names: &[(&str, &str)]) {
    for (name, display_name) in names {
        make(store, account(name, display_name)).await;
    }
}

async fn found(store: &impl AccountStore, prefix: &str, limit: usize) -> Vec<String> {
    let accounts = ok(store.search_accounts(&fold(prefix), limit).await);
    accounts.into_iter().map(|account| account.name).collect()
}

async fn a_new_account_is_found_as_it_was_made<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    for made in [account("Ann", "Ann Lee"), admin("bob")] {
        make(&store, made.clone()).await;
        assert_eq!(ok(store.account(&made.user).await), Some(made.clone()));
        let by_name = ok(store.account_by_name(&made.name_key).await);
        assert_eq!(by_name, Some(made.clone()));
        // Debug leaves out what nobody shall see, and so does the comparison of it.
        assert_eq!(by_name.map(|account| account.password_hash), Some(made.password_hash));
    }
}

async fn a_missing_account_is_not_found<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, account("Ann", "Ann")).await;
    assert_eq!(ok(store.account(&user("bob")).await), None);
    for name in ["bob", "", "an", "anna", "Ann", "%", "ann "] {
        assert_eq!(ok(store.account_by_name(name).await), None, "{name:?}");
    }
}

async fn a_taken_name_is_refused<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, account("Ann", "Ann")).await;
    let mut other = account("ANN", "Another");
    other.user = user("another");
    let creation = ok(store.create_account(other.clone(), CreateWhen::NameFree).await);
    assert_eq!(creation, Creation::NameTaken);
    assert_eq!(ok(store.account(&other.user).await), None);
    let kept = ok(store.account_by_name("ann").await).map(|account| account.name);
    assert_eq!(kept.as_deref(), Some("Ann"));
}

async fn names_are_compared_by_their_key_alone<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    let keys = ["ann", "ann ", "ánn", "a\u{301}nn", "аnn", "a%", "a_", "a", "ANN"];
    for (index, key) in keys.into_iter().enumerate() {
        let mut one = account("Ann", "Ann");
        (one.user, one.name_key) = (user(&index.to_string()), key.to_owned());
        make(&store, one.clone()).await;
        assert_eq!(ok(store.account_by_name(key).await), Some(one));
    }
}

async fn a_refused_account_leaves_nothing<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, account("ann", "Ann")).await;
    let mut other = account("ann", "Zoe");
    other.user = user("other");
    ok(store.create_account(other, CreateWhen::NameFree).await);
    assert_eq!(found(&store, "zoe", 9).await, [""; 0]);
    assert_eq!(ok(store.list_accounts(None, 9).await).len(), 1);
}

async fn of_many_with_one_name_one_is_made<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = Arc::new(open(&trial).await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            let mut one = account("ann", "Ann");
            one.user = user(&n.to_string());
            tokio::spawn(async move { ok(store.create_account(one, CreateWhen::NameFree).await) })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.expect("no task panics") {
            Creation::Created => made += 1,
            other => assert_eq!(other, Creation::NameTaken),
        }
    }
    assert_eq!(made, 1);
}

async fn the_first_administrator_is_made_once<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    assert!(!ok(store.has_admin().await));
    make(&store, account("ann", "Ann")).await;
    assert!(!ok(store.has_admin().await));
    let first = ok(store.create_account(admin("bob"), CreateWhen::NoAdminYet).await);
    assert_eq!(first, Creation::Created);
    assert!(ok(store.has_admin().await));
    let second = ok(store.create_account(admin("eve"), CreateWhen::NoAdminYet).await);
    assert_eq!(second, Creation::AdminExists);
    assert_eq!(ok(store.account_by_name("eve").await), None);
}

async fn of_many_first_administrators_one_is_made<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = Arc::new(open(&trial).await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let one = admin(&format!("admin{n}"));
                ok(store.create_account(one, CreateWhen::NoAdminYet).await)
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.expect("no task panics") == Creation::Created);
    }
    assert_eq!(made, 1);
}

async fn a_disabled_administrator_is_one<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, admin("ann")).await;
    ok(store.change_account(&user("ann"), AccountChange::Disable).await);
    assert!(ok(store.has_admin().await));
    let second = ok(store.create_account(admin("eve"), CreateWhen::NoAdminYet).await);
    assert_eq!(second, Creation::AdminExists);
}

async fn further_administrators_need_no_condition<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    for name in ["ann", "bob"] {
        make(&store, admin(name)).await;
    }
    assert_eq!(ok(store.list_accounts(None, 9).await).len(), 2);
}

async fn accounts_of_many_users_are_those_that_exist<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "Ann"), ("bob", "Bob"), ("eve", "Eve")]).await;
    ok(store.change_account(&user("bob"), AccountChange::Disable).await);
    let asked = ["eve", "zoe", "bob"].map(user);
    let mut names: Vec<_> =
        ok(store.accounts(&asked).await).into_iter().map(|account| account.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["bob", "eve"], "disabled ones included");
    assert_eq!(ok(store.accounts(&[]).await), []);
}

async fn accounts_are_listed_by_name_key<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("bob", "A"), ("Zoe", "B"), ("ann", "C"), ("émil", "D"), ("9lives", "E")])
        .await;
    ok(store.change_account(&user("ann"), AccountChange::Disable).await);
    let listed = ok(store.list_accounts(None, 9).await);
    let names: Vec<_> = listed.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["9lives", "ann", "bob", "Zoe", "émil"]);
}

async fn pages_of_accounts_hold_each_once<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    let names: Vec<String> = (0..23).map(|n| format!("u{n:02}")).collect();
    for name in &names {
        make(&store, account(name, name)).await;
    }
    for limit in [1, 5, 23, 100] {
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = ok(store.list_accounts(all.last().map(String::as_str), limit).await);
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            all.extend(page.into_iter().map(|account| account.name_key));
        }
        assert_eq!(all, names, "in pages of {limit}");
    }
    assert_eq!(ok(store.list_accounts(Some("u099"), 1).await)[0].name, "u10");
}

async fn a_search_finds_the_beginning_of_a_name<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("Anna", "x"), ("ann", "y"), ("bob", "z")]).await;
    assert_eq!(found(&store, "an", 9).await, ["ann", "Anna"]);
    assert_eq!(found(&store, "anna", 9).await, ["Anna"]);
    assert_eq!(found(&store, "annab", 9).await, [""; 0]);
}

async fn a_search_finds_the_beginning_of_a_word<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("u1", "Ada King  Lovelace"), ("u2", "Grace Hopper")]).await;
    for prefix in ["ada", "king", "love", "LOVELACE", "k"] {
        assert_eq!(found(&store, prefix, 9).await, ["u1"], "{prefix:?}");
    }
}

async fn a_search_does_not_find_the_middle<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("anna", "Ada Lovelace")]).await;
    for prefix in ["nna", "da", "ace", "ovel", "lovelaces"] {
        assert_eq!(found(&store, prefix, 9).await, [""; 0], "{prefix:?}");
    }
}

async fn a_search_finds_each_once_and_names_first<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("zed", "Ann Annan"), ("bea", "Ann"), ("anny", "Ann Ann"), ("anna", "x")])
        .await;
    assert_eq!(found(&store, "ann", 9).await, ["anna", "anny", "bea", "zed"]);
}

async fn a_search_is_bounded<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    for n in 0..30 {
        make(&store, account(&format!("ann{n:02}"), "Ann")).await;
    }
    assert_eq!(found(&store, "ann", 3).await, ["ann00", "ann01", "ann02"]);
    assert_eq!(found(&store, "ann", 100).await.len(), 30);
}

async fn a_search_takes_wildcards_for_themselves<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "100% Ann_Lee [x] a*b \\o/"), ("bob", "Bob")]).await;
    for prefix in ["%", "_", "*", "?", "a%", "a_n", "a?n", "b*", "[a-z]", "\\", "'", "b%b"] {
        let expected: &[&str] = if prefix == "\\" { &["ann"] } else { &[] };
        assert_eq!(found(&store, prefix, 9).await, expected, "{prefix:?}");
    }
    for prefix in ["100%", "ann_l", "[x", "a*"] {
        assert_eq!(found(&store, prefix, 9).await, ["ann"], "{prefix:?}");
    }
}

async fn a_search_finds_no_disabled_account<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "Ann"), ("anna", "Ann")]).await;
    ok(store.change_account(&user("ann"), AccountChange::Disable).await);
    assert_eq!(found(&store, "ann", 9).await, ["anna"]);
    ok(store.change_account(&user("ann"), AccountChange::Enable).await);
    assert_eq!(found(&store, "ann", 9).await, ["ann", "anna"]);
}

async fn a_search_finds_folded_words<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("u1", "ÉLISE Straße"), ("u2", "田中 さん"), ("u3", "Иван")]).await;
    for (prefix, expected) in
        [("éli", "u1"), ("e\u{301}lise", "u1"), ("STRASS", "u1"), ("田", "u2"), ("ИВ", "u3")]
    {
        assert_eq!(found(&store, prefix, 9).await, [expected], "{prefix:?}");
    }
}

async fn a_new_password_raises_the_generation<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, account("ann", "Ann")).await;
    for n in 1..4 {
        let change = AccountChange::Password(format!("$argon2id${n}"));
        let now = ok(store.change_account(&user("ann"), change).await).expect("it is there");
        assert_eq!((now.generation, now.password_hash.as_str()), (n, &*format!("$argon2id${n}")));
        assert_eq!(ok(store.account(&user("ann")).await), Some(now));
    }
}

async fn disabling_raises_the_generation_and_enabling_does_not<F: AccountStoreFactory>(
    trial: Trial<F>,
) {
    let store = open(&trial).await;
    make(&store, account("ann", "Ann")).await;
    let changes = [
        (AccountChange::Disable, true, 1),
        (AccountChange::Enable, false, 1),
        (AccountChange::Enable, false, 1),
        (AccountChange::Disable, true, 2),
        (AccountChange::Disable, true, 3),
    ];
    for (change, disabled, generation) in changes {
        let now = ok(store.change_account(&user("ann"), change).await).expect("it is there");
        assert_eq!((now.disabled, now.generation), (disabled, generation));
        assert_eq!(ok(store.account_by_name("ann").await), Some(now));
    }
}

async fn a_change_of_nobody_is_none<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    for change in [AccountChange::Disable, AccountChange::Password("x".to_owned())] {
        assert_eq!(ok(store.change_account(&user("ann"), change).await), None);
    }
    assert_eq!(ok(store.list_accounts(None, 9).await), []);
}

async fn a_change_touches_one_account<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "Ann"), ("bob", "Bob")]).await;
    ok(store.change_account(&user("ann"), AccountChange::Disable).await);
    assert_eq!(ok(store.account(&user("bob")).await), Some(account("bob", "Bob")));
}

async fn changes_from_many_tasks_all_count<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = Arc::new(open(&trial).await);
    make(&*store, account("ann", "Ann")).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            let change = AccountChange::Password(n.to_string());
            tokio::spawn(async move { ok(store.change_account(&user("ann"), change).await) })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics").expect("it is there");
    }
    let now = ok(store.account(&user("ann")).await).expect("it is there");
    assert_eq!(now.generation, 16);
}

async fn a_hash_is_replaced_only_if_it_is_the_old_one<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make(&store, account("ann", "Ann")).await;
    let (ann, old) = (user("ann"), account("ann", "Ann").password_hash);
    assert!(!ok(store.replace_password_hash(&ann, "other", "new").await));
    assert!(!ok(store.replace_password_hash(&user("bob"), &old, "new").await));
    let replaced = ok(store.replace_password_hash(&ann, &old, "new").await);
    let now = ok(store.account(&ann).await).expect("it is there");
    // A store may leave this to its default, which replaces nothing.
    let expected = if replaced { "new" } else { &*old };
    assert_eq!((now.password_hash.as_str(), now.generation), (expected, 0));
}

async fn a_revoked_token_stays_revoked<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    assert!(!ok(store.is_revoked(&token("t1")).await));
    ok(store.revoke_token(&token("t1"), LATER).await);
    for n in 0..50 {
        ok(store.revoke_token(&token(&format!("other{n}")), LATER).await);
    }
    assert!(ok(store.is_revoked(&token("t1")).await));
}

async fn a_token_is_revoked_by_its_name_alone<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    ok(store.revoke_token(&token("t1"), LATER).await);
    for other in ["T1", "t", "t11", "t%", "t1 ", "%"] {
        assert!(!ok(store.is_revoked(&token(other)).await), "{other:?}");
    }
}

async fn a_token_can_be_revoked_twice<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    for _ in 0..2 {
        ok(store.revoke_token(&token("t1"), LATER).await);
        assert!(ok(store.is_revoked(&token("t1")).await));
    }
    // An earlier end does not take back a later one.
    ok(store.revoke_token(&token("t1"), Timestamp::from_secs(1)).await);
    ok(store.revoke_token(&token("t2"), LATER).await);
    assert!(ok(store.is_revoked(&token("t1")).await));
}

async fn a_revoked_token_has_no_holder<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "Ann"), ("bob", "Bob")]).await;
    ok(store.revoke_token(&token("t1"), LATER).await);
    assert_eq!(ok(store.holder(&user("ann"), &token("t1")).await), None);
    for other in ["t2", "T1", "t%"] {
        let holder = ok(store.holder(&user("ann"), &token(other)).await);
        assert_eq!(holder, ok(store.account(&user("ann")).await), "{other:?}");
    }
    assert_eq!(ok(store.holder(&user("eve"), &token("t2")).await), None);
    // Whether somebody who is disabled may is for others to say.
    ok(store.change_account(&user("bob"), AccountChange::Disable).await);
    assert!(ok(store.holder(&user("bob"), &token("t2")).await).is_some_and(|bob| bob.disabled));
}

async fn odd_text_comes_back<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    let names = [
        "'; DROP TABLE accounts; --",
        "👩\u{200d}🚀 Ada",
        "e\u{301}",
        "\u{202e}x",
        "\u{ffff}",
        "می\u{200c}خواهم",
        "a\"b\\c%_",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let mut one = account(&format!("u{index}"), name);
        one.password_hash = name.to_owned();
        make(&store, one.clone()).await;
        let back = ok(store.account(&one.user).await).expect("it is there");
        assert_eq!(back, one);
        assert_eq!((back.display_name.as_str(), back.password_hash.as_str()), (name, name));
    }
}

async fn accounts_survive_a_restart<F: AccountStoreFactory>(trial: Trial<F>) {
    let store = open(&trial).await;
    make_all(&store, &[("ann", "Ann Lee"), ("bob", "Bob")]).await;
    make(&store, admin("root")).await;
    ok(store.change_account(&user("bob"), AccountChange::Disable).await);
    ok(store.revoke_token(&token("t1"), LATER).await);
    let before = ok(store.list_accounts(None, 9).await);
    let Some(store) = trial.factory.reopen(store).await else {
        trial.skip();
        return;
    };
    assert_eq!(ok(store.list_accounts(None, 9).await), before);
    assert!(ok(store.is_revoked(&token("t1")).await));
    assert!(ok(store.has_admin().await));
    assert_eq!(found(&store, "lee", 9).await, ["ann"]);
    let again = ok(store.create_account(admin("eve"), CreateWhen::NoAdminYet).await);
    assert_eq!(again, Creation::AdminExists);
}
