//! Java and Kafka's jars: where scripts/setup put them, and how they start fast.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// What scripts/setup fetches; it names the version.
const POM: &str = include_str!("pom.xml");
const REMEDY: &str = "install it with: scripts/setup test";

/// Small, and quick to start rather than quick in the long run.
const OPTIONS: [&str; 6] = [
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

static FOUND: LazyLock<Java> = LazyLock::new(Java::find);

/// How the programs among Kafka's jars are run.
#[derive(Debug)]
pub(super) struct Java {
    class_path: String,
    archive: PathBuf,
}

impl Java {
    /// # Panics
    /// If Java or the jars are missing.
    pub(super) fn found() -> &'static Self {
        &FOUND
    }

    fn find() -> Self {
        let folder = cache().join(format!("kafka-{}", kafka_version()));
        let mut jars = jars(&folder.join("lib"));
        // The archive is good for one order of them only.
        jars.sort();
        Self {
            class_path: jars.join(":"),
            archive: folder.join(format!("classes-{}.jsa", java_version())),
        }
    }

    /// The classes as the Java machine has them in memory, which saves reading and checking them:
    /// most of the time a broker takes to start. Who finds no such file may make it.
    pub(super) fn archive(&self) -> &Path {
        &self.archive
    }

    /// The words of the command that runs a class, without the class's own arguments.
    pub(super) fn command(&self, class: &str, further: &[String]) -> Vec<String> {
        let mut words = vec!["java".to_owned()];
        words.extend(OPTIONS.map(str::to_owned));
        if self.archive.is_file() {
            words.push(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        }
        words.extend_from_slice(further);
        words.extend(["-cp", &self.class_path, class].map(str::to_owned));
        words
    }
}

/// The user's folder for what can be fetched again, as scripts/setup has it.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    folder.expect("HOME is set").join("perijove")
}

fn kafka_version() -> &'static str {
    between(POM, "kafka_2.13</artifactId>", "</version>")
        .and_then(|rest| rest.trim().strip_prefix("<version>"))
        .expect("the version in pom.xml")
}

fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let output = output.unwrap_or_else(|error| panic!("java: {error}; {REMEDY}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = between(&text, "\"", "\"");
    version
        .unwrap_or_else(|| panic!("java -version says {text:?}; {REMEDY}"))
        .to_owned()
}

fn jars(folder: &Path) -> Vec<String> {
    let missing = |why: String| panic!("Kafka in {}: {why}; {REMEDY}", folder.display());
    let entries = fs::read_dir(folder).unwrap_or_else(|error| missing(error.to_string()));
    let jars: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().display().to_string())
        .collect();
    if jars.is_empty() {
        missing("no jars".to_owned());
    }
    jars
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}
