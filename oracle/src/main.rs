//! The oracle's program. What it does is in the library; here is only what a process has once: its allocator and its
//! exit status.

use quorate_oracle::memory::{ALLOCATOR, Allocator};
use std::process::ExitCode;

#[global_allocator]
static GLOBAL: Allocator = ALLOCATOR;

fn main() -> ExitCode {
    quorate_oracle::commands::run()
}
