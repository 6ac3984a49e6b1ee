//! The server's own certificate: read from its files, and again when they change.
//!
//! Knows nothing of connections: a door asks for what holds now. Connections that are there keep what
//! they began with.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{signal::unix::Signal, sync::watch};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at. Whoever renews a certificate does it days before its end.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Bytes of a file that are read: a chain of certificates has some thousands.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where certificate and key lie, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Why a certificate is not used. Never repeats what stands in the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFilesError {
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    #[error("{} holds no certificate (PEM)", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key (PEM)", .0.display())]
    NoKey(PathBuf),
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// What stood in the files. Compared as a whole: Kubernetes swaps a link, and neither the time nor
/// the length of a file has to change with it.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    /// What a door needs, if the files hold it.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>, TlsFilesError> {
        self.understand(&self.read()?)
    }

    fn read(&self) -> Result<Contents, TlsFilesError> {
        Ok(Contents { cert: read(&self.cert)?, key: read(&self.key)? })
    }

    fn understand(&self, contents: &Contents) -> Result<Arc<ServerConfig>, TlsFilesError> {
        let chain = CertificateDer::pem_slice_iter(&contents.cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsFilesError::NoCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key);
        let key = key.map_err(|_| TlsFilesError::NoKey(self.key.clone()))?;
        // Refuses a key that is not the certificate's.
        let config = server(chain, key).map_err(TlsFilesError::Unusable)?;
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFilesError> {
    let whole = fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX), &mut bytes)?;
        Ok(bytes)
    });
    whole.map_err(|error| TlsFilesError::Io(path.to_owned(), error))
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // The only one that is spoken here; a browser would choose HTTP/2 otherwise.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificate that holds at the moment. Clones share it.
#[derive(Clone)]
pub(crate) struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.borrow()))
    }
}

/// Looks for new certificates.
pub(crate) struct Renewal {
    files: TlsFiles,
    /// What was last looked at, good or not: a bad file is complained of once.
    seen: Option<Contents>,
    holds: watch::Sender<Arc<ServerConfig>>,
}

impl Renewal {
    /// Reads the files for the first time.
    pub(crate) fn begin(files: TlsFiles) -> Result<(Tls, Self), TlsFilesError> {
        let contents = files.read()?;
        let (holds, held) = watch::channel(files.understand(&contents)?);
        Ok((Tls(held), Self { files, seen: Some(contents), holds }))
    }

    /// Looks once in a while and whenever the signal says so, for ever. Dropping the future ends it.
    pub(crate) async fn run(mut self, mut now: Signal) {
        loop {
            tokio::select! {
                _ = now.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // Files may lie on a slow disk.
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            self = looked.await.expect("looking does not panic");
        }
    }

    /// A certificate that cannot be used changes nothing: the one before may hold for days.
    fn look(&mut self) {
        let (seen, outcome) = match self.files.read() {
            Ok(contents) if self.seen.as_ref() == Some(&contents) => return,
            Ok(contents) => {
                let outcome = self.files.understand(&contents);
                (Some(contents), outcome)
            }
            Err(_) if self.seen.is_none() => return,
            Err(error) => (None, Err(error)),
        };
        self.seen = seen;
        match outcome {
            Ok(config) => {
                self.holds.send_replace(config);
                tracing::info!(file = %self.files.cert.display(), "a new certificate holds");
            }
            // Half of a pair that is being written is seen here too, and the whole at the next look.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "a new certificate is not used; the one before goes on"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let names = vec!["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with((cert, key): &(String, String)) -> (Self, TlsFiles) {
            let folder = tempfile::tempdir().unwrap();
            let files = TlsFiles {
                cert: folder.path().join("tls.crt"),
                key: folder.path().join("tls.key"),
            };
            let folder = Self(folder);
            folder.write("tls.crt", cert);
            folder.write("tls.key", key);
            (folder, files)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }
    }

    fn check_refused(cert: &str, key: &str, expected: &str) {
        let (_folder, files) = Folder::with(&(cert.to_owned(), key.to_owned()));
        let error = files.load().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let ((cert, key), (_, other)) = (pair(), pair());
        check_refused("", &key, "tls.crt holds no certificate");
        check_refused(&key, &key, "tls.crt holds no certificate");
        check_refused(&cert, "", "tls.key holds no private key");
        check_refused(&cert, &cert, "tls.key holds no private key");
        check_refused(&cert, &other, "cannot be used");
        let nowhere = TlsFiles { cert: "/does/not/exist".into(), key: "/does/not/exist".into() };
        assert!(nowhere.load().unwrap_err().to_string().contains("/does/not/exist"));
    }

    #[test]
    fn a_bad_file_changes_nothing_and_a_good_one_holds() {
        let (old, new) = (pair(), pair());
        let (folder, files) = Folder::with(&old);
        let (tls, mut renewal) = Renewal::begin(files).unwrap();
        let first = Arc::clone(&tls.0.borrow());
        let holds_first = || Arc::ptr_eq(&first, &tls.0.borrow());
        renewal.look();
        assert!(holds_first(), "the same is no new one");
        folder.write("tls.crt", &new.0);
        renewal.look();
        assert!(holds_first(), "half of a pair");
        fs::remove_file(folder.0.path().join("tls.key")).unwrap();
        renewal.look();
        assert!(holds_first(), "nothing");
        folder.write("tls.key", &new.1);
        renewal.look();
        assert!(!holds_first());
    }
}
