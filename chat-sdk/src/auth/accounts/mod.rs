//! Password accounts, for servers that bring no users of their own.
//!
//! [`Accounts`] is the [`Authenticator`] and the [`Directory`] of such a server, and what its
//! log-in routes and its command line call. Where accounts are kept is the [`AccountStore`] port.

mod erased;
mod error;
mod name;
mod password;
mod store;
mod throttle;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ring::{digest, hmac};

use self::{
    erased::DynAccountStore,
    error::RateLimited,
    name::Name,
    password::{Match, Overloaded, Password, Pool},
    throttle::Throttle,
};
pub use self::{
    error::{
        CreateUserError, LogInError, LogOutError, RefreshError, RegisterError, SetEnabledError,
        SetPasswordError, SetUpError, StartError,
    },
    name::{
        DISPLAY_NAME_CHARS_MAX, InvalidDisplayName, InvalidName, NAME_CHARS_MAX, NAME_CHARS_MIN,
        fold,
    },
    password::{HashingLoad, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, WeakPassword},
    store::{Account, AccountChange, AccountRole, AccountStore, CreateWhen, Creation},
};
use super::{AuthError, Authenticator, Credentials, Jwt, JwtIssuer, Token};
use crate::{
    directory::Directory,
    env::{Clock, Random, SystemClock, SystemRandom},
    model::{CredentialId, Identity, Profile, UserId},
    store::StoreError,
};

/// Whether strangers may make accounts for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignUp {
    /// Anybody who reaches the server.
    #[default]
    Open,
    /// Nobody; administrators make accounts.
    Closed,
}

/// How much may be tried and how much is hashed at a time, on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLimits {
    /// Log-ins, sign-ups and set-ups that one address (IPv6: one /64) may try at once after a
    /// pause: an office behind one address in the morning.
    pub address_burst: u32,
    /// Between two tries of one address in the long run. One a second keeps one address below what
    /// a core can hash.
    pub address_interval: Duration,
    /// Wrong passwords for one name in a row.
    pub name_burst: u32,
    /// Between two wrong passwords for one name in the long run. One a minute stays below the
    /// hundred an hour of OWASP ASVS 4 (2.2.1); the right one is never counted. It means that
    /// somebody who keeps guessing can make the owner wait for up to this long.
    pub name_interval: Duration,
    /// Addresses, and as many names, that are remembered; beyond, those not seen for longest are
    /// forgotten. 100 bytes each.
    pub keys_max: usize,
    /// Passwords hashed at a time, 19 MiB and one thread each. `None`: half of the cores.
    pub hashing_threads: Option<NonZeroUsize>,
    /// Passwords that wait to be hashed; beyond, callers are refused as overloaded. 32 take about
    /// two seconds.
    pub hashing_queue: usize,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            address_burst: 60,
            address_interval: Duration::from_secs(1),
            name_burst: 10,
            name_interval: Duration::from_secs(60),
            keys_max: 65_536,
            hashing_threads: None,
            hashing_queue: 32,
        }
    }
}

/// What tokens say as `iss` unless told otherwise.
const ISSUER: &str = "chat-server";
/// What tokens say as `aud` unless told otherwise.
const AUDIENCE: &str = "chat";
/// How long a token holds unless told otherwise: whoever comes back from a holiday is still signed
/// in. It need not be short, because a log-out, a new password and a disabled account end tokens at
/// once. Clients renew it while they are connected.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// 32 characters, 5 bits each, none of which needs a shift key or escapes.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 80 bits after `u_`: a user id that cannot be guessed or counted.
const USER_ID_CHARS: usize = 16;
/// 130 bits: a token's name.
const TOKEN_NAME_CHARS: usize = 26;
/// 100 bits, typed by a person from a log.
const SETUP_CODE_CHARS: usize = 20;

