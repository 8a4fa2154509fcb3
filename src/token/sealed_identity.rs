//! Sealed identities: age files that hold an X25519 identity and open with a passkey alone (protocol/SPEC.md §6.4). Read as far as
//! nobody has to be asked, sealed, and opened with what a key makes of their salts. It must not know keys, PINs or folders.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Read as _;

use age::armor::ArmoredReader;
use age::secrecy::ExposeSecret as _;
use age::{DecryptError, Decryptor, EncryptError, x25519};
use age_core::format::{FileKey, Stanza};
use quorate_protocol::fido2prf::{Fido2PrfError, Fido2PrfStanza, NONCE_BYTES, PrfOutputs};
use quorate_protocol::recipient::NativeRecipient;
use quorate_protocol::sealing::{SealingError, age_seal};
use zeroize::Zeroizing;

use super::fido::HmacSecrets;
use super::passkey::Passkey;

/// Type of the stanza that says what the file is.
pub const LABEL: &str = "quorate-passkey";
/// Stanzas of a file that a key is asked about: a file made to tease could hold thousands, each wanting a touch.
pub const MOST_STANZAS: usize = 4;
/// Longest plaintext: an identity and a few lines of comment.
const MAX_PLAINTEXT: usize = 4096;

/// Why a sealed identity is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedIdentityError {
    /// The age file is damaged, or a stanza is not of the form that its type prescribes.
    #[error("damaged: {0}")]
    Damaged(String),
    /// What is sealed is not one X25519 identity. It is not repeated.
    #[error("it does not hold an identity")]
    NotAnIdentity,
    /// The identity is not the one that the file says it is.
    #[error("it holds another identity than it says")]
    Other,
    /// What the file should say of itself does not fit into its header. Holds the oracle's address, or what else it is.
    #[error("{0} does not fit into a sealed identity, which takes one word of ASCII")]
    Label(String),
    /// age did not write it.
    #[error(transparent)]
    Sealing(Box<SealingError>),
    /// It was sealed to another credential, or altered.
    #[error("the passkey does not open it: it was sealed to another one, or altered")]
    Key,
}

/// What a sealed identity says of itself. Nothing of it is proved before it is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// The credential that opens it.
    pub passkey: Passkey,
    /// What Tocs are encrypted to: `age1…`.
    pub recipient: String,
    /// Base URL of the oracle that it was made for.
    pub oracle: Option<String>,
}

impl Label {
    /// `None` when the stanza is of another type.
    fn parse(stanza: &Stanza) -> Option<Result<Self, SealedIdentityError>> {
        (stanza.tag == LABEL).then(|| Self::parse_fields(stanza).ok_or_else(malformed))
    }

    fn parse_fields(stanza: &Stanza) -> Option<Self> {
        let (passkey, recipient, oracle) = match &stanza.args[..] {
            [passkey, recipient] => (passkey, recipient, None),
            [passkey, recipient, oracle] => (passkey, recipient, Some(oracle.clone())),
            _ => return None,
        };
        let recipient: NativeRecipient = recipient.parse().ok()?;
        Some(Self { passkey: Passkey::parse(passkey)?, recipient: recipient.to_string(), oracle })
    }

    /// That a header can hold it: of an argument, age reads visible characters of ASCII and no others, and writes whatever it is given.
    pub fn check(&self) -> Result<(), SealedIdentityError> {
        let stanza = self.to_stanza();
        let unfit =
            stanza.args.into_iter().find(|arg| arg.is_empty() || !arg.bytes().all(|byte| byte.is_ascii_graphic()));
        unfit.map_or(Ok(()), |arg| Err(SealedIdentityError::Label(arg)))
    }

    fn to_stanza(&self) -> Stanza {
        let mut args = vec![self.passkey.to_string(), self.recipient.clone()];
        args.extend(self.oracle.clone());
        Stanza { tag: LABEL.to_owned(), args, body: Vec::new() }
    }
}

/// A sealed identity, not opened.
#[derive(Debug, Eq, PartialEq)]
pub struct SealedIdentity {
    bytes: Vec<u8>,
    label: Option<Label>,
    stanzas: Vec<Fido2PrfStanza>,
}

