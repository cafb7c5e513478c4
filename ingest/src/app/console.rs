//! Output of commands.

use std::io::Write;

/// To standard output. A closed pipe is no reason to fail.
pub(super) fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// To standard error, before or without a log.
pub(super) fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
