//! JSON Web Tokens: who may sign them is configured, everything in a token is checked against
//! that, and nothing in a token chooses how it is checked.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    AuthError, Authenticator, Credentials,
    ring_provider::{self, RING},
};
use crate::{
    env::{Clock, Random, SystemClock, SystemRandom},
    model::{CredentialId, Identity, Timestamp, UserId},
};

/// Longest token in bytes: what a proxy lets through in one header line (nginx: 8 KiB).
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far apart the clocks of issuer and server may be. Clocks kept by NTP agree within a second;
/// more would only lengthen the life of every token.
const LEEWAY: Duration = Duration::from_secs(5);

/// Last second of the year 9999: what RFC 3339, and so our wire, can still write.
const LATEST_SECS: i64 = 253_402_300_799;

/// The algorithms a [`Jwt`] can be configured for. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256; a secret of at least 32 bytes, shared by issuer and server.
    Hs256,
    /// HMAC with SHA-384; a secret of at least 48 bytes.
    Hs384,
    /// HMAC with SHA-512; a secret of at least 64 bytes.
    Hs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; a key of at least 2048 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    const ALL: [Self; 6] =
        [Self::Hs256, Self::Hs384, Self::Hs512, Self::Es256, Self::Rs256, Self::EdDsa];

    /// As RFC 7518 and RFC 8037 spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    const fn library(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Hs384 => Algorithm::HS384,
            Self::Hs512 => Algorithm::HS512,
            Self::Es256 => Algorithm::ES256,
            Self::Rs256 => Algorithm::RS256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    /// RFC 7518, section 3.2: a secret at least as long as the hash's output.
    const fn secret_bytes_min(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            Self::Es256 | Self::Rs256 | Self::EdDsa => None,
        }
    }

    /// The key that verifies: a secret, or a public key in PEM.
    fn verifying_key(self, key: &[u8]) -> Result<DecodingKey, JwtConfigError> {
        if let Some(least) = self.secret_bytes_min() {
            if key.len() < least {
                return Err(JwtConfigError::ShortSecret { least });
            }
            return Ok(DecodingKey::from_secret(key));
        }
        let label = pem_label(key).ok_or(JwtConfigError::NotPem)?;
        if label.ends_with("PRIVATE KEY") {
            return Err(JwtConfigError::PrivateKey);
        }
        if !label.ends_with("PUBLIC KEY") {
            return Err(JwtConfigError::NotPem);
        }
        let parsed = match self {
            Self::Es256 => DecodingKey::from_ec_pem(key),
            Self::EdDsa => DecodingKey::from_ed_pem(key),
            Self::Rs256 => DecodingKey::from_rsa_pem(key),
            Self::Hs256 | Self::Hs384 | Self::Hs512 => return Err(JwtConfigError::NotPem),
        }
        .map_err(|_| JwtConfigError::WrongKey(self.name()))?;
        if ring_provider::fits(self.library(), &parsed) {
            Ok(parsed)
        } else {
            Err(JwtConfigError::WrongKey(self.name()))
        }
    }
}

/// What stands between `-----BEGIN ` and `-----`.
fn pem_label(pem: &[u8]) -> Option<&str> {
    let pem = std::str::from_utf8(pem).ok()?;
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    rest.split_once("-----").map(|(label, _)| label)
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for JwtAlgorithm {
    type Err = JwtConfigError;
    fn from_str(name: &str) -> Result<Self, JwtConfigError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(JwtConfigError::UnknownAlgorithm)
    }
}

/// Why a [`Jwt`] or [`JwtIssuer`] cannot be configured like this. Never repeats a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// A secret that could be guessed.
    #[error("the secret is shorter than {least} bytes")]
    ShortSecret {
        /// Fewest bytes for this algorithm.
        least: usize,
    },
    /// Not one of [`JwtAlgorithm`], or not spelled as its RFC does.
    #[error("not one of HS256, HS384, HS512, ES256, RS256, EdDSA")]
    UnknownAlgorithm,
    /// A public key is wanted as PEM (`-----BEGIN PUBLIC KEY-----`).
    #[error("not a public key in PEM")]
    NotPem,
    /// Verifying takes the public half; the private one should not be on this machine.
    #[error("a private key where the public one belongs")]
    PrivateKey,
    /// A key of another kind, curve or size.
    #[error("not a key for {0}")]
    WrongKey(&'static str),
    /// Two keys of the same name.
    #[error("two keys with the same kid")]
    DuplicateKid,
}

