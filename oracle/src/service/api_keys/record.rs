//! What the store keeps of an API key, sealed under the root secret: value, email, allowed origins, and
//! until an imported key is used for the first time the hash that it came with. Knows no rule.

use super::error::ApiKeyError;
use crate::service::at_rest::{AtRest, Place};
use crate::service::legacy::BcryptHash;
use crate::store::{ApiKeyRow, Digest};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// An API key's record, open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub value: String,
    pub email: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Of the API secret; until that is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcrypt: Option<BcryptHash>,
}

impl Record {
    pub fn seal(&self, id: &Digest, at_rest: &AtRest, rng: &mut impl CryptoRng) -> Vec<u8> {
        let json = Zeroizing::new(serde_json::to_vec(self).expect("plain data always serialises"));
        at_rest.seal(place(&[id]), &json, rng)
    }

    pub fn open(row: &ApiKeyRow, at_rest: &AtRest) -> Result<Self, ApiKeyError> {
        Self::open_sealed(&row.id, &row.sealed, at_rest)
    }

    pub fn open_sealed(id: &Digest, sealed: &[u8], at_rest: &AtRest) -> Result<Self, ApiKeyError> {
        let json = at_rest.open(place(&[id]), sealed).map_err(|_| ApiKeyError::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| ApiKeyError::Damaged)
    }
}

fn place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "api_keys", row, column: "sealed" }
}
