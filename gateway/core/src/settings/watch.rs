//! Notices that the configuration may have changed on disk. Whether it has, and what follows, is
//! decided by whoever loads it again.
//!
//! Directories are watched, not files: an editor writes a new file and renames it over the old one,
//! and a mounted `ConfigMap` swaps a symbolic link (`..data`) beside the file, so a watch on the
//! file itself would keep watching the old one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long the directory must be quiet before the change is reported; a save is several events.
const QUIET: Duration = Duration::from_millis(100);

/// The longest wait for that quiet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches files until it is dropped.
pub struct Watch {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    /// Keeps one signal at most: ten changes are looked at once.
    changes: Arc<Notify>,
}

/// Starts to watch these files, which need not exist, for changes of any kind.
///
/// # Errors
/// The system has no watch to give, or a directory does not exist.
pub fn watch<'f>(files: impl IntoIterator<Item = &'f Path>) -> notify::Result<Watch> {
    let changes = Arc::new(Notify::new());
    let signal = Arc::clone(&changes);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error means that events may be missing, so it counts as a change as well.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            signal.notify_one();
        }
    })?;
    let mut watch = Watch {
        watcher,
        directories: BTreeSet::new(),
        changes,
    };
    watch.follow(files)?;
    Ok(watch)
}

impl Watch {
    /// Watches these files from now on and no others.
    ///
    /// # Errors
    /// A directory cannot be watched; the others are.
    pub fn follow<'f>(&mut self, files: impl IntoIterator<Item = &'f Path>) -> notify::Result<()> {
        let wanted: BTreeSet<PathBuf> = files.into_iter().map(directory_of).collect();
        for gone in self.directories.difference(&wanted) {
            // The directory may have been removed, and its watch with it.
            drop(self.watcher.unwatch(gone));
        }
        self.directories
            .retain(|directory| wanted.contains(directory));
        for directory in wanted {
            if !self.directories.contains(&directory) {
                self.watcher
                    .watch(&directory, RecursiveMode::NonRecursive)?;
                self.directories.insert(directory);
            }
        }
        Ok(())
    }

    /// Waits until something has happened in one of the directories and has come to rest. May
    /// also wake for nothing. A signal is not lost while nobody waits, nor when this is dropped
    /// before it is ready for the first time.
    pub async fn changed(&mut self) {
        self.changes.notified().await;
        let rest = async { while timeout(QUIET, self.changes.notified()).await.is_ok() {} };
        // Out of patience is no error: the change is reported now.
        drop(timeout(PATIENCE, rest).await);
    }
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Long enough for any machine; nothing waits for it when all is well.
    const BOUND: Duration = Duration::from_secs(20);

    /// Waits for changes until the file reads as expected.
    async fn until_it_reads(watch: &mut Watch, file: &Path, expected: &str) {
        let wait = async {
            loop {
                watch.changed().await;
                if fs::read_to_string(file).is_ok_and(|text| text == expected) {
                    return;
                }
            }
        };
        timeout(BOUND, wait).await.expect("the change is noticed");
    }

    #[tokio::test]
    async fn a_file_written_in_place_is_noticed() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("gateway.yaml");
        fs::write(&file, "old").unwrap();
        let mut watch = watch([file.as_path()]).unwrap();
        fs::write(&file, "new").unwrap();
        until_it_reads(&mut watch, &file, "new").await;
    }

    #[tokio::test]
    async fn a_file_renamed_over_the_old_one_is_noticed_each_time() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("gateway.yaml");
        fs::write(&file, "old").unwrap();
        let mut watch = watch([file.as_path()]).unwrap();
        for text in ["second", "third"] {
            let draft = directory.path().join(".gateway.yaml.swp");
            fs::write(&draft, text).unwrap();
            fs::rename(&draft, &file).unwrap();
            until_it_reads(&mut watch, &file, text).await;
        }
    }

    #[tokio::test]
    async fn the_swapped_link_of_a_mounted_config_map_is_noticed_each_time() {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        let publish = |revision: &str| {
            fs::create_dir(at(revision)).unwrap();
            fs::write(at(revision).join("gateway.yaml"), revision).unwrap();
            symlink(revision, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        publish("..first");
        symlink("..data/gateway.yaml", at("gateway.yaml")).unwrap();
        let file = at("gateway.yaml");
        let mut watch = watch([file.as_path()]).unwrap();
        for (old, new) in [("..first", "..second"), ("..second", "..third")] {
            publish(new);
            fs::remove_dir_all(at(old)).unwrap();
            until_it_reads(&mut watch, &file, new).await;
        }
    }

    #[tokio::test]
    async fn a_secret_in_another_directory_is_noticed_once_it_is_followed() {
        let (conf, secrets) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (file, secret) = (conf.path().join("gateway.yaml"), secrets.path().join("key"));
        let mut watch = watch([file.as_path()]).unwrap();
        watch.follow([file.as_path(), secret.as_path()]).unwrap();
        fs::write(&secret, "hunter2").unwrap();
        until_it_reads(&mut watch, &secret, "hunter2").await;
        watch.follow([file.as_path()]).unwrap();
        assert_eq!(watch.directories.len(), 1);
    }

    #[test]
    fn a_bare_name_stands_in_the_working_directory() {
        assert_eq!(directory_of(Path::new("gateway.yaml")), Path::new("."));
        assert_eq!(
            directory_of(Path::new("conf/gateway.yaml")),
            Path::new("conf")
        );
    }
}
