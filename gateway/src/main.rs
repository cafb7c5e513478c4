//! The gateway's binary: an allocator, a command line, an exit code.

use std::process::ExitCode;

use clap::Parser;
use perijove_gateway::{app, cli};

/// Pingora allocates a 64 KiB buffer for many bodies; glibc returns each to the kernel at once,
/// which costs half of the CPU time at 100 KB answers.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    app::execute(cli::Cli::parse())
}