impl SealedIdentity {
    /// `None` when `bytes` are no age file, or one that no passkey opens.
    pub fn parse(bytes: &[u8]) -> Option<Result<Self, SealedIdentityError>> {
        let stanzas = header(bytes)?;
        let sealed: Vec<_> = stanzas.iter().filter_map(Fido2PrfStanza::parse).take(MOST_STANZAS).collect();
        (!sealed.is_empty()).then(|| {
            let label = stanzas.iter().find_map(Label::parse).transpose()?;
            let stanzas = sealed.into_iter().collect::<Result<_, Fido2PrfError>>();
            let stanzas = stanzas.map_err(|error| SealedIdentityError::Damaged(error.to_string()))?;
            Ok(Self { bytes: bytes.to_vec(), label, stanzas })
        })
    }

    /// Seals a new identity: gives the armored file, which was read again. `outputs` is what the key of `passkey` makes of the salts of
    /// `nonce`.
    pub fn seal(
        passkey: &Passkey,
        oracle: Option<&str>,
        nonce: [u8; NONCE_BYTES],
        outputs: &PrfOutputs,
    ) -> Result<(String, Label), SealedIdentityError> {
        let identity = x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let label = Label { passkey: passkey.clone(), recipient, oracle: oracle.map(str::to_owned) };
        label.check()?;
        let sealer = Sealer { nonce, outputs, label: &label };
        let text = identity.to_string();
        let text = Zeroizing::new(format!("{}\n", text.expose_secret()));
        let file = age_seal(text.as_bytes(), std::iter::once(&sealer as &dyn age::Recipient))
            .map_err(|error| SealedIdentityError::Sealing(Box::new(error)))?;
        // What cannot be opened is found out now, and not when somebody has dealt to it.
        let read = Self::parse(file.as_bytes()).ok_or_else(malformed)??;
        let opened = read.open(|_| Ok::<_, SealedIdentityError>(HmacSecrets::new(*outputs)))?;
        if read.label() == Some(&label) && opened.to_public().to_string() == label.recipient {
            Ok((file, label))
        } else {
            Err(malformed())
        }
    }

    /// What it says of itself.
    pub fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// Opens it. `ask` has the key of the passkey make its outputs of a stanza's salts, with its user verified; each costs a touch.
    pub fn open<E: From<SealedIdentityError>>(
        &self,
        mut ask: impl FnMut(&[[u8; 32]; 2]) -> Result<HmacSecrets, E>,
    ) -> Result<x25519::Identity, E> {
        for stanza in &self.stanzas {
            let outputs = ask(&stanza.salts())?;
            if let Ok(file_key) = stanza.open(outputs.expose()) {
                return Ok(self.read(file_key)?);
            }
        }
        Err(SealedIdentityError::Key.into())
    }

    fn read(&self, file_key: FileKey) -> Result<x25519::Identity, SealedIdentityError> {
        let damaged = |error: &dyn ToString| SealedIdentityError::Damaged(error.to_string());
        let decryptor = Decryptor::new(ArmoredReader::new(&self.bytes[..])).map_err(|error| damaged(&error))?;
        let opener = Opener(RefCell::new(Some(file_key)));
        let reader =
            decryptor.decrypt(std::iter::once(&opener as &dyn age::Identity)).map_err(|error| damaged(&error))?;
        // Reserved at once: a buffer that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(MAX_PLAINTEXT + 1));
        reader.take(MAX_PLAINTEXT as u64 + 1).read_to_end(&mut plain).map_err(|error| damaged(&error))?;
        let text = str::from_utf8(&plain).map_err(|_| SealedIdentityError::NotAnIdentity)?;
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(SealedIdentityError::NotAnIdentity) };
        let identity: x25519::Identity = line.parse().map_err(|_| SealedIdentityError::NotAnIdentity)?;
        let says = self.label.as_ref().map(|label| label.recipient.as_str());
        if says.is_some_and(|says| says != identity.to_public().to_string()) {
            return Err(SealedIdentityError::Other);
        }
        Ok(identity)
    }
}

/// age gives it no `Clone`.
fn copy(stanza: &Stanza) -> Stanza {
    Stanza { tag: stanza.tag.clone(), args: stanza.args.clone(), body: stanza.body.clone() }
}

fn malformed() -> SealedIdentityError {
    SealedIdentityError::Damaged(format!("malformed {LABEL} stanza"))
}

