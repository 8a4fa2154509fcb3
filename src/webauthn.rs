//! What a browser does between a site and a security key: it looks whether the site may use the keys of that relying party, says
//! in the client data who asked, and puts the key's answer into the words of `WebAuthn`. It must not know keys, people or HTTP.
//!
//! What a site asks for comes from outside: a hostile oracle must not get a signature that is good for another site.

use crate::token::fido::{Assertion, Attestation};
use quorate_protocol::encoding::{base64url, from_base64url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

/// This machine.
const LOCAL: &str = "localhost";
/// Type of every credential.
const PUBLIC_KEY: &str = "public-key";
/// Bytes of a challenge, an id or a handle at most.
const MAX_BYTES: usize = 4096;
/// Credentials that are looked at.
const MAX_CREDENTIALS: usize = 64;

/// Why a site gets no answer of any key. Foreign text in it is escaped when it is reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Somebody said no.
    #[error("nothing was signed as {0}")]
    Declined(String),
    /// The site asks for keys of somebody else.
    #[error("{site} asks for the security keys of {party}, which are not its own: nothing was signed")]
    Foreign {
        /// The host of the site.
        site: String,
        /// The relying party that it asks for.
        party: String,
    },
    /// What is asked is not what `WebAuthn` has.
    #[error("{0} asks for a security key in a way that makes no sense")]
    Malformed(String),
    /// An address instead of a name.
    #[error("security keys are bound to names, and {0} is none")]
    NoName(String),
    /// The site asks in another name than whoever calls it has said.
    #[error("the oracle asks for the security keys of {party}, and {named} was named: nothing was signed")]
    Other {
        /// The relying party, or app ID, that is asked for.
        party: String,
        /// The one that was meant.
        named: String,
    },
    /// Plain http.
    #[error("security keys answer over https only, and {0} is not")]
    Plain(String),
}

/// Who asks: scheme, host and port. Whoever makes one answers for it: of the address that the program itself talks to, or of one that
/// a person has agreed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    origin: String,
    host: String,
}

/// For `navigator.credentials.create()`, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions {
    rp: Party,
    user: User,
    challenge: String,
    pub_key_cred_params: Vec<Parameter>,
    #[serde(default)]
    exclude_credentials: Option<Vec<Descriptor>>,
    #[serde(default)]
    authenticator_selection: Option<Selection>,
    #[serde(default)]
    attestation: Option<String>,
}

/// For `navigator.credentials.get()`, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    challenge: String,
    #[serde(default)]
    rp_id: Option<String>,
    #[serde(default)]
    allow_credentials: Option<Vec<Descriptor>>,
    #[serde(default)]
    user_verification: Option<String>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

#[derive(Clone, Debug, Deserialize)]
struct Party {
    #[serde(default)]
    id: Option<String>,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: String,
    name: String,
    display_name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Parameter {
    alg: i64,
    r#type: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Descriptor {
    id: String,
    r#type: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    #[serde(default)]
    resident_key: Option<String>,
    #[serde(default)]
    require_resident_key: Option<bool>,
    #[serde(default)]
    user_verification: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Extensions {
    #[serde(default)]
    appid: Option<String>,
}

/// How much a site wants the user verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verification {
    /// Not at all.
    Discouraged,
    /// Where the key can.
    Preferred,
    /// Without it nothing is signed.
    Required,
}

/// A registration that the site may ask for.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The relying party.
    pub rp_id: String,
    /// What people call it.
    pub rp_name: String,
    /// The user's handle.
    pub user_id: Vec<u8>,
    /// The user's name.
    pub user_name: String,
    /// The user's name for people.
    pub user_display_name: String,
    /// COSE's numbers of algorithms, the best first.
    pub algorithms: Vec<i64>,
    /// Credentials of which the key must have none.
    pub exclude: Vec<Vec<u8>>,
    /// Whether the credential has to be found without its id.
    pub resident: bool,
    /// How much the user is to be verified.
    pub verification: Verification,
    attested: bool,
    client_data: Vec<u8>,
}

/// A signature that the site may ask for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The relying party.
    pub rp_id: String,
    /// What its keys from the time of U2F are bound to.
    pub app_id: Option<String>,
    /// Credentials, one of which has to sign; any, if there are none.
    pub allow: Vec<Vec<u8>>,
    /// How much the user is to be verified.
    pub verification: Verification,
    client_data: Vec<u8>,
}

/// What `navigator.credentials.create()` and `get()` give, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Credential(Value);

