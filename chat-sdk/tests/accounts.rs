//! Password accounts as a server uses them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    AuthError, Authenticator, CredentialId, Credentials, Directory, Identity, MemoryStore,
    Timestamp, UserId,
    auth::{
        Token,
        accounts::{
            Account, AccountChange, AccountLimits, AccountRole, AccountStore, Accounts,
            CreateUserError, CreateWhen, Creation, InvalidDisplayName, InvalidName, LogInError,
            LogOutError, RefreshError, RegisterError, SetEnabledError, SetPasswordError,
            SetUpError, SignUp, StartError, WeakPassword,
        },
    },
    store::StoreError,
};

const SECRET: [u8; 32] = [7; 32];
const PASSWORD: &str = "correct horse";

fn address() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

async fn accounts() -> Accounts {
    Accounts::builder(MemoryStore::new(), SECRET).start().await.unwrap()
}

async fn ask(accounts: &Accounts, token: &Token) -> Result<Identity, AuthError> {
    let (headers, extensions) = (http::HeaderMap::new(), http::Extensions::new());
    accounts.authenticate(Credentials::new(Some(&token.token), &headers, &extensions)).await
}

async fn holds(accounts: &Accounts, token: &Token) -> bool {
    let asked = ask(accounts, token).await;
    let still = accounts.still_valid(&token.identity()).await;
    assert_eq!(asked.is_ok(), still, "both ways of asking agree: {asked:?}");
    still
}

/// A memory store that can be switched off.
#[derive(Clone, Default)]
struct TestStore(Arc<TestStoreInner>);

#[derive(Default)]
struct TestStoreInner {
    memory: MemoryStore,
    down: AtomicBool,
}

impl TestStore {
    fn up(&self) -> Result<&MemoryStore, StoreError> {
        if self.0.down.load(Ordering::Relaxed) {
            Err(StoreError::Unavailable("switched off".into()))
        } else {
            Ok(&self.0.memory)
        }
    }

    fn switch(&self, on: bool) {
        self.0.down.store(!on, Ordering::Relaxed);
    }
}

impl AccountStore for TestStore {
    async fn create_account(
        &self,
        account: Account,
        when: CreateWhen,
    ) -> Result<Creation, StoreError> {
        self.up()?.create_account(account, when).await
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        self.up()?.account(user).await
    }

    async fn account_by_name(&self, name_key: &str) -> Result<Option<Account>, StoreError> {
        self.up()?.account_by_name(name_key).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Account>, StoreError> {
        self.up()?.accounts(users).await
    }

    async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.up()?.list_accounts(after, limit).await
    }

    async fn search_accounts(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.up()?.search_accounts(prefix, limit).await
    }

    async fn change_account(
        &self,
        user: &UserId,
        change: AccountChange,
    ) -> Result<Option<Account>, StoreError> {
        self.up()?.change_account(user, change).await
    }

    async fn replace_password_hash(
        &self,
        user: &UserId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        self.up()?.replace_password_hash(user, old, new).await
    }

    async fn revoke_token(
        &self,
        token: &CredentialId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.up()?.revoke_token(token, expires_at).await
    }

    async fn is_revoked(&self, token: &CredentialId) -> Result<bool, StoreError> {
        self.up()?.is_revoked(token).await
    }
}

// --- in and out ---

#[tokio::test]
async fn somebody_signs_up_logs_in_under_any_spelling_and_is_known() {
    let accounts = accounts().await;
    let first = accounts.register("Zoë.7", Some(" Zoë \n Q "), PASSWORD, address()).await.unwrap();
    let id = first.user.as_str().strip_prefix("u_").unwrap();
    assert_eq!(id.len(), 16);
    assert!(id.chars().all(|c| matches!(c, 'a'..='z' | '2'..='7')), "{id}");
    assert_eq!(ask(&accounts, &first).await.unwrap(), first.identity());

    for name in ["Zoë.7", "zoë.7", "ZOE\u{308}.7", " zoë.7 "] {
        let token = accounts.log_in(name, PASSWORD, address()).await.unwrap();
        assert_eq!(token.user, first.user);
        assert_ne!(token.credential, first.credential);
        assert!(holds(&accounts, &token).await);
    }

    let profiles = accounts.profiles(std::slice::from_ref(&first.user)).await.unwrap();
    assert_eq!(profiles.len(), 1);
    assert_eq!((&*profiles[0].name, &*profiles[0].display_name), ("Zoë.7", "Zoë Q"));

    let plain = accounts.register("plain", None, PASSWORD, address()).await.unwrap();
    assert_eq!(accounts.profiles(&[plain.user]).await.unwrap()[0].display_name, "plain");
}

