//! Messages of CTAP2 (CTAP 2.1 §6) as bytes, and what keys answer to them, as values. It must not know the line, PINs' protocols or
//! people.

use super::cbor::Value;
use super::pin_protocol::{PinToken, Protocol};
use super::{
    AUTHENTICATOR_HEAD, Assertion, Attestation, Ctap2Info, EXTENDED, FidoError, HMAC_SECRET, NewCredential, Wanted,
    hash,
};

const MAKE_CREDENTIAL: u8 = 0x01;
const GET_ASSERTION: u8 = 0x02;
const GET_INFO: u8 = 0x04;
const CLIENT_PIN: u8 = 0x06;

/// Part of what `authenticatorClientPIN` does (§6.5.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PinCommand {
    Tries = 1,
    KeyAgreement = 2,
    Set = 3,
    Change = 4,
    Token = 5,
    TokenFor = 9,
}

/// What a token for the PIN is good for (§6.5.5.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Permission {
    Register = 1,
    Sign = 2,
}

/// Why a key says no (§8.2), as far as somebody acts upon it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    NotHere,
    PinInvalid,
    Other(u8),
}

pub(super) fn get_info() -> Vec<u8> {
    vec![GET_INFO]
}

/// `uv` has the key verify its user by itself.
pub(super) fn make_credential(new: &NewCredential<'_>, token: Option<&PinToken>, uv: bool) -> Vec<u8> {
    let algorithm =
        |number: &i64| Value::Map(vec![(text("alg"), Value::Int(*number)), (text("type"), text("public-key"))]);
    let mut map = vec![
        (1, bytes(&new.client_data_hash())),
        (2, Value::Map(vec![(text("id"), text(new.rp_id)), (text("name"), text(new.rp_name))])),
        (
            3,
            Value::Map(vec![
                (text("id"), bytes(new.user_id)),
                (text("name"), text(new.user_name)),
                (text("displayName"), text(new.user_display_name)),
            ]),
        ),
        (4, Value::Array(new.algorithms.iter().map(algorithm).collect())),
    ];
    if !new.exclude.is_empty() {
        map.push((5, Value::Array(new.exclude.iter().map(|id| descriptor(id)).collect())));
    }
    if new.hmac_secret {
        map.push((6, Value::Map(vec![(text(HMAC_SECRET), Value::Bool(true))])));
    }
    let options = [("rk", new.resident), ("uv", uv && token.is_none())];
    map.extend(asked_for(&options).map(|options| (7, options)));
    sign(&mut map, token, &new.client_data_hash(), [8, 9]);
    message(MAKE_CREDENTIAL, map)
}

/// Without `present` the key only says whether it has the credential, and is not touched.
/// `secrets` is what [`HMAC_SECRET`] wants, if it is asked for.
pub(super) fn get_assertion(
    wanted: &Wanted<'_>,
    token: Option<&PinToken>,
    uv: bool,
    present: bool,
    secrets: Option<Value>,
) -> Vec<u8> {
    let mut map = vec![
        (1, text(wanted.party)),
        (2, bytes(&wanted.client_data_hash())),
        (3, Value::Array(vec![descriptor(wanted.credential)])),
    ];
    map.extend(secrets.map(|secrets| (4, Value::Map(vec![(text(HMAC_SECRET), secrets)]))));
    if present {
        map.extend(asked_for(&[("uv", uv && token.is_none())]).map(|options| (5, options)));
    } else {
        map.push((5, Value::Map(vec![(text("up"), Value::Bool(false))])));
    }
    sign(&mut map, token, &wanted.client_data_hash(), [6, 7]);
    message(GET_ASSERTION, map)
}

/// `parts` are those of the command, by number.
pub(super) fn client_pin(protocol: Protocol, command: PinCommand, parts: Vec<(i64, Value)>) -> Vec<u8> {
    let mut map = vec![(1, Value::Int(protocol.number())), (2, Value::Int(command as i64))];
    map.extend(parts);
    message(CLIENT_PIN, map)
}

/// What a key answered: a map, empty where there is nothing to say, or why not.
pub(super) fn answer(command: &'static str, bytes: &[u8]) -> Result<Result<Value, Status>, FidoError> {
    match bytes.split_first() {
        None => Err(strange(command)),
        Some((0, [])) => Ok(Ok(Value::Map(Vec::new()))),
        Some((0, cbor)) => {
            let value = Value::parse(cbor).filter(|value| value.entries().is_some());
            value.map(Ok).ok_or_else(|| strange(command))
        }
        // No credentials, or none that are valid.
        Some((0x22 | 0x2e, _)) => Ok(Err(Status::NotHere)),
        Some((0x31, _)) => Ok(Err(Status::PinInvalid)),
        Some((status, _)) => Ok(Err(Status::Other(*status))),
    }
}

