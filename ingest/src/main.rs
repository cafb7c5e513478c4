//! The binary of ingest: a command line and an exit code.

use std::process::ExitCode;

use clap::Parser;
use perijove_ingest::{app, cli};

fn main() -> ExitCode {
    app::execute(cli::Cli::parse())
}
