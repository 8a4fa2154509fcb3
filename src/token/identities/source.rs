//! One identity and the file or token it came from: what it costs a person to try it, and trying it.
//! Knows no terminal.

use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use age::armor::ArmoredReader;
use age::plugin::IdentityPluginV1;
use age::{DecryptError, Identity, encrypted, plugin, x25519};
use age_core::format::{FileKey, Stanza};
use quorate_protocol::fido2prf::FIDO2PRF;
use quorate_protocol::p256_stanza::{P256Stanza, PIV_P256};

use super::callbacks::Person;
use super::connected::Awaited;
use super::passkeys::{Named, PasskeyError, Passkeys, Sealed};
use super::{IdentityError, OwnRecipient, OwnSealed};
use crate::token::fido::soft::is_soft_security_key;
use crate::token::identity::{PinKeeper, PivIdentity};
use crate::token::passkey::Passkey;
use crate::token::readers::Readers;
use crate::token::sealed_identity::SealedIdentity;
use crate::token::soft_piv::{SoftPivToken, is_soft_token};
use crate::token::stub::Stub;

/// How an encrypted identity file begins, armored or not.
const AGE_FILE_STARTS: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];
/// The dearest passphrase check, as scrypt's work factor: a gigabyte of memory and a few seconds.
const MAX_WORK_FACTOR: u8 = 20;

/// What trying an identity costs a person, cheapest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cost {
    /// Nothing: a key in a file.
    Nothing,
    /// A PIN and a touch, on a token that the file names.
    Token,
    /// The same, and perhaps putting the token in.
    AwaitedToken,
    /// A plugin run, for a token that the file names.
    NamedPlugin,
    /// A PIN and a touch on a security key, which may be in vain: a file does not say which age key it wants.
    Passkey,
    /// A plugin run that may be in vain.
    Plugin,
    /// A passphrase, perhaps in vain.
    Passphrase,
}

/// An identity, and where it came from in words.
pub(super) struct Source {
    origin: String,
    kind: Kind,
}

enum Kind {
    Awaited(Box<Awaited>),
    Encrypted { path: PathBuf, identity: Box<EncryptedFile> },
    Passkey(Box<Named>),
    Piv(Box<PivIdentity>),
    Plugin { identity: plugin::Identity, key_tag: Option<[u8; 4]>, person: Person },
    Sealed(Box<Sealed>),
    X25519(x25519::Identity),
}

/// What the identities of a command share.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) pins: &'a Arc<PinKeeper>,
    pub(super) readers: Option<&'a Arc<dyn Readers>>,
    pub(super) passkeys: &'a Rc<Passkeys>,
}

/// An identity file under a passphrase; asks for it once, at the first try.
type EncryptedFile = encrypted::Identity<ArmoredReader<BufReader<Cursor<Vec<u8>>>>, Person>;

/// The identities in one file; none in that of a soft security key, which is remembered.
pub(super) fn parse(path: &Path, bytes: &[u8], around: &Surroundings<'_>) -> Result<Vec<Source>, IdentityError> {
    let Surroundings { pins, passkeys, .. } = around;
    let origin = path.display().to_string();
    if AGE_FILE_STARTS.iter().any(|start| bytes.starts_with(start)) {
        return Ok(vec![match SealedIdentity::parse(bytes) {
            Some(sealed) => sealed_file(origin, sealed.map_err(Into::into), passkeys)?,
            None => encrypted_file(path, bytes, pins)?,
        }]);
    }
    let text = str::from_utf8(bytes).map_err(|_| IdentityError::NotAnIdentity { path: path.to_owned(), line: 1 })?;
    if is_soft_token(text) {
        let failed = |source| IdentityError::Token { token: origin.clone(), source };
        let token = SoftPivToken::open(path).map_err(failed)?;
        let identity = PivIdentity::sharing(Box::new(token), Arc::clone(pins)).map_err(failed)?;
        return Ok(vec![Source::piv(origin, identity)]);
    }
    if is_soft_security_key(text) {
        passkeys.name(path);
        return Ok(Vec::new());
    }
    let lines = text.lines().map(str::trim_end).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let kind = parse_line(line, &origin, around);
            let kind = kind.ok_or_else(|| IdentityError::NotAnIdentity { path: path.to_owned(), line: at + 1 })?;
            Ok(Source { origin: origin.clone(), kind })
        })
        .collect()
}

