//! Where the programs are that tests run. It must not know what they do.

use std::path::PathBuf;

/// A program of this workspace, from the build that made the tests.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    // Tests are in `deps`, beside the programs.
    let path = test.ancestors().nth(2).expect("a folder of the build").join(name);
    assert!(path.exists(), "{} is not built: run make test", path.display());
    path
}
