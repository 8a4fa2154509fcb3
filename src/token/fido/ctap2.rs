//! CTAP2 (CTAP 2.1 §6) by `ctap-hid-fido2`: what is asked of a key in that crate's words, and what it gives back, looked at, in ours.
//! Nothing but this module knows that crate. It must not know people or when a PIN is wanted.
//!
//! What the crate does not tell apart, panics at or waits for without an end is borne by [`call`]; what it means with its errors is
//! in [`status`]. It hashes the client data itself, and sends the relying party's name empty.
//!
//! What it leaves behind: of a PIN the hash and the shared secret, of `hmac-secret` the salts, the shared secret and the secrets
//! themselves, all in memory of its own that it does not wipe. What of that is on the heap, the program's allocator wipes as it is
//! freed; copies on stacks are written over when chance has it. What is handed to us is wiped here, whatever came of it.

mod call;
mod panics;
mod status;

use super::cbor::Value;
use super::{
    ATTESTED, AUTHENTICATOR_HEAD, Assertion, Attestation, Ctap2Info, FidoError, FidoPin, HmacSecrets, NewCredential,
    VERIFIED, Wanted, hash,
};
use ctap_hid_fido2::FidoKeyHid;
use ctap_hid_fido2::fidokey::get_assertion::get_assertion_params::{Assertion as Signed, GetAssertionArgs};
use ctap_hid_fido2::fidokey::make_credential::{Attestation as Made, MakeCredentialArgs};
use ctap_hid_fido2::fidokey::{
    AssertionExtension, CredentialExtension, CredentialSupportedKeyType, GetAssertionArgsBuilder,
    MakeCredentialArgsBuilder,
};
use ctap_hid_fido2::public_key_credential_user_entity::PublicKeyCredentialUserEntity;
use zeroize::Zeroize as _;

pub(super) use call::{Line, is_abandoned};
pub(super) use status::Status;

/// What a key answered, or why it did not do it.
pub(super) type Answer<T> = Result<Result<T, Status>, FidoError>;

/// `EdDSA` in COSE's words; with ES256 all that the crate knows.
const ED_DSA: i64 = -8;

/// What is asked with a credential, of which each part belongs to the thread that asks.
struct Asked {
    party: String,
    client_data: Vec<u8>,
    credential: Vec<u8>,
    verify: bool,
    pin: Option<FidoPin>,
}

/// The PIN protocol that we like best of those that the key has. Keys that name none have the first.
pub(super) fn protocol(ctap2: &Ctap2Info) -> Result<u8, FidoError> {
    match ctap2.pin_protocols.as_slice() {
        [] => Ok(1),
        named if named.contains(&2) => Ok(2),
        named if named.contains(&1) => Ok(1),
        _ => Err(FidoError::NotSupported("the PIN protocols 1 and 2")),
    }
}

/// What a key says of itself; nothing of it is needed but for the versions.
pub(super) fn info(line: Line<'_>) -> Answer<Ctap2Info> {
    let command = "what it is";
    let answer = line.call(command, &mut || (), |key| {
        key.get_info().map(|info| {
            let option = |name: &str| info.options.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            Ctap2Info {
                pin_set: option("clientPin"),
                verifies: option("uv") == Some(true),
                resident: option("rk") == Some(true),
                always_verifies: option("alwaysUv") == Some(true),
                registers_without_pin: option("makeCredUvNotRqd") == Some(true),
                pin_protocols: info.pin_uv_auth_protocols.into_iter().map(i64::from).collect(),
                versions: info.versions,
                extensions: info.extensions,
            }
        })
    })?;
    looked_at(answer, |info| if info.versions.is_empty() { Err(strange(command)) } else { Ok(info) })
}

pub(super) fn pin_tries(line: Line<'_>) -> Answer<u8> {
    let answer = line.call("tries", &mut || (), FidoKeyHid::get_pin_retries)?;
    looked_at(answer, |tries| u8::try_from(tries).map_err(|_| strange("tries")))
}

pub(super) fn set_pin(line: Line<'_>, old: Option<&FidoPin>, new: &FidoPin) -> Answer<()> {
    let (old, new) = (old.cloned(), new.clone());
    line.lasting().call("PIN", &mut || (), move |key| match old {
        Some(old) => key.change_pin(old.expose(), new.expose()),
        None => key.set_new_pin(new.expose()),
    })
}