impl Status {
    /// What it means to a person who wanted `command`.
    pub(super) fn error(self, command: &'static str) -> FidoError {
        let status = match self {
            Self::NotHere => return FidoError::WrongKey,
            Self::PinInvalid => 0x31,
            Self::Other(status) => status,
        };
        match status {
            0x06 => FidoError::Busy,
            0x19 => FidoError::Excluded,
            0x26 => FidoError::NotSupported("the kinds of signatures that are asked for"),
            // Denied, or cancelled at the key or by another program.
            0x27 | 0x2d => FidoError::Refused,
            0x28 => FidoError::Full,
            0x2b | 0x2c => FidoError::NotSupported("what is asked for"),
            0x05 | 0x2f | 0x3a => FidoError::Timeout,
            0x32 => FidoError::PinBlocked,
            0x34 => FidoError::PinBarred,
            0x35 => FidoError::PinNotSet,
            0x31 | 0x33 | 0x36 => FidoError::PinRequired,
            0x37 => FidoError::PinRefused,
            0x3c | 0x3f => FidoError::VerificationBlocked,
            status => FidoError::Unexpected { command, answer: format!("{status:02x}") },
        }
    }
}

/// What a key says of itself; nothing of it is needed but for the versions.
pub(super) fn info(answer: &Value) -> Result<Ctap2Info, FidoError> {
    let texts = |at| {
        let items = answer.at(at).and_then(Value::items).unwrap_or_default();
        items.iter().filter_map(|item| item.text().map(str::to_owned)).collect::<Vec<_>>()
    };
    let option = |name| answer.at(4).and_then(|options| options.named(name)).and_then(Value::bool);
    let versions = texts(1);
    if versions.is_empty() {
        return Err(strange("what it is"));
    }
    Ok(Ctap2Info {
        versions,
        extensions: texts(2),
        pin_set: option("clientPin"),
        verifies: option("uv") == Some(true),
        resident: option("rk") == Some(true),
        always_verifies: option("alwaysUv") == Some(true),
        registers_without_pin: option("makeCredUvNotRqd") == Some(true),
        permissions: option("pinUvAuthToken") == Some(true),
        pin_protocols: answer.at(6).and_then(Value::items).unwrap_or_default().iter().filter_map(Value::int).collect(),
    })
}

/// A new credential, if it is of the relying party that was asked for.
pub(super) fn attestation(answer: &Value, rp_id: &str) -> Result<Attestation, FidoError> {
    let parts = (answer.at(1).and_then(Value::text), answer.at(2).and_then(Value::bytes), answer.at(3));
    let (Some(format), Some(data), Some(statement @ Value::Map(_))) = parts else {
        return Err(strange("register"));
    };
    let made =
        Attestation { format: format.to_owned(), authenticator_data: data.to_vec(), statement: statement.clone() };
    if is_of(data, rp_id) && made.credential_id().is_some() { Ok(made) } else { Err(strange("register")) }
}

/// A signature, if it is of the relying party and with the credential that were asked for.
pub(super) fn assertion(answer: &Value, wanted: &Wanted<'_>) -> Result<Assertion, FidoError> {
    let (Some(data), Some(signature)) = (answer.at(2).and_then(Value::bytes), answer.at(3).and_then(Value::bytes))
    else {
        return Err(strange("sign"));
    };
    // A key may leave out the id of the only credential that it was asked for.
    let named = answer.at(1).and_then(|credential| credential.named("id")).and_then(Value::bytes);
    if !is_of(data, wanted.party) || named.is_some_and(|id| id != wanted.credential) {
        return Err(strange("sign"));
    }
    let user_handle = answer.at(4).and_then(|user| user.named("id")).and_then(Value::bytes);
    Ok(Assertion {
        credential: wanted.credential.to_vec(),
        authenticator_data: data.to_vec(),
        signature: signature.to_vec(),
        user_handle: user_handle.map(<[u8]>::to_vec),
    })
}

