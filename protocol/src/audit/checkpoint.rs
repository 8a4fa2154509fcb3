//! Signed heads of the tree: a C2SP tlog-checkpoint, which is a C2SP signed note of three lines, signed with Ed25519. Other
//! programs for transparency logs read and witness them.

use super::tree::Hash;
use crate::encoding::{base64, from_base64, sha256};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;
use std::str::FromStr;

/// Bytes of the longest note that is read: other signatures may stand beside the log's own.
pub const MAX_NOTE: usize = 16 * 1024;
/// Bytes of the longest name of a log.
pub const MAX_ORIGIN: usize = 256;
/// The signature type of Ed25519.
const ED25519: u8 = 1;

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Another key's, or altered.
    #[error("the checkpoint is not signed by this key")]
    Signature,
    /// Not the format.
    #[error("this is no checkpoint")]
    Malformed,
    /// Of another log.
    #[error("the checkpoint is another log's")]
    Origin,
    /// Not the format of a verifier key.
    #[error("this is no verifier key: it reads NAME+HASH+KEY")]
    Key,
}

/// What a log is called: the first line of its checkpoints and the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Takes a name that has neither blanks nor control characters nor `+`; `None` for any other.
    pub fn new(name: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_graphic() && c != '+';
        let fits = !name.is_empty() && name.len() <= MAX_ORIGIN && name.chars().all(plain);
        fits.then(|| Self(name.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// Leaves of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let signature = key.sign(text.as_bytes());
        let id = key_id(&self.origin, &key.verifying_key());
        let signed = base64(&[id.as_slice(), &signature.to_bytes()].concat());
        format!("{text}\n— {} {signed}\n", self.origin.0)
    }

    /// The checkpoint of a note that `key` has signed. Signatures by others are passed over.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let (checkpoint, signatures) = parse(note).ok_or(CheckpointError::Malformed)?;
        if checkpoint.origin != key.origin {
            return Err(CheckpointError::Origin);
        }
        let (text, id) = (checkpoint.text(), key_id(&key.origin, &key.key));
        let mut signed = false;
        for (name, signature) in signatures {
            let Some(signature) = signature.strip_prefix(&id).filter(|_| name == key.origin.0) else { continue };
            let signature = Signature::from_slice(signature).map_err(|_| CheckpointError::Signature)?;
            key.key.verify_strict(text.as_bytes(), &signature).map_err(|_| CheckpointError::Signature)?;
            signed = true;
        }
        if signed { Ok(checkpoint) } else { Err(CheckpointError::Signature) }
    }

    /// Reads a note without looking at who signed it.
    pub fn peek(note: &str) -> Result<Self, CheckpointError> {
        parse(note).map(|(checkpoint, _)| checkpoint).ok_or(CheckpointError::Malformed)
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin.0, self.size, base64(&self.root))
    }
}

/// The public half of a log's key with the log's name, as `NAME+HASH+KEY` (C2SP signed-note): what an auditor must have got
/// from somewhere else than the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// The log.
    pub origin: Origin,
    /// Its key.
    pub key: VerifyingKey,
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = data_encoding::HEXLOWER.encode(&key_id(&self.origin, &self.key));
        write!(f, "{}+{id}+{}", self.origin.0, base64(&typed(&self.key)))
    }
}

impl FromStr for VerifierKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let read = || {
            // Base64 may hold the sign, too.
            let mut parts = text.splitn(3, '+');
            let (origin, id, typed) = (Origin::new(parts.next()?)?, parts.next()?, from_base64(parts.next()?)?);
            let (kind, key) = typed.split_first()?;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok().filter(|key| !key.is_weak())?;
            let read = Self { origin, key };
            (*kind == ED25519 && id == data_encoding::HEXLOWER.encode(&key_id(&read.origin, &read.key))).then_some(read)
        };
        read().ok_or(CheckpointError::Key)
    }
}

fn typed(key: &VerifyingKey) -> Vec<u8> {
    [&[ED25519], key.as_bytes().as_slice()].concat()
}

/// Names a key in a signature's line: so that one is found, not so that it is trusted.
fn key_id(origin: &Origin, key: &VerifyingKey) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[origin.0.as_bytes(), b"\n", &typed(key)]);
    [a, b, c, d]
}

/// Name of a key, and its id followed by its signature.
type Signed<'a> = (&'a str, Vec<u8>);