/// A key of age-plugin-yubikey is used without the plugin where there are readers, one of age-plugin-fido2prf always.
fn parse_line(line: &str, origin: &str, around: &Surroundings<'_>) -> Option<Kind> {
    let Surroundings { pins, readers, passkeys } = *around;
    if let Ok(identity) = line.parse() {
        return Some(Kind::X25519(identity));
    }
    if let Some(passkey) = Passkey::parse(line) {
        return Some(Kind::Passkey(Box::new(Named::new(origin.to_owned(), passkey, Rc::clone(passkeys)))));
    }
    let stub = Stub::parse(line);
    if let (Some(stub), Some(readers)) = (stub, readers) {
        return Some(Kind::Awaited(Box::new(Awaited::new(stub, Arc::clone(readers), Arc::clone(pins)))));
    }
    let identity: plugin::Identity = line.parse().ok()?;
    let person = Person::at_plugin(identity.plugin(), pins.prompts());
    Some(Kind::Plugin { identity, key_tag: stub.map(|stub| stub.tag), person })
}

fn sealed_file(
    origin: String,
    sealed: Result<SealedIdentity, PasskeyError>,
    passkeys: &Rc<Passkeys>,
) -> Result<Source, IdentityError> {
    let sealed = sealed.map_err(|source| IdentityError::Passkey { file: origin.clone(), source })?;
    Ok(Source { kind: Kind::Sealed(Box::new(Sealed::new(origin.clone(), sealed, Rc::clone(passkeys)))), origin })
}

fn encrypted_file(path: &Path, bytes: &[u8], pins: &Arc<PinKeeper>) -> Result<Source, IdentityError> {
    let locked = |cause: String| IdentityError::Locked { path: path.to_owned(), cause };
    let reader = ArmoredReader::new(Cursor::new(bytes.to_vec()));
    let origin = path.display().to_string();
    let person = Person::at_passphrases(pins.prompts());
    let identity = encrypted::Identity::from_buffer(reader, Some(origin.clone()), person, Some(MAX_WORK_FACTOR))
        .map_err(|error| locked(error.to_string()))?
        .ok_or_else(|| locked("it is encrypted to keys; only a passphrase is supported here".to_owned()))?;
    Ok(Source { origin, kind: Kind::Encrypted { path: path.to_owned(), identity: Box::new(identity) } })
}

impl Source {
    pub(super) fn piv(origin: String, identity: PivIdentity) -> Self {
        Self { origin, kind: Kind::Piv(Box::new(identity)) }
    }

    pub(super) fn token(&self) -> Option<&PivIdentity> {
        match &self.kind {
            Kind::Piv(identity) => Some(identity),
            _ => None,
        }
    }

    pub(super) fn sealed(&self) -> Option<OwnSealed> {
        match &self.kind {
            Kind::Sealed(sealed) => Some(OwnSealed { source: self.origin.clone(), label: sealed.label().cloned() }),
            _ => None,
        }
    }

    /// The serial number of the token that it waits for.
    pub(super) fn awaits(&self) -> Option<u32> {
        match &self.kind {
            Kind::Awaited(awaited) => Some(awaited.stub.serial),
            _ => None,
        }
    }

