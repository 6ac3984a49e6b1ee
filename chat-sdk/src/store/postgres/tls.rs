//! TLS for the connections: what tokio-postgres wants, over rustls.
//!
//! With passwords by SCRAM, the log-in is bound to the certificate (`tls-server-end-point`, RFC
//! 5929), so that nobody who stands between can pass it on; unless the certificate is signed by an
//! algorithm for which that is not defined (Ed25519, RSA-PSS).

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ring::digest::{self, SHA256, SHA384, SHA512};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect},
};
use tokio_rustls::TlsConnector;

use crate::{
    store::BoxError,
    tls::{TlsError, TlsRoots, client_config},
};

/// How connections are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Not at all.
    Plain,
    /// Where the server offers it, against those who only listen: who would pose as the server
    /// could as well say that it has no TLS, so its certificate is not looked at.
    Opportunistic,
    /// Always, with a certificate of one of these.
    Verified(TlsRoots),
}

/// Secures a connection as it was agreed.
#[derive(Clone)]
pub(super) struct Tls(Option<Arc<ClientConfig>>);

impl Tls {
    /// Reads the machine's certificates where these are trusted, and so may take a while.
    pub(super) fn new(trust: &Trust) -> Result<Self, TlsError> {
        Ok(Self(match trust {
            Trust::Plain => None,
            Trust::Opportunistic => Some(unverified()?),
            Trust::Verified(roots) => Some(client_config(roots)?),
        }))
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Secured;
    type TlsConnect = Handshake;
    type Error = BoxError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, BoxError> {
        Ok(Handshake { config: self.0.clone(), host: host.to_owned() })
    }
}

pub(super) struct Handshake {
    config: Option<Arc<ClientConfig>>,
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Secured;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Secured, BoxError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let config = self.config.ok_or("TLS is switched off")?;
            let name = ServerName::try_from(self.host)?;
            Ok(Secured(Box::new(TlsConnector::from(config).connect(name, socket).await?)))
        })
    }
}

/// A connection inside TLS.
pub(super) struct Secured(Box<tokio_rustls::client::TlsStream<Socket>>);

impl tokio_postgres::tls::TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        certificate
            .and_then(|certificate| {
                let digest = digest::digest(signature_digest(certificate)?, certificate);
                Some(ChannelBinding::tls_server_end_point(digest.as_ref().to_vec()))
            })
            .unwrap_or_else(ChannelBinding::none)
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// By what a certificate is summed up for channel binding: by the hash of its signature's
/// algorithm, but MD5 and SHA-1 are replaced.
fn signature_digest(certificate: &[u8]) -> Option<&'static digest::Algorithm> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm, … }, … }
    let (whole, _) = element(SEQUENCE, certificate)?;
    let (_, rest) = element(SEQUENCE, whole)?;
    let (algorithm, _) = element(SEQUENCE, rest)?;
    let (name, _) = element(OBJECT_IDENTIFIER, algorithm)?;
    match name {
        // 1.2.840.113549.1.1.*: RSA, PKCS #1.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, kind] => match kind {
            0x04 | 0x05 | 0x0b => Some(&SHA256),
            0x0c => Some(&SHA384),
            0x0d => Some(&SHA512),
            _ => None,
        },
        // 1.2.840.10045.4.1 and 1.2.840.10045.4.3.*: ECDSA.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Some(&SHA384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Some(&SHA512),
        _ => None,
    }
}

/// The content of the DER element that stands first, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        // The length of the length; four bytes are more than any certificate needs.
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

/// A configuration that takes any certificate.
fn unverified() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Only asks that the other side has the key of the certificate that it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_certificate_follows_its_signature() {
        for (algorithm, digest) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(&SHA256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(&SHA384)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let certificate =
                rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
            assert_eq!(signature_digest(certificate.der()), digest, "{algorithm:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_digest() {
        for bytes in [&b""[..], b"0", b"\x30\x82", b"\x30\xff", b"hello", &[0x30; 40]] {
            assert_eq!(signature_digest(bytes), None, "{bytes:?}");
        }
    }
}
