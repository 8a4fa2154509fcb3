//! What security keys say, and may say anything: CBOR, and the reports of a conversation in U2F.

use quorate::token::fido::cbor::Value;
use quorate::token::fido::channel::{BROADCAST, INIT, MSG};
use quorate::token::fido::ports::{Patience, REPORT, Reports};
use quorate::token::fido::{CtapKey, FidoError, FidoToken as _, NewCredential, Wanted};
use quorate::token::{NoPrompts, TokenInfo, TokenKind};
use std::collections::VecDeque;
use std::time::Duration;

/// The channel that the key gives out, and what marks a first report.
const CHANNEL: [u8; 4] = [0, 0, 0, 1];
const FIRST: u8 = 0x80;

/// An item of CBOR.
pub fn cbor(data: &[u8]) -> bool {
    let Some(value) = Value::parse(data) else { return false };
    assert!(Value::parse(&value.encode()) == Some(value), "an item changed in writing");
    true
}

/// What a key of U2F says after it has given out a channel, report by report: that it speaks U2F, then to a registration and to
/// a signature that are asked of it.
pub fn security_key(data: &[u8]) -> bool {
    let said = data.chunks(REPORT).map(|part| {
        let mut report = [0; REPORT];
        report[..part.len()].copy_from_slice(part);
        report
    });
    let line = Box::new(Says(said.collect()));
    let token = TokenInfo { kind: TokenKind::SecurityKey, name: "fuzzed".to_owned(), serial: 0, firmware: None };
    let patience = Patience { touch: Duration::ZERO, ..Patience::default() };
    let Ok(mut key) = CtapKey::open_with(line, token, "nowhere".to_owned(), patience) else { return false };
    let new = NewCredential::plain("example.com", b"{}", "ann");
    let Ok(made) = key.register(&new, None, &NoPrompts) else { return false };
    let credential = made.credential_id().expect("what was taken for a credential has an id");
    assert!(Value::parse(&made.object()).is_some(), "an attestation object is CBOR");
    let wanted = Wanted { party: "example.com", client_data: b"{}", credential, verify: false };
    key.sign(&wanted, None, &NoPrompts).is_ok()
}

/// A conversation that goes well.
pub(crate) fn conversation() -> Vec<u8> {
    let registration = [&[5][..], &[4; 65], &[40], &[7; 40], &[0x30, 3, 1, 2, 3], &[0x30; 70], b"\x90\x00"].concat();
    let signature = [&[1, 0, 0, 0, 9][..], &[0x30; 70], b"\x90\x00"].concat();
    [b"U2F_V2\x90\x00".to_vec(), registration, signature].iter().flat_map(|message| reports(message)).collect()
}

/// An answer, cut into reports.
fn reports(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("these are short").to_be_bytes();
    let (first, rest) = message.split_at(message.len().min(REPORT - 7));
    let mut reports = [&CHANNEL[..], &[FIRST | MSG], &length, first].concat();
    reports.resize(REPORT, 0);
    for (sequence, part) in (0_u8..).zip(rest.chunks(REPORT - 5)) {
        let begins = reports.len();
        reports.extend([&CHANNEL[..], &[sequence], part].concat());
        reports.resize(begins + REPORT, 0);
    }
    reports
}

/// What is left to be said; then it is pulled out.
struct Says(VecDeque<[u8; REPORT]>);

impl Reports for Says {
    fn write(&mut self, report: &[u8; REPORT]) -> Result<(), FidoError> {
        if report[..4] == BROADCAST && report[4] == FIRST | INIT {
            let mut answer = *report;
            answer[6] = 17;
            // The channel, and a key of U2F alone.
            answer[15..24].copy_from_slice(&[0, 0, 0, 1, 2, 1, 0, 0, 0]);
            self.0.push_front(answer);
        }
        Ok(())
    }

    fn read(&mut self, _: Duration) -> Result<Option<[u8; REPORT]>, FidoError> {
        self.0.pop_front().map(Some).ok_or(FidoError::Removed)
    }
}
