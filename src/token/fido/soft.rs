//! A security key in a file, for trying out, for tests and for low stakes: whoever can read the file can answer in its owner's place,
//! PIN or not.
//!
//! To people and programs it behaves as a key of U2F and CTAP2: eight tries for the PIN, written down before a try is made, and no
//! more than three in a row; a counter of its signatures; an attestation by a maker of its own; a touch each time. It is a key for as
//! long as its file is there. Credentials are not kept: their ids hold them, sealed, as those of most keys do.

mod file;

pub use self::file::is_soft_security_key;

use super::cbor::Value;
use super::{
    Assertion, Attestation, Ctap2Info, ES256, EXTENDED, FidoError, FidoInfo, FidoPin, FidoToken, HMAC_SECRET, Hash,
    HmacSecrets, NewCredential, PRESENT, VERIFIED, Wanted, attested_data, hash,
};
use crate::token::soft::seal;
use crate::token::soft::store::{Held, Store};
use crate::token::soft::{PATIENCE, touch_from_environment};
use crate::token::{NewKey, TokenError, TokenInfo, TokenKind, TokenPrompts, Touch, TouchRequest};
use file::{KeyFile, PinLock};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::Sha256;
use std::path::Path;
use zeroize::Zeroizing;

/// Says what make of key this is: none that anybody sells.
const AAGUID: [u8; 16] = *b"quorate soft key";
/// What a credential id is sealed for, before the hash of its relying party.
const CREDENTIAL_LABEL: &[u8] = b"quorate/1 soft-fido credential\0";
/// Ends the secret of a credential with which applications can have secrets of their own.
const GIVES_SECRETS: u8 = 1;
/// What those are derived for: with and without the user verified, before the credential id.
const SECRETS_LABELS: [&[u8]; 2] =
    [b"quorate/1 soft-fido hmac-secret verified\0", b"quorate/1 soft-fido hmac-secret present\0"];
/// Wrong PINs in a row that are borne before the key has to be put in again (CTAP 2.1 §6.5.5.7.1).
const IN_A_ROW: u8 = 3;

/// An open soft key.
pub struct SoftFidoToken {
    store: Store<KeyFile>,
    info: FidoInfo,
    serial: u32,
    /// Wrong PINs since it was opened.
    wrong: u8,
    touch: Option<Touch>,
}

/// What a credential id holds.
struct Credential {
    key: SigningKey,
    gives_secrets: bool,
}

impl SoftFidoToken {
    /// Makes a key without a PIN, never over an existing file; readable by its owner only. The name has the limits of a label.
    pub fn create(path: &Path, name: &str) -> Result<Self, FidoError> {
        NewKey::recommended(name).check_label()?;
        let file = KeyFile::new(name);
        let store = Store::create(path, &file)?;
        Ok(Self::with(store, &file, path))
    }

    /// Opens a key's file.
    pub fn open(path: &Path) -> Result<Self, FidoError> {
        let (store, file) = Store::open(path)?;
        Ok(Self::with(store, &file, path))
    }

    /// Answers every touch itself, as the variable for soft tokens does. For tests and demonstrations.
    #[must_use]
    pub fn with_touch(mut self, touch: Touch) -> Self {
        self.touch = Some(touch);
        self
    }

    /// Has the person asked for touches, whatever the environment says.
    #[must_use]
    pub fn with_person(mut self) -> Self {
        self.touch = None;
        self
    }

    fn with(store: Store<KeyFile>, file: &KeyFile, path: &Path) -> Self {
        let token = TokenInfo { kind: TokenKind::Soft, name: file.name.clone(), serial: file.serial, firmware: None };
        let ctap2 = Ctap2Info {
            versions: ["U2F_V2", "FIDO_2_0"].map(str::to_owned).to_vec(),
            extensions: vec![HMAC_SECRET.to_owned()],
            pin_set: Some(file.pin.is_some()),
            pin_protocols: vec![2, 1],
            ..Ctap2Info::default()
        };
        let info = FidoInfo { token, place: path.to_string_lossy().into_owned(), u2f: true, ctap2: Some(ctap2) };
        let touch = touch_from_environment();
        Self { store, info, serial: file.serial, wrong: 0, touch }
    }

    /// The key as it is now. A file that went away, or became another key, is a key that was pulled out.
    fn read(&self) -> Result<KeyFile, FidoError> {
        let file = self.store.read().map_err(gone)?;
        self.same(&file)?;
        Ok(file)
    }

    /// The same, with every other process kept out until the answer is dropped.
    fn hold(&self) -> Result<(Held, KeyFile), FidoError> {
        let (held, file) = self.store.hold(PATIENCE).map_err(gone)?;
        self.same(&file)?;
        Ok((held, file))
    }

    fn replace(&self, held: &Held, file: &KeyFile) -> Result<(), FidoError> {
        self.store.replace(held, file).map_err(gone)
    }

    fn same(&self, file: &KeyFile) -> Result<(), FidoError> {
        if file.serial == self.serial { Ok(()) } else { Err(FidoError::Removed) }
    }