/// Password accounts: a cheap clone, without type parameters.
///
/// A token is a JWT of this server's own secret. It holds as long as it has not expired or been
/// revoked ([`log_out`](Self::log_out)), and its account is enabled and of the same *generation*,
/// which a new password and disabling raise. The generation is the first part of the token's `jti`,
/// and so of [`Identity::credential`]: all that [`still_valid`](Authenticator::still_valid) is given.
///
/// **Live connections.** A change here does not by itself end connections that were authenticated
/// before; each operation that takes something away answers what it took. The caller then ends the
/// connections with [`Chat::disconnect`](crate::Chat::disconnect): of one credential after
/// `log_out`, of the whole user after `set_password` and `disable`. A node that is not told (a
/// command line in another process, a lost message) finds out by `still_valid`, which is asked for
/// every live session every [`Limits::credential_check`](crate::Limits::credential_check).
///
/// **Addresses** are those of clients. Behind a proxy it is the caller's business to find them, and
/// to believe only its own proxies.
///
/// Everything that hashes a password is cancelled by dropping its future.
///
/// ```
/// use std::net::IpAddr;
/// use chat_sdk::auth::accounts::{AccountStore, Accounts, SignUp};
///
/// async fn example(store: impl AccountStore) -> Result<(), Box<dyn std::error::Error>> {
///     let secret = [7; 32]; // 32 random bytes, kept with the data
///     let accounts = Accounts::builder(store, secret).sign_up(SignUp::Open).start().await?;
///     if let Some(code) = accounts.setup_code() {
///         println!("make the first administrator with the code {code}");
///     }
///     let address: IpAddr = "192.0.2.7".parse()?;
///     accounts.register("alice", Some("Alice"), "correct horse", address).await?;
///     let token = accounts.log_in("Alice", "correct horse", address).await?;
///     accounts.log_out(&token.identity()).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn DynAccountStore>,
    jwt: Jwt,
    issuer: JwtIssuer,
    token_lifetime: Duration,
    sign_up: SignUp,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pool: Pool,
    addresses: Mutex<Throttle<IpAddr>>,
    names: Mutex<Throttle<NameHash>>,
    setup_code: Mutex<Option<String>>,
}

/// Of a `name_key`, so that every name takes the same room.
type NameHash = [u8; 32];

/// Collects what [`Accounts`] need. Nothing happens before [`start`](Self::start).
pub struct AccountsBuilder {
    store: Box<dyn DynAccountStore>,
    secret: Vec<u8>,
    issuer: String,
    audience: String,
    token_lifetime: Duration,
    sign_up: SignUp,
    limits: AccountLimits,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl AccountsBuilder {
    /// What tokens say as `iss`, and must say. Default: `chat-server`.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// What tokens say as `aud`, and must say. Default: `chat`.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// How long a token holds. Default: 30 days.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Whether strangers may make accounts. Default: yes.
    #[must_use]
    pub fn sign_up(mut self, sign_up: SignUp) -> Self {
        self.sign_up = sign_up;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: AccountLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another randomness than the machine's.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Asks the store whether there is an administrator, makes the set-up code if there is none,
    /// and starts the threads that hash. They end by themselves after the last clone of the
    /// [`Accounts`] is dropped, each after the hash it is at.
    ///
    /// # Errors
    /// The secret is too short, the store does not answer, or there is no thread to be had.
    pub async fn start(self) -> Result<Accounts, StartError> {
        let jwt = Jwt::hs256(&self.secret)?
            .issuer(self.issuer.as_str())
            .audience(self.audience.as_str())
            .clock(self.clock.clone());
        let issuer = JwtIssuer::hs256(&self.secret)?
            .issuer(self.issuer)
            .audience(self.audience)
            .clock(self.clock.clone())
            .random(self.random.clone());
        let setup_code =
            if self.store.has_admin().await? { None } else { Some(setup_code(&self.secret)) };
        let limits = self.limits;
        let threads = limits.hashing_threads.unwrap_or_else(Pool::threads_default);
        let pool = Pool::start(threads, limits.hashing_queue).map_err(StartError::Thread)?;
        let addresses =
            Throttle::new(limits.address_interval, limits.address_burst, limits.keys_max);
        let names = Throttle::new(limits.name_interval, limits.name_burst, limits.keys_max);
        Ok(Accounts {
            shared: Arc::new(Shared {
                store: self.store,
                jwt,
                issuer,
                token_lifetime: self.token_lifetime,
                sign_up: self.sign_up,
                clock: self.clock,
                random: self.random,
                pool,
                addresses: Mutex::new(addresses),
                names: Mutex::new(names),
                setup_code: Mutex::new(setup_code),
            }),
        })
    }
}

impl fmt::Debug for AccountsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountsBuilder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("sign_up", &self.sign_up)
            .finish_non_exhaustive()
    }
}