/// The stanzas of an age file, armored or not; `None` when it is none, or under a passphrase.
fn header(bytes: &[u8]) -> Option<Vec<Stanza>> {
    struct Looks(RefCell<Option<Vec<Stanza>>>);
    impl age::Identity for Looks {
        fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
            None
        }

        fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
            self.0.replace(Some(stanzas.iter().map(copy).collect()));
            None
        }
    }
    let looks = Looks(RefCell::default());
    let decryptor = Decryptor::new(ArmoredReader::new(bytes)).ok()?;
    // It opens nothing: age only has it look.
    let _ = decryptor.decrypt(std::iter::once(&looks as &dyn age::Identity));
    looks.0.take()
}

/// Stands before age for the credential when a file is sealed.
struct Sealer<'a> {
    nonce: [u8; NONCE_BYTES],
    outputs: &'a PrfOutputs,
    label: &'a Label,
}

impl age::Recipient for Sealer<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let sealed = Fido2PrfStanza::seal(file_key, self.nonce, self.outputs).to_stanza();
        Ok((vec![sealed, self.label.to_stanza()], HashSet::new()))
    }
}

/// Stands before age for the credential that has given the file key.
struct Opener(RefCell<Option<FileKey>>);

impl age::Identity for Opener {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.0.take().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::fido2prf::FIDO2PRF;

    const OUTPUTS: PrfOutputs = [[1; 32], [2; 32]];
    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

    fn passkey() -> Passkey {
        Passkey { credential: vec![7; 64], rp_id: "example.com".to_owned(), transports: vec!["usb".to_owned()] }
    }

    fn sealed() -> (String, Label) {
        SealedIdentity::seal(&passkey(), Some("https://oracle.example"), NONCE, &OUTPUTS).unwrap()
    }

    fn parsed(file: &[u8]) -> SealedIdentity {
        SealedIdentity::parse(file).expect("for a passkey").expect("well-formed")
    }

    fn opened(file: &SealedIdentity, outputs: PrfOutputs) -> Result<String, SealedIdentityError> {
        let opened = file.open(|_| Ok::<_, SealedIdentityError>(HmacSecrets::new(outputs)))?;
        Ok(opened.to_public().to_string())
    }

    /// Writes whatever header and text it is given.
    struct Forger(Vec<Stanza>);

