//! The composition root: carries out what the command line asks for.

mod breaker;
mod check;
mod connection;
mod convert;
mod export;
mod fit;
mod gate;
mod generate;
mod health;
mod house;
mod http;
mod lag;
mod lane;
mod letters;
mod metrics;
mod offsets;
mod pipeline;
mod prices;
mod progress;
mod reconcile;
mod record;
mod renewal;
mod run;
mod shelf;
mod standing;
mod store;
mod tasks;
mod verify;

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::{Cli, Command, Letters, Offsets};
use crate::record::UnixMillis;

/// Carries out a command and says how it ended.
pub fn execute(cli: Cli) -> ExitCode {
    // More than one is compiled in, and then rustls chooses none by itself: the client of Redis would
    // break at its first connection over TLS. Only the first one counts, and this is it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let exit = match cli.command {
        Command::Check(source) => check::check(&source),
        Command::Schema => check::schema(),
        Command::Health(health) => check::health(&health),
        Command::TestConnection(source) => connection::test(&source),
        Command::Lag(source) => lag::lag(&source, now),
        Command::Record(what) => record::record(&what, now),
        Command::Run(source) => run::run(&source),
        Command::Replay(what) => run::replay(&what.source, &what.file),
        Command::Offsets(Offsets::Show(source)) => offsets::show(&source),
        Command::Offsets(Offsets::Reset(what)) => offsets::reset(&what),
        Command::DeadLetters(Letters::List(what)) => letters::list(&what),
        Command::DeadLetters(Letters::Replay(what)) => letters::replay(&what),
        Command::Verify(what) => verify::verify(&what),
        Command::Reconcile(what) => reconcile::reconcile(&what),
        Command::Export(what) => export::export(&what, now()),
        Command::Base58(what) => check::base58(&what),
        Command::Generate(what) => generate::generate(&what, now()),
    };
    exit.into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the wall clock comes in"
)]
fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// To standard output. A closed pipe is no reason to fail.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// To standard error, before or without a log.
fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
