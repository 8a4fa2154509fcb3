//! A real oracle: the program itself, on a port that the system picks, with a state of its own.

use super::Program;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A running oracle; ends when dropped.
#[derive(Debug)]
pub struct Oracle {
    _program: Program,
    _state: TempDir,
    /// Base URL.
    pub url: String,
    /// The root key's fingerprint, as the operator would publish it.
    pub fingerprint: String,
}

impl Oracle {
    /// Starts one.
    pub fn start() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state.path());
        let mut program = Program::start(&mut command);
        let line = program.says("listening on http");
        let url = line.split_whitespace().find(|word| word.starts_with("http")).expect("its address").to_owned();
        let description = quorate::client::Client::describe(&url, &quorate::client::ClientOptions::default());
        let fingerprint = description.expect("it describes itself").fingerprint;
        Self { _program: program, _state: state, url, fingerprint }
    }
}

/// The oracle's program, built beside ours.
fn binary() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_quorate")).with_file_name("quorate-oracle");
    assert!(path.exists(), "{} is not built: run make test", path.display());
    path
}
