//! The cryptography of the `jsonwebtoken` crate on ring.
//!
//! That crate comes without one that fits here: its own back-ends are `aws-lc-rs`, a second
//! cryptographic library in the tree, and RustCrypto with `rsa`, which has an open advisory
//! (RUSTSEC-2023-0071). It looks for its provider in one place per process, which can be filled
//! once, and panics when it is empty. [`Jwt`](super::Jwt) therefore takes [`RING`] by value and
//! never looks there: it works whatever the host has done, and leaves the place to the host.

use std::sync::OnceLock;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
    jwk::{EllipticCurve, ThumbprintHash},
    signature::{Error, Signer, Verifier},
};
use ring::{
    digest, hmac, rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};

/// Whose cryptography `jsonwebtoken` uses in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum InstalledProvider {
    /// Ours, on ring.
    Ours,
    /// Somebody was there first, and it stays theirs.
    Other,
}

/// Makes ring the process's cryptography of the `jsonwebtoken` crate, if the place is free.
///
/// [`Jwt`](super::Jwt) and [`Accounts`](super::Accounts) do not need it: they use ring without
/// asking the process. It is for a program that calls `jsonwebtoken` itself and would otherwise
/// meet that crate's panic. Such a program calls it once, early in `main`; a library never does,
/// because the place is the program's to give away. Calling it again changes nothing and answers
/// the same.
///
/// It can sign and verify every algorithm the crate names. Taking the components of an RSA public
/// key out of its DER form (needed only to print it as a JWK) is refused as unsupported.
///
/// ```
/// use chat_sdk::auth::{InstalledProvider, install_ring_provider};
/// assert_eq!(install_ring_provider(), InstalledProvider::Ours);
/// assert_eq!(install_ring_provider(), InstalledProvider::Ours);
/// ```
pub fn install_ring_provider() -> InstalledProvider {
    static INSTALLED: OnceLock<InstalledProvider> = OnceLock::new();
    *INSTALLED.get_or_init(|| match RING.install_default() {
        Ok(()) => InstalledProvider::Ours,
        Err(_) => InstalledProvider::Other,
    })
}

/// The provider itself.
pub(super) static RING: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key,
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key,
        ed_pub_components_from_private_key,
        compute_digest,
    },
};

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(match scheme(*algorithm)? {
        Scheme::Hmac(with) => {
            Box::new(Hmac { algorithm: *algorithm, key: hmac::Key::new(with, key.as_bytes()) })
        }
        Scheme::Ecdsa { signing, .. } => {
            let random = ring::rand::SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(signing, key.as_bytes(), &random)
                .map_err(|_| new_error(ErrorKind::InvalidEcdsaKey))?;
            Box::new(EcdsaSigner { algorithm: *algorithm, pair, random })
        }
        Scheme::Ed25519 => Box::new(Ed25519Signer(ed25519_pair(key.as_bytes())?)),
        Scheme::Rsa { signing, .. } => {
            let pair = rsa_pair(key.as_bytes())?;
            Box::new(RsaSigner { algorithm: *algorithm, signing, pair })
        }
    })
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let (algorithm, key) = (*algorithm, key.clone());
    Ok(match scheme(algorithm)? {
        Scheme::Hmac(with) => {
            Box::new(Hmac { algorithm, key: hmac::Key::new(with, key.try_get_as_bytes()?) })
        }
        Scheme::Ecdsa { verifying, .. } => Box::new(PublicKey { algorithm, verifying, key }),
        Scheme::Ed25519 => Box::new(PublicKey { algorithm, verifying: &signature::ED25519, key }),
        Scheme::Rsa { verifying, .. } => Box::new(RsaPublicKey { algorithm, verifying, key }),
    })
}

/// What ring calls an algorithm of RFC 7518.
enum Scheme {
    Hmac(hmac::Algorithm),
    Ecdsa {
        signing: &'static signature::EcdsaSigningAlgorithm,
        verifying: &'static dyn signature::VerificationAlgorithm,
    },
    Ed25519,
    Rsa {
        signing: &'static dyn signature::RsaEncoding,
        verifying: &'static signature::RsaParameters,
    },
}