/// An [`Authenticator`] that takes the bearer's JSON Web Token.
///
/// The algorithm is fixed here and never read from a token. A token holds if its signature does,
/// `exp` lies ahead, `nbf` (if there) does not, `sub` is a [`UserId`], and `iss` and `aud` are those
/// configured. Clocks may differ by 5 s. Times are whole seconds. `sub` becomes the user, `exp` the
/// end of live connections, `jti` (if there, at most 64 bytes) the name of the credential. A token
/// that names an audience is refused where none is configured (RFC 7519, section 4.1.3), as is one
/// whose header has `crit` or says that the token is not a JWT.
///
/// ```
/// use chat_sdk::auth::{Jwt, JwtAlgorithm};
/// # fn main() -> Result<(), chat_sdk::auth::JwtConfigError> {
/// let secret = [7; 32]; // from where your app keeps its secrets
/// let jwt = Jwt::hs256(secret)?.issuer("https://login.example.org").audience("chat");
///
/// // Several keys of one algorithm, chosen by the token's `kid` among these and nowhere else:
/// let rotating = Jwt::keyed(JwtAlgorithm::Hs256).key("2026-01", [1; 32])?.key("2026-02", [2; 32])?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Jwt {
    algorithm: JwtAlgorithm,
    /// Takes tokens without a `kid`, and all of them while `named` is empty.
    unnamed: Option<DecodingKey>,
    named: HashMap<String, DecodingKey>,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Arc<dyn Clock>,
}

impl Jwt {
    /// With one key, whatever `kid` a token names: a secret for HS256, HS384 and HS512, else a
    /// public key in PEM.
    ///
    /// # Errors
    /// The key is none for this algorithm, or too short.
    pub fn new(algorithm: JwtAlgorithm, key: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        let key = algorithm.verifying_key(key.as_ref())?;
        Ok(Self { unnamed: Some(key), ..Self::keyed(algorithm) })
    }

    /// HS256 with a secret of at least 32 bytes.
    ///
    /// # Errors
    /// The secret is too short.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self::new(JwtAlgorithm::Hs256, secret)
    }

    /// ES256 with a public key in PEM.
    ///
    /// # Errors
    /// Not such a key.
    pub fn es256(public_key_pem: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self::new(JwtAlgorithm::Es256, public_key_pem)
    }

    /// RS256 with a public key in PEM.
    ///
    /// # Errors
    /// Not such a key, or below 2048 bits.
    pub fn rs256(public_key_pem: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self::new(JwtAlgorithm::Rs256, public_key_pem)
    }

    /// EdDSA (Ed25519) with a public key in PEM.
    ///
    /// # Errors
    /// Not such a key.
    pub fn eddsa(public_key_pem: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self::new(JwtAlgorithm::EdDsa, public_key_pem)
    }

    /// Without a key yet: add some with [`Jwt::key`]. Until then every token is refused.
    #[must_use]
    pub fn keyed(algorithm: JwtAlgorithm) -> Self {
        Self {
            algorithm,
            unnamed: None,
            named: HashMap::new(),
            issuer: None,
            audience: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds a key that tokens name by this `kid`. From the first such key on, a token that names
    /// another `kid` is refused, and one that names none needs the key of [`Jwt::new`].
    ///
    /// # Errors
    /// The key is none for this algorithm, too short, or its name is taken.
    pub fn key(
        mut self,
        kid: impl Into<String>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, JwtConfigError> {
        let key = self.algorithm.verifying_key(key.as_ref())?;
        match self.named.insert(kid.into(), key) {
            None => Ok(self),
            Some(_) => Err(JwtConfigError::DuplicateKid),
        }
    }

    /// Tokens must name this issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Tokens must name this audience, alone or among others.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who the token speaks of, or why it does not hold.
    pub(super) fn verify(&self, token: &str) -> Result<Identity, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("longer than a token may be");
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("not three parts");
        };

        let key = self.key_for(&object::<Header>(header).ok_or("not the header of a token")?)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature is not base64")?;
        (RING.verifier_factory)(&self.algorithm.library(), key)
            .map_err(|_| "key does not fit the algorithm")?
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "wrong signature")?;

        self.identity(object::<Claims>(payload).ok_or("not the claims of a token")?)
    }

    fn key_for(&self, header: &Header) -> Result<&DecodingKey, &'static str> {
        if header.alg != self.algorithm.name() {
            return Err("another algorithm");
        }
        if header.crit || header.cty {
            return Err("asks for what is not understood");
        }
        // RFC 9068 calls an access token `at+jwt`; both may carry the prefix of a media type.
        if let Some(typ) = &header.typ {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            if typ != "jwt" && typ != "at+jwt" {
                return Err("of another type");
            }
        }
        match &header.kid {
            Some(kid) if !self.named.is_empty() => self.named.get(kid).ok_or("unknown kid"),
            _ => self.unnamed.as_ref().ok_or("no kid"),
        }
    }

    fn identity(&self, claims: Claims) -> Result<Identity, &'static str> {
        if !(1..=LATEST_SECS).contains(&claims.exp) {
            return Err("exp out of range");
        }
        let now = self.clock.now();
        let expires_at = Timestamp::from_secs(claims.exp);
        if now >= expires_at.plus(LEEWAY) {
            return Err("expired");
        }
        if claims.nbf.is_some_and(|nbf| now.plus(LEEWAY) < Timestamp::from_secs(nbf)) {
            return Err("not valid yet");
        }
        if let Some(issuer) = &self.issuer
            && claims.iss.as_ref() != Some(issuer)
        {
            return Err("another issuer");
        }
        match (&self.audience, &claims.aud) {
            (None, None) => {}
            (Some(own), Some(Audience::One(one))) if own == one => {}
            (Some(own), Some(Audience::Many(many))) if many.contains(own) => {}
            _ => return Err("another audience"),
        }
        let user = UserId::new(&claims.sub).map_err(|_| "sub is no user id")?;
        let identity = Identity::new(user).expiring(expires_at);
        match claims.jti {
            None => Ok(identity),
            Some(jti) => match CredentialId::new(jti) {
                Ok(credential) => Ok(identity.by(credential)),
                Err(_) => Err("jti is no credential id"),
            },
        }
    }
}

