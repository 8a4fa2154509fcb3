//! A home of one's own for a test, and the program run in it. It knows no command.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A published example secret, as base32.
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// An empty home.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// The program, not yet started; out of reach of the keys that are connected to this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("PCSCLITE_CSOCK_NAME", "/nonexistent")
            .env("QUORATE_FIDO_PIN_COMMAND", "echo 260571")
            .env("QUORATE_PIN_COMMAND", "echo 493027")
            .env("QUORATE_PUK_COMMAND", "echo 81736450")
            .env("QUORATE_SOFT_TOUCH", "yes")
            .env("QUORATE_NO_SECURITY_KEYS", "1");
        command
    }

    /// Runs the program to its end with `input` on stdin.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // A program that does not read its input may be gone before it is written.
        let _ = child.stdin.take().expect("asked for").write_all(input.as_bytes());
        child.wait_with_output().expect("the program ends")
    }

    /// Runs the program, which must succeed, and gives its stdout.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs the program, which must fail with `code`, and gives all that it said.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        text(&output)
    }

    /// `-p NAME=RECIPIENT` for each of `names`, with keys that nobody keeps.
    pub fn players(names: &[&str]) -> Vec<String> {
        let player = |name: &&str| {
            let recipient = age::x25519::Identity::generate().to_public();
            ["-p".to_owned(), format!("{name}={recipient}")]
        };
        names.iter().flat_map(player).collect()
    }
}

/// stdout and stderr together.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Names and contents of all that is in `folder`, sorted; nothing when it is not there.
pub fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut contents: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("UTF-8");
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    contents.sort();
    contents
}
