//! What is sealed of a U2F key and of a challenge that waits for its answer. Knows how they are laid out, and no rule.

use super::message::POINT;
use super::verify::{Registered, point};
use crate::service::either_base64;
use quorate_protocol::encoding::Base64;
use serde::{Deserialize, Serialize};

/// A challenge that was given out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub app_id: String,
    pub challenge: Base64,
}

/// A registered key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::service) struct U2fKey {
    /// What it is bound to, exactly as it was signed.
    pub app_id: String,
    /// The token's name for it: in `WebAuthn`, the credential id.
    pub key_handle: Base64,
    /// An uncompressed point of P-256.
    pub public_key: Base64,
}

impl U2fKey {
    pub(super) fn new(app_id: String, registered: Registered) -> Self {
        let Registered { key_handle, public_key } = registered;
        Self { app_id, key_handle: key_handle.into(), public_key: public_key.to_vec().into() }
    }

    /// A key that was registered with another service, from the texts that it kept; `None` for what cannot be one.
    pub fn imported(app_id: &str, key_handle: &str, public_key: &str) -> Option<Self> {
        let key_handle = either_base64::decode(key_handle)?;
        let public_key: [u8; POINT] = either_base64::decode(public_key)?.try_into().ok()?;
        point(&public_key).ok()?;
        let plausible = app_id.contains("://") && app_id.bytes().all(|byte| byte.is_ascii_graphic());
        let handle = u8::try_from(key_handle.len()).is_ok_and(|length| length > 0);
        (plausible && handle).then(|| Self {
            app_id: app_id.to_owned(),
            key_handle: key_handle.into(),
            public_key: public_key.to_vec().into(),
        })
    }

    /// The point; `None` for what was never stored by this program.
    pub fn point(&self) -> Option<[u8; POINT]> {
        self.public_key.0.as_slice().try_into().ok()
    }
}