/// A note's checkpoint and its signatures.
fn parse(note: &str) -> Option<(Checkpoint, Vec<Signed<'_>>)> {
    if note.len() > MAX_NOTE {
        return None;
    }
    let (text, signatures) = note.split_once("\n\n")?;
    let mut lines = text.split('\n');
    let (origin, size, root) = (Origin::new(lines.next()?)?, lines.next()?, lines.next()?);
    let number: u64 = size.parse().ok()?;
    let root: Hash = from_base64(root)?.as_slice().try_into().ok()?;
    if lines.next().is_some() || number.to_string() != size {
        return None;
    }
    let signatures = signatures.strip_suffix('\n')?.split('\n').map(signature).collect::<Option<_>>()?;
    Some((Checkpoint { origin, size: number, root }, signatures))
}

fn signature(line: &str) -> Option<Signed<'_>> {
    let (name, signed) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = from_base64(signed).filter(|bytes| bytes.len() > 4)?;
    (!name.is_empty()).then(|| (name, bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn verifier(seed: u8) -> VerifierKey {
        VerifierKey { origin: head().origin, key: key(seed).verifying_key() }
    }

    fn head() -> Checkpoint {
        Checkpoint { origin: Origin::new("oracle.example/audit").expect("plain"), size: 5, root: [9; 32] }
    }

    /// A published example: Go's checksum database, as signed by its operators.
    const SUMDB: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

    #[test]
    fn a_note_opens_under_its_key_alone() {
        let note = head().sign(&key(7));
        assert_eq!(Checkpoint::open(&note, &verifier(7)), Ok(head()));
        assert_eq!(Checkpoint::peek(&note), Ok(head()));
        assert_eq!(Checkpoint::open(&note, &verifier(8)), Err(CheckpointError::Signature));
        let other = VerifierKey { origin: Origin::new("other.example/audit").expect("plain"), ..verifier(7) };
        assert_eq!(Checkpoint::open(&note, &other), Err(CheckpointError::Origin));
    }

    #[test]
    fn every_other_byte_makes_another_note() {
        let note = head().sign(&key(7));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(damaged) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::open(&damaged, &verifier(7)).is_err(), "byte {at}");
            assert!(Checkpoint::open(&note[..note.floor_char_boundary(at)], &verifier(7)).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn witnesses_may_sign_beside_the_log_and_not_instead() {
        let note = head().sign(&key(7));
        let (text, own) = note.split_once("\n\n").expect("a note");
        let witness = format!("— witness.example {}\n", base64(&[1; 76]));
        for cosigned in [format!("{note}{witness}"), format!("{text}\n\n{witness}{own}")] {
            assert_eq!(Checkpoint::open(&cosigned, &verifier(7)), Ok(head()));
        }
        let alone = format!("{text}\n\n{witness}");
        assert_eq!(Checkpoint::open(&alone, &verifier(7)), Err(CheckpointError::Signature));
        let forged = own.replace(&own[own.len() - 12..own.len() - 4], "AAAAAAAA");
        assert!(Checkpoint::open(&format!("{note}{forged}"), &verifier(7)).is_err(), "one of its own is wrong");
    }

    #[test]
    fn a_verifier_key_is_read_as_it_is_shown_and_no_other_text_is_one() {
        let shown = verifier(7).to_string();
        assert_eq!(shown.parse(), Ok(verifier(7)));
        assert_eq!(SUMDB.parse::<VerifierKey>().map(|key| key.to_string()).as_deref(), Ok(SUMDB));
        let weak = VerifierKey { key: VerifyingKey::from_bytes(&[0; 32]).expect("a point"), ..verifier(7) }.to_string();
        for wrong in ["", "a+b+c", &shown[1..], &shown[..shown.len() - 4], &shown.to_uppercase(), &weak] {
            assert_eq!(wrong.parse::<VerifierKey>(), Err(CheckpointError::Key), "{wrong}");
        }
    }

    #[test]
    fn a_name_has_one_line_and_no_sign_of_the_format() {
        for wrong in ["", "a b", "a+b", "a\nb", "é", "a\u{7f}", &"a".repeat(MAX_ORIGIN + 1)] {
            assert_eq!(Origin::new(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_the_format_is_read() {
        let note = head().sign(&key(7));
        for wrong in [
            note.replacen("\n5\n", "\n05\n", 1),
            note.replacen("\n5\n", "\n-5\n", 1),
            note.replacen("\n\n", "\nmore\n\n", 1),
            note.replacen("— ", "- ", 1),
            note.trim_end().to_owned(),
            format!("{note}\n"),
            note.repeat(200),
        ] {
            assert_eq!(Checkpoint::peek(&wrong), Err(CheckpointError::Malformed), "{wrong}");
        }
    }
}
