//! The oracles that this person trusts, by root key, in `$XDG_CONFIG_HOME/quorate/oracles.toml`. It must not know how an
//! oracle is asked; an entry only comes here after a person has compared a fingerprint.

use super::{CliError, Paths, files};
use ed25519_dalek::VerifyingKey;
use quorate_protocol::api::{OracleDescription, fingerprint};
use quorate_protocol::encoding::Base64;
use quorate_protocol::header::{OraclePin, check_url};
use quorate_protocol::invite::{Certificate, CertifiedKind, MAX_CHAIN};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::PathBuf;

/// Bytes of the file that are read at most.
const MAX_FILE: u64 = 1024 * 1024;
const HEADING: &str = "# The oracles that you trust, by root key. Written by `quorate oracle trust`.\n\n";

/// Why an oracle is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TrustError {
    /// The oracle names another address as its own.
    #[error("the oracle at {asked} says that its address is {own}")]
    Address {
        /// The address that was asked.
        asked: String,
        /// What the oracle calls itself.
        own: String,
    },
    /// The oracle answers with a root key that nobody has vouched for.
    #[error("THE ROOT KEY OF {url} HAS CHANGED: trusted is {trusted}, it now says {found}")]
    Changed {
        /// Its address.
        url: String,
        /// Fingerprint of the key in the file.
        trusted: String,
        /// Fingerprint of the key that it shows.
        found: String,
    },
    /// The person did not recognise the fingerprint.
    #[error("{0} is not trusted: its fingerprint was not confirmed")]
    Declined(String),
    /// The file of trusted oracles is damaged.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The fingerprint is not the published one.
    #[error("the fingerprint of {url} is {found}, not {expected}")]
    Fingerprint {
        /// Its address.
        url: String,
        /// What was given.
        expected: String,
        /// What the oracle's key has.
        found: String,
    },
    /// What the oracle says of its own key does not fit together.
    #[error("{url} does not describe itself properly: {cause}")]
    Key {
        /// Its address.
        url: String,
        /// What is wrong.
        cause: &'static str,
    },
    /// No oracle is trusted, or none was named among several.
    #[error("{}", if *.0 == 0 { "no oracle is trusted yet" } else { "several oracles are trusted, so one must be named" })]
    NotNamed(usize),
    /// Nobody has said that this oracle is to be trusted.
    #[error("{0} is not among the oracles that you trust")]
    Unknown(String),
    /// Others could have added an oracle.
    #[error("{} or its folder can be written by others, so nothing in it can be trusted", .0.display())]
    Writable(PathBuf),
}

/// One trusted oracle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustedOracle {
    /// Base URL, without a trailing slash.
    pub(crate) url: String,
    /// Ed25519 root key.
    pub(crate) root_key: Base64,
    /// The key's fingerprint, for people who read the file.
    pub(crate) fingerprint: String,
    /// When the person said so, RFC 3339.
    pub(crate) trusted_at: String,
}

impl TrustedOracle {
    /// The entry as it stands in a header.
    pub(crate) fn pin(&self) -> OraclePin {
        OraclePin { url: self.url.clone(), root_key: self.root_key.clone() }
    }
}

/// All trusted oracles.
#[derive(Debug)]
pub(crate) struct TrustStore {
    path: PathBuf,
    oracles: Vec<TrustedOracle>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreFile {
    #[serde(default)]
    oracle: Vec<TrustedOracle>,
}

impl TrustStore {
    /// Reads the file; none is an empty store.
    pub(crate) fn load(paths: &Paths) -> Result<Self, CliError> {
        let path = paths.oracles();
        if !path.exists() {
            return Ok(Self { path, oracles: Vec::new() });
        }
        let Some(text) = files::read_own_text(&path, MAX_FILE)? else {
            return Err(TrustError::Writable(path).into());
        };
        let damaged = |cause: String| TrustError::File { path: path.clone(), cause };
        let file: StoreFile = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        for oracle in &file.oracle {
            let sound = oracle.pin().key().is_ok()
                && check_url(&oracle.url).is_ok()
                && fingerprint(&oracle.root_key.0) == oracle.fingerprint;
            if !sound {
                return Err(damaged(format!("the entry of {} is not sound", oracle.url)).into());
            }
        }
        Ok(Self { path, oracles: file.oracle })
    }

    /// All entries, in the order they came.
    pub(crate) fn oracles(&self) -> &[TrustedOracle] {
        &self.oracles
    }

    /// The entry of `url`, with or without a trailing slash.
    pub(crate) fn find(&self, url: &str) -> Result<&TrustedOracle, TrustError> {
        let url = url.trim_end_matches('/');
        self.oracles.iter().find(|oracle| oracle.url == url).ok_or_else(|| TrustError::Unknown(url.to_owned()))
    }

    /// The entry of `url`, or the only one there is.
    pub(crate) fn named_or_only(&self, url: Option<&str>) -> Result<&TrustedOracle, TrustError> {
        match (url, self.oracles.as_slice()) {
            (Some(url), _) => self.find(url),
            (None, [only]) => Ok(only),
            (None, all) => Err(TrustError::NotNamed(all.len())),
        }
    }

    /// Writes `oracle` down, in the place of an entry with its address. Two programs at once do not lose an entry.
    pub(crate) fn trust(paths: &Paths, oracle: TrustedOracle) -> Result<(), CliError> {
        Self::change(paths, |oracles| {
            oracles.retain(|other| other.url != oracle.url);
            oracles.push(oracle);
        })
    }