    impl age::Recipient for Forger {
        fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
            let sealed = Fido2PrfStanza::seal(file_key, NONCE, &OUTPUTS).to_stanza();
            let others = self.0.iter().map(copy);
            Ok((std::iter::once(sealed).chain(others).collect(), HashSet::new()))
        }
    }

    fn forged(stanzas: Vec<Stanza>, text: &str) -> String {
        age_seal(text.as_bytes(), std::iter::once(&Forger(stanzas) as &dyn age::Recipient)).unwrap()
    }

    fn stanza(args: &[&str]) -> Stanza {
        Stanza { tag: LABEL.to_owned(), args: args.iter().map(|arg| (*arg).to_owned()).collect(), body: Vec::new() }
    }

    #[test]
    fn what_is_sealed_says_what_it_is_and_opens_with_its_passkey_alone() {
        let (file, label) = sealed();
        let mut binary = Vec::new();
        ArmoredReader::new(file.as_bytes()).read_to_end(&mut binary).unwrap();
        for bytes in [file.as_bytes(), &binary] {
            let read = parsed(bytes);
            assert_eq!(read.label(), Some(&label));
            assert_eq!(opened(&read, OUTPUTS).unwrap(), label.recipient);
            assert!(matches!(opened(&read, [[3; 32]; 2]), Err(SealedIdentityError::Key)));
        }
        assert_eq!((label.passkey, label.oracle.as_deref()), (passkey(), Some("https://oracle.example")));
        assert_ne!(sealed().1.recipient, label.recipient, "each has an identity of its own");
        let (file, _) = SealedIdentity::seal(&passkey(), None, NONCE, &OUTPUTS).unwrap();
        assert_eq!(parsed(file.as_bytes()).label().unwrap().oracle, None);
    }

    /// As typage seals: without our stanza.
    #[test]
    fn what_others_seal_opens() {
        let file = include_str!("../../protocol/tests/vectors/fido2prf.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let output = |at: usize| data_encoding::HEXLOWER.decode(case["outputs"][at].as_str().unwrap().as_bytes());
            let outputs = [0, 1].map(|at| output(at).unwrap().try_into().unwrap());
            let read = parsed(case["file"].as_str().unwrap().as_bytes());
            assert_eq!(read.label(), None);
            assert_eq!(opened(&read, outputs).unwrap(), file["recipient"]);
        }
    }

    #[test]
    fn a_file_that_holds_another_identity_than_it_says_or_none_is_refused() {
        let (_, label) = sealed();
        let other = x25519::Identity::generate();
        let other = other.to_string();
        let other = other.expose_secret();
        let named = forged(vec![label.to_stanza()], other);
        assert!(matches!(opened(&parsed(named.as_bytes()), OUTPUTS), Err(SealedIdentityError::Other)));
        let commented = forged(Vec::new(), &format!("# mine\n\n{other}\r\n"));
        opened(&parsed(commented.as_bytes()), OUTPUTS).unwrap();
        let two = format!("{other}\n{other}\n");
        for text in ["", "# nothing", "a Toc", &label.recipient, &two, &"x".repeat(MAX_PLAINTEXT + 1)] {
            let read = forged(Vec::new(), text);
            let refused = opened(&parsed(read.as_bytes()), OUTPUTS);
            assert!(matches!(refused, Err(SealedIdentityError::NotAnIdentity)), "{text:?}: {refused:?}");
        }
    }

    #[test]
    fn labels_that_say_anything_else_and_malformed_stanzas_are_refused() {
        let (passkey, (_, label)) = (passkey().to_string(), sealed());
        let malformed: [&[&str]; 5] = [
            &[],
            &[&passkey],
            &[&passkey, "age1junk"],
            &["AGE-PLUGIN-YUBIKEY-1", &label.recipient],
            &[&passkey, &label.recipient, "https://oracle.example", "more"],
        ];
        for args in malformed {
            let file = forged(vec![stanza(args)], "");
            let refused = SealedIdentity::parse(file.as_bytes()).expect("for a passkey");
            assert!(matches!(refused, Err(SealedIdentityError::Damaged(_))), "{args:?}");
        }
        let torn = Stanza { tag: FIDO2PRF.to_owned(), args: Vec::new(), body: Vec::new() };
        let file = forged(vec![torn], "");
        assert!(matches!(SealedIdentity::parse(file.as_bytes()), Some(Err(SealedIdentityError::Damaged(_)))));
    }

    #[test]
    fn what_no_header_holds_is_not_sealed() {
        for oracle in [
            "https://bücher.example",
            "https://oracle.example/team a",
            "https://oracle.example\n-> X25519 x",
            "",
            "a\tb",
        ] {
            let refused = SealedIdentity::seal(&passkey(), Some(oracle), NONCE, &OUTPUTS);
            assert!(matches!(refused, Err(SealedIdentityError::Label(arg)) if arg == oracle), "{oracle:?}");
        }
    }

    #[test]
    fn altered_files_do_not_open_and_others_are_none_of_ours() {
        let (file, label) = sealed();
        let mut binary = Vec::new();
        ArmoredReader::new(file.as_bytes()).read_to_end(&mut binary).unwrap();
        for at in 0..binary.len() {
            let mut altered = binary.clone();
            altered[at] ^= 1;
            if let Some(Ok(read)) = SealedIdentity::parse(&altered) {
                assert!(opened(&read, OUTPUTS).is_err(), "byte {at}");
            }
        }
        let recipient: x25519::Recipient = label.recipient.parse().unwrap();
        let toc = age_seal(b"a Toc", std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
        for bytes in [toc.as_bytes(), b"", b"AGE-SECRET-KEY-1", &file.as_bytes()[..200]] {
            assert!(SealedIdentity::parse(bytes).is_none());
        }
    }

    #[test]
    fn no_key_is_touched_for_ever() {
        let stanza = || Fido2PrfStanza::seal(&FileKey::new(Box::new([1; 16])), [1; NONCE_BYTES], &OUTPUTS).to_stanza();
        let file = forged((0..100).map(|_| stanza()).collect(), "");
        let mut touches = 0;
        let refused = parsed(file.as_bytes()).open(|_| {
            touches += 1;
            Ok::<_, SealedIdentityError>(HmacSecrets::new([[0; 32]; 2]))
        });
        assert!(refused.is_err());
        assert_eq!(touches, MOST_STANZAS);
    }
}