fn scheme(algorithm: Algorithm) -> Result<Scheme> {
    Ok(match algorithm {
        Algorithm::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
        Algorithm::ES256 => Scheme::Ecdsa {
            signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            verifying: &signature::ECDSA_P256_SHA256_FIXED,
        },
        Algorithm::ES384 => Scheme::Ecdsa {
            signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            verifying: &signature::ECDSA_P384_SHA384_FIXED,
        },
        Algorithm::EdDSA => Scheme::Ed25519,
        Algorithm::RS256 => Scheme::Rsa {
            signing: &signature::RSA_PKCS1_SHA256,
            verifying: &signature::RSA_PKCS1_2048_8192_SHA256,
        },
        Algorithm::RS384 => Scheme::Rsa {
            signing: &signature::RSA_PKCS1_SHA384,
            verifying: &signature::RSA_PKCS1_2048_8192_SHA384,
        },
        Algorithm::RS512 => Scheme::Rsa {
            signing: &signature::RSA_PKCS1_SHA512,
            verifying: &signature::RSA_PKCS1_2048_8192_SHA512,
        },
        Algorithm::PS256 => Scheme::Rsa {
            signing: &signature::RSA_PSS_SHA256,
            verifying: &signature::RSA_PSS_2048_8192_SHA256,
        },
        Algorithm::PS384 => Scheme::Rsa {
            signing: &signature::RSA_PSS_SHA384,
            verifying: &signature::RSA_PSS_2048_8192_SHA384,
        },
        Algorithm::PS512 => Scheme::Rsa {
            signing: &signature::RSA_PSS_SHA512,
            verifying: &signature::RSA_PSS_2048_8192_SHA512,
        },
        // The enum is the library's and may grow.
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

struct Hmac {
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        hmac::verify(&self.key, message, signature).map_err(|_| Error::new())
    }
}

struct EcdsaSigner {
    algorithm: Algorithm,
    pair: EcdsaKeyPair,
    random: ring::rand::SystemRandom,
}

impl Signer<Vec<u8>> for EcdsaSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let signature = self.pair.sign(&self.random, message).map_err(|_| Error::new())?;
        Ok(signature.as_ref().to_vec())
    }
}

struct Ed25519Signer(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

struct RsaSigner {
    algorithm: Algorithm,
    signing: &'static dyn signature::RsaEncoding,
    pair: rsa::KeyPair,
}

impl Signer<Vec<u8>> for RsaSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.pair.sign(self.signing, &random, message, &mut signature).map_err(|_| Error::new())?;
        Ok(signature)
    }
}

/// A key on a curve: the point or, for Ed25519, the 32 bytes.
struct PublicKey {
    algorithm: Algorithm,
    verifying: &'static dyn signature::VerificationAlgorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let key = self.key.try_get_as_bytes().map_err(|_| Error::new())?;
        signature::UnparsedPublicKey::new(self.verifying, key)
            .verify(message, signature)
            .map_err(|_| Error::new())
    }
}

struct RsaPublicKey {
    algorithm: Algorithm,
    verifying: &'static signature::RsaParameters,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RsaPublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(der) => {
                signature::UnparsedPublicKey::new(self.verifying, der).verify(message, signature)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                rsa::PublicKeyComponents { n, e }.verify(self.verifying, message, signature)
            }
        }
        .map_err(|_| Error::new())
    }
}

macro_rules! names_its_algorithm {
    ($trait:ident: $($type:ident),+) => {
        $(impl $trait for $type {
            fn algorithm(&self) -> Algorithm {
                self.algorithm
            }
        })+
    };
}
names_its_algorithm!(JwtSigner: Hmac, EcdsaSigner, RsaSigner);
names_its_algorithm!(JwtVerifier: Hmac, PublicKey, RsaPublicKey);

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn rsa_pair(der: &[u8]) -> Result<rsa::KeyPair> {
    rsa::KeyPair::from_der(der).map_err(|why| ErrorKind::InvalidRsaKey(why.to_string()).into())
}

fn ed25519_pair(der: &[u8]) -> Result<Ed25519KeyPair> {
    // OpenSSL writes PKCS#8 without the public half; ring then computes it.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
        .map_err(|_| new_error(ErrorKind::InvalidEddsaKey))
}

fn rsa_pub_components_from_private_key(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let pair = rsa_pair(der)?;
    let public = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    Ok((public.n, public.e))
}

