//! A token as an age identity: finds the stanzas that name its keys, and only then asks for PIN and touch.
//!
//! Works over any [`PivToken`]; knows no files and no plugins.

mod pins;

use std::cell::RefCell;
use std::sync::Arc;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};
use quorate_protocol::p256_stanza::{P256Stanza, StanzaError};

pub(crate) use self::pins::PinKeeper;
use super::{KeyOrigin, PinPolicy, PivKey, PivToken, Slot, TokenError, TokenInfo, TokenPrompts};

/// How many stanzas that name one of its keys a token is asked to open: a file made to tease could hold thousands,
/// each wanting a touch. An honest one holds two at most, one of each type.
const MOST_ATTEMPTS: usize = 4;

/// A token whose keys open age files.
///
/// The PIN is asked for once in the life of this value and kept, wiped when dropped, for keys that want it every time. A program
/// that gave a wrong one is not asked again.
pub struct PivIdentity {
    info: TokenInfo,
    keys: Vec<PivKey>,
    token: RefCell<Box<dyn PivToken>>,
    failure: RefCell<Option<TokenError>>,
    pins: Arc<PinKeeper>,
}

impl PivIdentity {
    /// Lists the token's keys; asks nobody for anything.
    pub fn new(token: Box<dyn PivToken>, prompts: Arc<dyn TokenPrompts>) -> Result<Self, TokenError> {
        Self::sharing(token, Arc::new(PinKeeper::new(prompts)))
    }

    /// The same, with PINs that other identities know too.
    pub(crate) fn sharing(mut token: Box<dyn PivToken>, pins: Arc<PinKeeper>) -> Result<Self, TokenError> {
        let keys = token.keys()?;
        let info = token.info().clone();
        Ok(Self { info, keys, token: RefCell::new(token), failure: RefCell::default(), pins })
    }

    /// The token behind it.
    pub fn info(&self) -> &TokenInfo {
        &self.info
    }

    /// The keys that it opens files with.
    pub fn keys(&self) -> &[PivKey] {
        &self.keys
    }

    /// Whether both are one token with the same keys.
    pub(crate) fn is_the_same_as(&self, other: &Self) -> bool {
        let keys = |it: &Self| it.keys.iter().map(|key| (key.slot, key.public)).collect::<Vec<_>>();
        self.info == other.info && keys(self) == keys(other)
    }

    /// Where one of its keys comes from, with the token's proof where it can give one.
    pub fn origin(&self, slot: Slot) -> Result<KeyOrigin, TokenError> {
        self.token.borrow_mut().origin(slot)
    }

    /// Whether any of the stanzas names one of its keys. Touches nothing.
    pub fn is_named_in(&self, stanzas: &[Stanza]) -> bool {
        !self.named(stanzas).0.is_empty()
    }

    /// The file key. `None` when no stanza names a key of the token: then nobody was asked for anything.
    pub fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, TokenError>> {
        let (named, mut failure) = self.named(stanzas);
        for (stanza, key) in named.into_iter().take(MOST_ATTEMPTS) {
            match self.open_one(&stanza, key) {
                // A stranger's tag may equal ours, so another stanza can still be the right one.
                Err(TokenError::Stanza(error)) => failure = Some(error),
                done => return Some(done),
            }
        }
        failure.map(|error| Err(error.into()))
    }

    /// Why the last opening through [`age::Identity`] failed, where age's own error has no word for it.
    pub fn take_failure(&self) -> Option<TokenError> {
        self.failure.take()
    }

    /// The stanzas that name a key, each with its key; and what is wrong with one that cannot even be read.
    fn named(&self, stanzas: &[Stanza]) -> (Vec<(P256Stanza, &PivKey)>, Option<StanzaError>) {
        let (mut named, mut malformed) = (Vec::new(), None);
        for stanza in stanzas.iter().filter_map(P256Stanza::parse) {
            match stanza {
                Ok(stanza) => {
                    if let Some(key) = self.keys.iter().find(|key| stanza.is_for(&key.public)) {
                        named.push((stanza, key));
                    }
                }
                Err(error) => malformed = Some(error),
            }
        }
        (named, malformed)
    }

    fn open_one(&self, stanza: &P256Stanza, key: &PivKey) -> Result<FileKey, TokenError> {
        let mut token = self.token.borrow_mut();
        self.satisfy_pin_policy(token.as_mut(), key)?;
        let shared_x = token.ecdh(key.slot, stanza.ephemeral(), &**self.pins.prompts())?;
        Ok(stanza.finish(&shared_x, &key.public)?)
    }

