//! The keys file as the command `keys` reads and writes it: as a whole, and under a lock.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use perijove_core::settings::{self, ProcessEnvironment};

use crate::config::KeysFile;

/// Hashes do not reveal keys, but the list of consumers is private.
const MODE: u32 = 0o600;

/// The file under a lock: no other process writes it until this is dropped.
pub(super) struct LockedKeysFile {
    pub(super) file: KeysFile,
    /// With links resolved.
    path: PathBuf,
    /// Those of the file that is replaced, if there is one.
    metadata: Option<Metadata>,
    _lock: File,
}

/// Reads a keys file.
///
/// # Errors
/// It cannot be read, or is not a keys file.
pub(super) fn read(path: &Path) -> Result<KeysFile, String> {
    let text = settings::read_text(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let loaded = settings::parse(&text, &ProcessEnvironment::new(""));
    let loaded =
        loaded.map_err(|error| format!("{} is not a valid keys file:\n{error}", path.display()))?;
    Ok(loaded.config)
}

impl LockedKeysFile {
    /// # Errors
    /// It does not exist, cannot be read, or is not a keys file.
    pub(super) fn existing(path: &Path) -> Result<Self, String> {
        Self::open(path, false)
    }

    /// The same, but empty if the file does not exist.
    ///
    /// # Errors
    /// It cannot be read, or is not a keys file.
    pub(super) fn or_new(path: &Path) -> Result<Self, String> {
        Self::open(path, true)
    }

    fn open(path: &Path, may_be_new: bool) -> Result<Self, String> {
        let missing = |error: &std::io::Error| may_be_new && error.kind() == ErrorKind::NotFound;
        let path = match fs::canonicalize(path) {
            Err(error) if missing(&error) => path.to_owned(),
            found => found.map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        };
        let lock = lock(&path)?;
        // Another process may have created it meanwhile.
        let (file, metadata) = match fs::metadata(&path) {
            Err(error) if missing(&error) => (KeysFile::default(), None),
            known => (read(&path)?, known.ok()),
        };
        Ok(Self {
            file,
            path,
            metadata,
            _lock: lock,
        })
    }

    /// Replaces the file atomically: a gateway that reads it meanwhile finds the old text or the
    /// new one.
    ///
    /// # Errors
    /// It cannot be written, or the gateway would refuse the new text; the old file then remains.
    pub(super) fn write(self) -> Result<(), String> {
        let text = self.file.render();
        let read = settings::parse::<KeysFile>(&text, &ProcessEnvironment::new(""));
        let read = read.map_err(|error| error.to_string())?;
        if read.config != self.file {
            return Err("the names of a consumer and of a plan have no quotes".to_owned());
        }
        let draft = beside(&self.path, "new");
        let write = || {
            // Remains of an interrupted write.
            drop(fs::remove_file(&draft));
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(MODE)
                .open(&draft)?;
            if let Some(metadata) = &self.metadata {
                keep_access(&file, metadata)?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        };
        write().map_err(|error| {
            drop(fs::remove_file(&draft));
            format!("cannot write {}: {error}", self.path.display())
        })
    }
}

/// Whoever could read the file that is replaced can read the new one: the gateway, above all, which may
/// run as another user than the one who revokes a key.
fn keep_access(file: &File, replaced: &Metadata) -> std::io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
        fchown(file, Some(replaced.uid()), Some(replaced.gid())).map_err(|error| {
            let reason = format!(
                "it belongs to user {} and group {}, which may not be given a file ({error}); run the \
                 command as that user",
                replaced.uid(),
                replaced.gid()
            );
            std::io::Error::new(error.kind(), reason)
        })?;
    }
    // Whatever the umask says.
    file.set_permissions(Permissions::from_mode(replaced.mode() & 0o777))
}

/// Waits for the lock. It is a file of its own, since the keys file itself is replaced.
fn lock(path: &Path) -> Result<File, String> {
    let name = beside(path, "lock");
    let locked = || {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(&name)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|error: std::io::Error| format!("cannot lock {}: {error}", name.display()))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IssuedKey, KeyHash};

    fn key(number: usize) -> IssuedKey {
        IssuedKey {
            hash: KeyHash::of(number.to_string().as_bytes()),
            consumer: format!("c{number}"),
            plan: None,
            created: None,
        }
    }

    #[test]
    fn of_many_who_write_at_once_none_is_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys.yaml");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let mut opened = LockedKeysFile::or_new(path).unwrap();
                    opened.file.keys.push(key(number));
                    opened.write().unwrap();
                });
            }
        });
        assert_eq!(read(&path).unwrap().keys.len(), 8);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn whoever_could_read_the_file_can_read_the_new_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys.yaml");
        fs::write(&path, "keys: []").unwrap();
        // More than a usual umask leaves.
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        // Only root may give files away.
        let is_root = fs::metadata(folder.path()).unwrap().uid() == 0;
        let other = is_root.then_some(65_532);
        std::os::unix::fs::chown(&path, other, other).unwrap();
        let before = fs::metadata(&path).unwrap();
        let mut opened = LockedKeysFile::existing(&path).unwrap();
        opened.file.keys.push(key(1));
        opened.write().unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_ne!(after.ino(), before.ino(), "it was replaced");
        let access = |of: &Metadata| (of.uid(), of.gid(), of.mode());
        assert_eq!(access(&after), access(&before));
    }

    #[test]
    fn what_no_gateway_would_read_is_not_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys.yaml");
        let mut opened = LockedKeysFile::or_new(&path).unwrap();
        opened.file.keys.push(IssuedKey {
            consumer: "a b".to_owned(),
            ..key(1)
        });
        let error = opened.write().unwrap_err();
        assert!(error.contains("keys[0].consumer"), "{error}");
        let mut opened = LockedKeysFile::or_new(&path).unwrap();
        opened.file.keys.push(IssuedKey {
            consumer: "a\"\n    plan: \"b".to_owned(),
            ..key(1)
        });
        assert!(opened.write().is_err(), "one that reads as something else");
        assert!(!path.exists());
    }
}