/// # For people
impl Accounts {
    /// Accounts in this store, with tokens signed by this secret of at least 32 bytes. Whoever
    /// knows the secret is everybody; another secret ends all tokens.
    pub fn builder(store: impl AccountStore, secret: impl Into<Vec<u8>>) -> AccountsBuilder {
        AccountsBuilder {
            store: Box::new(store),
            secret: secret.into(),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            token_lifetime: TOKEN_LIFETIME,
            sign_up: SignUp::default(),
            limits: AccountLimits::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom::default()),
        }
    }

    /// Whether strangers may make accounts.
    #[must_use]
    pub fn sign_up(&self) -> SignUp {
        self.shared.sign_up
    }

    /// Makes an account and logs it in. Without a display name it is shown by its name.
    ///
    /// A name is 2 to 32 letters, digits, `.`, `_` and `-`, of alphabets that are written together;
    /// names that differ only in case or form are the same name. A display name is 1 to 64
    /// characters on one line; what would disturb the text around it is taken out.
    ///
    /// # Errors
    /// See [`RegisterError`]. That a name is taken is said only after as long as making the account
    /// would have taken.
    pub async fn register(
        &self,
        name: &str,
        display_name: Option<&str>,
        password: &str,
        address: IpAddr,
    ) -> Result<Token, RegisterError> {
        if self.shared.sign_up == SignUp::Closed {
            return Err(RegisterError::SignUpClosed);
        }
        self.admit_address(address)?;
        let account =
            self.account::<RegisterError>(name, display_name, password, AccountRole::User).await?;
        match self.shared.store.create_account(account.clone(), CreateWhen::NameFree).await? {
            Creation::Created => Ok(self.issue(&account)),
            Creation::NameTaken | Creation::AdminExists => Err(RegisterError::NameTaken),
        }
    }

    /// A token for somebody's name (in any case and form) and password.
    ///
    /// # Errors
    /// See [`LogInError`]. Whether there is such a user shows neither in the error nor in the time
    /// it takes.
    pub async fn log_in(
        &self,
        identifier: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Token, LogInError> {
        self.admit_address(address)?;
        // What cannot be a name is nobody's, and nothing to count.
        let name = Name::new(identifier.trim()).ok();
        let Some(hash) = name.as_ref().map(|name| name_hash(&name.key)) else {
            return self.check_password(None, password).await;
        };
        let admitted = lock(&self.shared.names).admit(now(), hash);
        admitted.map_err(|retry_after| RateLimited { retry_after })?;
        let answer = self.check_password(name.as_ref(), password).await;
        if !matches!(answer, Err(LogInError::WrongCredentials)) {
            lock(&self.shared.names).refund(&hash);
        }
        answer
    }

    /// The code with which the first administrator can be made, as long as none is known of.
    ///
    /// It follows from the secret, so every node with the same one has the same code, and whichever
    /// is reached takes it. Show it where only who runs the server can see it.
    #[must_use]
    pub fn setup_code(&self) -> Option<String> {
        let code = lock(&self.shared.setup_code).clone()?;
        let mut spaced = String::new();
        for (n, c) in code.chars().enumerate() {
            if n > 0 && n % 5 == 0 {
                spaced.push('-');
            }
            spaced.push(c);
        }
        Some(spaced)
    }

    /// Makes the first administrator and logs them in. Works once for all nodes together: the store
    /// sees to it. Case, dashes and spaces of the code do not matter.
    ///
    /// # Errors
    /// See [`SetUpError`].
    pub async fn set_up(
        &self,
        code: &str,
        name: &str,
        display_name: Option<&str>,
        password: &str,
        address: IpAddr,
    ) -> Result<Token, SetUpError> {
        let Some(expected) = lock(&self.shared.setup_code).clone() else {
            return Err(SetUpError::SetupClosed);
        };
        self.admit_address(address)?;
        if !self.same_code(code, &expected) {
            return Err(SetUpError::WrongCredentials);
        }
        let account =
            self.account::<SetUpError>(name, display_name, password, AccountRole::Admin).await?;
        match self.shared.store.create_account(account.clone(), CreateWhen::NoAdminYet).await? {
            Creation::Created => {
                self.forget_setup_code();
                Ok(self.issue(&account))
            }
            Creation::AdminExists => {
                self.forget_setup_code();
                Err(SetUpError::SetupClosed)
            }
            Creation::NameTaken => Err(SetUpError::NameTaken),
        }
    }

    /// A fresh token for the bearer of a valid one, which stays valid until it expires.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn refresh(&self, identity: &Identity) -> Result<Token, RefreshError> {
        match self.holder(identity).await? {
            Some(account) => Ok(self.issue(&account)),
            None => Err(RefreshError::Refused),
        }
    }

    /// Revokes the token that this identity comes from, on all nodes, and answers its name. The
    /// caller ends its live connections with [`Chat::disconnect`](crate::Chat::disconnect).
    /// Repeating it is safe.
    ///
    /// # Errors
    /// See [`LogOutError`].
    pub async fn log_out(&self, identity: &Identity) -> Result<CredentialId, LogOutError> {
        let (Some(credential), Some(expires_at)) = (&identity.credential, identity.expires_at)
        else {
            return Err(LogOutError::NotAToken);
        };
        // A little longer than the clocks of two nodes may differ.
        let expires_at = expires_at.plus(Duration::from_secs(60));
        self.shared.store.revoke_token(credential, expires_at).await?;
        Ok(credential.clone())
    }

    /// How busy the hashing of passwords is.
    #[must_use]
    pub fn hashing(&self) -> HashingLoad {
        self.shared.pool.load()
    }
}

