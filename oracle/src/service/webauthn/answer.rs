//! What browsers send back, looked at strictly before the library sees it, and in the library's types. Knows no rule and
//! nothing of the store.

use super::cbor;
use super::error::WebauthnError;
use crate::service::either_base64;
use crate::service::relying_party::Origin;
use quorate_protocol::encoding::base64url;
use serde::Deserialize;
use serde::de::IgnoredAny;
use webauthn_rs_core::proto::{
    AuthenticationExtensionsClientOutputs, AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw,
    AuthenticatorTransport, COSEAlgorithm, COSEKey, COSEKeyType, ECDSACurve, PublicKeyCredential,
    RegisterPublicKeyCredential, RegistrationExtensionsClientOutputs,
};

/// An empty CBOR map: the statement of attestation format `none`.
const EMPTY_MAP: &[u8] = &[0xa0];
/// The type of every credential (`WebAuthn` §5.8.2).
const PUBLIC_KEY: &str = "public-key";

/// A browser's answer to a registration.
#[derive(Debug, Clone)]
pub struct RegistrationAnswer {
    /// CBOR.
    pub attestation_object: Vec<u8>,
    /// JSON, as its hash was signed.
    pub client_data: Vec<u8>,
    /// How the token can be reached: a hint.
    pub transports: Vec<String>,
}

/// A browser's answer to a login.
#[derive(Debug, Clone)]
pub struct LoginAnswer {
    /// The credential id.
    pub raw_id: Vec<u8>,
    /// As it was signed.
    pub authenticator_data: Vec<u8>,
    /// JSON, as its hash was signed.
    pub client_data: Vec<u8>,
    /// DER, for ECDSA.
    pub signature: Vec<u8>,
    /// Whose the credential is, by the token's account.
    pub user_handle: Option<Vec<u8>>,
}

/// The challenge that client data say they answer, if the page that they name is an origin (the library would take any URL of
/// the right one) and stood on its own: nobody expects it inside a page of another origin (`WebAuthn` L3 §7.1 steps 10 and 11,
/// §7.2 steps 14 and 15), where that one's owner chooses what the user sees. Nothing else in them has been looked at yet.
pub(super) fn challenge(client_data: &[u8]) -> Result<Vec<u8>, WebauthnError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        challenge: String,
        origin: String,
        cross_origin: Option<bool>,
        top_origin: Option<IgnoredAny>,
    }
    let fields: Fields = serde_json::from_slice(client_data).map_err(|_| WebauthnError::Malformed)?;
    Origin::parse(&fields.origin).map_err(|_| WebauthnError::Origin)?;
    if fields.cross_origin == Some(true) || fields.top_origin.is_some() {
        return Err(WebauthnError::CrossOrigin);
    }
    either_base64::decode(&fields.challenge).ok_or(WebauthnError::Malformed)
}

impl RegistrationAnswer {
    /// In the library's types, if it is well formed and of a format that is taken.
    pub(super) fn checked(self) -> Result<RegisterPublicKeyCredential, WebauthnError> {
        let object = cbor::Map::parse(&self.attestation_object).ok_or(WebauthnError::Malformed)?;
        let authenticator_data = object.bytes("authData").ok_or(WebauthnError::Malformed)?;
        if !cbor::is_authenticator_data(authenticator_data) {
            return Err(WebauthnError::Malformed);
        }
        match object.text("fmt").ok_or(WebauthnError::Malformed)? {
            "none" if object.item("attStmt") != Some(EMPTY_MAP) => return Err(WebauthnError::Malformed),
            "none" | "packed" | "fido-u2f" => {}
            _ => return Err(WebauthnError::Attestation),
        }
        Ok(RegisterPublicKeyCredential {
            // The library takes the id from the attestation object.
            id: String::new(),
            raw_id: Vec::new(),
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: self.attestation_object,
                client_data_json: self.client_data,
                transports: Some(known_transports(&self.transports)),
            },
            type_: PUBLIC_KEY.to_owned(),
            extensions: RegistrationExtensionsClientOutputs::default(),
        })
    }
}

impl LoginAnswer {
    /// The challenge that it says it answers.
    pub fn challenge(&self) -> Result<Vec<u8>, WebauthnError> {
        challenge(&self.client_data)
    }

    /// Whether the token signed for `hash` in place of an RP ID's.
    pub(super) fn is_for(&self, hash: &[u8; 32]) -> bool {
        self.authenticator_data.starts_with(hash)
    }

    /// Whether the token says that the credential may be backed up (`WebAuthn` §6.1, bit 3).
    pub(super) fn is_backup_eligible(&self) -> bool {
        self.authenticator_data.get(cbor::FLAGS_AT).is_some_and(|flags| flags & 0x08 != 0)
    }

    /// In the library's types, if it is well formed. `by_app_id` when it was made with a U2F key under its app ID; what the
    /// browser says about that is not signed, and not looked at.
    pub(super) fn checked(self, by_app_id: bool) -> Result<PublicKeyCredential, WebauthnError> {
        if !cbor::is_authenticator_data(&self.authenticator_data) {
            return Err(WebauthnError::Malformed);
        }
        Ok(PublicKeyCredential {
            id: base64url(&self.raw_id),
            raw_id: self.raw_id,
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: self.authenticator_data,
                client_data_json: self.client_data,
                signature: self.signature,
                user_handle: self.user_handle,
            },
            extensions: AuthenticationExtensionsClientOutputs { appid: Some(by_app_id), hmac_get_secret: None },
            type_: PUBLIC_KEY.to_owned(),
        })
    }
}

/// The transports of those names that are known: browsers pay no attention to others.
pub(super) fn known_transports(names: &[String]) -> Vec<AuthenticatorTransport> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Whether the curve is the one that goes with the algorithm: in `WebAuthn`, unlike in COSE at large, each has one
/// (`WebAuthn` §5.8.5).
pub(super) fn has_own_curve(key: &COSEKey) -> bool {
    match (key.type_, &key.key) {
        (COSEAlgorithm::ES256, COSEKeyType::EC_EC2(key)) => key.curve == ECDSACurve::SECP256R1,
        (COSEAlgorithm::ES384, COSEKeyType::EC_EC2(key)) => key.curve == ECDSACurve::SECP384R1,
        (COSEAlgorithm::RS256, COSEKeyType::RSA(_)) => true,
        _ => false,
    }
}
