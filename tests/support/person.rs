//! A person: a home of their own, a key, and the command line.

use super::{Ended, Oracle, Program, Terminal, built};
use age::secrecy::ExposeSecret as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The PIN of a person's token.
pub const PIN: &str = "493027";
/// The PIN of a person's security keys, which is another.
pub const FIDO_PIN: &str = "260571";
/// The PUK of a person's token.
const PUK: &str = "81736450";

/// What a person opens Tocs with.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// A key on the connected card with this serial number, whose codes are [`PIN`] or the factory's.
    Card(u32),
    /// An identity that is sealed to a passkey in a soft security key, which lies beside it.
    Passkey,
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
    reaches_cards: bool,
}

impl Person {
    /// Somebody new.
    pub fn new(name: &str, key: Key) -> Self {
        let mut person = Self::without_key(name);
        let identities = person.path("config/quorate/identities");
        fs::create_dir_all(&identities).expect("made");
        person.recipient = match key {
            Key::Card(serial) => {
                person.reaches_cards = true;
                let serial = serial.to_string();
                let made = person.quorate(&["--json", "key", "generate", "--label", name, "--serial", &serial]).json();
                made["recipients"][0].as_str().expect("a recipient").to_owned()
            }
            Key::Passkey => {
                let key = identities.join("security.key");
                let key = key.to_str().expect("UTF-8");
                person.quorate(&["fido", "pin", "--soft", key]).ok();
                let oracle = "https://oracle.example";
                let made = person.quorate(&["--json", "key", "passkey", "--oracle", oracle, "--soft", key]).json();
                made["recipients"][0].as_str().expect("a recipient").to_owned()
            }
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

    /// Somebody new who has no key yet, and reaches the cards that are connected.
    pub fn at_cards(name: &str) -> Self {
        Self { reaches_cards: true, ..Self::without_key(name) }
    }

    fn without_key(name: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(home.path().join("run")).expect("made");
        Self { home, name: name.to_owned(), recipient: String::new(), reaches_cards: false }
    }

    /// A path in their home.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.home.path().join(relative)
    }

    /// Their `quorate`, not yet started; out of reach of the keys that are connected to this machine, unless one is theirs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built("quorate"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("QUORATE_FIDO_PIN_COMMAND", format!("echo {FIDO_PIN}"))
            .env("QUORATE_PIN_COMMAND", format!("echo {PIN}"))
            .env("QUORATE_PUK_COMMAND", format!("echo {PUK}"))
            .env("QUORATE_SOFT_TOUCH", "yes")
            .env("QUORATE_NO_SECURITY_KEYS", "1");
        if !self.reaches_cards {
            command.env("PCSCLITE_CSOCK_NAME", "/nonexistent");
        }
        command
    }

    /// Starts `quorate` on a terminal, where the person answers every question.
    pub fn on_terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command = self.command(arguments);
        for variable in ["QUORATE_FIDO_PIN_COMMAND", "QUORATE_PIN_COMMAND", "QUORATE_PUK_COMMAND", "QUORATE_SOFT_TOUCH"]
        {
            command.env_remove(variable);
        }
        Terminal::start(command)
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