/// # For administrators
///
/// None of these ask who is calling.
impl Accounts {
    /// Makes an account, whether or not sign-up is open.
    ///
    /// # Errors
    /// See [`CreateUserError`].
    pub async fn create_user(
        &self,
        name: &str,
        display_name: Option<&str>,
        password: &str,
        role: AccountRole,
    ) -> Result<UserId, CreateUserError> {
        let account = self.account::<CreateUserError>(name, display_name, password, role).await?;
        let user = account.user.clone();
        match self.shared.store.create_account(account, CreateWhen::NameFree).await? {
            Creation::Created => {
                if role == AccountRole::Admin {
                    self.forget_setup_code();
                }
                Ok(user)
            }
            Creation::NameTaken | Creation::AdminExists => Err(CreateUserError::NameTaken),
        }
    }

    /// Gives the user of this name another password, which ends all their tokens. Answers whose
    /// live connections the caller has to end.
    ///
    /// # Errors
    /// See [`SetPasswordError`].
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
    ) -> Result<UserId, SetPasswordError> {
        let name = Name::new(name.trim()).map_err(|_| SetPasswordError::UnknownUser)?;
        let password = Password::new(password, &name.key)?;
        let account = self.shared.store.account_by_name(&name.key).await?;
        let account = account.ok_or(SetPasswordError::UnknownUser)?;
        let hash = self.shared.pool.hash(password, self.salt()).await?;
        let change = AccountChange::Password(hash);
        match self.shared.store.change_account(&account.user, change).await? {
            Some(account) => Ok(account.user),
            None => Err(SetPasswordError::UnknownUser),
        }
    }

    /// Ends all tokens of the user of this name and lets them in no more. They keep their name and
    /// what they wrote. Answers whose live connections the caller has to end.
    ///
    /// # Errors
    /// See [`SetEnabledError`].
    pub async fn disable(&self, name: &str) -> Result<UserId, SetEnabledError> {
        self.set_enabled(name, AccountChange::Disable).await
    }

    /// Lets the user of this name log in again. Tokens from before stay invalid.
    ///
    /// # Errors
    /// See [`SetEnabledError`].
    pub async fn enable(&self, name: &str) -> Result<UserId, SetEnabledError> {
        self.set_enabled(name, AccountChange::Enable).await
    }

    /// Accounts by [`Account::name_key`], at most `limit`, after that of the last one before.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.shared.store.list_accounts(after, limit).await
    }
}

