//! What is fed with damaged input: one function for each thing that quorate reads from outside. None may panic, and what is accepted must
//! survive being written and read again. They know nothing of where the bytes come from: libFuzzer, or `tests/damage.rs`.

mod security_key;
mod seeds;

use age_core::format::{FileKey, Stanza, read::age_stanza};
use p256::SecretKey;
use p256::ecdh::diffie_hellman;
use quorate_protocol::api::{AddToc, Denial, DrillAnswer, NewDrill, NewSession, Receipt, SessionKey};
use quorate_protocol::audit::checkpoint::{Checkpoint, VerifierKey};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, Verifier};
use quorate_protocol::drill::Call;
use quorate_protocol::fido2prf::Fido2PrfStanza;
use quorate_protocol::header::Header;
use quorate_protocol::import::{Format, from_image, parse_any, read};
use quorate_protocol::invite::{Certificate, Invite, follow_chain};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::p256_stanza::P256Stanza;
use quorate_protocol::plan::Plan;
use quorate_protocol::proof::sign;
use quorate_protocol::recipient::NativeRecipient;
use quorate_protocol::sealing::{age_open, is_armored};
use quorate_protocol::toc::{Group, Toc};
use quorate_protocol::{farmfa, strict_json};
use serde::de::DeserializeOwned;

pub use security_key::{cbor, security_key};
pub use seeds::{age_identity, p256_identity, root_key, seeds};

/// Reads `data` and says whether it was understood. Panics when an invariant breaks.
pub type Target = fn(&[u8]) -> bool;

/// Every target by name, the same as the program's name in `fuzz_targets/`.
pub const TARGETS: [(&str, Target); 21] = [
    ("armored", armored),
    ("audit_export", audit_export),
    ("base32", base32),
    ("bodies", bodies),
    ("call", call),
    ("cbor", cbor),
    ("certificate", certificate),
    ("checkpoint", checkpoint),
    ("exports", exports),
    ("farmfa_share", farmfa_share),
    ("group", group),
    ("header", header),
    ("import", import),
    ("invite", invite),
    ("otpauth", otpauth),
    ("picture", picture),
    ("plan", plan),
    ("recipient", recipient),
    ("security_key", security_key),
    ("stanza", stanza),
    ("toc", toc),
];

/// An armored age file, opened with an X25519 key and with a P-256 key as a token would.
pub fn armored(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let x25519 = age_open(text, &age_identity());
    let p256 = age_open(text, &SoftP256(p256_identity()));
    let opened = x25519.is_ok() || p256.is_ok();
    assert!(!opened || is_armored(text), "what opens looks like age");
    opened
}

/// An export of an audit log, of which only the whole is sound.
pub fn audit_export(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let mut verifier = Verifier::new(vec![seeds::audit_key()], Vec::new());
    for line in text.lines() {
        if let Some(Line::Row(row)) = verifier.push(line)
            && let Some(event) = row.event.as_deref().and_then(Event::from_leaf)
        {
            assert!(Event::from_leaf(&event.to_leaf()) == Some(event), "an event changed in writing");
        }
    }
    let report = verifier.finish();
    report.is_sound() && report.rows > 0
}

/// A bare key as accounts print it.
pub fn base32(data: &[u8]) -> bool {
    let Some(secret) = text(data).and_then(|text| OtpSecret::from_base32(text).ok()) else { return false };
    let again = OtpSecret::from_base32(&secret.to_base32()).expect("canonical base32 is read");
    assert!(again == secret, "a key changed in writing");
    true
}

/// Bodies of requests to the oracle.
pub fn bodies(data: &[u8]) -> bool {
    fn reads<T: DeserializeOwned>(data: &[u8]) -> bool {
        strict_json::from_slice::<T>(data).is_ok()
    }
    // No short circuit: every reader sees every input.
    [
        reads::<NewSession>,
        reads::<AddToc>,
        reads::<Denial>,
        reads::<SessionKey>,
        reads::<Receipt>,
        reads::<NewDrill>,
        reads::<DrillAnswer>,
    ]
    .map(|read| read(data))
    .contains(&true)
}

/// The link of a drill, and an answer to what it asks.
pub fn call(data: &[u8]) -> bool {
    let Some(call) = text(data).and_then(|text| Call::parse(text).ok()) else { return false };
    let again = Call::parse(&call.to_url()).expect("a written call is read");
    assert!(again == call, "a call changed in writing");
    let _ = call.verify(&root_key().verifying_key(), seeds::NOW);
    let question = call.question();
    assert!(question.message(1) != question.message(2), "an answer is one player's");
    let (key, now) = (root_key(), question.expires - 1);
    let answer = sign(&key, &question.message(1));
    assert!(question.verify(&key.verifying_key(), 1, &answer, now).is_ok(), "its own answer counts");
    assert!(question.verify(&key.verifying_key(), 2, &answer, now).is_err(), "and for nobody else");
    true
}

/// A signed head of an audit log, and a key that signs them.
pub fn checkpoint(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let key = text.parse::<VerifierKey>();
    if let Ok(key) = &key {
        assert!(key.to_string() == text, "a key has one spelling");
    }
    let opened = Checkpoint::open(text, &seeds::audit_key());
    assert!(opened.is_err() || Checkpoint::peek(text) == opened, "what opens can be looked at");
    key.is_ok() || opened.is_ok()
}

