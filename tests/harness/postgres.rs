//! A PostgreSQL server for tests, with a folder and a port of its own.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::ports;
use crate::wait::until;

const USER: &str = "perijove";

/// What it has to say, in its folder.
const LOG: &str = "log";

/// For tests that may lose what a power cut would take.
const FAST: [&str; 6] = [
    "-c",
    "fsync=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
];

/// The server that [`Postgres::shared`] gives, while any test uses it.
static SHARED: LazyLock<Mutex<Weak<Server>>> = LazyLock::new(Mutex::default);

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database on a server.
#[derive(Debug)]
pub struct Postgres {
    server: Arc<Server>,
    database: String,
}

/// A server; killed when dropped.
#[derive(Debug)]
struct Server {
    child: Mutex<Option<Child>>,
    arguments: Vec<String>,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// A new database on a server that other tests of this process use as well.
    pub async fn shared() -> Self {
        let mut shared = SHARED.lock().await;
        let server = if let Some(server) = shared.upgrade() {
            server
        } else {
            let server = Arc::new(Server::start(&FAST).await);
            *shared = Arc::downgrade(&server);
            server
        };
        Self::on(server).await
    }

    /// A new database on a server of its own, which may be stopped. It writes to disk as it would in
    /// production; further arguments are such as `-c` and `shared_buffers=1GB`.
    pub async fn alone(arguments: &[&str]) -> Self {
        Self::on(Arc::new(Server::start(arguments).await)).await
    }

    async fn on(server: Arc<Server>) -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let database = format!("test_{number}");
        server.run("createdb", &[&database]).await;
        Self { server, database }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (port, database) = (self.server.port, &self.database);
        format!("postgres://{USER}@127.0.0.1:{port}/{database}")
    }

    /// The process of the server.
    ///
    /// # Panics
    /// If it is stopped.
    pub async fn pid(&self) -> u32 {
        let child = self.server.child.lock().await;
        child
            .as_ref()
            .and_then(Child::id)
            .expect("a running server")
    }

    /// Kills the server.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(&self) {
        let child = self.server.child.lock().await.take();
        let mut child = child.expect("a running server");
        // The processes of its connections notice, and end as well.
        child.kill().await.expect("the end of the server");
    }

    /// Starts the server again.
    pub async fn restart(&self) {
        *self.server.child.lock().await = Some(self.server.spawn());
        self.server.wait_up().await;
    }
}

impl Server {
    async fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("perijove-postgres-").expect("a temporary folder");
        let server = Self {
            child: Mutex::new(None),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            port: ports::take(),
            folder,
        };
        if is_root() {
            let mut command = Command::new("chown");
            finish(command.arg("postgres:").arg(server.folder.path())).await;
        }
        let mut init = program("initdb");
        init.args(["--username", USER, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .arg("--pgdata")
            .arg(server.data());
        finish(&mut init).await;
        *server.child.lock().await = Some(server.spawn());
        server.wait_up().await;
        server
    }

    fn spawn(&self) -> Child {
        let log = self.folder.path().join(LOG);
        let log = std::fs::File::options().create(true).append(true).open(log);
        program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k", ""])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("a server")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn wait_up(&self) {
        let port = self.port.to_string();
        until("PostgreSQL to answer", || async {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            let mut ready = program("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]);
            ready.status().await.ok()?.success().then_some(())
        })
        .await;
    }

    async fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = program(name);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER])
            .args(arguments);
        finish(&mut command).await;
    }
}

async fn finish(command: &mut Command) {
    let output = command.output().await.expect("a program that runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A program of PostgreSQL. The server refuses to run as root, so then all run as the user that the
/// package has made.
fn program(name: &str) -> Command {
    let path = programs().join(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg("--")
        .arg(path)
        .current_dir("/");
    command
}

fn is_root() -> bool {
    let own = std::fs::metadata("/proc/self");
    own.is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Where the newest PostgreSQL is installed. Debian keeps its server out of the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let versions = versions.flatten().flatten();
    let versions = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let number = |path: &Path| -> u32 {
        let version = path.parent().and_then(Path::file_name);
        let version = version.and_then(OsStr::to_str);
        version.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    versions
        .chain(path)
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| number(folder))
        .expect("PostgreSQL is not installed: apt-get install postgresql")
}