impl Accounts {
    async fn set_enabled(
        &self,
        name: &str,
        change: AccountChange,
    ) -> Result<UserId, SetEnabledError> {
        let name = Name::new(name.trim()).map_err(|_| SetEnabledError::UnknownUser)?;
        let account = self.shared.store.account_by_name(&name.key).await?;
        let account = account.ok_or(SetEnabledError::UnknownUser)?;
        match self.shared.store.change_account(&account.user, change).await? {
            Some(account) => Ok(account.user),
            None => Err(SetEnabledError::UnknownUser),
        }
    }

    /// A token if it is this person's password; hashes once whether or not there is one.
    async fn check_password(
        &self,
        name: Option<&Name>,
        password: &str,
    ) -> Result<Token, LogInError> {
        let shared = &*self.shared;
        let password = Password::attempt(password).ok_or(LogInError::WrongCredentials)?;
        let account = match name {
            Some(name) => shared.store.account_by_name(&name.key).await?,
            None => None,
        };
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        match (account, shared.pool.compare(password.clone(), stored).await?) {
            (None, _) | (_, Match::No) => Err(LogInError::WrongCredentials),
            (Some(account), _) if account.disabled => Err(LogInError::WrongCredentials),
            (Some(account), Match::Yes) => Ok(self.issue(&account)),
            (Some(account), Match::Outdated) => {
                self.hash_anew(&account, password).await;
                Ok(self.issue(&account))
            }
        }
    }

    /// A new account that is nowhere yet. Checks everything before it hashes.
    async fn account<E>(
        &self,
        name: &str,
        display_name: Option<&str>,
        password: &str,
        role: AccountRole,
    ) -> Result<Account, E>
    where
        E: From<InvalidName> + From<InvalidDisplayName> + From<WeakPassword> + From<Overloaded>,
    {
        let shared = &*self.shared;
        let Name { name, key } = Name::new(name.trim())?;
        let display_name = match display_name {
            Some(text) => name::display_name(text)?,
            None => name.clone(),
        };
        let password = Password::new(password, &key)?;
        let password_hash = shared.pool.hash(password, self.salt()).await?;
        let id = format!("u_{}", random_word(&*shared.random, USER_ID_CHARS));
        Ok(Account {
            user: UserId::new(id).expect("18 letters and digits are a user id"),
            name,
            name_key: key,
            display_name,
            password_hash,
            role,
            disabled: false,
            generation: 0,
            created_at: shared.clock.now(),
        })
    }

    /// Stores the password under today's parameters. Log-in goes on if that does not work now.
    async fn hash_anew(&self, account: &Account, password: Password) {
        let Ok(new) = self.shared.pool.hash(password, self.salt()).await else { return };
        let old = &account.password_hash;
        if let Err(why) = self.shared.store.replace_password_hash(&account.user, old, &new).await {
            tracing::debug!(%why, "kept a password under old parameters");
        }
    }

    fn issue(&self, account: &Account) -> Token {
        let name = random_word(&*self.shared.random, TOKEN_NAME_CHARS);
        let credential = CredentialId::new(format!("{}.{name}", account.generation))
            .expect("a number and 27 characters are a credential id");
        self.shared.issuer.issue_as(&account.user, credential, self.shared.token_lifetime)
    }

