//! The gateway's process: the binary, its output, its signals, its memory, its end.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// Lines of output kept for a failing test.
const KEPT: usize = 400;

/// A running gateway process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    out: Arc<Mutex<Vec<String>>>,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends with the log.
    reading: JoinHandle<()>,
}

/// The variable that names a folder of binaries to use in place of those built with the test.
const BINARIES: &str = "PERIJOVE_BINARIES";

/// Where the binary is: beside the test's own executable, unless `PERIJOVE_BINARIES` names a folder.
///
/// # Panics
/// If it has not been built.
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(BINARIES) {
        return Path::new(&folder).join(name);
    }
    let own = std::env::current_exe().expect("the path of this executable");
    // target/<profile>/deps/e2e-… or, for a binary, target/<profile>/…
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is missing beside {}; build it first: cargo build --workspace --locked",
            own.display()
        )
    })
}

impl Process {
    /// Runs `perijove-gateway run --config FILE` with further arguments.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run(config: &Path, further: &[&str]) -> Self {
        let mut command = Command::new(binary("perijove-gateway"));
        command.arg("run").arg("--config").arg(config).args(further);
        Self::spawn(command)
    }

    /// Runs it with these limits of file descriptors.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run_with_descriptors(config: &Path, soft: usize, hard: usize) -> Self {
        let mut command = Command::new("sh");
        let limited =
            format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" run --config \"$1\"");
        command.arg("-c").arg(limited);
        command.arg(binary("perijove-gateway")).arg(config);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("RUST_LOG")
            .kill_on_drop(true)
            .spawn()
            .expect("the gateway runs");
        let pid = child.id().expect("a process id");
        let (out, _ends) = collect(child.stdout.take().expect("standard output"));
        let (log, reading) = collect(child.stderr.take().expect("standard error"));
        Self {
            child,
            pid,
            out,
            log,
            reading,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The log line with its address, once it is written.
    pub fn listening(&self) -> Option<Value> {
        let out = self.out.lock();
        let mut lines = out.iter();
        lines.find_map(|line| {
            let json: Value = serde_json::from_str(line).ok()?;
            (json.get("event")? == "listening").then_some(json)
        })
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Goes on while it runs.
    ///
    /// # Panics
    /// If it has ended: with everything that it said, which may come a moment after its end.
    pub async fn still_runs(&mut self) {
        let Some(status) = self.ended() else { return };
        drop(timeout(PATIENCE, &mut self.reading).await);
        panic!("the gateway ended: {status}\n{:#?}", self.log());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within `bound`.
    pub async fn wait(&mut self, bound: Duration) -> ExitStatus {
        timeout(bound, self.child.wait())
            .await
            .unwrap_or_else(|_elapsed| panic!("the gateway did not end within {bound:?}"))
            .expect("the state of a child")
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &self.pid.to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{name} to {}",
            self.pid
        );
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// What it wrote to standard output.
    pub fn out(&self) -> Vec<String> {
        self.out.lock().clone()
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))
            .expect("the status of a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|text| text.split_whitespace().next());
        1024 * kilobytes
            .and_then(|text| text.parse::<u64>().ok())
            .expect("VmRSS")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Captured by the test runner, shown for failed tests only.
            let log = self.log.lock();
            let shown: String = log.join("\n  ");
            drop(log);
            report(&format!("log of gateway {}:\n  {shown}", self.pid));
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner captures it for failed tests"
)]
fn report(text: &str) {
    eprintln!("{text}");
}

type Lines = Arc<Mutex<Vec<String>>>;

fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> (Lines, JoinHandle<()>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let reading = tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            let mut kept = kept.lock();
            if kept.len() >= KEPT {
                // The beginning says how it started, the end how it failed.
                kept.remove(KEPT / 4);
            }
            kept.push(line);
        }
    });
    (lines, reading)
}
