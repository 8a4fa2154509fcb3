//! The `quorate` program: hands over to the command line in the library, and turns its outcome into an exit code.

use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites what is freed: libraries hold PINs and secrets in memory of their own that they do not wipe.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    quorate::cli::main(std::env::args_os())
}