    /// The account of an identity that still holds.
    async fn holder(&self, identity: &Identity) -> Result<Option<Account>, StoreError> {
        let Some(credential) = &identity.credential else { return Ok(None) };
        let Some((generation, _)) = credential.as_str().split_once('.') else { return Ok(None) };
        let Ok(generation) = generation.parse::<u32>() else { return Ok(None) };
        let account = self.shared.store.holder(&identity.user, credential).await?;
        Ok(account.filter(|account| !account.disabled && account.generation == generation))
    }

    fn admit_address(&self, address: IpAddr) -> Result<(), RateLimited> {
        lock(&self.shared.addresses)
            .admit(now(), network(address))
            .map_err(|retry_after| RateLimited { retry_after })
    }

    /// Compares in a time that does not depend on how much is right: two HMACs under a fresh key.
    fn same_code(&self, given: &str, expected: &str) -> bool {
        let given: String = given
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .take(2 * SETUP_CODE_CHARS)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let mut key = [0; 32];
        self.shared.random.fill(&mut key);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let expected = hmac::sign(&key, expected.as_bytes());
        hmac::verify(&key, given.as_bytes(), expected.as_ref()).is_ok()
    }

    fn forget_setup_code(&self) {
        *lock(&self.shared.setup_code) = None;
    }

    fn salt(&self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.shared.random.fill(&mut salt);
        salt
    }
}

impl Authenticator for Accounts {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let identity = self.shared.jwt.verify(token).map_err(AuthError::Refused)?;
        match self.holder(&identity).await {
            Ok(Some(_)) => Ok(identity),
            Ok(None) => Err(AuthError::Refused("revoked, or its account disabled or changed")),
            Err(why) => Err(AuthError::Unavailable(why.into())),
        }
    }

    /// While the store does not answer, who was let in stays: nothing can be read or written then
    /// anyway, and `expires_at` still ends it.
    async fn still_valid(&self, identity: &Identity) -> bool {
        match self.holder(identity).await {
            Ok(holder) => holder.is_some(),
            Err(why) => {
                tracing::debug!(%why, "could not ask about a live session's credential");
                true
            }
        }
    }
}

impl Directory for Accounts {
    /// Disabled users included: what they wrote still has an author.
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        let accounts = self.shared.store.accounts(users).await?;
        Ok(accounts.iter().map(Account::profile).collect())
    }

    /// Everybody finds everybody but disabled users.
    async fn search(
        &self,
        _searcher: &UserId,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        // Nobody's name or word is longer, so what is longer begins nobody's.
        if query.len() > 4 * DISPLAY_NAME_CHARS_MAX {
            return Ok(Vec::new());
        }
        let prefix = fold(query.trim());
        if prefix.is_empty() || prefix.contains('\0') {
            return Ok(Vec::new());
        }
        let accounts = self.shared.store.search_accounts(&prefix, limit).await?;
        Ok(accounts.iter().map(Account::profile).collect())
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("sign_up", &self.shared.sign_up).finish_non_exhaustive()
    }
}

/// What counts as one address: IPv6 is given out by the /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn name_hash(name_key: &str) -> NameHash {
    let digest = digest::digest(&digest::SHA256, name_key.as_bytes());
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

/// The code that goes with a secret, and does not tell anything of it.
fn setup_code(secret: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = ring::hmac::sign(&key, b"the first administrator");
    word(tag.as_ref().iter().copied().take(SETUP_CODE_CHARS))
}

fn random_word(random: &dyn Random, chars: usize) -> String {
    let mut bytes = vec![0; chars];
    random.fill(&mut bytes);
    word(bytes)
}

fn word(bytes: impl IntoIterator<Item = u8>) -> String {
    // 32 divides 256, so every character is equally likely.
    bytes.into_iter().map(|byte| char::from(BASE32[usize::from(byte) % 32])).collect()
}

/// Elapsed time is tokio's, so that a test can let it pass.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Nothing behind these locks can be left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