    fn learn(&mut self, file: &KeyFile) {
        if let Some(ctap2) = &mut self.info.ctap2 {
            ctap2.pin_set = Some(file.pin.is_some());
        }
    }

    /// Whether the user is verified: that the PIN is right, if one is given.
    fn verified(&mut self, pin: Option<&FidoPin>, verify: bool, registering: bool) -> Result<bool, FidoError> {
        let file = self.read()?;
        self.learn(&file);
        match pin {
            Some(pin) => self.try_pin(pin).map(|()| true),
            None if self.info.wants_pin(verify, registering)? => Err(FidoError::PinRequired),
            None => Ok(false),
        }
    }

    /// Spends a try, durably, then makes it. All tries come back with the right PIN.
    fn try_pin(&mut self, pin: &FidoPin) -> Result<(), FidoError> {
        let (held, mut file) = self.hold()?;
        let serial = file.serial;
        let lock = file.pin.as_mut().ok_or(FidoError::PinNotSet)?;
        if lock.tries_left().count() == 0 {
            return Err(FidoError::PinBlocked);
        }
        if self.wrong >= IN_A_ROW {
            return Err(FidoError::PinBarred);
        }
        lock.spend();
        self.replace(&held, &file)?;
        let lock = file.pin.as_mut().ok_or(FidoError::PinNotSet)?;
        if lock.opens(serial, pin) {
            self.wrong = 0;
            lock.restore();
            return self.replace(&held, &file);
        }
        self.wrong += 1;
        match lock.tries_left().count() {
            0 => Err(FidoError::PinBlocked),
            _ if self.wrong >= IN_A_ROW => Err(FidoError::PinBarred),
            tries_left => Err(FidoError::WrongPin { tries_left }),
        }
    }

    fn be_touched(&mut self, prompts: &dyn TokenPrompts) -> Result<(), FidoError> {
        let request = TouchRequest { token: &self.info.token, key: "security key" };
        match self.touch.unwrap_or_else(|| prompts.confirm_touch(&request)) {
            // The person may have pulled the key instead of touching it.
            Touch::Given => self.read().map(drop),
            Touch::Refused => Err(FidoError::Refused),
            Touch::TimedOut => Err(FidoError::Timeout),
        }
    }

    /// A new credential: its id, its public point, and the file that attests it.
    fn make(&mut self, application: &Hash, gives_secrets: bool) -> Result<(Vec<u8>, [u8; 65], KeyFile), FidoError> {
        let file = self.read()?;
        let secret = SecretKey::generate();
        let mut scalar = secret.to_bytes();
        // Of its whole length at once: a list that grows would leave a copy behind.
        let mut inner = Zeroizing::new(Vec::with_capacity(scalar.len() + 1));
        inner.extend_from_slice(&scalar);
        inner.extend(gives_secrets.then_some(GIVES_SECRETS));
        let id = seal::seal(&file.secret(), &context(application), &inner);
        zeroize::Zeroize::zeroize(scalar.as_mut_slice());
        let point = secret.public_key().to_sec1_point(false).as_bytes().try_into().expect("65 bytes uncompressed");
        Ok((id, point, file))
    }

    fn credential(file: &KeyFile, application: &Hash, id: &[u8]) -> Option<Credential> {
        let inner = seal::open_any(&file.secret(), &context(application), id)?;
        let (scalar, rest) = inner.split_at_checked(32)?;
        let gives_secrets = match rest {
            [] => false,
            [GIVES_SECRETS] => true,
            _ => return None,
        };
        SecretKey::from_slice(scalar).ok().map(|secret| Credential { key: SigningKey::from(secret), gives_secrets })
    }

    /// Counts a signature, durably, before there is one: two never have the same number.
    fn count(&mut self) -> Result<u32, FidoError> {
        let (held, mut file) = self.hold()?;
        file.counter = file.counter.checked_add(1).ok_or(FidoError::Full)?;
        self.replace(&held, &file)?;
        Ok(file.counter)
    }

    /// Signs with a credential: flags, counter and signature over `application ‖ flags ‖ counter ‖ challenge`, which both protocols
    /// have.
    fn signature(
        &mut self,
        application: &Hash,
        challenge: &Hash,
        id: &[u8],
        flags: u8,
        prompts: &dyn TokenPrompts,
    ) -> Result<([u8; 5], Vec<u8>), FidoError> {
        let Credential { key, .. } = Self::credential(&self.read()?, application, id).ok_or(FidoError::WrongKey)?;
        self.be_touched(prompts)?;
        let [a, b, c, d] = self.count()?.to_be_bytes();
        let head = [flags, a, b, c, d];
        Ok((head, der_signature(&key, &[&application[..], &head, challenge].concat())))
    }
}

impl FidoToken for SoftFidoToken {
    fn info(&self) -> &FidoInfo {
        &self.info
    }

    fn pin_tries(&mut self) -> Result<u8, FidoError> {
        Ok(self.read()?.pin.as_ref().map_or(PinLock::ALL.count(), |lock| lock.tries_left().count()))
    }