    /// A key that cannot say its policy is treated as "once": a token that wants more says so itself.
    fn satisfy_pin_policy(&self, token: &mut dyn PivToken, key: &PivKey) -> Result<(), TokenError> {
        let satisfied = match key.pin_policy {
            Some(PinPolicy::Never) => true,
            Some(PinPolicy::Always) => false,
            Some(PinPolicy::Once) | None => token.pin_verified()?,
        };
        if satisfied { Ok(()) } else { self.pins.verify(token) }
    }
}

impl age::Identity for PivIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.open(stanzas).map(|opened| {
            opened.map_err(|error| {
                self.failure.replace(Some(error));
                DecryptError::KeyDecryptionFailed
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use age::Recipient;
    use age_core::secrecy::ExposeSecret;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD_NO_PAD;
    use quorate_protocol::p256_stanza::key_tag;
    use quorate_protocol::recipient::NativeRecipient;
    use tempfile::TempDir;

    use super::*;
    use crate::token::soft_piv::SoftPivToken;
    use crate::token::testing::Script;
    use crate::token::{NewKey, NoPrompts, Pin, Puk, Touch, TouchPolicy};

    struct Fixture {
        _folder: TempDir,
        identity: PivIdentity,
        script: Arc<Script>,
        recipients: [NativeRecipient; 2],
    }

    fn fixture(pin_policy: PinPolicy, script: Script) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let pin = Pin::parse("471108".into()).unwrap();
        let puk = Puk::parse("87654321".into()).unwrap();
        let mut token = SoftPivToken::create(&path, "alice", &pin, &puk).unwrap();
        token.verify_pin(&pin).unwrap();
        let new = NewKey { slot: None, label: "key".to_owned(), pin_policy, touch_policy: TouchPolicy::Never };
        let recipients = token.generate(&new, &NoPrompts).unwrap().recipients();
        let script = Arc::new(script);
        let token = SoftPivToken::open(&path).unwrap().with_touch(Touch::Given);
        let identity = PivIdentity::new(Box::new(token), Arc::clone(&script) as _).unwrap();
        Fixture { _folder: folder, identity, script, recipients }
    }

    fn sealed(recipient: &dyn Recipient) -> Vec<Stanza> {
        recipient.wrap_file_key(&FileKey::new(Box::new([42; 16]))).unwrap().0
    }

    fn opened(result: Option<Result<FileKey, TokenError>>) -> [u8; 16] {
        *result.unwrap().unwrap().expose_secret()
    }

    #[test]
    fn both_stanza_types_open_with_one_pin() {
        for policy in [PinPolicy::Once, PinPolicy::Always] {
            let it = fixture(policy, Script::default().pin("471108"));
            for recipient in &it.recipients {
                assert_eq!(opened(it.identity.open(&sealed(recipient))), [42; 16]);
            }
            assert_eq!(it.script.asked(), ["pin 3"], "{policy}");
        }
    }

    #[test]
    fn no_pin_is_asked_for_a_key_that_never_wants_one_or_cannot_help() {
        let it = fixture(PinPolicy::Never, Script::default());
        assert_eq!(opened(it.identity.open(&sealed(&it.recipients[0]))), [42; 16]);
        let stranger = fixture(PinPolicy::Once, Script::default());
        for recipient in &stranger.recipients {
            assert!(it.identity.open(&sealed(recipient)).is_none());
        }
        assert!(it.script.asked().is_empty() && stranger.script.asked().is_empty());
    }

    #[test]
    fn a_program_is_asked_once_and_a_patient_person_again() {
        let it = fixture(PinPolicy::Once, Script::default().pin("000000").pin("471108"));
        let result = it.identity.open(&sealed(&it.recipients[0]));
        assert!(matches!(result, Some(Err(TokenError::WrongPin { tries_left: 2 }))));
        // Asked anew it would say the same: the next file costs no try.
        let result = it.identity.open(&sealed(&it.recipients[1]));
        assert!(matches!(result, Some(Err(TokenError::WrongPin { tries_left: 2 }))));
        assert_eq!(it.script.asked(), ["pin 3", "refused: wrong PIN, tries left: 2"]);

        let script = Script::default().patient().pin("000000").pin("471108");
        let it = fixture(PinPolicy::Once, script);
        assert_eq!(opened(it.identity.open(&sealed(&it.recipients[0]))), [42; 16]);
        assert_eq!(it.script.asked(), ["pin 3", "pin 2 again"]);
    }

    #[test]
    fn a_blocked_token_asks_nobody_and_a_declined_or_impossible_pin_costs_no_try() {
        let script = Script::default().patient().pin("000000").pin("000000").pin("000000");
        let it = fixture(PinPolicy::Once, script);
        let stanzas = sealed(&it.recipients[0]);
        assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::PinBlocked))));
        assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::PinBlocked))));
        assert_eq!(it.script.asked(), ["pin 3", "pin 2 again", "pin 1 again", "refused: the PIN is blocked"]);

        let it = fixture(PinPolicy::Once, Script::default().pin("1"));
        let stanzas = sealed(&it.recipients[0]);
        assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::CodeFormat("PIN")))));
        assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::PinDeclined))));
        assert_eq!(it.script.asked(), ["pin 3", "pin 3"]);
    }

    #[test]
    fn the_last_try_is_kept_for_a_person() {
        let spend = |it: &Fixture| {
            let wrong = Pin::parse("000000".into()).unwrap();
            (0..2).for_each(|_| assert!(it.identity.token.borrow_mut().verify_pin(&wrong).is_err()));
        };
        let it = fixture(PinPolicy::Once, Script::default().pin("471108"));
        spend(&it);
        assert!(matches!(it.identity.open(&sealed(&it.recipients[0])), Some(Err(TokenError::LastTry("PIN")))));
        assert!(it.script.asked().is_empty());

        let it = fixture(PinPolicy::Once, Script::default().patient().pin("471108"));
        spend(&it);
        assert_eq!(opened(it.identity.open(&sealed(&it.recipients[0]))), [42; 16]);
        assert_eq!(it.script.asked(), ["pin 1"]);
    }

    #[test]
    fn a_pin_that_was_changed_meanwhile_is_offered_once_and_then_asked_for() {
        let change = |it: &Fixture| {
            let [old, new] = ["471108", "815471"].map(|text| Pin::parse(text.into()).unwrap());
            it.identity.token.borrow_mut().change_pin(&old, &new).unwrap();
        };
        let script = Script::default().patient().pin("471108").pin("815471");
        let it = fixture(PinPolicy::Always, script);
        let stanzas = sealed(&it.recipients[0]);
        assert_eq!(opened(it.identity.open(&stanzas)), [42; 16]);
        change(&it);
        for _ in 0..2 {
            assert_eq!(opened(it.identity.open(&stanzas)), [42; 16]);
        }
        assert_eq!(it.script.asked(), ["pin 3", "pin 2 again"]);

        let it = fixture(PinPolicy::Always, Script::default().pin("471108").pin("815471"));
        let stanzas = sealed(&it.recipients[0]);
        assert_eq!(opened(it.identity.open(&stanzas)), [42; 16]);
        change(&it);
        for _ in 0..2 {
            assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::WrongPin { tries_left: 2 }))));
        }
        assert_eq!(it.script.asked(), ["pin 3", "refused: wrong PIN, tries left: 2"]);
    }

    #[test]
    fn a_stranger_with_our_tag_does_not_hide_our_stanza() {
        let it = fixture(PinPolicy::Never, Script::default());
        let stranger = fixture(PinPolicy::Never, Script::default());
        let mut stanzas = sealed(&stranger.recipients[0]);
        stanzas[0].args[0] = BASE64_STANDARD_NO_PAD.encode(key_tag(&it.identity.keys()[0].public));
        let alone = it.identity.open(&stanzas);
        assert!(matches!(alone, Some(Err(TokenError::Stanza(StanzaError::Key(_))))));
        stanzas.extend(sealed(&it.recipients[1]));
        assert_eq!(opened(it.identity.open(&stanzas)), [42; 16]);
    }

    #[test]
    fn age_learns_that_it_failed_and_we_learn_why() {
        let it = fixture(PinPolicy::Once, Script::default());
        let stanzas = sealed(&it.recipients[0]);
        let result = age::Identity::unwrap_stanzas(&it.identity, &stanzas);
        assert!(matches!(result, Some(Err(DecryptError::KeyDecryptionFailed))));
        assert!(matches!(it.identity.take_failure(), Some(TokenError::PinDeclined)));
        assert!(it.identity.take_failure().is_none());
    }

    #[test]
    fn a_stanza_off_the_curve_is_named_and_never_reaches_the_token() {
        let it = fixture(PinPolicy::Once, Script::default());
        let mut stanzas = sealed(&it.recipients[0]);
        let mut point = [0xff; 33];
        point[0] = 2;
        stanzas[0].args[1] = BASE64_STANDARD_NO_PAD.encode(point);
        assert!(matches!(it.identity.open(&stanzas), Some(Err(TokenError::Stanza(StanzaError::Point(_))))));
        assert!(it.script.asked().is_empty());
    }
}
