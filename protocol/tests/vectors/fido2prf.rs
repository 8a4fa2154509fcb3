//! Identities that typage sealed to credentials whose secrets are given. Another implementation made them, so they are only opened.

use super::{array, list, read, text};
use age::{DecryptError, Identity};
use age_core::format::{FileKey, Stanza};
use quorate_protocol::fido2prf::{Fido2PrfStanza, PrfOutputs, prf_inputs, salts};
use quorate_protocol::sealing::{SealingError, age_open};
use serde_json::Value;

/// A credential, as the key that has it would answer.
struct Credential {
    salts: [[u8; 32]; 2],
    outputs: PrfOutputs,
}

impl Identity for Credential {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let stanza = Fido2PrfStanza::parse(stanza)?.expect("well-formed");
        assert_eq!(stanza.salts(), self.salts);
        Some(stanza.open(&self.outputs).map_err(|_| DecryptError::KeyDecryptionFailed))
    }
}

fn two<const N: usize>(case: &Value, field: &str) -> [[u8; N]; 2] {
    let both: Vec<[u8; N]> = list(case, field)
        .iter()
        .map(|one| hex::decode(one.as_str().expect("text")).expect("hexadecimal").try_into().expect("of this length"))
        .collect();
    both.try_into().expect("two of them")
}

#[test]
fn what_typage_has_sealed_opens_with_the_outputs_of_its_salts() {
    let file = read("fido2prf.json");
    for case in list(&file, "cases") {
        let nonce = array(case, "nonce");
        assert_eq!(prf_inputs(&nonce).map(hex::encode), two::<44>(case, "inputs").map(hex::encode));
        assert_eq!(salts(&nonce), two(case, "salts"));
        let credential = Credential { salts: salts(&nonce), outputs: two(case, "outputs") };
        let opened = age_open(text(case, "file"), &credential).expect("it opens");
        assert_eq!(opened.as_slice(), text(&file, "plaintext").as_bytes());
        let [first, second] = credential.outputs;
        let swapped = Credential { outputs: [second, first], ..credential };
        assert!(matches!(age_open(text(case, "file"), &swapped), Err(SealingError::Open)));
    }
}
