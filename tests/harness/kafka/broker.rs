//! One broker: its process, which ends with the test, and its files, which outlive the process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::kafka::java::Java;
use crate::kafka::settings::{Listener, Settings};

/// Runs its arguments until its standard input ends, which it does when we are gone, however
/// that happened; then kills them.
const LEASH: &str = r#""$@" >&2 & echo $!; read -r _; kill -9 $!; wait $!"#;
/// Bytes of the log shown for a failed test.
const SHOWN: usize = 8_000;

/// A broker that was started once.
#[derive(Debug)]
pub(super) struct Broker {
    settings: Settings,
    /// None while it is dead.
    process: Option<Leashed>,
}

#[derive(Debug)]
struct Leashed {
    shell: Child,
    /// Of Java.
    pid: u32,
}

impl Broker {
    /// Starts it on its formatted folder and does not wait for it.
    pub(super) fn start(java: &Java, settings: Settings) -> Self {
        Self::start_with(java, settings, &[])
    }

    /// Starts it with further options of Java.
    pub(super) fn start_with(java: &Java, settings: Settings, options: &[String]) -> Self {
        let process = Some(spawn(java, &settings, options));
        Self { settings, process }
    }

    /// Its number in the cluster.
    pub(super) fn id(&self) -> i32 {
        self.settings.id
    }

    /// Host and port of a listener.
    pub(super) fn address(&self, listener: Listener) -> String {
        self.settings.address(listener)
    }

    /// Whether it was not killed.
    pub(super) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Whether the process has not ended, by itself or otherwise.
    pub(super) fn alive(&self) -> bool {
        self.process.as_ref().is_some_and(Leashed::alive)
    }

    /// # Panics
    /// If it ended by itself.
    pub(super) fn assert_alive(&self) {
        assert!(self.alive(), "broker {} ended:\n{}", self.id(), self.log());
    }

    /// Sends a signal by its name, such as `STOP`, which makes it hang, and `CONT`.
    pub(super) fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("a broker that runs");
        let sent = Command::new("kill")
            .args(["-s", name, &process.pid.to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{name} to {}",
            process.pid
        );
    }

    pub(super) fn kill(&mut self) {
        drop(self.process.take());
    }

    pub(super) fn restart(&mut self, java: &Java) {
        self.kill();
        self.process = Some(spawn(java, &self.settings, &[]));
    }

    /// The end of what it wrote.
    fn log(&self) -> String {
        let log = fs::read(self.settings.folder.join("log")).unwrap_or_default();
        let from = log.len().saturating_sub(SHOWN);
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            report(&format!("log of broker {}:\n{}", self.id(), self.log()));
        }
    }
}

impl Leashed {
    fn alive(&self) -> bool {
        // Ended and not yet waited for is `Z`.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Until it is gone its ports are not free.
        let ended = self.shell.wait();
        debug_assert!(ended.is_ok());
    }
}

fn spawn(java: &Java, settings: &Settings, further: &[String]) -> Leashed {
    let mut command = java.command("kafka.Kafka", further);
    command.push(settings.file().display().to_string());
    let log = File::options()
        .create(true)
        .append(true)
        .open(settings.folder.join("log"));
    let mut shell = Command::new("sh")
        .args(["-c", LEASH, "sh"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.expect("a file"))
        .spawn()
        .expect("a shell runs");
    let mut line = String::new();
    let mut out = BufReader::new(shell.stdout.take().expect("standard output"));
    out.read_line(&mut line).expect("a process id");
    let pid = line.trim().parse().expect("a process id");
    Leashed { shell, pid }
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner captures it for failed tests"
)]
fn report(text: &str) {
    eprintln!("{text}");
}