    /// Whether trying both would be trying one twice.
    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Awaited(one), Kind::Awaited(other)) => one.stub == other.stub,
            (Kind::Encrypted { path: one, .. }, Kind::Encrypted { path: other, .. }) => one == other,
            (Kind::Passkey(one), Kind::Passkey(other)) => one.passkey == other.passkey,
            (Kind::Piv(one), Kind::Piv(other)) => one.is_the_same_as(other),
            (Kind::Plugin { identity: one, .. }, Kind::Plugin { identity: other, .. }) => {
                one.to_string() == other.to_string()
            }
            (Kind::Sealed(one), Kind::Sealed(other)) => one.is_the_same_as(other),
            _ => false,
        }
    }

    pub(super) fn recipients(&self) -> Vec<OwnRecipient> {
        let own = |recipient: String| OwnRecipient { source: self.origin.clone(), recipient };
        match &self.kind {
            Kind::X25519(identity) => vec![own(identity.to_public().to_string())],
            Kind::Piv(identity) => {
                let recipients = identity.keys().iter().flat_map(crate::token::PivKey::recipients);
                recipients.map(|recipient| own(recipient.to_string())).collect()
            }
            Kind::Sealed(sealed) => sealed.recipient().into_iter().map(own).collect(),
            Kind::Awaited(_) | Kind::Encrypted { .. } | Kind::Passkey(_) | Kind::Plugin { .. } => Vec::new(),
        }
    }

    /// What trying it on a file with these stanzas costs; `None` when it certainly cannot open it.
    pub(super) fn cost(&self, stanzas: &[Stanza]) -> Option<Cost> {
        match &self.kind {
            Kind::X25519(_) => has(stanzas, "X25519").then_some(Cost::Nothing),
            Kind::Sealed(_) => has(stanzas, "X25519").then_some(Cost::Passkey),
            Kind::Passkey(_) => has(stanzas, FIDO2PRF).then_some(Cost::Passkey),
            // Malformed stanzas count, so that the person learns of them.
            Kind::Piv(identity) => {
                let malformed = || stanzas.iter().filter_map(P256Stanza::parse).any(|parsed| parsed.is_err());
                (identity.is_named_in(stanzas) || malformed()).then_some(Cost::Token)
            }
            Kind::Awaited(awaited) => awaited.stub.is_named_in(stanzas).then_some(Cost::AwaitedToken),
            Kind::Plugin { key_tag: Some(key_tag), .. } => names(stanzas, *key_tag).then_some(Cost::NamedPlugin),
            Kind::Plugin { .. } => Some(Cost::Plugin),
            Kind::Encrypted { .. } => Some(Cost::Passphrase),
        }
    }

    /// `None` when the file is not for this identity after all.
    pub(super) fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, IdentityError>> {
        match &self.kind {
            Kind::X25519(identity) => {
                let opened = identity.unwrap_stanzas(stanzas)?;
                Some(opened.map_err(|error| IdentityError::Damaged(error.to_string())))
            }
            Kind::Piv(identity) => {
                let failed = |source| IdentityError::Token { token: identity.info().to_string(), source };
                Some(identity.open(stanzas)?.map_err(failed))
            }
            Kind::Awaited(awaited) => awaited.open(stanzas),
            Kind::Passkey(named) => named.open(stanzas),
            Kind::Sealed(sealed) => sealed.open(stanzas),
            Kind::Plugin { identity, person, .. } => run_plugin(identity, person, stanzas),
            Kind::Encrypted { path, identity } => {
                let cause = |error| match error {
                    DecryptError::KeyDecryptionFailed => "the passphrase is wrong or was not entered".to_owned(),
                    other => other.to_string(),
                };
                let locked = |error| IdentityError::Locked { path: path.clone(), cause: cause(error) };
                Some(identity.unwrap_stanzas(stanzas)?.map_err(locked))
            }
        }
    }
}

fn has(stanzas: &[Stanza], kind: &str) -> bool {
    stanzas.iter().any(|stanza| stanza.tag == kind)
}

/// Whether a stanza that age-plugin-yubikey opens carries this tag.
fn names(stanzas: &[Stanza], key_tag: [u8; 4]) -> bool {
    let parsed = stanzas.iter().filter(|stanza| stanza.tag == PIV_P256).filter_map(P256Stanza::parse);
    parsed.flatten().any(|stanza| stanza.is_for_tag(key_tag))
}

fn run_plugin(
    identity: &plugin::Identity,
    person: &Person,
    stanzas: &[Stanza],
) -> Option<Result<FileKey, IdentityError>> {
    let name = identity.plugin();
    let failed = |cause: String| IdentityError::Plugin { name: name.to_owned(), cause };
    // The plugin runs from PATH; it is looked for only now that it may help.
    match IdentityPluginV1::new(name, std::slice::from_ref(identity), person.clone()) {
        Ok(plugin) => Some(plugin.unwrap_stanzas(stanzas)?.map_err(|error| failed(error.to_string()))),
        Err(_) => Some(Err(failed("not found in PATH".to_owned()))),
    }
}
