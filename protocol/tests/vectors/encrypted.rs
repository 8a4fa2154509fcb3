//! Age files of a Toc for each kind of recipient whose private half can be written down. Age draws its keys from the
//! operating system, so these are made once and then only opened.

use super::fixed;
use age::{DecryptError, Identity};
use age_core::format::{FileKey, Stanza};
use p256::SecretKey;
use quorate_protocol::encoding::sha256;
use quorate_protocol::p256_stanza::P256Stanza;
use quorate_protocol::recipient::NativeRecipient;
use quorate_protocol::sealing::{age_open, age_seal};
use serde_json::{Value, json};

/// The file, anew.
pub fn make() -> Value {
    let plaintext = super::make::two_deals()[0].tocs[1].to_short_json();
    let x25519 = fixed::x25519("ann").to_public();
    let (tag, yubikey) = (recipient_tag("björn"), recipient_yubikey("chloé"));
    let recipients: [(&str, String, &dyn age::Recipient); 3] = [
        ("ann", x25519.to_string(), &x25519),
        ("björn", tag.to_string(), &tag),
        ("chloé", yubikey.to_string(), &yubikey),
    ];
    let cases: Vec<Value> = recipients
        .into_iter()
        .map(|(name, recipient, key)| {
            let identity = if recipient.starts_with("age1tag") || recipient.starts_with("age1yubikey") {
                hex::encode(p256(name).to_bytes())
            } else {
                use age::secrecy::ExposeSecret as _;
                fixed::x25519(name).to_string().expose_secret().to_owned()
            };
            let armored = age_seal(&plaintext, std::iter::once(key)).expect("age seals");
            json!({ "recipient": recipient, "identity": identity, "armored": armored })
        })
        .collect();
    json!({
        "comment": "Age files of one Toc. Identities of P-256 recipients are private scalars in hexadecimal. Every key here \
                    is public: never guard anything with it.",
        "plaintext": std::str::from_utf8(&plaintext).expect("JSON is text"),
        "cases": cases,
    })
}

/// Opens one case with the identity in it.
pub fn open(case: &Value) -> Vec<u8> {
    let (identity, armored) = (super::text(case, "identity"), super::text(case, "armored"));
    if let Ok(x25519) = identity.parse::<age::x25519::Identity>() {
        return age_open(armored, &x25519).expect("opens").to_vec();
    }
    let secret = SecretKey::from_slice(&hex::decode(identity).expect("hexadecimal")).expect("a scalar");
    let recipient = super::text(case, "recipient");
    let named = if recipient.starts_with("age1tag1") { "p256tag" } else { "piv-p256" };
    age_open(armored, &Scalar { secret, named }).expect("opens").to_vec()
}

/// A P-256 key that opens stanzas of one type, as a token would.
struct Scalar {
    secret: SecretKey,
    named: &'static str,
}

impl Identity for Scalar {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let own = self.secret.public_key();
        let stanza = P256Stanza::parse(stanza)?.expect("well-formed");
        assert_eq!(stanza.type_name(), self.named);
        assert!(stanza.is_for(&own), "the tag names the key");
        let shared = self.secret.diffie_hellman(stanza.ephemeral());
        Some(Ok(stanza.finish(&(*shared.raw_secret_bytes()).into(), &own).expect("opens")))
    }
}

/// The private half of the session's TEK as text.
pub fn tek_identity_text() -> String {
    use age::secrecy::ExposeSecret as _;
    fixed::tek().identity().to_string().expose_secret().to_owned()
}

/// A P-256 key of that name.
pub fn p256(name: &str) -> SecretKey {
    SecretKey::from_slice(&sha256(&[b"p256", name.as_bytes()])).expect("below the order, for these names")
}

/// The `age1tag1…` recipient of that name.
pub fn recipient_tag(name: &str) -> NativeRecipient {
    NativeRecipient::tag(&p256(name).public_key())
}

/// The `age1yubikey1…` recipient of that name.
pub fn recipient_yubikey(name: &str) -> NativeRecipient {
    NativeRecipient::yubikey(&p256(name).public_key())
}
