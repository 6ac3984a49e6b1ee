//! TLS towards servers: whose certificates are trusted.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Who vouches for a server's certificate. The server's name is always checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TlsRoots {
    /// The authorities that the machine trusts.
    #[default]
    System,
    /// These authorities alone: certificates in PEM, as many as the text holds.
    Pem(Vec<u8>),
}

/// The trusted certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM text is not one.
    #[error("certificates cannot be read")]
    Unreadable(#[source] rustls::pki_types::pem::Error),
    /// There is not one certificate that can be trusted.
    #[error("there is no usable certificate of an authority")]
    NoRoots,
    /// The library does not take the versions of TLS that we want.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// Says which authorities are trusted. The cryptography is ring's, whatever the host has chosen for
/// its own connections.
pub(crate) fn client_config(roots: &TlsRoots) -> Result<Arc<ClientConfig>, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        TlsRoots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        TlsRoots::Pem(pem) => {
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(TlsError::Unreadable)?;
            store.add_parsable_certificates(certificates);
        }
    }
    if store.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn authorities_of_ones_own_are_taken() {
        client_config(&TlsRoots::Pem((authority() + &authority()).into_bytes())).unwrap();
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in ["", "hello"] {
            let refused = client_config(&TlsRoots::Pem(pem.into())).unwrap_err();
            assert!(matches!(refused, TlsError::NoRoots), "{refused:?}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";
        let refused = client_config(&TlsRoots::Pem(broken.into())).unwrap_err();
        assert!(matches!(refused, TlsError::Unreadable(_)), "{refused:?}");
    }
}