/// What the key answered to [`HMAC_SECRET`], still encrypted.
pub(super) fn secrets(signed: &Assertion) -> Option<Vec<u8>> {
    let (head, extensions) = signed.authenticator_data.split_at_checked(AUTHENTICATOR_HEAD)?;
    let extensions = (head[32] & EXTENDED != 0).then(|| Value::parse(extensions))??;
    extensions.named(HMAC_SECRET).and_then(Value::bytes).map(<[u8]>::to_vec)
}

pub(super) fn strange(command: &'static str) -> FidoError {
    FidoError::Unexpected { command, answer: "unreadable".to_owned() }
}

fn is_of(authenticator_data: &[u8], party: &str) -> bool {
    authenticator_data.len() >= AUTHENTICATOR_HEAD && authenticator_data.starts_with(&hash(party.as_bytes()))
}

fn asked_for(options: &[(&str, bool)]) -> Option<Value> {
    let wanted = options.iter().filter(|(_, wanted)| *wanted);
    let options: Vec<_> = wanted.map(|(name, _)| (text(name), Value::Bool(true))).collect();
    (!options.is_empty()).then_some(Value::Map(options))
}

/// Signs with the token for the PIN: the signature and the protocol's number go under `places`.
fn sign(map: &mut Vec<(i64, Value)>, token: Option<&PinToken>, client_data_hash: &[u8; 32], places: [i64; 2]) {
    if let Some(token) = token {
        map.push((places[0], Value::Bytes(token.authenticate(client_data_hash))));
        map.push((places[1], Value::Int(token.protocol().number())));
    }
}

fn message(command: u8, map: Vec<(i64, Value)>) -> Vec<u8> {
    let map = Value::Map(map.into_iter().map(|(key, value)| (Value::Int(key), value)).collect());
    [&[command][..], &map.encode()].concat()
}

/// `PublicKeyCredentialDescriptor`.
fn descriptor(id: &[u8]) -> Value {
    Value::Map(vec![(text("id"), bytes(id)), (text("type"), text("public-key"))])
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { party: "example.com", client_data: b"data", credential: b"id", verify: false };

    fn signed(party: &str, id: &[u8]) -> Value {
        let data = [&hash(party.as_bytes())[..], &[1, 0, 0, 0, 9]].concat();
        let credential = Value::Map(vec![(text("id"), bytes(id)), (text("type"), text("public-key"))]);
        Value::Map(vec![(Value::Int(1), credential), (Value::Int(2), bytes(&data)), (Value::Int(3), bytes(&[1]))])
    }

    #[test]
    fn a_signature_for_another_party_or_with_another_credential_is_none() {
        assert_eq!(assertion(&signed("example.com", b"id"), &WANTED).unwrap().signature, [1]);
        for answer in [signed("example.org", b"id"), signed("example.com", b"other"), Value::Map(Vec::new())] {
            assert!(matches!(assertion(&answer, &WANTED), Err(FidoError::Unexpected { .. })));
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let error = |status: u8| answer("x", &[status]).unwrap().unwrap_err().error("x");
        assert!(matches!(error(0x2e), FidoError::WrongKey));
        assert!(matches!(error(0x19), FidoError::Excluded));
        assert!(matches!(error(0x2f), FidoError::Timeout));
        assert!(matches!(error(0x32), FidoError::PinBlocked));
        assert!(matches!(error(0x34), FidoError::PinBarred));
        assert!(matches!(error(0x27), FidoError::Refused));
        assert!(matches!(error(0x99), FidoError::Unexpected { answer, .. } if answer == "99"));
        assert!(answer("x", &[]).is_err() && answer("x", &[0, 1]).is_err() && answer("x", &[0, 0xa0, 0]).is_err());
    }

    #[test]
    fn what_a_key_is_is_read_leniently() {
        let read = |hex: &str| info(&Value::parse(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap());
        assert!(read("a0").is_err());
        // Versions, options and protocols, and a field of a later standard.
        let key = read("a40181684649444f5f325f3004a262726bf569636c69656e7450696ef40682020118ff01").unwrap();
        assert_eq!((key.versions, key.resident, key.pin_set), (vec!["FIDO_2_0".to_owned()], true, Some(false)));
        assert_eq!(key.pin_protocols, [2, 1]);
    }

    #[test]
    fn a_silent_question_needs_no_touch() {
        let silent = get_assertion(&WANTED, None, true, false, None);
        assert!(silent.ends_with(b"\x05\xa1\x62up\xf4"), "{silent:02x?}");
        let loud = get_assertion(&WANTED, None, true, true, None);
        assert!(loud.ends_with(b"\x05\xa1\x62uv\xf5"), "{loud:02x?}");
    }
}
