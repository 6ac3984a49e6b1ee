//! The secret that signs tokens: given by somebody, or made once and kept beside the data.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use chat_sdk::env::{Random, SystemRandom};

/// Bytes a secret must have: HS256 is no stronger than its key, and RFC 7518 asks for the length
/// of the hash.
const BYTES_MIN: usize = 32;

/// A secret that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Why a secret is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("a secret needs at least {BYTES_MIN} bytes")]
    TooShort,
    #[error("{} holds a secret that is too short: it needs at least {BYTES_MIN} bytes", .0.display())]
    ShortFile(PathBuf),
    #[error("{} can be read by everybody on this machine (mode {:o}); `chmod 600` it, and consider it known", .0.display(), .1)]
    ReadableByAll(PathBuf, u32),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl Secret {
    /// The secret itself, for what signs with it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As somebody wrote it down.
    pub(crate) fn from_text(text: &str) -> Result<Self, SecretError> {
        if text.len() < BYTES_MIN {
            return Err(SecretError::TooShort);
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// A fresh one, as somebody would write it down.
    pub(crate) fn fresh_text() -> String {
        let mut key = [0; 32];
        SystemRandom::default().fill(&mut key);
        hex(&key)
    }

    /// From a file that somebody provides. Who may read it is theirs to say: Kubernetes mounts
    /// secrets with mode 0644 into a container where nobody else is.
    pub(crate) fn from_file(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read_to_string(path).map_err(|error| SecretError::Io(path.into(), error))?;
        Self::from_text(text.trim()).map_err(|_| SecretError::ShortFile(path.into()))
    }

    /// The one kept in this file of ours, which is made if it is not there.
    pub(crate) fn kept_in(path: &Path) -> Result<Self, SecretError> {
        match Self::from_own_file(path) {
            Err(SecretError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                generate(path).map_err(|error| SecretError::Io(path.into(), error))?;
                Self::from_own_file(path)
            }
            result => result,
        }
    }

    fn from_own_file(path: &Path) -> Result<Self, SecretError> {
        let metadata = fs::metadata(path).map_err(|error| SecretError::Io(path.into(), error))?;
        let mode = metadata.permissions().mode() & 0o777;
        // The group may read it: Kubernetes adds that to every file of a volume with an `fsGroup`.
        if mode & 0o007 != 0 {
            return Err(SecretError::ReadableByAll(path.into(), mode));
        }
        Self::from_file(path)
    }
}

/// Writes a fresh secret, so that the file either is not there or holds all of it, and so that of
/// two processes that start at once the first one's stays.
fn generate(path: &Path) -> io::Result<()> {
    let mut name = [0; 8];
    SystemRandom::default().fill(&mut name);
    let draft = path.with_extension(format!("{}.new", hex(&name)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file
        .write_all(format!("{}\n", Secret::fresh_text()).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        });
    fs::remove_file(&draft)?;
    written?;
    // The name must survive a power cut like the content.
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_and_kept_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let first = Secret::kept_in(&path).unwrap();
        assert_eq!(first.bytes().len(), 64);
        assert_eq!(Secret::kept_in(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn of_many_that_start_at_once_one_secret_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Secret::kept_in(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        Secret::kept_in(&path).unwrap();
        set_mode(&path, 0o644);
        let error = Secret::kept_in(&path).unwrap_err().to_string();
        assert!(error.contains("everybody") && error.contains("644"), "{error}");
        set_mode(&path, 0o660);
        assert!(Secret::kept_in(&path).is_ok());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        fs::write(&path, "too short\n").unwrap();
        set_mode(&path, 0o600);
        let error = Secret::kept_in(&path).unwrap_err().to_string();
        assert!(error.contains("32 bytes"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "too short\n");
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::from_text(&"s3cr3t".repeat(8)).unwrap();
        assert!(!format!("{secret:?}").contains("s3cr3t"));
    }
}
