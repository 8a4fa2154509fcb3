//! U2F for applications' users: keys registered, asked to sign, removed.
//!
//! A U2F key is named by a UUID of its own, and that is the UUID of its owner when they use `WebAuthn` later.

pub mod error;
pub mod message;
mod record;
pub mod verify;

pub use self::error::{AnswerError, U2fError};
pub(super) use self::record::U2fKey;

use self::message::ClientData;
use self::record::Pending;
use self::verify::Expected;
use crate::service::api_keys::Tenant;
use crate::service::audit::Kind;
use crate::service::relying_party::{AllowList, AppId};
use crate::service::security_keys::{CHALLENGE_BYTES, Ceremony, SecurityKeys, open_credential, seal_credential};
use crate::store::{AddOutcome, CeremonyAct, CredentialKind, CredentialRow, NewCredential, UseOutcome, Which};
use quorate_protocol::encoding::{base64url, sha256};
use rand::Rng as _;

/// The version of U2F that every message here is of.
pub const VERSION: &str = "U2F_V2";

/// The service. Clones share it.
#[derive(Debug, Clone)]
pub struct U2f {
    keys: SecurityKeys,
}

/// What a token is asked to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Names the key.
    pub uuid: String,
    /// What the key is bound to.
    pub app_id: String,
    /// 32 random bytes, base64url.
    pub challenge: String,
    /// Which key is asked, base64url; none for a new one.
    pub key_handle: Option<String>,
}

/// A token's answer to a registration.
#[derive(Debug, Clone)]
pub struct RegistrationAnswer {
    /// The raw message.
    pub registration_data: Vec<u8>,
    /// The client data, as their hash was signed.
    pub client_data: Vec<u8>,
}

/// A token's answer to an authentication.
#[derive(Debug, Clone)]
pub struct SignatureAnswer {
    /// The raw message.
    pub signature_data: Vec<u8>,
    /// The client data, as their hash was signed.
    pub client_data: Vec<u8>,
    /// Which key signed, when the client says so.
    pub key_handle: Option<Vec<u8>>,
}

impl U2f {
    /// Puts the service together.
    pub fn new(keys: SecurityKeys) -> Self {
        Self { keys }
    }

    /// Gives out a challenge for a new key.
    pub async fn begin_registration(&self, tenant: &Tenant, app_id: &str) -> Result<Challenge, U2fError> {
        let app_id = AppId::parse(app_id)?;
        let mut random = [0; 16];
        self.keys.rng().fill_bytes(&mut random);
        let uuid = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
        self.challenge(tenant, uuid, CeremonyAct::U2fRegister, app_id.as_str().to_owned(), None).await
    }

    /// Registers the key that answers.
    pub async fn finish_registration(
        &self,
        tenant: &Tenant,
        uuid: &str,
        answer: RegistrationAnswer,
    ) -> Result<(), U2fError> {
        let ceremony = self.ceremony(uuid, CeremonyAct::U2fRegister, &answer.client_data)?;
        let (row, _) = self.keys.begun(tenant, &ceremony).await?;
        let Some(row) = row else { return Err(self.why_none(tenant, &ceremony).await) };
        let (name, keys, owner, api_key) = (row.name, self.keys.clone(), ceremony.owner, tenant.number());
        let (told_by, tenant, mut rng) = (tenant, tenant.clone(), self.keys.rng());
        let job = move || {
            let pending: Pending = ceremony.open(&row, &tenant)?;
            let app_id = AppId::parse(&pending.app_id)?;
            let allowed = AllowList::parse(tenant.origins());
            let expected = Expected { app_id: &app_id, challenge: &pending.challenge.0, allowed: &allowed };
            let registered = verify::registration(&answer.registration_data, &answer.client_data, expected)?;
            let id = keys.credential(&sha256(&[&registered.key_handle]));
            let key = U2fKey::new(pending.app_id, registered);
            Ok::<_, U2fError>((id, seal_credential(&owner, &id, &key, &tenant, &mut rng)?))
        };
        let (id, sealed) = self.keys.run(job).await??;
        let new = NewCredential {
            owner,
            data_key: sealed.data_key,
            id,
            kind: CredentialKind::U2f,
            created_at: self.keys.now(),
            counter: -1,
            sealed: sealed.bytes,
        };
        match self.keys.telling(Kind::CredentialAdded, told_by, &owner).add_credential(api_key, name, new).await? {
            AddOutcome::Added => Ok(()),
            AddOutcome::Changed | AddOutcome::Used => Err(AnswerError::Challenge.into()),
            AddOutcome::Duplicate | AddOutcome::Full => Err(U2fError::AlreadyRegistered),
        }
    }