    fn set_pin(&mut self, old: Option<&FidoPin>, new: &FidoPin) -> Result<(), FidoError> {
        let is_set = self.read()?.pin.is_some();
        match old {
            Some(old) => self.try_pin(old)?,
            None if is_set => return Err(FidoError::PinRequired),
            None => {}
        }
        let (held, mut file) = self.hold()?;
        // Another process may have set one meanwhile.
        if file.pin.is_some() != is_set {
            return Err(FidoError::PinRequired);
        }
        file.pin = Some(PinLock::new(file.serial, new));
        self.replace(&held, &file)?;
        self.learn(&file);
        Ok(())
    }

    fn holds(&mut self, _: &str, application: &Hash, credential: &[u8]) -> Result<Option<bool>, FidoError> {
        Ok(Some(Self::credential(&self.read()?, application, credential).is_some()))
    }

    fn register(
        &mut self,
        new: &NewCredential<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        new.fits_plain_keys()?;
        let flags = if self.verified(pin, new.verify, true)? { PRESENT | VERIFIED } else { PRESENT };
        self.be_touched(prompts)?;
        let application = hash(new.rp_id.as_bytes());
        let (id, point, file) = self.make(&application, new.hmac_secret)?;
        if new.exclude.iter().any(|known| Self::credential(&file, &application, known).is_some()) {
            return Err(FidoError::Excluded);
        }
        let counter = self.count()?;
        let text = |text: &str| Value::Text(text.to_owned());
        let mut authenticator_data = attested_data(&application, flags, counter, &AAGUID, &id, &point);
        if new.hmac_secret {
            authenticator_data[application.len()] |= EXTENDED;
            authenticator_data.extend(Value::Map(vec![(text(HMAC_SECRET), Value::Bool(true))]).encode());
        }
        let signed = [&authenticator_data[..], &new.client_data_hash()].concat();
        let statement = Value::Map(vec![
            (text("alg"), Value::Int(ES256)),
            (text("sig"), Value::Bytes(der_signature(&file.attestation_key()?, &signed))),
            (text("x5c"), Value::Array(vec![Value::Bytes(file.certificate.0.clone())])),
        ]);
        Ok(Attestation { format: "packed".to_owned(), authenticator_data, statement })
    }

    fn sign(
        &mut self,
        wanted: &Wanted<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Assertion, FidoError> {
        let application = hash(wanted.party.as_bytes());
        let flags = if self.verified(pin, wanted.verify, false)? { PRESENT | VERIFIED } else { PRESENT };
        let (head, signature) =
            self.signature(&application, &wanted.client_data_hash(), wanted.credential, flags, prompts)?;
        Ok(Assertion {
            credential: wanted.credential.to_vec(),
            authenticator_data: [&application[..], &head].concat(),
            signature,
            user_handle: None,
        })
    }

    fn hmac_secret(
        &mut self,
        wanted: &Wanted<'_>,
        salts: [&[u8; 32]; 2],
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<HmacSecrets, FidoError> {
        let application = hash(wanted.party.as_bytes());
        let verified = self.verified(pin, wanted.verify, false)?;
        let file = self.read()?;
        let credential = Self::credential(&file, &application, wanted.credential).ok_or(FidoError::WrongKey)?;
        if !credential.gives_secrets {
            return Err(FidoError::NO_SECRETS_OF_IT);
        }
        self.be_touched(prompts)?;
        // Whoever asks gets a signature along with them, of other keys.
        self.count()?;
        let [with, without] = SECRETS_LABELS;
        let label = [if verified || file.one_secret { with } else { without }, wanted.credential].concat();
        let mut random = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &*file.secret())
            .expand(&label, &mut *random)
            .expect("32 bytes are a possible length");
        let output = |salt: &[u8; 32]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&*random).expect("HMAC takes keys of any length");
            mac.update(salt);
            mac.finalize().into_bytes().into()
        };
        Ok(HmacSecrets::new(salts.map(output)))
    }

    fn u2f_register(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        self.be_touched(prompts)?;
        let (id, point, file) = self.make(application, false)?;
        let signed = [&[0][..], application, challenge, &id, &point].concat();
        let signature = der_signature(&file.attestation_key()?, &signed);
        let length = u8::try_from(id.len()).expect("our ids have 72 or 73 bytes");
        Ok([&[5][..], &point, &[length], &id, &file.certificate.0, &signature].concat())
    }

    fn u2f_sign(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        handle: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        let (head, signature) = self.signature(application, challenge, handle, PRESENT, prompts)?;
        Ok([&head[..], &signature].concat())
    }
}

fn der_signature(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::DerSignature = key.sign(message);
    signature.as_bytes().to_vec()
}

fn context(application: &Hash) -> Vec<u8> {
    [CREDENTIAL_LABEL, application].concat()
}

fn gone(error: TokenError) -> FidoError {
    match error {
        TokenError::Removed => FidoError::Removed,
        TokenError::Busy(_) => FidoError::Busy,
        error => FidoError::File(error),
    }
}

#[cfg(test)]
mod tests;
