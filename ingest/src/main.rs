//! The binary of ingest: an allocator, a command line and an exit code.

use std::process::ExitCode;

use clap::Parser;
use perijove_ingest::{app, cli};

/// Rows are many small values that live for one batch: with glibc's allocator the program takes a tenth more
/// CPU time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    app::execute(cli::Cli::parse())
}
