//! The folder of everything that is kept, and the lock that makes it one server's.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The folder.
#[derive(Debug)]
pub(crate) struct DataDir(PathBuf);

/// As long as this lives, no other server works with the folder. The system lets go of it when
/// the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Occupied(#[expect(dead_code, reason = "holds the lock")] File);

impl DataDir {
    /// Makes the folder if it is not there, for its owner alone.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data folder {}", path.display()))?;
        let path = fs::canonicalize(path)
            .with_context(|| format!("cannot open the data folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is, from the root on.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the generated secret is kept.
    pub(crate) fn secret_path(&self) -> PathBuf {
        self.0.join("secret.key")
    }

    /// Takes the folder for this server. Two servers with one folder would each tell only their
    /// own clients what is new.
    pub(crate) fn occupy(&self) -> anyhow::Result<Occupied> {
        let path = self.0.join("server.lock");
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Occupied(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("another chat-server works with the data folder {}", self.0.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_its_owners_and_one_servers() {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(&parent.path().join("a/b")).unwrap();
        let mode = fs::metadata(data.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let occupied = data.occupy().unwrap();
        assert!(data.occupy().unwrap_err().to_string().contains("another chat-server"));
        drop(occupied);
        assert!(data.occupy().is_ok());
    }
}
