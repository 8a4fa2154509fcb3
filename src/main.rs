//! The `quorate` program: hands over to the command line in the library, and turns its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate::cli::main(std::env::args_os())
}
