//! The directory of the handover socket, in which no other user may create files.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::user::{ROOT, own_user};

/// The runtime directory of the system service.
const RUN: &str = "/run/perijove";

/// Permission bits for writing by group or others.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a directory is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    #[error("{0} is not a directory (symbolic links are refused)")]
    NoFolder(PathBuf),
    #[error("{folder} belongs to user {owner}; it must belong to the user that runs the gateway")]
    Foreign { folder: PathBuf, owner: u32 },
    #[error(
        "{folder} is writable by other users (mode {mode:03o}); chmod 700 it, or choose another \
         directory"
    )]
    Open { folder: PathBuf, mode: u32 },
    #[error("{folder}: {source}")]
    Io { folder: PathBuf, source: io::Error },
}

/// The default socket: the same for every process of this user.
pub(super) fn default_socket(user: u32) -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = if let Some(session) = session.filter(|path| path.is_absolute()) {
        session.join("perijove")
    } else if user == ROOT || Path::new(RUN).is_dir() {
        PathBuf::from(RUN)
    } else {
        std::env::temp_dir().join(format!("perijove-{user}"))
    };
    folder.join("upgrade.sock")
}

/// Creates the directory if it does not exist, for this user only, and checks it.
pub(super) fn prepare(socket: &Path) -> Result<(), FolderFault> {
    let folder = folder_of(socket);
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(FolderFault::Io {
            folder: folder.to_owned(),
            source,
        }),
        _ => check(socket),
    }
}

/// Checks that only this user and root can put a socket there, or another directory in its place.
pub(super) fn check(socket: &Path) -> Result<(), FolderFault> {
    let folder = folder_of(socket);
    let failed = |source| FolderFault::Io {
        folder: folder.to_owned(),
        source,
    };
    let there = folder.symlink_metadata().map_err(failed)?;
    let own = own_user().map_err(failed)?;
    judge(folder, &there, own, false)?;
    let whole = folder.canonicalize().map_err(failed)?;
    for above in whole.ancestors().skip(1) {
        judge(above, &above.metadata().map_err(failed)?, own, true)?;
    }
    Ok(())
}

fn folder_of(socket: &Path) -> &Path {
    match socket.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// In parent directories others may write, as long as they cannot remove what is not theirs.
fn judge(folder: &Path, there: &Metadata, own: u32, is_above: bool) -> Result<(), FolderFault> {
    let folder = folder.to_owned();
    if !there.is_dir() {
        return Err(FolderFault::NoFolder(folder));
    }
    let owner = there.uid();
    if owner != own && owner != ROOT {
        return Err(FolderFault::Foreign { folder, owner });
    }
    let mode = there.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 && !(is_above && mode & STICKY != 0) {
        return Err(FolderFault::Open { folder, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_a_folder_of_ones_own_will_do() {
        let top = TempDir::new().unwrap();
        let folder = top.path().join("new");
        let socket = folder.join("upgrade.sock");
        prepare(&socket).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        prepare(&socket).unwrap();
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let said = check(&socket).unwrap_err().to_string();
            assert!(said.contains("is writable by other users"), "{said}");
        }
        set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        check(&socket).unwrap();
        set_permissions(top.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(check(&socket).is_err(), "the folder could be exchanged");
        set_permissions(top.path(), Permissions::from_mode(0o1777)).unwrap();
        check(&socket).unwrap();
        symlink(&folder, top.path().join("link")).unwrap();
        assert!(check(&top.path().join("link/upgrade.sock")).is_err());
        assert!(check(Path::new("/tmp/upgrade.sock")).is_err());
    }

    #[test]
    fn the_default_is_in_no_folder_that_others_can_write_to() {
        let socket = default_socket(12_345);
        let folder = socket.parent().unwrap();
        assert_ne!(folder, std::env::temp_dir());
        assert!(folder.ends_with("perijove") || folder.ends_with("perijove-12345"));
    }
}
