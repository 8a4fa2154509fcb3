//! Where data are kept, the password for it, and where its users hear of each other: what is written by hand so that no derived text ever shows it.

use std::fmt;
use std::path::Path;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::postgres::ServerUrl;

/// A database's URL, wiped when dropped. Shown without what may be a password.
#[derive(Clone)]
pub struct DatabaseUrl(Zeroizing<String>);

impl DatabaseUrl {
    /// Reads it; the error says what is wrong without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("control characters".to_owned());
        }
        if is_server(text) {
            ServerUrl::read(text).map_err(|error| std::error::Error::source(&error).unwrap_or(&error).to_string())?;
        } else if !text.starts_with(FILE) {
            return Err("it must start with sqlite: or postgres:, as in sqlite:/var/lib/quorate/quorate.db".to_owned());
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Of an embedded database.
    pub fn of_file(path: &Path) -> Self {
        Self(Zeroizing::new(format!("{FILE}{}", path.display())))
    }

    /// The file of an embedded database; `None` for a server's, and for one in memory.
    pub fn file(&self) -> Option<&Path> {
        let path = self.0.strip_prefix(FILE)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        (path != ":memory:").then(|| Path::new(path))
    }

    /// All of it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a password is in it.
    pub fn has_password(&self) -> bool {
        is_server(&self.0) && ServerUrl::read(&self.0).is_ok_and(|url| url.has_password())
    }
}

/// How the URL of an embedded database begins.
const FILE: &str = "sqlite:";

fn is_server(text: &str) -> bool {
    text.starts_with("postgres:") || text.starts_with("postgresql:")
}

/// A file as it is; of a server the user, the hosts and the database.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !is_server(&self.0) {
            return f.write_str(&self.0);
        }
        ServerUrl::read(&self.0).map_or(Err(fmt::Error), |url| f.write_str(&url.show()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// A password, wiped when dropped and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<Zeroizing<String>> for Password {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The channel on which nodes tell each other what changed. Whoever knows its name can have all who watch look again.
#[derive(Clone)]
pub struct Channel(Zeroizing<String>);

impl Channel {
    /// Named by a key that all nodes have, and nobody else.
    pub fn of(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(format!("quorate_{}", HEXLOWER.encode(&key[..16]))))
    }

    /// An identifier that needs no quotes.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

/// One that anybody knows.
impl Default for Channel {
    fn default() -> Self {
        Self(Zeroizing::new("quorate".to_owned()))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(…)")
    }
}
