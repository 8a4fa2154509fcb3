//! Enrolling with a one-time link. HTTP only.

use super::providers::ProviderBody;
use super::time;
use crate::error::ApiResult;
use crate::extract::{ClientAddr, CodeText, Json, Path, RightTime, SensitiveJson};
use crate::handlers::webauthn::CreatedCredential;
use crate::service::people::{Enrolling, Invitation, Made, People};
use axum::extract::State;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs_proto::PublicKeyCredentialCreationOptions;
use zeroize::Zeroizing;

/// What a link is good for.
#[derive(Serialize, ToSchema)]
pub struct InvitationBody {
    /// The full name of who enrols.
    principal: String,
    /// Until when the link serves, RFC 3339.
    expires_at: String,
    /// The provider of a second factor that is to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderBody>,
    /// TOTP: the secret as an otpauth URI, for the authenticator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    otpauth_uri: Option<Zeroizing<String>>,
    /// `WebAuthn`'s `PublicKeyCredentialCreationOptions`, bytes in base64url.
    #[serde(rename = "publicKey", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    public_key: Option<PublicKeyCredentialCreationOptions>,
}

/// What the holder of a link chooses and proves.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Enrolment {
    /// The new password, of 12 characters at least.
    #[schema(value_type = String)]
    password: Zeroizing<String>,
    /// TOTP: the code that the authenticator shows.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    passcode: CodeText,
    /// `WebAuthn`: what the new security key answers.
    #[serde(default)]
    credential: Option<CreatedCredential>,
    /// `WebAuthn`: what the new security key is called, in 64 bytes at most.
    #[serde(default)]
    key_name: String,
}

/// Who has enrolled.
#[derive(Serialize, ToSchema)]
pub struct Enrolled {
    /// Full name.
    principal: String,
    /// Each lets its owner in once in place of the second factor. They are shown this once, and replace all before.
    #[schema(value_type = Vec<String>)]
    recovery_codes: Vec<Zeroizing<String>>,
}

/// See what a link is good for
///
/// Begins what a security key needs. Does not use the link up.
#[utoipa::path(post, path = "/enroll/{link}/begin", tag = "people", params(("link" = String, Path)),
    responses((status = 200, body = InvitationBody), (status = "default", body = ErrorBody)))]
pub async fn invitation(
    _: RightTime,
    State(people): State<People>,
    ClientAddr(source): ClientAddr,
    Path(link): Path<String>,
) -> ApiResult<Json<InvitationBody>> {
    let Invitation { name, expires_at, provider, totp_uri, public_key } = people.invitation(&link, source).await?;
    Ok(Json(InvitationBody {
        principal: name.to_string(),
        expires_at: time(expires_at),
        provider: provider.map(ProviderBody::from),
        otpauth_uri: totp_uri,
        public_key: public_key.map(|options| options.public_key),
    }))
}

/// Enrol, once
///
/// Sets the password and confirms the second factor, if one is assigned; ends what the user was logged in with.
#[utoipa::path(post, path = "/enroll/{link}", tag = "people", params(("link" = String, Path)), request_body = Enrolment,
    responses((status = 200, body = Enrolled), (status = "default", body = ErrorBody)))]
pub async fn enrol(
    _: RightTime,
    State(people): State<People>,
    ClientAddr(source): ClientAddr,
    Path(link): Path<String>,
    SensitiveJson(Enrolment { password, passcode, credential, key_name }): SensitiveJson<Enrolment>,
) -> ApiResult<Json<Enrolled>> {
    let credential = credential.map(CreatedCredential::into_answer).transpose()?;
    let enrolling = Enrolling { password, passcode: passcode.given(), credential, passkey: false, key_name };
    let Made { name, recovery_codes } = people.enrol(Zeroizing::new(link), enrolling, source).await?;
    Ok(Json(Enrolled { principal: name.to_string(), recovery_codes }))
}