impl Authenticator for Jwt {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        self.verify(token).map_err(AuthError::Refused)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithm", &self.algorithm)
            .field("kids", &self.named.keys())
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Of the header, what decides. Key material in it (`jwk`, `jku`, `x5u`, `x5c`) is not even read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    cty: bool,
}

/// What is checked. A claim given twice is an error of the derive, and a time that is no whole
/// number one of the type.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    iss: Option<String>,
    aud: Option<Audience>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A part of a token: base64url without padding of a JSON object in UTF-8.
fn object<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    // serde would take an array for a struct.
    if !json.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(&json).ok()
}

/// A token that was issued, with what its bearer may know of it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Whose it is.
    pub user: UserId,
    /// The token itself: whoever has it is the user. Left out of `Debug`.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its name (`jti`).
    pub credential: CredentialId,
}

impl Token {
    /// What an [`Authenticator`] will make of it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(self.user.clone()).expiring(self.expires_at).by(self.credential.clone())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("user", &self.user)
            .field("expires_at", &self.expires_at)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// Issues tokens that a [`Jwt`] with the same secret, issuer and audience takes: for tests, bots
/// and apps without a token service of their own.
///
/// ```
/// use std::time::Duration;
/// use chat_sdk::{UserId, auth::JwtIssuer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = JwtIssuer::hs256([7; 32])?.audience("chat");
/// let token = issuer.issue(&UserId::new("u_7")?, Duration::from_secs(3600));
/// assert_eq!(token.token.split('.').count(), 3);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JwtIssuer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl JwtIssuer {
    /// HS256 with a secret of at least 32 bytes.
    ///
    /// # Errors
    /// The secret is too short.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        // The same rule as for verifying.
        JwtAlgorithm::Hs256.verifying_key(secret.as_ref())?;
        Ok(Self {
            key: EncodingKey::from_secret(secret.as_ref()),
            issuer: None,
            audience: None,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom::default()),
        })
    }

    /// What tokens say as `iss`.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// What tokens say as `aud`.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
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

    /// A token of this user from now on, of which `jti` is 128 random bits. Its end is rounded down
    /// to whole seconds.
    #[must_use]
    pub fn issue(&self, user: &UserId, lifetime: Duration) -> Token {
        let mut name = [0; 16];
        self.random.fill(&mut name);
        let credential = CredentialId::new(URL_SAFE_NO_PAD.encode(name))
            .expect("22 characters of base64 are a credential id");
        self.issue_as(user, credential, lifetime)
    }

    /// The same, under a name that the caller has chosen: for hosts that keep sessions of their own.
    #[must_use]
    pub fn issue_as(&self, user: &UserId, credential: CredentialId, lifetime: Duration) -> Token {
        #[derive(Serialize)]
        struct Issued<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            iss: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a str>,
            sub: &'a str,
            jti: &'a str,
            iat: i64,
            exp: i64,
        }

        let now = self.clock.now();
        let exp = now.plus(lifetime).as_secs().min(LATEST_SECS);
        let claims = Issued {
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
            sub: user.as_str(),
            jti: credential.as_str(),
            iat: now.as_secs(),
            exp,
        };
        let claims = serde_json::to_vec(&claims).expect("strings and numbers are JSON");
        let mut token = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = (RING.signer_factory)(&Algorithm::HS256, &self.key)
            .and_then(|signer| Ok(signer.try_sign(token.as_bytes())?))
            .expect("an HMAC key signs anything");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Token { user: user.clone(), token, expires_at: Timestamp::from_secs(exp), credential }
    }
}

impl fmt::Debug for JwtIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIssuer")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
