//! The composition root: carries out what the command line asks for.

mod breaker;
mod check;
mod clock;
mod console;
mod convert;
mod credentials;
mod database_writer;
mod dead_letters;
mod export;
mod generate;
mod group_offsets;
mod health;
mod housekeeping;
mod http;
mod kind_check;
mod lag;
mod lane;
mod metrics;
mod offsets;
mod pipeline;
mod price_publisher;
mod progress;
mod reconcile;
mod record;
mod redis_writer;
mod run;
mod shared_breaker;
mod supervisor;
mod test_connection;
mod verify;

use std::process::ExitCode;

use crate::app::clock::now;
use crate::cli::{Cli, Command, DeadLettersCommand, OffsetsCommand};

/// Carries out a command and returns its exit code.
pub fn execute(cli: Cli) -> ExitCode {
    // More than one is compiled in, and then rustls chooses none by itself: the client of Redis would
    // break at its first connection over TLS. Only the first one counts, and this is it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let exit = match cli.command {
        Command::Check(source) => check::check(&source),
        Command::Schema => check::schema(),
        Command::Health(health) => check::health(&health),
        Command::TestConnection(source) => test_connection::test(&source),
        Command::Lag(source) => lag::lag(&source, now),
        Command::Record(what) => record::record(&what, now),
        Command::Run(source) => run::run(&source),
        Command::Replay(what) => run::replay(&what.source, &what.file),
        Command::Offsets(OffsetsCommand::Show(source)) => offsets::show(&source),
        Command::Offsets(OffsetsCommand::Reset(what)) => offsets::reset(&what),
        Command::DeadLetters(DeadLettersCommand::List(what)) => dead_letters::list(&what),
        Command::DeadLetters(DeadLettersCommand::Replay(what)) => dead_letters::replay(&what),
        Command::Verify(what) => verify::verify(&what),
        Command::Reconcile(what) => reconcile::reconcile(&what),
        Command::Export(what) => export::export(&what, now()),
        Command::Base58(what) => check::base58(&what),
        Command::Generate(what) => generate::generate(&what, now()),
    };
    exit.into()
}
