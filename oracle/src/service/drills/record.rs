//! What the store keeps of drills, sealed under the root secret, each value for its row: the call, the answers, and in what a
//! Toc last proved that it opens. Knows no rule.

use super::error::DrillError;
use crate::service::at_rest::{AtRest, Place};
use crate::store::{Digest, DrillAnswerRow, DrillRow, NewTocProof, TocProofRow};
use quorate_protocol::drill::Call;
use quorate_protocol::encoding::Base64;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

/// Seals and opens.
#[derive(Debug)]
pub(super) struct Sealer(AtRest);

#[derive(Serialize, Deserialize)]
struct CallRecord {
    payload: Base64,
    signature: Base64,
}

impl Sealer {
    /// Takes what rows are sealed under.
    pub fn new(at_rest: AtRest) -> Self {
        Self(at_rest)
    }

    /// The call, for the row of its drill.
    pub fn seal_call(&self, call: &Call, rng: &mut impl CryptoRng) -> Vec<u8> {
        let (payload, signature) = (call.payload().to_vec().into(), call.signature().to_vec().into());
        let json = serde_json::to_vec(&CallRecord { payload, signature }).expect("plain data always serialises");
        let fields = call.fields();
        let numbers = numbers(fields.size, [fields.created * 1000, fields.expires * 1000]);
        self.0.seal(drills(&[fields.drill.as_bytes(), &fields.group.0, &numbers]), &json, rng)
    }

    /// The same, opened: whoever can write to the database cannot give a drill another group, size or end.
    pub fn open_call(&self, row: &DrillRow) -> Result<Call, DrillError> {
        let numbers = numbers(row.size, [row.created_at, row.expires_at]);
        let json = self.0.open(drills(&[row.id.as_bytes(), &row.group, &numbers]), &row.sealed);
        let json = json.map_err(|_| DrillError::Damaged)?;
        let record: CallRecord = serde_json::from_slice(&json).map_err(|_| DrillError::Damaged)?;
        Call::from_parts(record.payload.0, record.signature.0).map_err(|_| DrillError::Damaged)
    }

    /// The signature of an answer.
    pub fn seal_answer(&self, id: &str, x: u8, at: i64, signature: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        self.0.seal(answers(&[id.as_bytes(), &[x], &at.to_be_bytes()]), signature, rng)
    }

    /// Fails for an answer that somebody wrote into the database.
    pub fn check_answer(&self, id: &str, row: &DrillAnswerRow) -> Result<(), DrillError> {
        let opened = self.0.open(answers(&[id.as_bytes(), &[row.x], &row.at.to_be_bytes()]), &row.sealed);
        opened.map(drop).map_err(|_| DrillError::Damaged)
    }

    /// As [`toc_proof`].
    pub fn proof(&self, group: Digest, x: u8, at: i64, by: &str, rng: &mut impl CryptoRng) -> NewTocProof {
        toc_proof(&self.0, group, x, at, by, rng)
    }

    /// In what a Toc of `group` last proved that it opens.
    pub fn open_proof(&self, group: &Digest, row: &TocProofRow) -> Result<String, DrillError> {
        let opened = self.0.open(proofs(&[group, &[row.x], &row.at.to_be_bytes()]), &row.sealed);
        let by = opened.map_err(|_| DrillError::Damaged)?;
        String::from_utf8(by.to_vec()).map_err(|_| DrillError::Damaged)
    }
}

/// The proof that Toc `x` of `group` opened at that time, in what `by` says: `drill ID` or `session ID`.
pub(in crate::service) fn toc_proof(
    at_rest: &AtRest,
    group: Digest,
    x: u8,
    at: i64,
    by: &str,
    rng: &mut impl CryptoRng,
) -> NewTocProof {
    let sealed = at_rest.seal(proofs(&[&group, &[x], &at.to_be_bytes()]), by.as_bytes(), rng);
    NewTocProof { group, x, at, sealed }
}

fn numbers(size: u8, times: [i64; 2]) -> Vec<u8> {
    let [created, expires] = times.map(i64::to_be_bytes);
    [[size].as_slice(), &created, &expires].concat()
}

fn drills<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "drills", row, column: "sealed" }
}

fn answers<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "drill_answers", row, column: "sealed" }
}

fn proofs<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "toc_proofs", row, column: "sealed" }
}
