//! Tokens that must not let anybody in, one table of them, each refused like every other; and that
//! the honest ones still pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use chat_sdk::{
    AuthError, Authenticator, Credentials, Identity, MemoryStore, Timestamp, UserId,
    auth::{
        Accounts, InstalledProvider, Jwt, JwtAlgorithm, JwtConfigError, JwtIssuer,
        accounts::{Account, AccountRole, AccountStore as _, CreateWhen},
        install_ring_provider,
    },
    env::Clock,
};
use ring::{
    hmac, rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

const NOW: i64 = 1_767_323_045;
const SECRET: [u8; 32] = [7; 32];
const OTHER_SECRET: [u8; 32] = [8; 32];
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Milliseconds.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn at(secs: i64) -> Arc<SetClock> {
    Arc::new(SetClock(AtomicI64::new(secs * 1000)))
}

async fn ask(authenticator: &impl Authenticator, token: &str) -> Result<Identity, AuthError> {
    let (headers, extensions) = (http::HeaderMap::new(), http::Extensions::new());
    authenticator.authenticate(Credentials::new(Some(token), &headers, &extensions)).await
}

/// All that anybody outside gets to know.
fn outside(answer: &Result<Identity, AuthError>) -> String {
    match answer {
        Ok(identity) => format!("let in as {}", identity.user),
        Err(AuthError::Refused(_)) => "refused".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

// --- making tokens ---

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn honest_claims() -> Value {
    json!({
        "iss": "https://login.example.org", "aud": "chat", "sub": "u_7", "jti": "t-1",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 600,
    })
}

/// The honest claims with one of them changed.
fn with(claim: &str, value: Value) -> String {
    let mut claims = honest_claims();
    claims[claim] = value;
    claims.to_string()
}

fn without(claim: &str) -> String {
    let mut claims = honest_claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims.to_string()
}

fn signed_by(secret: &[u8], header: &str, claims: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = b64(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// Rightly signed: what is wrong is said in it.
fn signed(header: &str, claims: impl AsRef<[u8]>) -> String {
    signed_by(&SECRET, header, claims)
}

fn honest() -> String {
    signed(HS256, honest_claims().to_string())
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// The key of RFC 7515, appendix A.2.
static RSA: LazyLock<rsa::KeyPair> = LazyLock::new(|| {
    let der = include_str!("../src/auth/rfc7515_a2_rsa.b64").replace('\n', "");
    rsa::KeyPair::from_der(&STANDARD.decode(der).unwrap()).unwrap()
});

fn rsa_pem() -> String {
    pem("RSA PUBLIC KEY", RSA.public().as_ref())
}

fn rs256(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let mut signature = vec![0; RSA.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    RSA.sign(&signature::RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", b64(signature))
}

static EC: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let random = ring::rand::SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap()
});

fn es256(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let random = ring::rand::SystemRandom::new();
    format!("{message}.{}", b64(EC.sign(&random, message.as_bytes()).unwrap()))
}

fn ec_pem() -> String {
    // SubjectPublicKeyInfo of an uncompressed point of P-256.
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
                    \x3d\x03\x01\x07\x03\x42\x00"
        .to_vec();
    der.extend(EC.public_key().as_ref());
    pem("PUBLIC KEY", &der)
}

static ED: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap());

fn eddsa(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    format!("{message}.{}", b64(ED.sign(message.as_bytes())))
}

fn ed_pem() -> String {
    let mut der = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    der.extend(ED.public_key().as_ref());
    pem("PUBLIC KEY", &der)
}

// --- who is asked ---

fn configured(jwt: Jwt) -> Jwt {
    jwt.issuer("https://login.example.org").audience("chat").clock(at(NOW))
}

fn hs() -> Jwt {
    configured(Jwt::hs256(SECRET).unwrap())
}

fn keyed() -> Jwt {
    let jwt = Jwt::keyed(JwtAlgorithm::Hs256).key("a", SECRET).unwrap();
    configured(jwt.key("b", OTHER_SECRET).unwrap())
}

fn rs() -> Jwt {
    configured(Jwt::rs256(rsa_pem()).unwrap())
}

fn es() -> Jwt {
    configured(Jwt::es256(ec_pem()).unwrap())
}

fn ed() -> Jwt {
    configured(Jwt::eddsa(ed_pem()).unwrap())
}

// --- the tables ---

/// What is wrong with it, and the token, for a server with one HMAC secret.
#[rustfmt::skip] // one token a line
fn forged() -> Vec<(&'static str, String)> {
    let honest = honest();
    let claims = honest_claims().to_string();
    let exp = (NOW + 600).to_string();
    let parts: Vec<&str> = honest.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let unsigned = |header: &str| format!("{}.{payload}.", b64(header));
    // The last of the 43 characters of 32 bytes carries two bits that mean nothing.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (most, last) = signature.split_at(42);
    let twin = alphabet.find(last).unwrap() ^ 1;
    let respelled = format!("{most}{}", &alphabet[twin..=twin]);

    vec![
        // The shape.
        ("empty", String::new()),
        ("a word", "token".to_owned()),
        ("only dots", "..".to_owned()),
        ("no signature part", format!("{header}.{payload}")),
        ("a fourth part", format!("{honest}.{signature}")),
        ("a dot behind", format!("{honest}.")),
        ("a dot in front", format!(".{honest}")),
        ("five parts, as an encrypted token has", format!("{header}..{payload}.{payload}.{signature}")),
        ("cut short", honest[..honest.len() - 1].to_owned()),
        ("cut in the claims", format!("{header}.{}.{signature}", &payload[..payload.len() - 4])),
        ("white space before", format!(" {honest}")),
        ("white space behind", format!("{honest}\n")),
        ("white space within", format!("{header}. {payload}.{signature}")),
        ("a scheme before", format!("Bearer {honest}")),
        ("NUL behind", format!("{honest}\0")),
        ("a padded signature", format!("{header}.{payload}.{signature}=")),
        ("padding everywhere", honest.split('.').map(|part| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap())).collect::<Vec<_>>().join(".")),
        ("a header of the other base64", signed(HS256, &claims).replacen('.', "+/.", 1)),
        ("a second spelling of the signature", format!("{header}.{payload}.{respelled}")),
        ("a letter that looks alike", honest.replacen('e', "е", 1)),
        ("100 kB of claims, rightly signed", signed(HS256, with("more", json!("x".repeat(100_000))))),
        ("100 kB of dots", ".".repeat(100_000)),
        ("100 kB of signature", format!("{header}.{payload}.{}", "A".repeat(100_000))),
        ("the JSON serialisation", json!({"protected": header, "payload": payload, "signature": signature}).to_string()),
        // The signature.
        ("no signature", format!("{header}.{payload}.")),
        ("a signature of zeros", format!("{header}.{payload}.{}", b64([0; 32]))),
        ("a signature cut to 15 bytes", format!("{header}.{payload}.{}", &signature[..20])),
        ("another secret", signed_by(&OTHER_SECRET, HS256, &claims)),
        ("the empty secret", signed_by(b"", HS256, &claims)),
        ("the secret in hexadecimal", signed_by("07".repeat(32).as_bytes(), HS256, &claims)),
        ("somebody else under an honest signature", format!("{header}.{}.{signature}", b64(with("sub", json!("root"))))),
        ("the honest signature of another header", format!("{}.{payload}.{signature}", b64(r#"{"typ":"JWT","alg":"HS256"}"#))),
        // The algorithm.
        ("alg none", unsigned(r#"{"alg":"none"}"#)),
        ("alg None", unsigned(r#"{"alg":"None"}"#)),
        ("alg NONE", unsigned(r#"{"alg":"NONE"}"#)),
        ("alg nOnE", unsigned(r#"{"alg":"nOnE"}"#)),
        ("alg empty", unsigned(r#"{"alg":""}"#)),
        ("alg null", unsigned(r#"{"alg":null}"#)),
        ("alg none, rightly signed", signed(r#"{"alg":"none"}"#, &claims)),
        ("alg missing", signed(r#"{"typ":"JWT"}"#, &claims)),
        ("alg a list", signed(r#"{"alg":["HS256"]}"#, &claims)),
        ("alg a number", signed(r#"{"alg":256}"#, &claims)),
        ("alg in small letters", signed(r#"{"alg":"hs256"}"#, &claims)),
        ("alg with a space", signed(r#"{"alg":"HS256 "}"#, &claims)),
        ("alg HS384 with a signature of HS256", signed(r#"{"alg":"HS384"}"#, &claims)),
        ("alg RS256 with a signature of HS256", signed(r#"{"alg":"RS256"}"#, &claims)),
        ("alg RS256 and rightly so", rs256(r#"{"alg":"RS256"}"#, &claims)),
        ("alg twice, the first none", signed(r#"{"alg":"none","alg":"HS256"}"#, &claims)),
        ("alg twice, the second none", signed(r#"{"alg":"HS256","alg":"none"}"#, &claims)),
        // The rest of the header.
        ("its own key in jwk", signed_by(&OTHER_SECRET, &json!({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(OTHER_SECRET)}}).to_string(), &claims)),
        ("its own keys at jku", signed_by(&OTHER_SECRET, r#"{"alg":"HS256","jku":"https://evil.example/keys"}"#, &claims)),
        ("its own certificate at x5u", signed_by(&OTHER_SECRET, r#"{"alg":"HS256","x5u":"https://evil.example/c"}"#, &claims)),
        ("its own certificate in x5c", signed_by(&OTHER_SECRET, r#"{"alg":"HS256","x5c":["AAAA"]}"#, &claims)),
        ("crit", signed(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, &claims)),
        ("crit, empty", signed(r#"{"alg":"HS256","crit":[]}"#, &claims)),
        ("crit, null", signed(r#"{"alg":"HS256","crit":null}"#, &claims)),
        ("an unencoded payload", signed(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, &claims)),
        ("typ of an encrypted token", signed(r#"{"alg":"HS256","typ":"JWE"}"#, &claims)),
        ("typ of a log-out token", signed(r#"{"alg":"HS256","typ":"logout+jwt"}"#, &claims)),
        ("typ a number", signed(r#"{"alg":"HS256","typ":1}"#, &claims)),
        ("cty of a token within a token", signed(r#"{"alg":"HS256","cty":"JWT"}"#, &claims)),
        ("a token within a token", signed(HS256, &honest)),
        ("kid a number", signed(r#"{"alg":"HS256","kid":1}"#, &claims)),
        ("kid twice", signed(r#"{"alg":"HS256","kid":"a","kid":"b"}"#, &claims)),
        ("kid a path, empty secret", signed_by(b"", r#"{"alg":"HS256","kid":"../../dev/null"}"#, &claims)),
        ("a header that is a list", signed(r#"["HS256","JWT",null]"#, &claims)),
        ("a header that is no JSON", signed("HS256", &claims)),
        ("a header that is not UTF-8", { let message = format!("{}.{payload}", b64(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}")); let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET); format!("{message}.{}", b64(hmac::sign(&key, message.as_bytes()))) }),
        ("an empty header", format!(".{payload}.{signature}")),
        // The claims as such.
        ("no claims", signed(HS256, "")),
        ("empty claims", signed(HS256, "{}")),
        ("claims that are a list", signed(HS256, json!(["u_7", NOW + 600, NOW, "https://login.example.org", "chat", "t-1"]).to_string())),
        ("claims that are null", signed(HS256, "null")),
        ("claims that are no JSON", signed(HS256, "sub=u_7&exp=9999999999")),
        ("claims with something behind", signed(HS256, format!("{claims}{claims}"))),
        ("claims that are not UTF-8", signed(HS256, [claims.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat())),
        ("claims with a byte order mark", signed(HS256, format!("\u{feff}{claims}"))),
        ("a bomb of brackets", signed(HS256, "[".repeat(4_000))),
        ("a bomb of brackets in aud", signed(HS256, claims.replace("\"chat\"", &format!("{}{}", "[".repeat(1_000), "]".repeat(1_000))))),
        ("sub twice", signed(HS256, claims.replacen('{', r#"{"sub":"root","#, 1))),
        ("sub twice, once escaped", signed(HS256, claims.replacen('{', r#"{"\u0073ub":"root","#, 1))),
        ("exp twice", signed(HS256, claims.replacen('{', r#"{"exp":9999999999,"#, 1))),
        // exp
        ("no exp", signed(HS256, without("exp"))),
        ("exp null", signed(HS256, with("exp", Value::Null))),
        ("exp a string of digits", signed(HS256, with("exp", json!(exp)))),
        ("exp never", signed(HS256, with("exp", json!("never")))),
        ("exp true", signed(HS256, with("exp", json!(true)))),
        ("exp a fraction", signed(HS256, claims.replace(&exp, &format!("{exp}.5")))),
        ("exp a fraction of nothing", signed(HS256, claims.replace(&exp, &format!("{exp}.0")))),
        ("exp 1e300", signed(HS256, claims.replace(&exp, "1e300"))),
        ("exp 1e400", signed(HS256, claims.replace(&exp, "1e400"))),
        ("exp beyond 64 bits", signed(HS256, claims.replace(&exp, "18446744073709551616"))),
        ("exp at the end of 64 bits", signed(HS256, with("exp", json!(i64::MAX)))),
        ("exp beyond the year 9999", signed(HS256, with("exp", json!(253_402_300_800_i64)))),
        ("exp in milliseconds", signed(HS256, with("exp", json!((NOW + 600) * 1000)))),
        ("exp negative", signed(HS256, with("exp", json!(-1)))),
        ("exp most negative", signed(HS256, with("exp", json!(i64::MIN)))),
        ("exp 0", signed(HS256, with("exp", json!(0)))),
        ("exp a list", signed(HS256, with("exp", json!([NOW + 600])))),
        ("expired longer ago than clocks differ", signed(HS256, with("exp", json!(NOW - 6)))),
        ("expired as long ago as clocks differ", signed(HS256, with("exp", json!(NOW - 5)))),
        ("expired a year ago", signed(HS256, with("exp", json!(NOW - 31_536_000)))),
        // nbf
        ("nbf later than clocks differ", signed(HS256, with("nbf", json!(NOW + 6)))),
        ("nbf tomorrow", signed(HS256, with("nbf", json!(NOW + 86_400)))),
        ("nbf a string", signed(HS256, with("nbf", json!("0")))),
        ("nbf a fraction", signed(HS256, with("nbf", json!(0.5)))),
        ("nbf at the end of 64 bits", signed(HS256, with("nbf", json!(i64::MAX)))),
        // iss
        ("no iss", signed(HS256, without("iss"))),
        ("iss null", signed(HS256, with("iss", Value::Null))),
        ("iss empty", signed(HS256, with("iss", json!("")))),
        ("iss another", signed(HS256, with("iss", json!("https://evil.example")))),
        ("iss that begins alike", signed(HS256, with("iss", json!("https://login.example.org.evil.example")))),
        ("iss with a slash more", signed(HS256, with("iss", json!("https://login.example.org/")))),
        ("iss a list", signed(HS256, with("iss", json!(["https://login.example.org"])))),
        // aud
        ("no aud", signed(HS256, without("aud"))),
        ("aud null", signed(HS256, with("aud", Value::Null))),
        ("aud another", signed(HS256, with("aud", json!("mail")))),
        ("aud in capitals", signed(HS256, with("aud", json!("CHAT")))),
        ("aud others", signed(HS256, with("aud", json!(["mail", "calendar"])))),
        ("aud an empty list", signed(HS256, with("aud", json!([])))),
        ("aud a list of lists", signed(HS256, with("aud", json!([["chat"]])))),
        ("aud with a number beside it", signed(HS256, with("aud", json!(["chat", 1])))),
        ("aud an object", signed(HS256, with("aud", json!({"chat": true})))),
        // sub and jti
        ("no sub", signed(HS256, without("sub"))),
        ("sub null", signed(HS256, with("sub", Value::Null))),
        ("sub empty", signed(HS256, with("sub", json!("")))),
        ("sub a number", signed(HS256, with("sub", json!(7)))),
        ("sub a list", signed(HS256, with("sub", json!(["u_7"])))),
        ("sub too long", signed(HS256, with("sub", json!("u".repeat(65))))),
        ("sub with NUL", signed(HS256, with("sub", json!("u_7\0")))),
        ("sub with a line break", signed(HS256, with("sub", json!("u_7\nadmin")))),
        ("sub with half a surrogate pair", signed(HS256, claims.replace("u_7", r"u_7\ud800"))),
        ("jti a number", signed(HS256, with("jti", json!(1)))),
        ("jti empty", signed(HS256, with("jti", json!("")))),
        ("jti too long", signed(HS256, with("jti", json!("t".repeat(65))))),
        ("jti with a control character", signed(HS256, with("jti", json!("t\u{7}")))),
    ]
}

/// What is wrong with it, whom it is shown to, and the token, for servers with other keys.
#[rustfmt::skip] // one token a line
fn forged_for_other_keys() -> Vec<(&'static str, Jwt, String)> {
    let claims = honest_claims().to_string();
    let by = |secret: &[u8]| signed_by(secret, HS256, &claims);
    let kid = |secret: &[u8], kid: Value| {
        signed_by(secret, &json!({"alg": "HS256", "kid": kid}).to_string(), &claims)
    };
    let claiming = |header: &str, signature: &[u8]| {
        format!("{}.{}.{}", b64(header), b64(&claims), b64(signature))
    };
    vec![
        // Public keys taken for secrets.
        ("HS256 by the RSA key as PEM", rs(), by(rsa_pem().as_bytes())),
        ("HS256 by the RSA key as PEM, trimmed", rs(), by(rsa_pem().trim().as_bytes())),
        ("HS256 by the RSA key as DER", rs(), by(RSA.public().as_ref())),
        ("HS256 by the EC key as PEM", es(), by(ec_pem().as_bytes())),
        ("HS256 by the EC key as a point", es(), by(EC.public_key().as_ref())),
        ("HS256 by the Ed25519 key", ed(), by(ED.public_key().as_ref())),
        ("the same under alg RS256", rs(), signed_by(rsa_pem().as_bytes(), r#"{"alg":"RS256"}"#, &claims)),
        // One kind of signature for another.
        ("alg PS256, signed RS256", rs(), rs256(r#"{"alg":"PS256"}"#, &claims)),
        ("alg RS512, signed RS256", rs(), rs256(r#"{"alg":"RS512"}"#, &claims)),
        ("ES256 shown to RS256", rs(), es256(r#"{"alg":"ES256"}"#, &claims)),
        ("EdDSA shown to ES256", es(), eddsa(r#"{"alg":"EdDSA"}"#, &claims)),
        ("EdDSA said to be ES256", es(), eddsa(r#"{"alg":"ES256"}"#, &claims)),
        ("alg none shown to RS256", rs(), claiming(r#"{"alg":"none"}"#, b"")),
        ("RS256 without a signature", rs(), claiming(r#"{"alg":"RS256"}"#, b"")),
        ("RS256 with a signature of 1", rs(), claiming(r#"{"alg":"RS256"}"#, &[&[0; 255][..], &[1]].concat())),
        ("ES256 with zeros for a signature", es(), claiming(r#"{"alg":"ES256"}"#, &[0; 64])),
        ("EdDSA with zeros for a signature", ed(), claiming(r#"{"alg":"EdDSA"}"#, &[0; 64])),
        // Names of keys.
        ("no kid where keys have names", keyed(), by(&SECRET)),
        ("an unknown kid", keyed(), kid(&SECRET, json!("c"))),
        ("the kid of the other key", keyed(), kid(&SECRET, json!("b"))),
        ("an empty kid", keyed(), kid(&SECRET, json!(""))),
        ("a null kid", keyed(), kid(&SECRET, Value::Null)),
        ("a kid in capitals", keyed(), kid(&SECRET, json!("A"))),
        ("a kid that is a path", keyed(), kid(b"", json!("../../../dev/null"))),
        ("a kid that is SQL", keyed(), kid(b"k", json!("x' UNION SELECT 'k' --"))),
        ("a kid that is a command", keyed(), kid(&SECRET, json!("a|/bin/true"))),
        ("a kid that is a URL", keyed(), kid(&SECRET, json!("https://evil.example/a"))),
        ("a kid that is a list", keyed(), kid(&SECRET, json!(["a"]))),
        ("a kid with NUL", keyed(), kid(&SECRET, json!("a\0"))),
        ("no keys at all", configured(Jwt::keyed(JwtAlgorithm::Hs256)), by(&SECRET)),
        // It is for somebody, and who we are is not configured.
        ("an audience where none is configured", Jwt::hs256(SECRET).unwrap().clock(at(NOW)), by(&SECRET)),
    ]
}

#[tokio::test]
async fn every_forged_token_is_refused_like_every_other() {
    let one_secret = forged().into_iter().map(|(what, token)| (what, hs(), token));
    let mut count = 0;
    for (what, jwt, token) in one_secret.chain(forged_for_other_keys()) {
        let answer = ask(&jwt, &token).await;
        assert_eq!(outside(&answer), "refused", "{what}: {token:.300}");
        count += 1;
    }
    assert!(count > 150, "{count}");
}

#[tokio::test]
#[rustfmt::skip] // one token a line
async fn honest_tokens_pass() {
    let claims = honest_claims().to_string();
    let named = |kid: &str, secret: &[u8]| {
        signed_by(secret, &json!({"alg": "HS256", "kid": kid}).to_string(), &claims)
    };
    let both = || configured(Jwt::hs256(SECRET).unwrap().key("b", OTHER_SECRET).unwrap());
    for (what, jwt, token) in [
        ("HS256", hs(), honest()),
        ("without typ", hs(), signed(r#"{"alg":"HS256"}"#, &claims)),
        ("typ in small letters", hs(), signed(r#"{"alg":"HS256","typ":"jwt"}"#, &claims)),
        ("an access token of RFC 9068", hs(), signed(r#"{"alg":"HS256","typ":"at+jwt"}"#, &claims)),
        ("a kid where no key has a name", hs(), named("whatever", &SECRET)),
        ("a header with a thumbprint", hs(), signed(r#"{"alg":"HS256","x5t":"AAAA"}"#, &claims)),
        ("unknown claims", hs(), signed(HS256, with("roles", json!([{"deep": [1, 2]}])))),
        ("aud among others", hs(), signed(HS256, with("aud", json!(["mail", "chat"])))),
        ("no nbf", hs(), signed(HS256, without("nbf"))),
        ("no iat", hs(), signed(HS256, without("iat"))),
        ("expired, but within what clocks differ", hs(), signed(HS256, with("exp", json!(NOW - 4)))),
        ("not yet, but within what clocks differ", hs(), signed(HS256, with("nbf", json!(NOW + 5)))),
        ("the last second there is", hs(), signed(HS256, with("exp", json!(253_402_300_799_i64)))),
        ("white space in the claims", hs(), signed(HS256, format!(" \n{claims}\t"))),
        ("the first named key", keyed(), named("a", &SECRET)),
        ("the second named key", keyed(), named("b", &OTHER_SECRET)),
        ("a named key beside a nameless one", both(), named("b", &OTHER_SECRET)),
        ("the nameless key beside a named one", both(), honest()),
        ("RS256", rs(), rs256(r#"{"alg":"RS256"}"#, &claims)),
        ("ES256", es(), es256(r#"{"alg":"ES256"}"#, &claims)),
        ("EdDSA", ed(), eddsa(r#"{"alg":"EdDSA"}"#, &claims)),
    ] {
        assert_eq!(outside(&ask(&jwt, &token).await), "let in as u_7", "{what}: {token}");
    }

    let identity = ask(&hs(), &honest()).await.unwrap();
    assert_eq!(identity.expires_at, Some(Timestamp::from_secs(NOW + 600)));
    assert_eq!(identity.credential.unwrap().as_str(), "t-1");
    let identity = ask(&hs(), &signed(HS256, without("jti"))).await.unwrap();
    assert_eq!(identity.credential, None);
}

#[tokio::test]
async fn a_token_ends_when_the_servers_clock_says_so() {
    let clock = at(NOW);
    let issuer = JwtIssuer::hs256(SECRET).unwrap().clock(clock.clone());
    let jwt = Jwt::hs256(SECRET).unwrap().clock(clock.clone());
    let token = issuer.issue(&UserId::new("u_7").unwrap(), Duration::from_secs(60));
    assert_eq!(ask(&jwt, &token.token).await.unwrap(), token.identity());
    clock.0.store((NOW + 65) * 1000 - 1, Ordering::Relaxed);
    assert_eq!(outside(&ask(&jwt, &token.token).await), "let in as u_7");
    clock.0.store((NOW + 65) * 1000, Ordering::Relaxed);
    assert_eq!(outside(&ask(&jwt, &token.token).await), "refused");
}

#[tokio::test]
async fn a_missing_token_is_not_a_wrong_one() {
    let (headers, extensions) = (http::HeaderMap::new(), http::Extensions::new());
    let answer = hs().authenticate(Credentials::new(None, &headers, &extensions)).await;
    assert!(matches!(answer, Err(AuthError::Missing)), "{answer:?}");
}

#[test]
fn keys_that_would_not_protect_are_refused_when_they_are_configured() {
    use JwtConfigError::{DuplicateKid, NotPem, PrivateKey, ShortSecret, WrongKey};
    let why = |jwt: Result<Jwt, JwtConfigError>| jwt.map(|_| ()).unwrap_err();
    assert_eq!(why(Jwt::hs256([7; 31])), ShortSecret { least: 32 });
    assert_eq!(why(Jwt::hs256("")), ShortSecret { least: 32 });
    assert_eq!(why(Jwt::new(JwtAlgorithm::Hs384, [7; 47])), ShortSecret { least: 48 });
    assert_eq!(why(Jwt::new(JwtAlgorithm::Hs512, [7; 63])), ShortSecret { least: 64 });
    assert_eq!(why(Jwt::keyed(JwtAlgorithm::Hs256).key("a", "short")), ShortSecret { least: 32 });
    assert_eq!(why(keyed().key("a", SECRET)), DuplicateKid);
    assert_eq!(JwtIssuer::hs256([7; 31]).map(|_| ()).unwrap_err(), ShortSecret { least: 32 });

    assert_eq!(why(Jwt::rs256(SECRET)), NotPem);
    assert_eq!(why(Jwt::rs256(ec_pem())), WrongKey("RS256"));
    assert_eq!(why(Jwt::es256(rsa_pem())), WrongKey("ES256"));
    assert_eq!(why(Jwt::es256(ed_pem())), WrongKey("ES256"));
    assert_eq!(why(Jwt::eddsa(ec_pem())), WrongKey("EdDSA"));
    assert_eq!(why(Jwt::eddsa(pem("PUBLIC KEY", b"garbage"))), WrongKey("EdDSA"));
    assert_eq!(why(Jwt::eddsa(pem("CERTIFICATE", b"garbage"))), NotPem);
    assert_eq!(why(Jwt::eddsa(pem("PRIVATE KEY", b"garbage"))), PrivateKey);
    assert_eq!(why(Jwt::rs256(pem("RSA PRIVATE KEY", b"garbage"))), PrivateKey);
    // A modulus of 1024 bits, and an exponent.
    let small =
        [b"\x30\x81\x89\x02\x81\x81\x00", &[0xab; 128][..], b"\x02\x03\x01\x00\x01"].concat();
    assert_eq!(why(Jwt::rs256(pem("RSA PUBLIC KEY", &small))), WrongKey("RS256"));

    assert_eq!("none".parse::<JwtAlgorithm>(), Err(JwtConfigError::UnknownAlgorithm));
    assert_eq!("hs256".parse::<JwtAlgorithm>(), Err(JwtConfigError::UnknownAlgorithm));
    assert_eq!("EdDSA".parse(), Ok(JwtAlgorithm::EdDsa));
}

#[test]
fn no_secret_and_no_token_shows_in_debug() {
    let secret = b"a secret of thirty-two bytes here";
    let issuer = JwtIssuer::hs256(secret).unwrap();
    let token = issuer.issue(&UserId::new("u_7").unwrap(), Duration::from_secs(60));
    let jwt = Jwt::hs256(secret).unwrap();
    let shown = format!("{issuer:?} {jwt:?} {token:?}");
    let bytes = format!("{:?}", &secret[..8]).replace(['[', ']'], "");
    for hidden in ["a secret", &*bytes, &*token.token] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// The process has one place for the cryptography of `jsonwebtoken`, and it is the host's.
#[tokio::test]
async fn the_hosts_provider_is_neither_needed_nor_touched() {
    use jsonwebtoken::{
        crypto::{CryptoProvider, KeyUtils},
        errors::ErrorKind,
    };
    static HOSTS: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        verifier_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Tokens are checked before there is any provider …
    assert_eq!(outside(&ask(&hs(), &honest()).await), "let in as u_7");
    // … which leaves the place free,
    assert!(HOSTS.install_default().is_ok());
    // whoever takes it makes no difference,
    assert_eq!(outside(&ask(&hs(), &honest()).await), "let in as u_7");
    // and ours does not pretend to have it.
    assert_eq!(install_ring_provider(), InstalledProvider::Other);
}

// --- tokens of accounts ---

#[tokio::test]
async fn a_token_of_an_account_is_refused_once_anything_behind_it_is_gone() {
    let store = MemoryStore::new();
    let disabled = Account {
        user: UserId::new("u_disabled").unwrap(),
        name: "disabled from the start".to_owned(),
        name_key: "disabled from the start".to_owned(),
        display_name: String::new(),
        password_hash: String::new(),
        role: AccountRole::User,
        disabled: true,
        generation: 0,
        created_at: Timestamp::default(),
    };
    store.create_account(disabled, CreateWhen::NameFree).await.unwrap();
    let accounts = Accounts::builder(store, SECRET).start().await.unwrap();
    let mut tokens = Vec::new();
    let address = "192.0.2.7".parse().unwrap();
    for name in ["disabled", "re-enabled", "changed", "left", "staying"] {
        accounts.create_user(name, None, "correct horse", AccountRole::User).await.unwrap();
        let token = accounts.log_in(name, "correct horse", address).await.unwrap();
        assert_eq!(ask(&accounts, &token.token).await.unwrap(), token.identity());
        assert!(accounts.still_valid(&token.identity()).await);
        tokens.push(token);
    }
    accounts.disable("disabled").await.unwrap();
    accounts.disable("re-enabled").await.unwrap();
    accounts.enable("re-enabled").await.unwrap();
    accounts.set_password("changed", "battery staple").await.unwrap();
    let revoked = accounts.log_out(&tokens[3].identity()).await.unwrap();
    assert_eq!(revoked, tokens[3].credential);

    let staying = tokens.pop().unwrap();
    for token in &tokens {
        let answer = ask(&accounts, &token.token).await;
        assert_eq!(outside(&answer), "refused", "{token:?}");
        assert!(!accounts.still_valid(&token.identity()).await, "{token:?}");
        assert!(accounts.refresh(&token.identity()).await.is_err(), "{token:?}");
    }
    assert_eq!(ask(&accounts, &staying.token).await.unwrap(), staying.identity());
    assert!(accounts.still_valid(&staying.identity()).await);

    // Rightly signed, but nothing that an account was ever given.
    let exp = staying.expires_at.as_secs();
    let user = staying.user.as_str();
    let claims = |iss: &str, aud: &str, sub: &str, jti: Value| {
        json!({"iss": iss, "aud": aud, "sub": sub, "jti": jti, "exp": exp}).to_string()
    };
    let ours = |sub: &str, jti: Value| claims("chat-server", "chat", sub, jti);
    for (what, claims) in [
        ("a user who was deleted", ours("u_aaaaaaaaaaaaaaaa", json!("0.x"))),
        ("a disabled user of this generation", ours("u_disabled", json!("0.x"))),
        ("no jti", ours(user, Value::Null)),
        ("a jti without a generation", ours(user, json!("x"))),
        ("a generation that is no number", ours(user, json!("zero.x"))),
        ("an empty generation", ours(user, json!(".x"))),
        ("a negative generation", ours(user, json!("-0.x"))),
        ("a generation to come", ours(user, json!("1.x"))),
        ("a generation beyond 32 bits", ours(user, json!("4294967296.x"))),
        ("another issuer", claims("https://login.example.org", "chat", user, json!("0.x"))),
        ("another audience", claims("chat-server", "mail", user, json!("0.x"))),
    ] {
        let answer = ask(&accounts, &signed(HS256, claims)).await;
        assert_eq!(outside(&answer), "refused", "{what}");
    }
    // The control: made in the same way, and right.
    let token = signed(HS256, ours(user, json!("0.x")));
    assert_eq!(outside(&ask(&accounts, &token).await), format!("let in as {user}"));
}
