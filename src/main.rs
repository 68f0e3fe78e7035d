//! The program `frontdesk`: reads its arguments, does what they say, and tells a failure in one line on stderr.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // A wrong argument ends the program here, with clap's explanation and exit code 2.
    let arguments = cli::Arguments::parse();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(arguments)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("frontdesk: {failure}");
            ExitCode::FAILURE
        }
    }
}