pub(super) fn make_credential(
    line: Line<'_>,
    new: &NewCredential<'_>,
    pin: Option<&FidoPin>,
    touch: &mut dyn FnMut(),
) -> Answer<Attestation> {
    let known = |number: &i64| match *number {
        super::ES256 => Some(CredentialSupportedKeyType::Ecdsa256),
        ED_DSA => Some(CredentialSupportedKeyType::Ed25519),
        _ => None,
    };
    let kinds: Vec<_> = new.algorithms.iter().filter_map(known).collect();
    if kinds.is_empty() {
        return Err(FidoError::NO_SUCH_SIGNATURES);
    }
    let user = PublicKeyCredentialUserEntity::new(Some(new.user_id), Some(new.user_name), Some(new.user_display_name));
    let mut args = MakeCredentialArgsBuilder::new(new.rp_id, new.client_data).user_entity(&user);
    args = kinds.into_iter().fold(args, MakeCredentialArgsBuilder::key_type);
    args = new.exclude.iter().fold(args, |args, id| args.exclude_authenticator(id));
    if new.resident {
        args = args.resident_key();
    }
    if new.hmac_secret {
        args = args.extensions(&[CredentialExtension::HmacSecret(Some(true))]);
    }
    if !new.verify {
        args = args.without_pin_and_uv();
    }
    let (args, pin): (MakeCredentialArgs<'static>, _) = (args.build(), pin.cloned());
    let made = line.lasting().call("register", touch, move |key| {
        let mut args: MakeCredentialArgs<'_> = args;
        if let Some(pin) = &pin {
            (args.pin, args.uv) = (Some(pin.expose()), None);
        }
        key.make_credential_with_args(&args)
    })?;
    looked_at(made, |made| attestation(made, new.rp_id, new.verify))
}

/// Whether the key has the credential: it is not touched.
pub(super) fn holds(line: Line<'_>, wanted: &Wanted<'_>) -> Answer<()> {
    asked_silently(line, wanted, None)
}

/// Whether the PIN is right, by asking for a credential that no key has: [`Status::NotHere`] when it is. A wrong one costs a try.
pub(super) fn check_pin(line: Line<'_>, pin: &FidoPin) -> Answer<()> {
    let nobodys = Wanted { party: "quorate.invalid", client_data: b"{}", credential: &[0; 16], verify: true };
    asked_silently(line, &nobodys, Some(pin))
}

fn asked_silently(line: Line<'_>, wanted: &Wanted<'_>, pin: Option<&FidoPin>) -> Answer<()> {
    let asked = Asked::new(wanted, pin);
    let answer = line.call("whether it knows", &mut || (), move |key| {
        key.get_assertion_with_args(&GetAssertionArgs { up: false, ..asked.args(None) })
    })?;
    Ok(answer.map(drop))
}

pub(super) fn get_assertion(
    line: Line<'_>,
    wanted: &Wanted<'_>,
    pin: Option<&FidoPin>,
    touch: &mut dyn FnMut(),
) -> Answer<Assertion> {
    let asked = Asked::new(wanted, pin);
    let answer = line.call("sign", touch, move |key| key.get_assertion_with_args(&asked.args(None)))?;
    looked_at(answer, |signed| assertion(first(signed)?, wanted))
}

pub(super) fn hmac_secret(
    line: Line<'_>,
    wanted: &Wanted<'_>,
    salts: [&[u8; 32]; 2],
    pin: Option<&FidoPin>,
    touch: &mut dyn FnMut(),
) -> Answer<HmacSecrets> {
    let asked = Asked::new(wanted, pin);
    let salts = AssertionExtension::HmacSecret2(Some((*salts[0], *salts[1])));
    let answer = line.call("secrets", touch, move |key| key.get_assertion_with_args(&asked.args(Some(salts))))?;
    looked_at(answer, |mut signed| {
        let secrets = secrets_of(&mut signed);
        // Whose they are: a key that answers for another party, or without having verified its user, gets no further.
        assertion(first(signed)?, wanted)?;
        secrets.ok_or(FidoError::NO_SECRETS_OF_IT)
    })
}

/// Takes the secrets out of the first answer; of none is anything left there.
fn secrets_of(signed: &mut [Signed]) -> Option<HmacSecrets> {
    let mut secrets = None;
    for extension in signed.iter_mut().flat_map(|signed| &mut signed.extensions) {
        match extension {
            AssertionExtension::HmacSecret2(Some((first, second))) => {
                secrets = secrets.or_else(|| Some(HmacSecrets::new([*first, *second])));
                first.zeroize();
                second.zeroize();
            }
            AssertionExtension::HmacSecret(Some(only)) => only.zeroize(),
            _ => {}
        }
    }
    secrets
}

impl Asked {
    fn new(wanted: &Wanted<'_>, pin: Option<&FidoPin>) -> Self {
        Self {
            party: wanted.party.to_owned(),
            client_data: wanted.client_data.to_vec(),
            credential: wanted.credential.to_vec(),
            verify: wanted.verify,
            pin: pin.cloned(),
        }
    }

    fn args(&self, extension: Option<AssertionExtension>) -> GetAssertionArgs<'_> {
        let mut args =
            GetAssertionArgsBuilder::new(&self.party, &self.client_data).credential_id(&self.credential).build();
        args.pin = self.pin.as_ref().map(FidoPin::expose);
        args.uv = (self.verify && self.pin.is_none()).then_some(true);
        args.extensions = extension.map(|extension| vec![extension]);
        args
    }
}