#[tokio::test]
async fn logging_out_ends_this_token_and_no_other() {
    let accounts = accounts().await;
    let one = accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    let other = accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    assert_eq!(accounts.log_out(&one.identity()).await.unwrap(), one.credential);
    assert_eq!(accounts.log_out(&one.identity()).await.unwrap(), one.credential);
    assert!(!holds(&accounts, &one).await);
    assert!(holds(&accounts, &other).await);
    assert!(matches!(accounts.refresh(&one.identity()).await, Err(RefreshError::Refused)));

    let foreign = Identity::new(one.user.clone());
    assert!(matches!(accounts.log_out(&foreign).await, Err(LogOutError::NotAToken)));
    assert!(matches!(accounts.refresh(&foreign).await, Err(RefreshError::Refused)));
    assert!(!accounts.still_valid(&foreign).await);
}

#[tokio::test]
async fn a_refreshed_token_is_another_one() {
    let accounts = accounts().await;
    let old = accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    let new = accounts.refresh(&old.identity()).await.unwrap();
    assert_eq!(new.user, old.user);
    assert_ne!(new.credential, old.credential);
    accounts.log_out(&old.identity()).await.unwrap();
    assert!(!holds(&accounts, &old).await);
    assert!(holds(&accounts, &new).await);
}

#[tokio::test]
async fn a_new_password_and_disabling_end_every_older_token() {
    let accounts = accounts().await;
    let before = accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    let bystander = accounts.register("bob", None, PASSWORD, address()).await.unwrap();

    assert_eq!(accounts.set_password("Alice", "battery staple").await.unwrap(), before.user);
    assert!(!holds(&accounts, &before).await);
    let old = accounts.log_in("alice", PASSWORD, address()).await;
    assert!(matches!(old, Err(LogInError::WrongCredentials)));
    let after = accounts.log_in("alice", "battery staple", address()).await.unwrap();
    assert!(holds(&accounts, &after).await);

    assert_eq!(accounts.disable("ALICE").await.unwrap(), before.user);
    assert!(!holds(&accounts, &after).await);
    let disabled = accounts.log_in("alice", "battery staple", address()).await;
    assert!(matches!(disabled, Err(LogInError::WrongCredentials)));

    assert_eq!(accounts.enable("alice").await.unwrap(), before.user);
    assert!(!holds(&accounts, &after).await, "enabling brings no old token back");
    let again = accounts.log_in("alice", "battery staple", address()).await.unwrap();
    assert!(holds(&accounts, &again).await);
    assert!(holds(&accounts, &bystander).await);

    for name in ["nobody", "not a name"] {
        assert!(matches!(accounts.disable(name).await, Err(SetEnabledError::UnknownUser)));
        assert!(matches!(accounts.enable(name).await, Err(SetEnabledError::UnknownUser)));
        let set = accounts.set_password(name, PASSWORD).await;
        assert!(matches!(set, Err(SetPasswordError::UnknownUser)));
    }
}

#[tokio::test]
async fn closed_sign_up_leaves_accounts_to_administrators() {
    let closed = Accounts::builder(MemoryStore::new(), SECRET).sign_up(SignUp::Closed);
    let closed = closed.start().await.unwrap();
    let refused = closed.register("alice", None, PASSWORD, address()).await;
    assert!(matches!(refused, Err(RegisterError::SignUpClosed)));
    assert_eq!(closed.hashing().done, 0);
    closed.create_user("alice", None, PASSWORD, AccountRole::User).await.unwrap();
    closed.log_in("alice", PASSWORD, address()).await.unwrap();
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let accounts = accounts().await;
    for name in ["Carol", "alice", "bob"] {
        accounts.create_user(name, None, PASSWORD, AccountRole::User).await.unwrap();
    }
    accounts.disable("bob").await.unwrap();
    let page = accounts.list(None, 2).await.unwrap();
    let names: Vec<_> = page.iter().map(|a| (&*a.name, a.disabled)).collect();
    assert_eq!(names, [("alice", false), ("bob", true)]);
    let page = accounts.list(Some(&page[1].name_key), 2).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].name, "Carol");
    assert!(!format!("{page:?}").contains("argon2"));
}