impl Site {
    /// Who is at `url`, an oracle's address or an origin. https, or this machine.
    pub fn of(url: &str) -> Result<Self, SiteError> {
        let parsed = Url::parse(url).map_err(|_| SiteError::NoName(url.to_owned()))?;
        let Some(Host::Domain(host)) = parsed.host() else { return Err(SiteError::NoName(url.to_owned())) };
        if !is_safe(parsed.scheme(), host) {
            return Err(SiteError::Plain(url.to_owned()));
        }
        Ok(Self { origin: parsed.origin().ascii_serialization(), host: host.to_owned() })
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether `url` is at the site's host, at whatever port. What answers a plain address may be anybody on the way, and so is
    /// not at a site that is not plain itself.
    pub fn is_at(&self, url: &str) -> bool {
        let plain = !self.origin.starts_with("https:");
        Url::parse(url).is_ok_and(|url| url.domain() == Some(self.host.as_str()) && (plain || url.scheme() == "https"))
    }

    /// What the site asks for, if it may.
    pub fn registration(&self, options: &CreationOptions) -> Result<Registration, SiteError> {
        let CreationOptions { rp, user, challenge, pub_key_cred_params, authenticator_selection, .. } = options;
        let rp_id = self.own(rp.id.as_deref())?;
        let selection = authenticator_selection.as_ref();
        let resident = selection.is_some_and(|selection| match selection.resident_key.as_deref() {
            Some(wish) => wish == "required",
            None => selection.require_resident_key == Some(true),
        });
        let parameters = pub_key_cred_params.iter().filter(|parameter| parameter.r#type == PUBLIC_KEY);
        Ok(Registration {
            rp_id,
            rp_name: rp.name.clone(),
            user_id: self.bytes(&user.id)?,
            user_name: user.name.clone(),
            user_display_name: user.display_name.clone(),
            algorithms: parameters.map(|parameter| parameter.alg).collect(),
            exclude: self.ids(options.exclude_credentials.as_deref())?,
            resident,
            verification: verification(selection.and_then(|selection| selection.user_verification.as_deref())),
            attested: options.attestation.as_deref().is_some_and(|wish| wish != "none"),
            client_data: self.client_data("webauthn.create", challenge)?,
        })
    }

    /// What the site asks for, if it may.
    pub fn request(&self, options: &RequestOptions) -> Result<Request, SiteError> {
        let app_id = options.extensions.as_ref().and_then(|extensions| extensions.appid.as_deref());
        Ok(Request {
            rp_id: self.own(options.rp_id.as_deref())?,
            app_id: app_id.map(|app_id| self.own_app_id(app_id)).transpose()?,
            allow: self.ids(options.allow_credentials.as_deref())?,
            verification: verification(options.user_verification.as_deref()),
            client_data: self.client_data("webauthn.get", &options.challenge)?,
        })
    }

    /// Client data of U2F (FIDO U2F Raw Message Formats 1.2 §7). `act` is `finishEnrollment` or `getAssertion`.
    pub fn u2f_client_data(&self, act: &str, challenge: &str) -> Result<Vec<u8>, SiteError> {
        #[derive(Serialize)]
        struct ClientData<'a> {
            typ: String,
            challenge: String,
            origin: &'a str,
        }
        let challenge = base64url(&self.bytes(challenge)?);
        Ok(json(&ClientData { typ: format!("navigator.id.{act}"), challenge, origin: &self.origin }))
    }

    /// The app ID, if it is of the same party as the site, over https or on this machine (FIDO `AppID` and Facet Specification 1.2
    /// §3.1.2; lists of facets are not looked up).
    pub fn own_app_id(&self, app_id: &str) -> Result<String, SiteError> {
        let url = Url::parse(app_id).ok();
        let safe = |url: &&Url| is_safe(url.scheme(), url.domain().unwrap_or_default());
        let domain = url.as_ref().filter(safe).and_then(Url::domain).and_then(registrable);
        let fits = domain.is_some() && domain == registrable(&self.host);
        if fits { Ok(app_id.to_owned()) } else { Err(self.foreign(app_id)) }
    }

    /// The RP ID, if it is the site's host or a parent of it below a public suffix (HTML, "is a registrable domain suffix of or is
    /// equal to").
    fn own(&self, rp_id: Option<&str>) -> Result<String, SiteError> {
        let Some(rp_id) = rp_id else { return Ok(self.host.clone()) };
        let above = |rest: &str| rest.ends_with('.') && psl::domain_str(rp_id).is_some();
        let fits = self.host.strip_suffix(rp_id).is_some_and(|rest| rest.is_empty() || above(rest));
        if fits && !rp_id.is_empty() { Ok(rp_id.to_owned()) } else { Err(self.foreign(rp_id)) }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Result<Vec<u8>, SiteError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ClientData<'a> {
            r#type: &'a str,
            challenge: String,
            origin: &'a str,
            cross_origin: bool,
        }
        let challenge = base64url(&self.bytes(challenge)?);
        Ok(json(&ClientData { r#type: kind, challenge, origin: &self.origin, cross_origin: false }))
    }

    fn ids(&self, descriptors: Option<&[Descriptor]>) -> Result<Vec<Vec<u8>>, SiteError> {
        let known = descriptors.unwrap_or_default().iter().filter(|descriptor| descriptor.r#type == PUBLIC_KEY);
        known.take(MAX_CREDENTIALS).map(|descriptor| self.bytes(&descriptor.id)).collect()
    }

    fn bytes(&self, text: &str) -> Result<Vec<u8>, SiteError> {
        let bytes = from_base64url(text).filter(|bytes| !bytes.is_empty() && bytes.len() <= MAX_BYTES);
        bytes.ok_or_else(|| SiteError::Malformed(self.host.clone()))
    }

    fn foreign(&self, party: &str) -> SiteError {
        SiteError::Foreign { site: self.host.clone(), party: party.to_owned() }
    }
}

impl Registration {
    /// What the key signs, by its hash.
    pub fn client_data(&self) -> &[u8] {
        &self.client_data
    }

    /// The key's answer, in the words of `WebAuthn`. Who asked for no attestation gets none.
    pub fn answer(&self, made: Attestation) -> Credential {
        let made = if self.attested { made } else { made.anonymous() };
        let id = base64url(made.credential_id().unwrap_or_default());
        let response = serde_json::json!({
            "attestationObject": base64url(&made.object()),
            "clientDataJSON": base64url(&self.client_data),
            "transports": ["usb"],
        });
        Credential::new(&id, response, serde_json::json!({}))
    }
}

impl Request {
    /// What the key signs, by its hash.
    pub fn client_data(&self) -> &[u8] {
        &self.client_data
    }

    /// The key's answer, in the words of `WebAuthn`; `by_app_id` when it signed for the app ID.
    pub fn answer(&self, signed: &Assertion, by_app_id: bool) -> Credential {
        let mut response = serde_json::json!({
            "authenticatorData": base64url(&signed.authenticator_data),
            "clientDataJSON": base64url(&self.client_data),
            "signature": base64url(&signed.signature),
        });
        if let Some(handle) = &signed.user_handle {
            response["userHandle"] = base64url(handle).into();
        }
        let extensions =
            if self.app_id.is_some() { serde_json::json!({ "appid": by_app_id }) } else { serde_json::json!({}) };
        Credential::new(&base64url(&signed.credential), response, extensions)
    }
}

impl Credential {
    fn new(id: &str, response: Value, extensions: Value) -> Self {
        let mut credential = serde_json::json!({ "id": id, "rawId": id, "type": PUBLIC_KEY });
        credential["response"] = response;
        credential["clientExtensionResults"] = extensions;
        Self(credential)
    }

    /// The credential's id, base64url.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }
}

/// What is not said, or not understood, is preferred.
fn verification(wish: Option<&str>) -> Verification {
    match wish {
        Some("discouraged") => Verification::Discouraged,
        Some("required") => Verification::Required,
        _ => Verification::Preferred,
    }
}

/// Whether keys can be bound to `text`: a domain of one party, as browsers write it, or this machine.
pub fn is_rp_id(text: &str) -> bool {
    let spelt = Host::parse(text).is_ok_and(|host| matches!(host, Host::Domain(domain) if domain == text));
    spelt && registrable(text).is_some()
}

/// The part of a domain that one party registers: a public suffix and one label. `None` for a public suffix.
fn registrable(domain: &str) -> Option<&str> {
    if domain == LOCAL { Some(LOCAL) } else { psl::domain_str(domain) }
}

/// Names below `localhost` go wherever a resolver says.
fn is_safe(scheme: &str, host: &str) -> bool {
    scheme == "https" || (scheme == "http" && host == LOCAL)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and booleans are JSON")
}

#[cfg(test)]
mod tests;