fn ec_pub_components_from_private_key(
    der: &[u8],
    algorithm: Algorithm,
) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let curve = match algorithm {
        Algorithm::ES256 => EllipticCurve::P256,
        Algorithm::ES384 => EllipticCurve::P384,
        _ => return Err(ErrorKind::InvalidEcdsaKey.into()),
    };
    let Scheme::Ecdsa { signing, .. } = scheme(algorithm)? else {
        return Err(ErrorKind::InvalidEcdsaKey.into());
    };
    let pair = EcdsaKeyPair::from_pkcs8(signing, der, &ring::rand::SystemRandom::new())
        .map_err(|_| new_error(ErrorKind::InvalidEcdsaKey))?;
    // An uncompressed point: 4, x, y.
    let (_, point) = pair.public_key().as_ref().split_first().expect("a point is never empty");
    let (x, y) = point.split_at(point.len() / 2);
    Ok((curve, x.to_vec(), y.to_vec()))
}

fn ed_pub_components_from_private_key(der: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    match curve {
        EllipticCurve::Ed25519 => Ok(ed25519_pair(der)?.public_key().as_ref().to_vec()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn compute_digest(bytes: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, bytes).as_ref().to_vec())
}

/// That this key can verify this algorithm at all, so that a wrong one is found when it is
/// configured and not when the first token comes.
pub(super) fn fits(algorithm: Algorithm, key: &DecodingKey) -> bool {
    if key.family() != algorithm.family() {
        return false;
    }
    let Ok(bytes) = key.try_get_as_bytes() else {
        return true;
    };
    match algorithm.family() {
        AlgorithmFamily::Hmac => true,
        AlgorithmFamily::Ed => bytes.len() == 32,
        // An uncompressed point of P-256 or P-384.
        AlgorithmFamily::Ec => {
            let size = if algorithm == Algorithm::ES256 { 65 } else { 97 };
            bytes.len() == size && bytes[0] == 4
        }
        // A SEQUENCE of a modulus of 2048 to 8192 bits, the sizes ring takes, and an exponent.
        AlgorithmFamily::Rsa => bytes.first() == Some(&0x30) && (266..=1100).contains(&bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };

    use super::*;

    /// The payload of RFC 7515, appendices A.1 to A.3.
    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
                           LmNvbS9pc19yb290Ijp0cnVlfQ";

    fn verifies(algorithm: Algorithm, key: &DecodingKey, message: &str, signature: &[u8]) -> bool {
        let verifier = (RING.verifier_factory)(&algorithm, key).unwrap();
        assert_eq!(verifier.algorithm(), algorithm);
        verifier.verify(message.as_bytes(), &signature.to_vec()).is_ok()
    }

    fn sign(algorithm: Algorithm, key: &EncodingKey, message: &str) -> String {
        let signer = (RING.signer_factory)(&algorithm, key).unwrap();
        assert_eq!(signer.algorithm(), algorithm);
        URL_SAFE_NO_PAD.encode(signer.try_sign(message.as_bytes()).unwrap())
    }

    /// The signature holds, and neither for another message nor when it is another one.
    fn check(algorithm: Algorithm, key: &DecodingKey, message: &str, signature: &str) {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(verifies(algorithm, key, message, &signature));
        assert!(!verifies(algorithm, key, &format!("{message}."), &signature));
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(!verifies(algorithm, key, message, &other));
        }
        assert!(!verifies(algorithm, key, message, &signature[1..]));
        assert!(!verifies(algorithm, key, message, &[]));
    }

    /// The private key of RFC 7515, appendix A.2, as PKCS#1.
    fn rsa_key() -> Vec<u8> {
        STANDARD.decode(include_str!("rfc7515_a2_rsa.b64").replace('\n', "")).unwrap()
    }

    #[test]
    fn hs256_gives_the_signature_of_rfc_7515_a_1() {
        let secret = URL_SAFE_NO_PAD
            .decode(
                "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1\
                 Z9CAow",
            )
            .unwrap();
        let message = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}");
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(sign(Algorithm::HS256, &EncodingKey::from_secret(&secret), &message), signature);
        check(Algorithm::HS256, &DecodingKey::from_secret(&secret), &message, signature);
    }

    #[test]
    fn hs384_and_hs512_give_the_digests_of_rfc_4231_4_3() {
        for (algorithm, digest) in [
            (
                Algorithm::HS384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::HS512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let message = "what do ya want for nothing?";
            let signature = sign(algorithm, &EncodingKey::from_secret(b"Jefe"), message);
            let bytes = URL_SAFE_NO_PAD.decode(&signature).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, digest);
            check(algorithm, &DecodingKey::from_secret(b"Jefe"), message, &signature);
        }
    }

    #[test]
    fn rs256_gives_the_signature_of_rfc_7515_a_2() {
        let message = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}");
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4B\
                         h-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZ\
                         LgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
                         O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6\
                         LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let private = EncodingKey::from_rsa_der(&rsa_key());
        assert_eq!(sign(Algorithm::RS256, &private, &message), signature);

        let (n, e) = rsa_pub_components_from_private_key(&rsa_key()).unwrap();
        let public = DecodingKey::from_rsa_raw_components(&n, &e);
        check(Algorithm::RS256, &public, &message, signature);
        let pair = rsa_pair(&rsa_key()).unwrap();
        let public = DecodingKey::from_rsa_der(pair.public().as_ref());
        check(Algorithm::RS256, &public, &message, signature);
        assert!(fits(Algorithm::RS256, &public));
        // The same family and key, but not what it was signed for.
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(!verifies(Algorithm::RS384, &public, &message, &signature));
        assert!(!verifies(Algorithm::PS256, &public, &message, &signature));
    }

    #[test]
    fn es256_takes_the_signature_of_rfc_7515_a_3() {
        let message = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}");
        let key = DecodingKey::from_ec_components(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        )
        .unwrap();
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT\
                         UJqPP3-Kg6NU1Q";
        check(Algorithm::ES256, &key, &message, signature);
        assert!(fits(Algorithm::ES256, &key));
        assert!(!fits(Algorithm::ES384, &key));
    }

    #[test]
    fn eddsa_gives_the_signature_of_rfc_8037_a_4() {
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7\
                         sVvpAr_MuM0KAg";
        // PKCS#8 of RFC 8410 around the seed `d`.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap());
        assert_eq!(sign(Algorithm::EdDSA, &EncodingKey::from_ed_der(&der), message), signature);

        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = DecodingKey::from_ed_components(x).unwrap();
        check(Algorithm::EdDSA, &key, message, signature);
        assert!(fits(Algorithm::EdDSA, &key));
        let public = ed_pub_components_from_private_key(&der, &EllipticCurve::Ed25519).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(public), x);
    }

    #[test]
    fn what_it_signs_it_verifies() {
        let random = ring::rand::SystemRandom::new();
        for (algorithm, with) in [
            (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            let der = EcdsaKeyPair::generate_pkcs8(with, &random).unwrap();
            let signature = sign(algorithm, &EncodingKey::from_ec_der(der.as_ref()), "message");
            let (_, x, y) = ec_pub_components_from_private_key(der.as_ref(), algorithm).unwrap();
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            let key = DecodingKey::from_ec_components(&x, &y).unwrap();
            check(algorithm, &key, "message", &signature);
        }
        let private = EncodingKey::from_rsa_der(&rsa_key());
        let public = DecodingKey::from_rsa_der(rsa_pair(&rsa_key()).unwrap().public().as_ref());
        for algorithm in AlgorithmFamily::Rsa.algorithms() {
            check(*algorithm, &public, "message", &sign(*algorithm, &private, "message"));
        }
    }

    #[test]
    fn a_key_of_another_family_is_refused_without_a_panic() {
        let secret = DecodingKey::from_secret(&[7; 32]);
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            assert!((RING.verifier_factory)(&algorithm, &secret).is_err());
            let secret = EncodingKey::from_secret(&[7; 32]);
            assert!((RING.signer_factory)(&algorithm, &secret).is_err());
        }
        let public = DecodingKey::from_rsa_der(rsa_pair(&rsa_key()).unwrap().public().as_ref());
        assert!((RING.verifier_factory)(&Algorithm::HS256, &public).is_err());
        for garbage in [&b""[..], b"garbage"] {
            assert!(
                (RING.signer_factory)(&Algorithm::RS256, &EncodingKey::from_rsa_der(garbage))
                    .is_err()
            );
            assert!(!verifies(
                Algorithm::ES256,
                &DecodingKey::from_ec_der(garbage),
                "message",
                &[1; 64]
            ));
        }
    }
}
