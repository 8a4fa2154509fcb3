//! `WebAuthn` for applications' users: credentials registered, used to log in, removed.
//!
//! Every application is its own relying party, or several: each request says which, and what it makes is bound to that. The
//! ceremonies themselves are webauthn-rs's.

mod answer;
mod cbor;
mod error;
pub(super) mod imported;
mod notes;
mod record;

pub use self::answer::{LoginAnswer, RegistrationAnswer};
pub use self::error::WebauthnError;
pub use self::notes::{NotedKey, ToldKey};
pub use self::record::Note;

use self::record::{Pending, Record, usable};
use crate::service::api_keys::Tenant;
use crate::service::audit::{Entry, Kind};
use crate::service::relying_party::{AllowList, Origin, RpId};
use crate::service::security_keys::{
    CHALLENGE_BYTES, CHALLENGE_MS, Ceremony, MAX_UUID, SecurityKeys, reseal_credential, seal_credential,
};
use crate::store::{
    AddOutcome, CeremonyAct, CeremonyRow, CredentialKind, CredentialRow, Digest, Login, NewCredential, UseOutcome,
    Which,
};
use quorate_protocol::encoding::{base64url, from_base64url, sha256};
use rand::{CryptoRng, Rng as _};
use std::time::Duration;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::proto::{
    AuthenticationState, AuthenticatorTransport, CreationChallengeResponse, Credential, RegistrationState,
    RequestAuthenticationExtensions, RequestChallengeResponse, UserVerificationPolicy,
};

/// What removes a user's U2F key in place of a credential's hash.
pub const U2F_CREDENTIAL: &str = "u2f";
/// As the applications of the seed ask: the second factor is that somebody has the token.
const VERIFICATION: UserVerificationPolicy = UserVerificationPolicy::Discouraged_DO_NOT_USE;

/// The service. Clones share it.
#[derive(Debug, Clone)]
pub struct Webauthn {
    keys: SecurityKeys,
}

/// Whom a ceremony is for.
#[derive(Debug, Clone)]
pub struct Party {
    /// What credentials are bound to.
    pub id: RpId,
    /// What people call it.
    pub name: String,
    /// The page that talks to the token.
    pub origin: Origin,
}

/// The names that a token may show for its user.
#[derive(Debug, Clone)]
pub struct Names {
    /// Short.
    pub name: String,
    /// Friendly.
    pub display_name: String,
}

/// A credential that has just been registered or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its id, base64url.
    pub credential_id: String,
    /// SHA-256 of its id, base64url: what applications name it by.
    pub key_handle_hash: String,
    /// What the audit log is told of it where it is one of the oracle's own principals'.
    pub told: ToldKey,
}

/// What goes with a credential of one of the oracle's own principals; nothing with an application's.
#[derive(Debug, Default)]
pub struct Noted {
    /// What its owner is shown of it.
    pub note: Option<Note>,
    /// What the audit log is told in place of `credential.added`; which key it is goes with it.
    pub told: Option<Entry>,
    /// What the ceremony was begun with: a ticket or a link, hashed. Whoever shows another answers nothing.
    pub begun_with: Option<Digest>,
    /// The login that it is added with, which must still be one when it is written.
    pub login: Option<Login>,
    /// Whether it was asked for as a passkey: it has verified its user now, and has to at every login. What a device or a
    /// provider keeps has to in any case.
    pub passkey: bool,
}

impl Webauthn {
    /// Puts the service together.
    pub fn new(keys: SecurityKeys) -> Self {
        Self { keys }
    }