// --- guessing ---

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_cost_and_answer_the_same() {
    let accounts = accounts().await;
    accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    accounts.register("gone", None, PASSWORD, address()).await.unwrap();
    accounts.disable("gone").await.unwrap();
    let long = "x".repeat(257);
    let attempt = async |name: &str, password: &str| {
        let before = accounts.hashing().done;
        let answer = accounts.log_in(name, password, address()).await.unwrap_err();
        (format!("{answer:?}"), accounts.hashing().done - before)
    };
    let wrong = attempt("alice", "battery staple").await;
    assert_eq!(wrong, ("WrongCredentials".to_owned(), 1));
    for (name, password) in [
        ("alice", ""),
        ("alice", "short"),
        ("nobody", PASSWORD),
        ("nobody", ""),
        ("gone", PASSWORD),
        ("gone", "battery staple"),
        ("no name at all", PASSWORD),
        ("", PASSWORD),
        ("alice\0", PASSWORD),
        (&*"alice".repeat(10_000), PASSWORD),
    ] {
        assert_eq!(attempt(name, password).await, wrong, "{name:.20} {password}");
    }
    // What no password can be needs no hash, whoever is asked for.
    let alice = attempt("alice", &long).await;
    assert_eq!(alice, ("WrongCredentials".to_owned(), 0));
    assert_eq!(attempt("nobody", &long).await, alice);
    accounts.log_in("alice", PASSWORD, address()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn guessing_one_name_is_slowed_down_before_anything_is_hashed() {
    let limits = AccountLimits { name_burst: 3, ..AccountLimits::default() };
    let accounts = Accounts::builder(MemoryStore::new(), SECRET).limits(limits);
    let accounts = accounts.start().await.unwrap();
    accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    // Knowing the password does not count, however often.
    for _ in 0..5 {
        accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    }
    for name in ["alice", "nobody"] {
        // From another address each time, and in another spelling.
        for n in 0..3_u8 {
            let name = if n == 1 { name.to_uppercase() } else { name.to_owned() };
            let from = IpAddr::from([198, 51, 100, n]);
            let answer = accounts.log_in(&name, "guess", from).await;
            assert!(matches!(answer, Err(LogInError::WrongCredentials)), "{answer:?}");
        }
        let hashed = accounts.hashing().done;
        match accounts.log_in(name, PASSWORD, IpAddr::from([203, 0, 113, 1])).await {
            Err(LogInError::RateLimited { retry_after }) => {
                assert_eq!(retry_after, Duration::from_secs(60));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(accounts.hashing().done, hashed);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    accounts.log_in("alice", PASSWORD, address()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_address_is_slowed_down_before_anything_is_hashed() {
    let limits = AccountLimits { address_burst: 2, ..AccountLimits::default() };
    let builder = || Accounts::builder(MemoryStore::new(), SECRET).limits(limits.clone());
    for (first, same, other) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
    ] {
        let accounts = builder().start().await.unwrap();
        let code = accounts.setup_code().unwrap();
        let [first, same, other] = [first, same, other].map(|a| a.parse::<IpAddr>().unwrap());
        accounts.register("alice", None, PASSWORD, first).await.unwrap();
        let answer = accounts.log_in("alice", "guess", same).await;
        assert!(matches!(answer, Err(LogInError::WrongCredentials)));
        let hashed = accounts.hashing().done;
        for from in [first, same] {
            let second = Duration::from_secs(1);
            let answer = accounts.log_in("alice", PASSWORD, from).await;
            let Err(LogInError::RateLimited { retry_after }) = answer else { panic!("{answer:?}") };
            assert_eq!(retry_after, second);
            let answer = accounts.register("bob", None, PASSWORD, from).await;
            let Err(RegisterError::RateLimited { retry_after }) = answer else { panic!() };
            assert_eq!(retry_after, second);
            let answer = accounts.set_up(&code, "root", None, PASSWORD, from).await;
            let Err(SetUpError::RateLimited { retry_after }) = answer else { panic!() };
            assert_eq!(retry_after, second);
        }
        assert_eq!(accounts.hashing().done, hashed);
        accounts.log_in("alice", PASSWORD, other).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        accounts.log_in("alice", PASSWORD, first).await.unwrap();
    }
}

/// On one thread: if hashing took place on it, nothing would tick.
#[tokio::test]
async fn a_flood_of_log_ins_waits_in_a_bounded_queue_and_stops_nobody_else() {
    const FLOOD: usize = 200;
    const QUEUE: usize = 8;
    let limits = AccountLimits {
        address_burst: 1_000,
        name_burst: 1_000,
        hashing_threads: NonZeroUsize::new(1),
        hashing_queue: QUEUE,
        ..AccountLimits::default()
    };
    let accounts = Accounts::builder(MemoryStore::new(), SECRET).limits(limits);
    let accounts = accounts.start().await.unwrap();
    accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    let before = accounts.hashing().done;

    let flood: Vec<_> = (0..FLOOD)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.log_in("alice", PASSWORD, address()).await })
        })
        .collect();
    let mut ticks = 0;
    let mut waiting_max = 0;
    while !flood.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        ticks += 1;
        waiting_max = waiting_max.max(accounts.hashing().waiting);
    }

    let mut let_in = 0;
    for answer in flood {
        match answer.await.unwrap() {
            Ok(_) => let_in += 1,
            Err(LogInError::Overloaded { retry_after }) => assert!(!retry_after.is_zero()),
            Err(other) => panic!("{other:?}"),
        }
    }
    // The queue, and what the thread took out of it meanwhile.
    assert!((QUEUE..FLOOD / 2).contains(&let_in), "{let_in}");
    assert_eq!(accounts.hashing().done - before, let_in as u64);
    assert!(waiting_max <= QUEUE + 1, "{waiting_max}");
    assert!(ticks > let_in, "{ticks} ticks during {let_in} hashes");
    // It is over when it is over.
    accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    assert_eq!(accounts.hashing().waiting, 0);
}

#[tokio::test]
async fn who_hangs_up_before_their_turn_is_not_hashed_for() {
    let limits = AccountLimits {
        hashing_threads: NonZeroUsize::new(1),
        address_burst: 1_000,
        name_burst: 1_000,
        ..AccountLimits::default()
    };
    let accounts = Accounts::builder(MemoryStore::new(), SECRET).limits(limits);
    let accounts = accounts.start().await.unwrap();
    for _ in 0..20 {
        let hung_up = accounts.log_in("alice", PASSWORD, address());
        assert!(tokio::time::timeout(Duration::ZERO, hung_up).await.is_err());
    }
    let last = accounts.log_in("alice", PASSWORD, address()).await;
    assert!(matches!(last, Err(LogInError::WrongCredentials)));
    // The last one, and those at which the thread was just then.
    assert!(accounts.hashing().done <= 5, "{:?}", accounts.hashing());
}

// --- the first administrator ---

#[tokio::test]
async fn the_set_up_code_makes_one_administrator() {
    let store = TestStore::default();
    let accounts = Accounts::builder(store.clone(), SECRET).start().await.unwrap();
    let other_node = Accounts::builder(store.clone(), SECRET).start().await.unwrap();
    let code = accounts.setup_code().unwrap();
    assert_eq!(code.replace('-', "").len(), 20);
    assert_eq!(other_node.setup_code().unwrap(), code, "whichever node is reached");
    let stranger = Accounts::builder(TestStore::default(), [9; 32]).start().await.unwrap();
    let other_code = stranger.setup_code().unwrap();
    assert_ne!(other_code, code);
    accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    assert!(accounts.setup_code().is_some(), "signing up makes no administrator");

    let hashed = accounts.hashing().done;
    let shorter = &code[..code.len() - 1];
    for wrong in ["", "-", shorter, &*other_code, &*format!("{code}a"), &*"a".repeat(100_000)] {
        let answer = accounts.set_up(wrong, "root", None, PASSWORD, address()).await;
        assert!(matches!(answer, Err(SetUpError::WrongCredentials)), "{wrong:.30}: {answer:?}");
    }
    assert_eq!(accounts.hashing().done, hashed);
    // What can be mended uses the code up no more than a wrong one.
    let answer = accounts.set_up(&code, "Alice", None, PASSWORD, address()).await;
    assert!(matches!(answer, Err(SetUpError::NameTaken)));
    let answer = accounts.set_up(&code, "root", None, "short", address()).await;
    assert!(matches!(answer, Err(SetUpError::WeakPassword(WeakPassword::TooShort(8)))));

    let spelled = format!(" {} ", code.to_uppercase().replace('-', " "));
    let (one, two) = tokio::join!(
        accounts.set_up(&spelled, "root", None, PASSWORD, address()),
        accounts.set_up(&code, "admin", None, PASSWORD, address()),
    );
    assert_eq!([&one, &two].iter().filter(|answer| answer.is_ok()).count(), 1, "{one:?} {two:?}");
    assert!(
        [&one, &two].iter().any(|answer| matches!(answer, Err(SetUpError::SetupClosed))),
        "{one:?} {two:?}"
    );
    assert!(holds(&accounts, &one.or(two).unwrap()).await);
    let list = accounts.list(None, 10).await.unwrap();
    assert_eq!(list.iter().filter(|account| account.role == AccountRole::Admin).count(), 1);

    for node in [&accounts, &other_node] {
        let answer = node.set_up(&code, "second", None, PASSWORD, address()).await;
        assert!(matches!(answer, Err(SetUpError::SetupClosed)), "{answer:?}");
        assert_eq!(node.setup_code(), None);
    }
    let restarted = Accounts::builder(store, SECRET).start().await.unwrap();
    assert_eq!(restarted.setup_code(), None);
}

#[tokio::test]
async fn an_administrator_from_the_command_line_closes_the_set_up() {
    let accounts = accounts().await;
    let code = accounts.setup_code().unwrap();
    accounts.create_user("root", None, PASSWORD, AccountRole::Admin).await.unwrap();
    assert_eq!(accounts.setup_code(), None);
    let answer = accounts.set_up(&code, "second", None, PASSWORD, address()).await;
    assert!(matches!(answer, Err(SetUpError::SetupClosed)));
}

/// The default of the port asks page by page.
#[tokio::test]
async fn an_administrator_is_found_behind_a_thousand_others() {
    let store = TestStore::default();
    for n in 0..1_001 {
        let account = Account {
            user: UserId::new(format!("u_{n}")).unwrap(),
            name: format!("n{n:05}"),
            name_key: format!("n{n:05}"),
            display_name: "x".to_owned(),
            password_hash: String::new(),
            role: AccountRole::User,
            disabled: false,
            generation: 0,
            created_at: Timestamp::default(),
        };
        store.create_account(account, CreateWhen::NameFree).await.unwrap();
    }
    assert!(!store.has_admin().await.unwrap());
    let accounts = Accounts::builder(store.clone(), SECRET).start().await.unwrap();
    accounts.create_user("zz", None, PASSWORD, AccountRole::Admin).await.unwrap();
    assert!(store.has_admin().await.unwrap());
}

// --- names, passwords, search ---

#[tokio::test]
async fn a_name_is_taken_in_every_spelling() {
    let accounts = accounts().await;
    for (first, others) in [
        ("alice", &["ALICE", "Alice", " alice "][..]),
        ("zoe\u{308}", &["zoë", "ZOË"]),
        ("straße", &["STRASSE", "strasse"]),
    ] {
        accounts.create_user(first, None, PASSWORD, AccountRole::User).await.unwrap();
        for other in others {
            let answer = accounts.register(other, None, PASSWORD, address()).await;
            assert!(matches!(answer, Err(RegisterError::NameTaken)), "{other}: {answer:?}");
            let answer = accounts.create_user(other, None, PASSWORD, AccountRole::User).await;
            assert!(matches!(answer, Err(CreateUserError::NameTaken)), "{other}: {answer:?}");
        }
    }
    // A Cyrillic а, a full-width a, a joiner: no way to look like alice.
    for (imitation, why) in [
        ("аlice", InvalidName::MixedScripts),
        ("ａlice", InvalidName::Character),
        ("al\u{200d}ice", InvalidName::Character),
        ("alice\u{202e}", InvalidName::Character),
        ("a", InvalidName::TooShort(2)),
    ] {
        match accounts.register(imitation, None, PASSWORD, address()).await {
            Err(RegisterError::InvalidName(is)) => assert_eq!(is, why, "{imitation}"),
            other => panic!("{imitation}: {other:?}"),
        }
    }
    let hashed = accounts.hashing().done;
    match accounts.register("bob", Some("\u{202e}"), PASSWORD, address()).await {
        Err(RegisterError::InvalidDisplayName(why)) => assert_eq!(why, InvalidDisplayName::Empty),
        other => panic!("{other:?}"),
    }
    assert_eq!(accounts.hashing().done, hashed, "what is refused is not hashed");
}

#[tokio::test]
async fn passwords_have_8_to_256_bytes() {
    let accounts = accounts().await;
    for (n, (length, refused)) in [
        (7, Some(WeakPassword::TooShort(8))),
        (8, None),
        (256, None),
        (257, Some(WeakPassword::TooLong(256))),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{n}");
        let password = "p".repeat(length);
        match (accounts.register(&name, None, &password, address()).await, refused) {
            (Ok(_), None) => {
                accounts.log_in(&name, &password, address()).await.unwrap();
                let shorter = accounts.log_in(&name, &password[1..], address()).await;
                assert!(matches!(shorter, Err(LogInError::WrongCredentials)));
            }
            (Err(RegisterError::WeakPassword(why)), Some(refused)) => assert_eq!(why, refused),
            (answer, _) => panic!("{length}: {answer:?}"),
        }
    }
    let answer = accounts.register("Alice-Smith", None, "alice-smith", address()).await;
    assert!(matches!(answer, Err(RegisterError::WeakPassword(WeakPassword::IsName))));
    accounts.create_user("alice-smith", None, PASSWORD, AccountRole::User).await.unwrap();
    for (password, refused) in [
        ("ALICE-SMITH", WeakPassword::IsName),
        ("1234567", WeakPassword::TooShort(8)),
        (&*"p".repeat(257), WeakPassword::TooLong(256)),
    ] {
        match accounts.set_password("alice-smith", password).await {
            Err(SetPasswordError::WeakPassword(why)) => assert_eq!(why, refused),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_search_finds_beginnings_and_no_patterns() {
    let accounts = accounts().await;
    for (name, display_name) in [
        ("alice", "Alice Smith"),
        ("al_ice", "100% Al"),
        ("bob", "Bob _Alias_"),
        ("albert", "Gone"),
        ("zoë", "Zoë"),
    ] {
        accounts.create_user(name, Some(display_name), PASSWORD, AccountRole::User).await.unwrap();
    }
    accounts.disable("albert").await.unwrap();
    let searcher = UserId::new("u_7").unwrap();
    let search = async |query: &str, limit| {
        let found = accounts.search(&searcher, query, limit).await.unwrap();
        let mut names: Vec<_> = found.into_iter().map(|profile| profile.name).collect();
        names.sort();
        names.join(" ")
    };
    for (query, found) in [
        ("al", "al_ice alice"),
        (" AL ", "al_ice alice"),
        ("ali", "alice"),
        ("smith", "alice"),
        ("ZOE\u{308}", "zoë"),
        ("lice", ""),
        ("al_", "al_ice"),
        ("al%", ""),
        ("_", "bob"),
        ("%", ""),
        ("100%", "al_ice"),
        ("a?", ""),
        ("a*", ""),
        ("\\", ""),
        ("'", ""),
        ("", ""),
        ("  ", ""),
        ("al\0", ""),
        (&*"a".repeat(100_000), ""),
    ] {
        assert_eq!(search(query, 10).await, found, "{query:.20}");
    }
    assert_eq!(search("al", 1).await.split(' ').count(), 1);
    assert_eq!(search("al", 0).await, "");
    // Who is gone is not found, and still has a name under what they wrote.
    let gone = accounts.list(None, 10).await.unwrap();
    let gone = gone.iter().find(|account| account.name == "albert").unwrap();
    assert_eq!(
        accounts.profiles(std::slice::from_ref(&gone.user)).await.unwrap()[0].display_name,
        "Gone"
    );
}

// --- what can go wrong ---

#[tokio::test]
async fn without_the_store_nobody_comes_in_nobody_is_thrown_out_and_nothing_is_counted() {
    let store = TestStore::default();
    let limits = AccountLimits { name_burst: 2, ..AccountLimits::default() };
    let accounts = Accounts::builder(store.clone(), SECRET).limits(limits).start().await.unwrap();
    let token = accounts.register("alice", None, PASSWORD, address()).await.unwrap();

    store.switch(false);
    assert!(matches!(ask(&accounts, &token).await, Err(AuthError::Unavailable(_))));
    assert!(accounts.still_valid(&token.identity()).await);
    for _ in 0..5 {
        let answer = accounts.log_in("alice", PASSWORD, address()).await;
        assert!(matches!(answer, Err(LogInError::Unavailable(_))), "{answer:?}");
    }
    let answer = accounts.register("bob", None, PASSWORD, address()).await;
    assert!(matches!(answer, Err(RegisterError::Unavailable(_))));
    let answer = accounts.refresh(&token.identity()).await;
    assert!(matches!(answer, Err(RefreshError::Unavailable(_))));
    let answer = accounts.log_out(&token.identity()).await;
    assert!(matches!(answer, Err(LogOutError::Unavailable(_))));
    let start = Accounts::builder(store.clone(), SECRET).start().await;
    assert!(matches!(start, Err(StartError::Unavailable(_))));

    store.switch(true);
    accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    assert!(holds(&accounts, &token).await);
    accounts.register("bob", None, PASSWORD, address()).await.unwrap();
}

#[tokio::test]
async fn a_password_under_old_parameters_is_stored_anew_and_ends_no_token() {
    let old = old_hash();
    let store = TestStore::default();
    let account = Account {
        user: UserId::new("u_7").unwrap(),
        name: "alice".to_owned(),
        name_key: "alice".to_owned(),
        display_name: "Alice".to_owned(),
        password_hash: old.clone(),
        role: AccountRole::User,
        disabled: false,
        generation: 4,
        created_at: Timestamp::default(),
    };
    store.create_account(account, CreateWhen::NameFree).await.unwrap();
    let accounts = Accounts::builder(store.clone(), SECRET).start().await.unwrap();
    let wrong = accounts.log_in("alice", "battery staple", address()).await;
    assert!(matches!(wrong, Err(LogInError::WrongCredentials)));
    assert_eq!(store.account_by_name("alice").await.unwrap().unwrap().password_hash, old);

    let token = accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    let account = store.account_by_name("alice").await.unwrap().unwrap();
    assert!(account.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(account.generation, 4);
    assert!(holds(&accounts, &token).await);

    let hashed = accounts.hashing().done;
    accounts.log_in("alice", PASSWORD, address()).await.unwrap();
    assert_eq!(accounts.hashing().done, hashed + 1, "once is enough");
}

fn old_hash() -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let params = Params::new(4096, 3, 1, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(PASSWORD.as_bytes(), b"a salt of before")
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn a_secret_that_could_be_guessed_does_not_start() {
    let start = Accounts::builder(MemoryStore::new(), "hunter2").start().await;
    assert!(matches!(start, Err(StartError::Secret(_))));
}

#[tokio::test]
async fn nothing_secret_shows_in_debug() {
    let builder = Accounts::builder(MemoryStore::new(), b"a secret of thirty-two bytes here");
    let shown = format!("{builder:?}");
    let accounts = builder.start().await.unwrap();
    let code = accounts.setup_code().unwrap();
    let token = accounts.register("alice", None, PASSWORD, address()).await.unwrap();
    let account = accounts.list(None, 1).await.unwrap().remove(0);
    let shown = format!("{shown} {accounts:?} {token:?} {account:?}");
    let bytes = format!("{:?}", b"a secret").replace(['[', ']'], "");
    for hidden in ["a secret", &*bytes, &*code, &*token.token, &*account.password_hash] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
