//! Disks that are full: one of a few megabytes of its own, and files that may not grow.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// How large the disk is, and how large files may become on one without bounds.
const MEGABYTES: u64 = 8;

/// Most bytes that files may have when such a disk counts as full: they are larger by then.
const FULL: u64 = 64 * 1024;

/// A disk for the program, which it is started by.
#[derive(Debug)]
pub enum Disk {
    /// A file system in memory, in a mount namespace of its own that lasts as long as a process in it.
    Mounted { holder: Box<Child>, folder: TempDir },
    /// A folder in which files cannot grow beyond a limit of the process, as under a quota.
    Limited(TempDir),
}

impl Disk {
    /// One that is mounted, where user namespaces are allowed; elsewhere one whose files are limited.
    pub async fn mounted() -> Self {
        let folder = TempDir::new().unwrap();
        let script = format!(
            "mount -t tmpfs -o size={MEGABYTES}m tmpfs \"$0\" && echo ready && exec sleep infinity"
        );
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = [0; 6];
        let mut out = holder.stdout.take().unwrap();
        if out.read_exact(&mut said).await.is_ok() {
            let holder = Box::new(holder);
            return Self::Mounted { holder, folder };
        }
        eprintln!(
            "user namespaces are not allowed here: a limit of files takes the place of a disk"
        );
        Self::Limited(folder)
    }

    pub fn limited() -> Self {
        Self::Limited(TempDir::new().unwrap())
    }

    /// Where the program sees it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Mounted { folder, .. } | Self::Limited(folder) => folder.path(),
        }
    }

    /// The same as we see it.
    fn seen(&self) -> PathBuf {
        match self {
            Self::Mounted { holder, folder } => {
                let root = PathBuf::from(format!("/proc/{}/root", holder.id().unwrap()));
                root.join(folder.path().strip_prefix("/").unwrap())
            }
            Self::Limited(folder) => folder.path().to_owned(),
        }
    }

    /// What a program is started by that has it.
    pub fn wrapper(&self) -> Command {
        match self {
            Self::Mounted { holder, .. } => {
                let mut command = Command::new("nsenter");
                let target = holder.id().unwrap().to_string();
                command.args(["--user", "--preserve-credentials", "--mount"]);
                command.args(["--target", &target, "--"]);
                command
            }
            Self::Limited(_) => {
                // The signal would end the process; without it, writing fails.
                let mut command = Command::new("sh");
                command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
                command
            }
        }
    }

    /// Leaves no room for the program with this process id.
    pub fn fill(&self, pid: u32) {
        match self {
            Self::Mounted { .. } => {
                let mut file = std::fs::File::create(self.ballast()).unwrap();
                let piece = [0; 4096];
                while file.write_all(&piece).is_ok() {}
            }
            Self::Limited(_) => limit(pid, &FULL.to_string()),
        }
    }

    /// Makes room again.
    pub fn free(&self, pid: u32) {
        match self {
            Self::Mounted { .. } => std::fs::remove_file(self.ballast()).unwrap(),
            Self::Limited(_) => limit(pid, "unlimited"),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.seen().join("ballast")
    }

    /// Copies a database of SQLite that nobody writes to where it can be opened.
    pub fn copy_database(&self, name: &str, to: &Path) -> PathBuf {
        for part in ["", "-wal"] {
            let name = format!("{name}{part}");
            let file = self.seen().join(&name);
            if file.exists() {
                std::fs::copy(file, to.join(&name)).unwrap();
            }
        }
        to.join(name)
    }
}

/// Limits the files of a process, while it runs.
fn limit(pid: u32, bytes: &str) {
    let set = std::process::Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={bytes}:")])
        .status();
    assert!(set.is_ok_and(|status| status.success()));
}