    /// Gives out a challenge for a new credential of user `uuid`, or of a new user, whose UUID it gives. Where it is `begun_with`
    /// something, the answer has to come with the same.
    pub async fn begin_registration(
        &self,
        tenant: &Tenant,
        party: Party,
        uuid: Option<String>,
        names: Names,
        begun_with: Option<Digest>,
    ) -> Result<(String, CreationChallengeResponse), WebauthnError> {
        let uuid = uuid.unwrap_or_else(|| self.new_uuid());
        check_uuid(&uuid)?;
        let owner = self.keys.owner(&uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        let (keys, tenant, mut rng) = (self.keys.clone(), tenant.clone(), self.keys.rng());
        let job = move || {
            let core = party.core(&tenant)?;
            let mut known = Vec::with_capacity(rows.len());
            for row in &rows {
                known.extend(usable(&owner, row, &party.id, &tenant)?.map(|usable| usable.credential.cred_id));
            }
            let builder = core
                .new_challenge_register_builder(uuid.as_bytes(), &names.name, &names.display_name)?
                .user_verification_policy(VERIFICATION)
                .exclude_credentials(Some(known));
            let (mut options, state) = core.generate_challenge_register(builder)?;
            let challenge = random_challenge(&mut rng);
            options.public_key.challenge = challenge.to_vec();
            let ceremony = keys.ceremony(&uuid, CeremonyAct::WebauthnRegister, &challenge).begun_with(begun_with);
            let sealed = ceremony.seal(&Pending::new(&party.id, &state, &challenge), &tenant, &mut rng)?;
            Ok::<_, WebauthnError>((uuid, options, ceremony, sealed))
        };
        let (uuid, options, ceremony, sealed) = self.keys.run(job).await??;
        self.keys.begin(&ceremony, sealed).await?;
        Ok((uuid, options))
    }

    /// Registers the credential that answers, with what its owner is shown of it and the event that tells of it, in one write.
    pub async fn finish_registration(
        &self,
        tenant: &Tenant,
        party: Party,
        uuid: Option<&str>,
        answer: RegistrationAnswer,
        noted: Noted,
    ) -> Result<Shown, WebauthnError> {
        let challenge = answer::challenge(&answer.client_data)?;
        let Noted { note, told, begun_with, login, passkey } = noted;
        let ceremony = self.keys.ceremony(required(uuid)?, CeremonyAct::WebauthnRegister, &challenge);
        let ceremony = ceremony.begun_with(begun_with);
        let (row, others) = self.begun(tenant, &ceremony).await?;
        let number = notes::of_webauthn(&others).count();
        let (name, api_key, owner) = (row.name, tenant.number(), ceremony.owner);
        let (told_by, keys, tenant, mut rng) = (tenant, self.keys.clone(), tenant.clone(), self.keys.rng());
        let job = move || {
            let core = party.core(&tenant)?;
            let state = party.state::<RegistrationState>(&ceremony, &row, &tenant)?;
            let answer = answer.checked()?;
            let mut credential = core.register_credential(&answer, &state, None)?;
            // The library believes no hint that no maker vouches for; to a browser it is a hint all the same.
            credential.transports = answer.response.transports;
            if !answer::has_own_curve(&credential.cred) {
                return Err(WebauthnError::Key);
            }
            // A person's, whatever it was registered as; applications decide for their own users.
            if passkey || (note.is_some() && is_kept_by_a_device(&credential)) {
                if !credential.user_verified {
                    return Err(WebauthnError::NotVerified);
                }
                // What the library holds every answer of it to.
                credential.registration_policy = UserVerificationPolicy::Required;
            }
            let counter = i64::from(credential.counter);
            let hash = sha256(&[&credential.cred_id]);
            let id = keys.credential(&hash);
            let key = ToldKey::new(note.as_ref(), number, &id, is_passkey(&credential));
            let shown = Shown::new(&credential.cred_id, &hash, key);
            let record = Record { note, ..Record::new(&party.id, credential) };
            let sealed = seal_credential(&owner, &id, &record, &tenant, &mut rng)?;
            Ok((id, counter, shown, sealed))
        };
        let (id, counter, shown, sealed) = self.keys.run(job).await??;
        let new = NewCredential {
            owner,
            data_key: sealed.data_key,
            id,
            kind: CredentialKind::Webauthn,
            created_at: self.keys.now(),
            counter,
            sealed: sealed.bytes,
        };
        let store = match told {
            Some(entry) => self.keys.telling_of(shown.told.tell(entry)),
            None => self.keys.telling(Kind::CredentialAdded, told_by, &owner),
        };
        let added = match login {
            Some(login) => store.add_own_key(api_key, name, new, login).await?,
            None => store.add_credential(api_key, name, new).await?,
        };
        match added {
            AddOutcome::Added => Ok(shown),
            // A ceremony is its login's, and ends with that.
            AddOutcome::Changed | AddOutcome::Used => Err(WebauthnError::Challenge),
            AddOutcome::Duplicate => Err(WebauthnError::Duplicate),
            AddOutcome::Full => Err(WebauthnError::Full),
        }
    }

    /// Gives out a challenge for any of the user's credentials that are bound to the relying party, and for their U2F key.
    pub async fn begin_login(
        &self,
        tenant: &Tenant,
        party: Party,
        uuid: Option<&str>,
    ) -> Result<RequestChallengeResponse, WebauthnError> {
        self.begin_login_with(tenant, party, uuid, None).await
    }

    /// The same with a challenge of the caller's, which must hold as much that nobody can guess.
    pub async fn begin_login_with(
        &self,
        tenant: &Tenant,
        party: Party,
        uuid: Option<&str>,
        challenge: Option<[u8; CHALLENGE_BYTES]>,
    ) -> Result<RequestChallengeResponse, WebauthnError> {
        let uuid = required(uuid)?.to_owned();
        let owner = self.keys.owner(&uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        if rows.is_empty() {
            let known = self.keys.knows(tenant, &owner, CeremonyAct::WebauthnRegister).await?;
            return Err(if known { WebauthnError::NoCredentials } else { WebauthnError::Unknown });
        }
        let (keys, tenant, mut rng) = (self.keys.clone(), tenant.clone(), self.keys.rng());
        let job = move || {
            let core = party.core(&tenant)?;
            let (mut credentials, mut app_id) = (Vec::with_capacity(rows.len()), None);
            for row in &rows {
                let Some(usable) = usable(&owner, row, &party.id, &tenant)? else { continue };
                credentials.push(usable.credential);
                app_id = app_id.or(usable.app_id);
            }
            if credentials.is_empty() {
                return Err(WebauthnError::NoCredentials);
            }
            let verification = verification_for(&credentials);
            let extensions = app_id.map(|app_id| RequestAuthenticationExtensions {
                appid: Some(app_id),
                uvm: None,
                hmac_get_secret: None,
            });
            let builder =
                core.new_challenge_authenticate_builder(credentials, Some(verification))?.extensions(extensions);
            let (mut options, mut state) = core.generate_challenge_authenticate(builder)?;
            // They are read again when the answer comes: one of them may be gone by then.
            state.set_allowed_credentials(Vec::new());
            let challenge = challenge.unwrap_or_else(|| random_challenge(&mut rng));
            options.public_key.challenge = challenge.to_vec();
            let ceremony = keys.ceremony(&uuid, CeremonyAct::WebauthnLogin, &challenge);
            let sealed = ceremony.seal(&Pending::new(&party.id, &state, &challenge), &tenant, &mut rng)?;
            Ok((options, ceremony, sealed))
        };
        let (options, ceremony, sealed) = self.keys.run(job).await??;
        self.keys.begin(&ceremony, sealed).await?;
        Ok(options)
    }

    /// Lets a credential's answer count, once.
    pub async fn finish_login(
        &self,
        tenant: &Tenant,
        party: Party,
        uuid: Option<&str>,
        answer: LoginAnswer,
    ) -> Result<Shown, WebauthnError> {
        let uuid = required(uuid)?;
        let challenge = answer::challenge(&answer.client_data)?;
        let ceremony = self.keys.ceremony(uuid, CeremonyAct::WebauthnLogin, &challenge);
        let (row, credentials) = self.begun(tenant, &ceremony).await?;
        if answer.user_handle.as_ref().is_some_and(|handle| !handle.is_empty() && handle != uuid.as_bytes()) {
            return Err(WebauthnError::OtherCredential);
        }
        let hash = sha256(&[&answer.raw_id]);
        let id = self.keys.credential(&hash);
        let number = notes::of_webauthn(&credentials).position(|row| row.name.id == id).unwrap_or_default();
        let credential = credentials.into_iter().find(|row| row.name.id == id).ok_or(WebauthnError::OtherCredential)?;
        if let Some(milliseconds) = self.keys.locked(&credential) {
            return Err(WebauthnError::Locked { milliseconds });
        }
        let (ceremony_name, credential_name) = (row.name, credential.name);
        let (tenant, mut rng) = (tenant.clone(), self.keys.rng());
        let job = move || {
            let core = party.core(&tenant)?;
            let state = party.state::<AuthenticationState>(&ceremony, &row, &tenant)?;
            let usable = usable(&ceremony.owner, &credential, &party.id, &tenant)?;
            let mut usable = usable.ok_or(WebauthnError::OtherCredential)?;
            let by_app_id = usable.app_id.is_some_and(|app_id| answer.is_for(&sha256(&[app_id.as_bytes()])));
            if usable.unbound {
                // Not every version of the other service kept this flag, which the first answer signs.
                usable.credential.backup_eligible = answer.is_backup_eligible();
            }
            let answer = answer.checked(by_app_id)?;
            let used = core.authenticate_single_credential(&answer, &state, &usable.credential)?;
            let key = ToldKey::new(usable.note.as_ref(), number, &id, is_passkey(&usable.credential));
            let shown = Shown::new(used.cred_id(), &hash, key);
            let mut bound = None;
            if usable.unbound {
                let record = Record::new(&party.id, usable.credential);
                let sealed = reseal_credential(&credential.name, &record, &tenant, &mut rng)?;
                bound = Some((credential.sealed, sealed.bytes));
            }
            Ok::<_, WebauthnError>((used.counter(), shown, bound))
        };
        let verified = self.keys.run(job).await?;
        if let Err(WebauthnError::Signature) = verified {
            self.keys.count_wrong(credential_name).await?;
        }
        let (counter, shown, bound) = verified?;
        if let Some((read, sealed)) = bound {
            // Whoever else did so first has written the same.
            self.keys.store().reseal_credential(credential_name, read, sealed).await?;
        }
        let now = self.keys.now();
        let used = self.keys.store().use_credential(ceremony_name, credential_name, counter.into(), now);
        match used.await? {
            UseOutcome::Accepted => Ok(shown),
            UseOutcome::Used => Err(WebauthnError::Challenge),
            UseOutcome::CounterBehind => Err(WebauthnError::Counter),
            UseOutcome::Gone => Err(WebauthnError::OtherCredential),
            UseOutcome::Locked(until) => Err(WebauthnError::Locked { milliseconds: self.keys.until(until) }),
        }
    }

    /// Removes the user with all credentials. Who is not there is gone.
    pub async fn remove_user(&self, tenant: &Tenant, uuid: Option<&str>) -> Result<(), WebauthnError> {
        let owner = self.keys.owner(required(uuid)?);
        let store = self.keys.telling(Kind::CredentialRemoved, tenant, &owner);
        store.remove_credentials(tenant.number(), &owner, Which::All).await?;
        Ok(())
    }

    /// Removes the credential of that hash, or the U2F key. A U2F key that is not there is gone, as a user is.
    pub async fn remove_credential(
        &self,
        tenant: &Tenant,
        uuid: Option<&str>,
        key_handle_hash: &str,
    ) -> Result<(), WebauthnError> {
        let owner = self.keys.owner(required(uuid)?);
        self.keys.adopt(tenant, &owner).await?;
        let u2f = key_handle_hash == U2F_CREDENTIAL;
        let which = if u2f {
            Which::U2f
        } else {
            let hash = from_base64url(key_handle_hash).and_then(|hash| hash.try_into().ok());
            Which::Id(self.keys.credential(&hash.ok_or(WebauthnError::Unknown)?))
        };
        let store = self.keys.telling(Kind::CredentialRemoved, tenant, &owner);
        let removed = store.remove_credentials(tenant.number(), &owner, which).await?;
        if u2f || removed.credentials > 0 { Ok(()) } else { Err(WebauthnError::Unknown) }
    }

    /// The ceremony, and the user's credentials.
    async fn begun(
        &self,
        tenant: &Tenant,
        ceremony: &Ceremony,
    ) -> Result<(CeremonyRow, Vec<CredentialRow>), WebauthnError> {
        let (row, credentials) = self.keys.begun(tenant, ceremony).await?;
        if let Some(row) = row {
            return Ok((row, credentials));
        }
        let known = self.keys.knows(tenant, &ceremony.owner, CeremonyAct::WebauthnRegister).await?;
        Err(if known { WebauthnError::Challenge } else { WebauthnError::Unknown })
    }

    fn new_uuid(&self) -> String {
        let mut random = [0; 16];
        self.keys.rng().fill_bytes(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid().to_string()
    }
}

impl Party {
    /// The library's side of a ceremony, if the origin may speak for the RP ID.
    fn core(&self, tenant: &Tenant) -> Result<WebauthnCore, WebauthnError> {
        self.id.admit(&self.origin, &AllowList::parse(tenant.origins()))?;
        let timeout = Duration::from_millis(CHALLENGE_MS.unsigned_abs());
        let origins = vec![self.origin.url().clone()];
        let exactly = Some(false);
        Ok(WebauthnCore::new_unsafe_experts_only(&self.name, self.id.as_str(), origins, timeout, exactly, exactly))
    }

    /// What the answer must fit, if the challenge was given out to this relying party.
    fn state<S: serde::de::DeserializeOwned>(
        &self,
        ceremony: &Ceremony,
        row: &CeremonyRow,
        tenant: &Tenant,
    ) -> Result<S, WebauthnError> {
        let pending: Pending<S> = ceremony.open(row, tenant)?;
        if pending.rp_id == self.id.as_str() { Ok(pending.state) } else { Err(WebauthnError::OtherParty) }
    }
}

impl Shown {
    fn new(credential_id: &[u8], hash: &[u8; 32], told: ToldKey) -> Self {
        Self { credential_id: base64url(credential_id), key_handle_hash: base64url(hash), told }
    }
}

/// Whether whoever answers is asked who they are: by a passkey always, and by a key only as far as it stands beside one.
fn verification_for(credentials: &[Credential]) -> UserVerificationPolicy {
    match credentials.iter().filter(|credential| is_passkey(credential)).count() {
        0 => VERIFICATION,
        passkeys if passkeys == credentials.len() => UserVerificationPolicy::Required,
        _ => UserVerificationPolicy::Preferred,
    }
}

/// Whether whoever holds an unlocked device may hold this: it says that it can be copied, or that a computer or a telephone keeps it.
fn is_kept_by_a_device(credential: &Credential) -> bool {
    let mut transports = credential.transports.iter().flatten();
    credential.backup_eligible
        || transports.any(|way| matches!(way, AuthenticatorTransport::Internal | AuthenticatorTransport::Hybrid))
}

/// Whether a credential is held to asking who its user is.
fn is_passkey(credential: &Credential) -> bool {
    credential.registration_policy == UserVerificationPolicy::Required
}

fn random_challenge(rng: &mut impl CryptoRng) -> [u8; CHALLENGE_BYTES] {
    let mut challenge = [0; CHALLENGE_BYTES];
    rng.fill_bytes(&mut challenge);
    challenge
}

fn required(uuid: Option<&str>) -> Result<&str, WebauthnError> {
    let uuid = uuid.ok_or(WebauthnError::UserRequired)?;
    check_uuid(uuid)?;
    Ok(uuid)
}

fn check_uuid(uuid: &str) -> Result<(), WebauthnError> {
    if uuid.is_empty() || uuid.len() > MAX_UUID { Err(WebauthnError::UserRequired) } else { Ok(()) }
}