fn looked_at<T, U>(answer: Result<T, Status>, look: impl FnOnce(T) -> Result<U, FidoError>) -> Answer<U> {
    match answer {
        Ok(answer) => look(answer).map(Ok),
        Err(status) => Ok(Err(status)),
    }
}

/// A new credential, if it is of the relying party that was asked for, and its user verified where that was; with the statement that
/// the crate took apart.
fn attestation(made: Made, rp_id: &str, verify: bool) -> Result<Attestation, FidoError> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut attestation =
        Attestation { format: made.fmt, authenticator_data: made.auth_data, statement: Value::Map(Vec::new()) };
    let is_credential = is_of(&attestation.authenticator_data, rp_id)
        && attestation.authenticator_data[AUTHENTICATOR_HEAD - 5] & ATTESTED != 0
        && attestation.credential_id().is_some();
    if !is_credential {
        return Err(strange("register"));
    }
    verified(&attestation.authenticator_data, verify)?;
    let algorithm = (text("alg"), Value::Int(i64::from(made.attstmt_alg)));
    let signature = (text("sig"), Value::Bytes(made.attstmt_sig));
    let certificates = (!made.attstmt_x5c.is_empty())
        .then(|| (text("x5c"), Value::Array(made.attstmt_x5c.into_iter().map(Value::Bytes).collect())));
    attestation.statement = Value::Map(match attestation.format.as_str() {
        "packed" => [algorithm, signature].into_iter().chain(certificates).collect(),
        "fido-u2f" => [signature].into_iter().chain(certificates).collect(),
        "none" => Vec::new(),
        // The crate gives no more of a statement than these have.
        _ => return Err(FidoError::NotSupported("an attestation of a known format")),
    });
    Ok(attestation)
}

/// One credential was asked for, and the crate gives at least one signature.
fn first(signed: Vec<Signed>) -> Result<Signed, FidoError> {
    signed.into_iter().next().ok_or_else(|| strange("sign"))
}

/// A signature, if it is of the relying party and with the credential that were asked for, and its user verified where that was.
fn assertion(signed: Signed, wanted: &Wanted<'_>) -> Result<Assertion, FidoError> {
    // A key may leave out the id of the only credential that it was asked for.
    let is_named = signed.credential_id.is_empty() || signed.credential_id == wanted.credential;
    if !is_named || signed.signature.is_empty() || !is_of(&signed.auth_data, wanted.party) {
        return Err(strange("sign"));
    }
    verified(&signed.auth_data, wanted.verify)?;
    Ok(Assertion {
        credential: wanted.credential.to_vec(),
        authenticator_data: signed.auth_data,
        signature: signed.signature,
        user_handle: (!signed.user.id.is_empty()).then_some(signed.user.id),
    })
}

fn is_of(authenticator_data: &[u8], party: &str) -> bool {
    authenticator_data.len() >= AUTHENTICATOR_HEAD && authenticator_data.starts_with(&hash(party.as_bytes()))
}

/// That the key says so of its user, where that is wanted. The data are long enough: [`is_of`].
fn verified(authenticator_data: &[u8], wanted: bool) -> Result<(), FidoError> {
    let is_verified = authenticator_data[AUTHENTICATOR_HEAD - 5] & VERIFIED != 0;
    if is_verified || !wanted { Ok(()) } else { Err(FidoError::Unverified) }
}

