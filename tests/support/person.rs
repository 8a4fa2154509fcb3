//! A person: a home of their own, a key, and the command line.

use super::{Ended, Oracle, Program};
use age::secrecy::ExposeSecret as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a person opens Tocs with.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// An age identity in a file.
    Plain,
    /// A soft token with a PIN and a touch.
    Soft,
}

/// Somebody with a home.
#[derive(Debug)]
pub struct Person {
    home: TempDir,
    /// Their name.
    pub name: String,
    /// What Tocs for them are encrypted to.
    pub recipient: String,
}

impl Person {
    /// Somebody new.
    pub fn new(name: &str, key: Key) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut person = Self { home, name: name.to_owned(), recipient: String::new() };
        let identities = person.path("config/quorate/identities");
        fs::create_dir_all(&identities).expect("made");
        fs::create_dir_all(person.path("run")).expect("made");
        person.recipient = match key {
            Key::Plain => {
                let identity = age::x25519::Identity::generate();
                fs::write(identities.join("key.txt"), identity.to_string().expose_secret()).expect("written");
                identity.to_public().to_string()
            }
            Key::Soft => {
                let file = identities.join("token");
                let file = file.to_str().expect("UTF-8");
                let made = person.quorate(&["--json", "key", "generate", "--label", name, "--soft", file]).json();
                made["recipients"][1].as_str().expect("a recipient").to_owned()
            }
        };
        person
    }

    /// A path in their home.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.home.path().join(relative)
    }

    /// Their `quorate`, not yet started; out of reach of the keys that are connected to this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PCSCLITE_CSOCK_NAME", "/nonexistent")
            .env("QUORATE_PIN_COMMAND", "echo 493027")
            .env("QUORATE_SOFT_TOUCH", "yes");
        command
    }

    /// Starts `quorate`.
    pub fn start(&self, arguments: &[&str]) -> Program {
        Program::start(&mut self.command(arguments))
    }

    /// Runs `quorate` to its end.
    #[track_caller]
    pub fn quorate(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Trusts `oracle`, having compared its fingerprint.
    pub fn trust(&self, oracle: &Oracle) {
        self.quorate(&["oracle", "trust", &oracle.url, "--fingerprint", &oracle.fingerprint]).ok();
    }

    /// Files a Toc.
    pub fn file(&self, toc: &Path) {
        self.quorate(&["toc", "add", toc.to_str().expect("UTF-8")]).ok();
    }
}
