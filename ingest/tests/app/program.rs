//! The program as a process: started, asked over HTTP, told to end or killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use perijove_tests::metrics::Metrics;
use perijove_tests::wait::until_within;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long it may take to start, to end, or to be somewhere in between on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of its log that are shown when a test fails.
const SHOWN: usize = 60;

const BINARY: &str = env!("CARGO_BIN_EXE_perijove-ingest");

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Program {
    /// Runs with this configuration, which has it listen on this port.
    pub fn start(config: &Path, port: u16) -> Self {
        Self::start_with(config, port, &[])
    }

    /// The same with further environment variables.
    pub fn start_with(config: &Path, port: u16, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.envs(variables.iter().copied());
        Self::run(command, config, port)
    }

    /// The same by way of another program, which becomes this one.
    pub fn start_by(mut wrapper: Command, config: &Path, port: u16) -> Self {
        wrapper.arg(BINARY);
        Self::run(wrapper, config, port)
    }

    fn run(mut command: Command, config: &Path, port: u16) -> Self {
        command.args(["run", "--config"]).arg(config);
        Self::spawn(command, port, config.with_extension("log"))
    }

    /// Replays a recording in a folder. It does not listen.
    pub fn replay(folder: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("replay").args(words).current_dir(folder);
        Self::spawn(command, 0, folder.join("replay.log"))
    }

    fn spawn(mut command: Command, port: u16, log: PathBuf) -> Self {
        let mut options = File::options();
        let file = options.create(true).append(true).open(&log).unwrap();
        let child = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, port, log }
    }

    /// What `/health` says, once it answers.
    pub async fn health(&self) -> Value {
        let (_, text) = self.ask("/health").await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until `/health` is as it should be.
    pub async fn healthy_when(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until_within(PATIENCE, what, || async {
            Some(self.health().await).filter(|health| holds(health))
        })
        .await
    }

    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.ask("/metrics").await.1)
    }

    /// The status and the text of an answer, once there is one.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        until_within(PATIENCE, "the program to answer", || async {
            let answer = reqwest::get(&url).await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
        .await
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Stops it where it is; it does not notice.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on where it was.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running program")
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the program ends").unwrap()
    }

    /// Tells it to end, once it has started, and waits for that.
    pub async fn leave(mut self) {
        self.ask("/health").await;
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Ends it with SIGKILL. Whether it still ran.
    pub async fn kill(&mut self) -> bool {
        let ran = self.child.try_wait().unwrap().is_none();
        self.child.kill().await.unwrap();
        ran
    }

    /// Waits until its log says something.
    pub async fn says(&self, text: &str) {
        until_within(PATIENCE, text, || async {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!("log of {}:\n{}", self.log.display(), shown.join("\n"));
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub error: String,
}

/// Runs a command of the program on a terminal. What it says there goes to `out`.
pub async fn command_on_terminal(folder: &Path, words: &str) -> Said {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{BINARY} {words}"), "/dev/null"]);
    command.env("TERM", "xterm").stdin(Stdio::null());
    said(command, folder).await
}

/// Runs a command of the program in a folder.
pub async fn command(folder: &Path, words: &[&str]) -> Said {
    command_with(folder, words, &[]).await
}

/// The same with further environment variables.
pub async fn command_with(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(BINARY);
    command.args(words).envs(variables.iter().copied());
    said(command, folder).await
}

async fn said(mut command: Command, folder: &Path) -> Said {
    command.current_dir(folder).kill_on_drop(true);
    command.env_remove("RUST_LOG");
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// Its output, if all went well.
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.error);
        self.out
    }
}