/// A certificate of an invite key.
pub fn certificate(data: &[u8]) -> bool {
    let Ok(certificate) = strict_json::from_slice::<Certificate>(data) else { return false };
    let root = root_key().verifying_key();
    let verified = certificate.verify(&root, seeds::NOW).is_ok();
    assert!(!verified || certificate.read().is_ok(), "a verified certificate can be read");
    let _ = follow_chain(&root, &[certificate], seeds::NOW);
    verified
}

/// A share in one of farMFA's two layouts.
pub fn farmfa_share(data: &[u8]) -> bool {
    text(data).is_some_and(|text| farmfa::Share::parse(text).is_ok())
}

/// `group.json`.
pub fn group(data: &[u8]) -> bool {
    let Ok(group) = Group::parse(data) else { return false };
    let again = Group::parse(group.to_json().as_bytes()).expect("a written group is read");
    assert!(again == group, "a group changed in writing");
    true
}

/// A dealer's header.
pub fn header(data: &[u8]) -> bool {
    let Ok(header) = Header::parse(data) else { return false };
    assert_eq!(header.bytes(), data, "a header is its exact bytes");
    assert_eq!(usize::from(header.fields().size), header.fields().players.len());
    assert!(header.player(0).is_none() && header.player(header.fields().size).is_some());
    true
}

/// Text that a person hands in as a secret: a key, an otpauth URI, an export of Google Authenticator, Aegis or 2FAS.
pub fn import(data: &[u8]) -> bool {
    text(data).is_some_and(|text| parse_any(text).is_ok())
}

/// Exports of authenticator apps, of any format but pictures.
pub fn exports(data: &[u8]) -> bool {
    // Pictures take long, and have a target of their own.
    if matches!(Format::of(data), Ok(Format::Picture)) {
        return false;
    }
    let Ok(import) = read(&[data], None, Some("x")) else { return false };
    for found in import.rows.iter().filter_map(|row| row.found.as_ref().ok()) {
        let again = OtpSecret::from_uri(&found.secret.to_uri()).expect("a canonical URI is read");
        assert!(again == found.secret, "a secret changed in writing");
    }
    import.rows.iter().any(|row| row.found.is_ok())
}

/// An invite link.
pub fn invite(data: &[u8]) -> bool {
    let Some(invite) = text(data).and_then(|text| Invite::parse(text).ok()) else { return false };
    let again = Invite::parse(&invite.to_url()).expect("a written invite is read");
    assert!(again == invite, "an invite changed in writing");
    let _ = invite.verify(&root_key().verifying_key(), seeds::NOW);
    true
}

/// An otpauth URI.
pub fn otpauth(data: &[u8]) -> bool {
    let Some(secret) = text(data).and_then(|text| OtpSecret::from_uri(text).ok()) else { return false };
    let again = OtpSecret::from_uri(&secret.to_uri()).expect("a canonical URI is read");
    assert!(again == secret, "a secret changed in writing");
    let _ = secret.code_at(u64::MAX);
    true
}

/// A picture with QR codes.
pub fn picture(data: &[u8]) -> bool {
    from_image(data).is_ok()
}

/// The plan of a redeal.
pub fn plan(data: &[u8]) -> bool {
    let Ok(plan) = Plan::parse(data) else { return false };
    assert_eq!(plan.bytes(), data, "a plan is its exact bytes");
    assert!(plan.fields().players.iter().all(|player| player.natives().is_ok()), "an accepted plan can be carried out");
    true
}

/// An age recipient.
pub fn recipient(data: &[u8]) -> bool {
    let Some(recipient) = text(data).and_then(|text| text.parse::<NativeRecipient>().ok()) else { return false };
    let again: NativeRecipient = recipient.to_string().parse().expect("a written recipient is read");
    assert!(again == recipient, "a recipient changed in writing");
    true
}

/// One stanza of an age header, as it stands in the file.
pub fn stanza(data: &[u8]) -> bool {
    let Ok((_, stanza)) = age_stanza(data) else { return false };
    let stanza: Stanza = stanza.into();
    if let Some(Ok(sealed)) = Fido2PrfStanza::parse(&stanza) {
        assert_eq!(sealed.to_stanza().args, stanza.args, "one nonce has one spelling");
        return sealed.open(&seeds::PRF_OUTPUTS).is_ok();
    }
    matches!(SoftP256(p256_identity()).open(&stanza), Some(Ok(_)))
}

/// A decrypted Toc.
pub fn toc(data: &[u8]) -> bool {
    match Toc::parse(data) {
        Ok(Toc::Whole(toc)) => {
            let Ok(Toc::Whole(again)) = Toc::parse(&toc.to_json()) else { panic!("a written Toc is read") };
            assert!(again.group() == toc.group() && again.share().as_bytes() == toc.share().as_bytes());
            assert!(matches!(Toc::parse(&toc.to_short_json()), Ok(Toc::Short(_))), "its short form is read");
            true
        }
        Ok(Toc::Short(_) | Toc::Farmfa(_)) => true,
        Err(_) => false,
    }
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// What a token does with a stanza, with the key in memory.
struct SoftP256(SecretKey);

impl SoftP256 {
    fn open(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        let stanza = P256Stanza::parse(stanza)?.ok()?;
        let shared = diffie_hellman(self.0.to_nonzero_scalar(), stanza.ephemeral().as_affine());
        let shared_x = (*shared.raw_secret_bytes()).into();
        Some(stanza.finish(&shared_x, &self.0.public_key()).map_err(|_| age::DecryptError::DecryptionFailed))
    }
}

impl age::Identity for SoftP256 {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.open(stanza)
    }
}