fn strange(command: &'static str) -> FidoError {
    FidoError::unreadable(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { party: "example.com", client_data: b"data", credential: b"id", verify: false };

    fn signed(party: &str, id: &[u8]) -> Signed {
        Signed {
            auth_data: [&hash(party.as_bytes())[..], &[1, 0, 0, 0, 9]].concat(),
            credential_id: id.to_vec(),
            signature: vec![1],
            ..Signed::default()
        }
    }

    fn made(format: &str, flags: u8) -> Made {
        let mut data = super::super::attested_data(&hash(b"example.com"), 1, 0, &[7; 16], b"id", &[4; 65]);
        data[32] = flags;
        Made { fmt: format.to_owned(), auth_data: data, attstmt_alg: -7, attstmt_sig: vec![1], ..Made::default() }
    }

    #[test]
    fn a_signature_for_another_party_or_with_another_credential_is_none() {
        assert_eq!(assertion(signed("example.com", b"id"), &WANTED).unwrap().signature, [1]);
        assert_eq!(assertion(signed("example.com", b""), &WANTED).unwrap().credential, b"id");
        let unsigned = Signed { signature: Vec::new(), ..signed("example.com", b"id") };
        for answer in [signed("example.org", b"id"), signed("example.com", b"other"), unsigned, Signed::default()] {
            assert!(matches!(assertion(answer, &WANTED), Err(FidoError::Unexpected { .. })));
        }
        assert!(first(Vec::new()).is_err());
    }

    #[test]
    fn an_answer_without_its_user_verified_is_none_where_that_was_asked() {
        let with_flags = |flags: u8| {
            let mut signed = signed("example.com", b"id");
            signed.auth_data[32] = flags;
            signed
        };
        let wanted = Wanted { verify: true, ..WANTED };
        assert!(matches!(assertion(with_flags(0x01), &wanted), Err(FidoError::Unverified)));
        assertion(with_flags(0x05), &wanted).unwrap();
        assertion(with_flags(0x01), &WANTED).unwrap();
        assert!(matches!(attestation(made("packed", 0x41), "example.com", true), Err(FidoError::Unverified)));
        attestation(made("packed", 0x45), "example.com", true).unwrap();
    }

    #[test]
    fn of_secrets_nothing_is_left_where_they_came_in() {
        let two = |byte: u8| AssertionExtension::HmacSecret2(Some(([byte; 32], [byte; 32])));
        let one = AssertionExtension::HmacSecret(Some([3; 32]));
        let with = |extensions: Vec<AssertionExtension>| Signed { extensions, ..Signed::default() };
        let mut signed = [with(vec![one, two(1)]), with(vec![two(2)])];
        assert_eq!(secrets_of(&mut signed).unwrap().expose(), &[[1; 32]; 2]);
        let left = format!("{:?}", signed.each_ref().map(|signed| &signed.extensions));
        assert!(!["1,", "2,", "3,"].iter().any(|secret| left.contains(secret)), "{left}");
        assert_eq!(secrets_of(&mut [with(Vec::new())]), None);
    }

    #[test]
    fn a_statement_is_put_together_again_as_its_format_has_it() {
        let names = |format: &str, certificates: usize| {
            let with = Made { attstmt_x5c: vec![vec![1]; certificates], ..made(format, 0x41) };
            let statement = attestation(with, "example.com", false).unwrap().statement;
            let names = statement.entries().unwrap().iter().map(|(name, _)| name.text().unwrap().to_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("packed", 2), "alg sig x5c");
        assert_eq!(names("packed", 0), "alg sig");
        assert_eq!(names("fido-u2f", 1), "sig x5c");
        assert_eq!(names("none", 1), "");
        assert!(matches!(attestation(made("tpm", 0x41), "example.com", false), Err(FidoError::NotSupported(_))));
        assert!(attestation(made("packed", 0x41), "example.org", false).is_err(), "another party's");
        assert!(attestation(made("packed", 0x01), "example.com", false).is_err(), "no credential");
        let empty = Made { auth_data: Vec::new(), ..made("packed", 0x41) };
        assert!(attestation(empty, "example.com", false).is_err());
    }

    #[test]
    fn the_later_pin_protocol_is_preferred() {
        for (named, wanted) in [(&[][..], 1), (&[1], 1), (&[1, 2], 2), (&[2], 2)] {
            let info = Ctap2Info { pin_protocols: named.to_vec(), ..Ctap2Info::default() };
            assert_eq!(protocol(&info).unwrap(), wanted);
        }
        assert!(protocol(&Ctap2Info { pin_protocols: vec![3], ..Ctap2Info::default() }).is_err());
    }

    #[test]
    fn a_question_without_a_touch_says_so_and_a_pin_stands_for_the_user() {
        let wanted = Wanted { verify: true, ..WANTED };
        let without = Asked::new(&wanted, None);
        assert_eq!((without.args(None).uv, without.args(None).up), (Some(true), true));
        let pin = FidoPin::parse("4711".into()).unwrap();
        let with = Asked::new(&wanted, Some(&pin));
        assert_eq!((with.args(None).uv, with.args(None).pin), (None, Some("4711")));
        assert_eq!(Asked::new(&WANTED, None).args(None).uv, None);
    }
}