    /// Gives out a challenge for the registered key.
    pub async fn begin_authentication(&self, tenant: &Tenant, uuid: &str) -> Result<Challenge, U2fError> {
        let owner = self.keys.owner(uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        let Some(row) = rows.into_iter().find(is_u2f) else {
            let known = self.keys.knows(tenant, &owner, CeremonyAct::U2fRegister).await?;
            return Err(if known { U2fError::NotRegistered } else { U2fError::Unknown });
        };
        let key = {
            let tenant = tenant.clone();
            self.keys.run(move || open_credential::<U2fKey>(&owner, &row, &tenant)).await??
        };
        let key_handle = base64url(&key.key_handle.0);
        self.challenge(tenant, uuid.to_owned(), CeremonyAct::U2fSign, key.app_id, Some(key_handle)).await
    }

    /// Lets the registered key's answer count, once.
    pub async fn finish_authentication(
        &self,
        tenant: &Tenant,
        uuid: &str,
        answer: SignatureAnswer,
    ) -> Result<(), U2fError> {
        let ceremony = self.ceremony(uuid, CeremonyAct::U2fSign, &answer.client_data)?;
        let (row, credentials) = self.keys.begun(tenant, &ceremony).await?;
        let (Some(row), Some(credential)) = (row, credentials.into_iter().find(is_u2f)) else {
            return Err(self.why_none(tenant, &ceremony).await);
        };
        if let Some(milliseconds) = self.keys.locked(&credential) {
            return Err(U2fError::Locked { milliseconds });
        }
        let (ceremony_name, credential_name) = (row.name, credential.name);
        let tenant = tenant.clone();
        let job = move || {
            let pending: Pending = ceremony.open(&row, &tenant)?;
            let key: U2fKey = open_credential(&ceremony.owner, &credential, &tenant)?;
            if answer.key_handle.is_some_and(|key_handle| key_handle != key.key_handle.0) {
                return Err(U2fError::OtherKey);
            }
            let app_id = AppId::parse(&key.app_id)?;
            let allowed = AllowList::parse(tenant.origins());
            let expected = Expected { app_id: &app_id, challenge: &pending.challenge.0, allowed: &allowed };
            let (message, client_data) = (&answer.signature_data, &answer.client_data);
            Ok(verify::authentication(message, client_data, &key.point().ok_or(U2fError::Damaged)?, expected)?)
        };
        let verified = self.keys.run(job).await?;
        if let Err(U2fError::Answer(AnswerError::Signature)) = verified {
            self.keys.count_wrong(credential_name).await?;
        }
        let counter = verified?;
        let now = self.keys.now();
        let used = self.keys.store().use_credential(ceremony_name, credential_name, counter.into(), now);
        match used.await? {
            UseOutcome::Accepted => Ok(()),
            UseOutcome::Used => Err(AnswerError::Challenge.into()),
            UseOutcome::CounterBehind => Err(U2fError::Counter),
            UseOutcome::Gone => Err(U2fError::Unknown),
            UseOutcome::Locked(until) => Err(U2fError::Locked { milliseconds: self.keys.until(until) }),
        }
    }

    /// Removes the key, or its unfinished registration.
    pub async fn remove(&self, tenant: &Tenant, uuid: &str) -> Result<(), U2fError> {
        let owner = self.keys.owner(uuid);
        self.keys.adopt(tenant, &owner).await?;
        let store = self.keys.telling(Kind::CredentialRemoved, tenant, &owner);
        let removed = store.remove_credentials(tenant.number(), &owner, Which::U2f).await?;
        if removed.credentials > 0 || removed.ceremonies > 0 { Ok(()) } else { Err(U2fError::Unknown) }
    }

    async fn challenge(
        &self,
        tenant: &Tenant,
        uuid: String,
        act: CeremonyAct,
        app_id: String,
        key_handle: Option<String>,
    ) -> Result<Challenge, U2fError> {
        let mut challenge = [0; CHALLENGE_BYTES];
        self.keys.rng().fill_bytes(&mut challenge);
        let ceremony = self.keys.ceremony(&uuid, act, &challenge);
        let pending = Pending { app_id: app_id.clone(), challenge: challenge.to_vec().into() };
        let (tenant, mut rng) = (tenant.clone(), self.keys.rng());
        let sealed = self.keys.run(move || ceremony.seal(&pending, &tenant, &mut rng)).await??;
        self.keys.begin(&ceremony, sealed).await?;
        Ok(Challenge { uuid, app_id, challenge: base64url(&challenge), key_handle })
    }

    /// The ceremony that the client data say they answer.
    fn ceremony(&self, uuid: &str, act: CeremonyAct, client_data: &[u8]) -> Result<Ceremony, AnswerError> {
        Ok(self.keys.ceremony(uuid, act, &ClientData::parse(client_data)?.challenge))
    }

    /// What to say when there is no ceremony of that challenge.
    async fn why_none(&self, tenant: &Tenant, ceremony: &Ceremony) -> U2fError {
        match self.keys.knows(tenant, &ceremony.owner, CeremonyAct::U2fRegister).await {
            Ok(true) => AnswerError::Challenge.into(),
            Ok(false) => U2fError::Unknown,
            Err(error) => error.into(),
        }
    }
}

fn is_u2f(row: &CredentialRow) -> bool {
    row.kind == CredentialKind::U2f
}
