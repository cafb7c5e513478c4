//! The composition root: carries out what the command line asks for.

mod check;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Carries out a command and says how it ended.
pub fn execute(cli: Cli) -> ExitCode {
    let exit = match cli.command {
        Command::Check(source) => check::check(&source),
        Command::Schema => check::schema(),
    };
    exit.into()
}

/// To standard output. A closed pipe is no reason to fail.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// To standard error, before or without a log.
fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