    /// Forgets the entry of `url`.
    pub(crate) fn forget(paths: &Paths, url: &str) -> Result<(), CliError> {
        let url = Self::load(paths)?.find(url)?.url.clone();
        Self::change(paths, |oracles| oracles.retain(|other| other.url != url))
    }

    fn change(paths: &Paths, change: impl FnOnce(&mut Vec<TrustedOracle>)) -> Result<(), CliError> {
        let path = paths.oracles();
        files::private_folder(path.parent().expect("the file is in a folder"))?;
        let lock = path.with_extension("lock");
        let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let held = held.map_err(|error| CliError::write(&lock, error))?;
        let mut store = Self::load(paths)?;
        change(&mut store.oracles);
        let file = StoreFile { oracle: store.oracles };
        let text = toml::to_string(&file).expect("trusted oracles are plain data");
        files::replace(&store.path, (HEADING.to_owned() + &text).as_bytes())?;
        drop(held);
        Ok(())
    }
}

/// What a description says once it fits together: address and key. Nothing is trusted by that yet.
pub(crate) fn check(description: &OracleDescription, asked: &str) -> Result<OraclePin, TrustError> {
    let asked = asked.trim_end_matches('/');
    let broken = |cause| TrustError::Key { url: asked.to_owned(), cause };
    let pin = OraclePin { url: description.url.clone(), root_key: description.root_key.clone() };
    pin.key().map_err(|_| broken("its root key is no Ed25519 key"))?;
    check_url(&pin.url).map_err(|_| broken("its address cannot be one"))?;
    if description.fingerprint != fingerprint(&pin.root_key.0) {
        return Err(broken("its fingerprint is not that of its root key"));
    }
    if pin.url != asked {
        return Err(TrustError::Address { asked: asked.to_owned(), own: pin.url });
    }
    Ok(pin)
}

/// Whether `old` vouches for `new` at `now`, itself or through successors of its own.
pub(crate) fn is_successor(old: &OraclePin, new: &OraclePin, certificates: &[Certificate], now: i64) -> bool {
    let (Ok(mut key), Ok(wanted)) = (old.key(), new.key()) else { return false };
    for certificate in certificates.iter().take(MAX_CHAIN) {
        let vouched = certificate.verify(&key, now).ok().filter(|certified| certified.kind == CertifiedKind::RootKey);
        if let Some(next) = vouched.and_then(|certified| certified.verifying_key().ok()) {
            key = next;
        }
    }
    key == wanted && !same(old, &wanted)
}

fn same(pin: &OraclePin, key: &VerifyingKey) -> bool {
    pin.root_key.0 == key.as_bytes()
}

/// Fingerprints as people type them: case, dashes and spaces do not matter.
pub(crate) fn same_fingerprint(one: &str, other: &str) -> bool {
    let bare = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
    };
    !bare(one).is_empty() && bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn pin(key: &SigningKey) -> OraclePin {
        let root_key = key.verifying_key().to_bytes().to_vec().into();
        OraclePin { url: "https://oracle.example".to_owned(), root_key }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn description(key: &SigningKey) -> OracleDescription {
        let OraclePin { url, root_key } = pin(key);
        let fingerprint = fingerprint(&root_key.0);
        OracleDescription { version: 1, url, root_key, fingerprint, certificates: Vec::new(), time: 0 }
    }

    #[test]
    fn a_successor_is_certified_by_every_key_before_it() {
        let (first, second, third) = (key(1), key(2), key(3));
        let root = |by: &SigningKey, of: &SigningKey| {
            Certificate::issue(by, CertifiedKind::RootKey, &of.verifying_key(), 100, 200)
        };
        let chain = [root(&first, &second), root(&second, &third)];
        assert!(is_successor(&pin(&first), &pin(&third), &chain, 150));
        assert!(is_successor(&pin(&second), &pin(&third), &chain, 150));
        assert!(!is_successor(&pin(&first), &pin(&third), &chain[1..], 150));
        assert!(!is_successor(&pin(&first), &pin(&third), &chain, 200), "expired");
        assert!(!is_successor(&pin(&third), &pin(&first), &chain, 150), "no way back");
        let invite = Certificate::issue(&first, CertifiedKind::InviteKey, &second.verifying_key(), 100, 200);
        assert!(!is_successor(&pin(&first), &pin(&second), &[invite], 150), "an invite key is no root key");
    }

    #[test]
    fn a_description_must_fit_together() {
        let good = description(&key(1));
        assert_eq!(check(&good, "https://oracle.example/").expect("fits"), pin(&key(1)));
        let other = OracleDescription { fingerprint: fingerprint(&[0; 32]), ..good.clone() };
        assert!(matches!(check(&other, "https://oracle.example"), Err(TrustError::Key { .. })));
        let weak =
            OracleDescription { root_key: vec![0; 32].into(), fingerprint: fingerprint(&[0; 32]), ..good.clone() };
        assert!(matches!(check(&weak, "https://oracle.example"), Err(TrustError::Key { .. })));
        assert!(matches!(check(&good, "https://other.example"), Err(TrustError::Address { .. })));
    }

    #[test]
    fn fingerprints_are_compared_as_people_type_them() {
        assert!(same_fingerprint("ABCD-EF23", "abcd ef23"));
        assert!(!same_fingerprint("ABCD-EF23", "ABCD-EF2"));
        assert!(!same_fingerprint("", "-"));
    }
}
