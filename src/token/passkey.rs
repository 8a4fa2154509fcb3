//! Which credential seals an identity: what age-plugin-fido2prf and typage write as `AGE-PLUGIN-FIDO2PRF-1…`. No secret, only where
//! one is. It must not know keys or files.

use std::fmt;

use age_core::primitives::{bech32_decode, bech32_encode};
use bech32::Hrp;

use super::fido::cbor::Value;

const HRP: &str = "age-plugin-fido2prf-";
/// The only version there is.
const VERSION: i64 = 1;
/// Longest credential id (`WebAuthn` §4).
const MAX_CREDENTIAL: usize = 1023;
/// Longest name of a domain (RFC 1035 §2.3.4).
const MAX_RP_ID: usize = 253;

/// A credential of a security key or a passkey provider, with the `prf` extension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passkey {
    /// Its id.
    pub credential: Vec<u8>,
    /// The relying party that it is bound to: a domain.
    pub rp_id: String,
    /// Ways to whoever has it, as browsers call them: `usb`, `internal`, `hybrid`, …
    pub transports: Vec<String>,
}

impl Passkey {
    /// `None` when the text is no identity of this plugin, or of a later version of it.
    pub fn parse(text: &str) -> Option<Self> {
        let wanted = |hrp: Hrp| hrp.as_str().eq_ignore_ascii_case(HRP).then_some(()).ok_or(());
        let bytes: Vec<u8> = bech32_decode(text, |_| (), wanted, |_, bytes| Ok(bytes.collect())).ok()?;
        let items = Value::sequence(&bytes)?;
        let [Value::Int(VERSION), Value::Bytes(credential), Value::Text(rp_id), Value::Array(transports)] = &items[..]
        else {
            return None;
        };
        let transports = transports.iter().map(|transport| transport.text().map(str::to_owned));
        let fits = (1..=MAX_CREDENTIAL).contains(&credential.len()) && (1..=MAX_RP_ID).contains(&rp_id.len());
        let transports: Option<Vec<String>> = transports.collect();
        fits.then_some(Self { credential: credential.clone(), rp_id: rp_id.clone(), transports: transports? })
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transports = self.transports.iter().cloned().map(Value::Text).collect();
        let items = [
            Value::Int(VERSION),
            Value::Bytes(self.credential.clone()),
            Value::Text(self.rp_id.clone()),
            Value::Array(transports),
        ];
        let bytes: Vec<u8> = items.iter().flat_map(Value::encode).collect();
        f.write_str(&bech32_encode(Hrp::parse_unchecked(HRP), &bytes).to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(items: &[Value]) -> String {
        let bytes: Vec<u8> = items.iter().flat_map(Value::encode).collect();
        bech32_encode(Hrp::parse_unchecked(HRP), &bytes).to_uppercase()
    }

    fn items() -> [Value; 4] {
        let text = |text: &str| Value::Text(text.to_owned());
        [Value::Int(1), Value::Bytes(vec![7; 64]), text("example.com"), Value::Array(vec![text("usb")])]
    }

    /// As typage wrote them.
    #[test]
    fn what_others_write_is_read_and_written_again() {
        let file = include_str!("../../protocol/tests/vectors/fido2prf.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let text = case["identity"].as_str().unwrap();
            let passkey = Passkey::parse(text).unwrap();
            assert_eq!(passkey.rp_id, case["rp_id"]);
            assert_eq!(data_encoding::HEXLOWER.encode(&passkey.credential), case["credential"]);
            assert_eq!(serde_json::json!(passkey.transports), case["transports"]);
            assert_eq!(passkey.to_string(), text);
            assert_eq!(Passkey::parse(&text.to_lowercase()), Some(passkey));
        }
    }

    #[test]
    fn other_plugins_other_versions_and_other_items_are_refused() {
        assert!(Passkey::parse(&line(&items())).is_some());
        let changed = |at: usize, to: Value| {
            let mut items = items();
            items[at] = to;
            line(&items)
        };
        let one_more = [&items()[..], &[Value::Null]].concat();
        for text in [
            changed(0, Value::Int(2)),
            changed(1, Value::Bytes(Vec::new())),
            changed(1, Value::Bytes(vec![0; MAX_CREDENTIAL + 1])),
            changed(1, Value::Text("id".to_owned())),
            changed(2, Value::Text(String::new())),
            changed(2, Value::Text("x".repeat(MAX_RP_ID + 1))),
            changed(3, Value::Array(vec![Value::Int(1)])),
            line(&items()[..3]),
            line(&one_more),
            line(&items()).replacen("FIDO2PRF", "YUBIKEY", 1),
            bech32_encode(Hrp::parse_unchecked("age-plugin-other-"), b"x"),
            "AGE-PLUGIN-FIDO2PRF-1".to_owned(),
            String::new(),
        ] {
            assert_eq!(Passkey::parse(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = bech32_encode(Hrp::parse_unchecked(HRP), &bytes);
            if let Some(passkey) = Passkey::parse(&text) {
                prop_assert_eq!(Passkey::parse(&passkey.to_string()), Some(passkey));
            }
        }
    }
}
