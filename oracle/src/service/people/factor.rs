//! Second factors of principals: a provider assigned, checked, taken away. A principal has one at most, and a team none.

use super::error::PeopleError;
use super::hashes::recovery_codes;
use super::name::PrincipalName;
use super::provider::{Provider, ProviderKind};
use super::record::Own;
use super::ticket::Caller;
use super::{People, entry, random_id};
use crate::service::audit::{Entry, Kind};
use crate::store::{Digest, NewFactor, PrincipalKind, PrincipalRow};
use quorate_protocol::otp::{OtpSecret, Parameters};
use rand::Rng as _;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a new TOTP key: what RFC 4226 §4 recommends, 160 bits.
const KEY_BYTES: usize = 20;
/// Time steps that a code may be early or late.
const WINDOW: u8 = 1;
/// Bytes of a user's id at another service at most.
const MAX_USER: usize = 64;

/// What an operator assigns.
pub struct Assignment {
    /// Name of the provider.
    pub provider: String,
    /// TOTP: the key, base32; without it one is generated.
    pub key: Option<Zeroizing<String>>,
    /// Duo: the user's id there.
    pub user: Option<String>,
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What became of it; secrets are shown this once.
pub struct Assigned {
    /// The provider.
    pub provider: Provider,
    /// TOTP, when the key was generated.
    pub key: Option<GeneratedKey>,
    /// Each lets its owner in once in place of the factor. None for somebody who has to enrol first, and then gets their own.
    pub recovery_codes: Vec<Zeroizing<String>>,
}

/// A TOTP key that nobody has seen before.
pub struct GeneratedKey {
    /// In base32, for typing in.
    pub base32: Zeroizing<String>,
    /// As an otpauth URI.
    pub uri: Zeroizing<String>,
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedKey(…)")
    }
}

impl fmt::Debug for Assigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assigned").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl People {
    /// Assigns a provider in place of the one before, and ends what the principal is logged in with.
    pub async fn assign(
        &self,
        name: &PrincipalName,
        assignment: Assignment,
        by: &Caller,
    ) -> Result<Assigned, PeopleError> {
        if name.kind() == PrincipalKind::Team {
            return Err(PeopleError::Team);
        }
        let row = self.row(name).await?;
        self.check_way_in(row.role, by)?;
        let (provider_row, provider) = self.provider_named(&assignment.provider).await?;
        let (id, mut rng) = (random_id(&mut self.rng()), self.rng());
        let (own, key) = match provider.kind {
            ProviderKind::Totp => self.new_key(name, &provider, assignment.key.as_deref().map(String::as_str))?,
            ProviderKind::Duo => {
                let user = assignment.user.unwrap_or_else(|| name.own().to_owned());
                if user.is_empty() || user.len() > MAX_USER || user.chars().any(char::is_control) {
                    return Err(PeopleError::Option("user is an id of 1 to 64 bytes at Duo"));
                }
                (Own::Duo(user), None)
            }
            ProviderKind::Webauthn => (Own::Webauthn, None),
        };
        let verifier = self.inner.sealer.open_verifier(&row)?;
        // With Duo, an enrolment makes none.
        let come_later = verifier.is_none() && provider.kind != ProviderKind::Duo;
        let codes = if come_later { Vec::new() } else { recovery_codes(&mut rng) };
        let recovery = codes.iter().filter_map(|code| self.inner.hashes.recovery(&id, code)).collect();
        let verifier =
            verifier.map(|verifier| self.inner.sealer.seal_verifier(&row.id, Some(&id), &verifier, &mut rng));
        let told = entry(Kind::FactorAssigned, by, name).with("provider", provider.name.as_str());
        let new = NewFactor {
            id,
            principal: row.id,
            version: row.version,
            verifier,
            provider: provider_row.id,
            assigned_at: self.now(),
            sealed: self.inner.sealer.seal_own(&id, &row.id, &provider_row.id, &own, &mut rng),
            recovery,
            told: Some(self.inner.audit.seal(told.clone())),
        };
        if !self.inner.store.assign_factor(new).await? {
            return Err(PeopleError::Changed);
        }
        self.forget_security_keys(&row, &told).await;
        Ok(Assigned { provider: provider.redacted(), key, recovery_codes: codes })
    }

    /// Takes the provider of a principal away, and ends what the principal is logged in with.
    pub async fn unassign(&self, name: &PrincipalName, by: &Caller) -> Result<(), PeopleError> {
        self.check_way_in(self.row(name).await?.role, by)?;
        self.take_factor(name, true, entry(Kind::FactorRemoved, by, name)).await
    }

    /// Takes the provider away, and the password as well unless that is kept.
    pub(super) async fn take_factor(
        &self,
        name: &PrincipalName,
        keeps_password: bool,
        told: Entry,
    ) -> Result<(), PeopleError> {
        let row = self.row(name).await?;
        if row.factor.is_none() {
            return Err(PeopleError::NotAssigned);
        }
        let verifier = self.inner.sealer.open_verifier(&row)?.filter(|_| keeps_password);
        let sealed =
            verifier.map(|verifier| self.inner.sealer.seal_verifier(&row.id, None, &verifier, &mut self.rng()));
        let event = self.inner.audit.seal(told.clone());
        if !self.inner.store.remove_factor(&row.id, row.version, sealed, Some(event)).await? {
            return Err(PeopleError::Changed);
        }
        self.forget_security_keys(&row, &told).await;
        Ok(())
    }

    /// The step of a right code that may still count.
    pub(super) async fn check_totp(
        &self,
        uri: Zeroizing<String>,
        passcode: Zeroizing<String>,
        last_step: i64,
    ) -> Result<Option<i64>, PeopleError> {
        let seconds = u64::try_from(self.now().div_euclid(1000)).unwrap_or(0);
        let job = move || {
            let secret = OtpSecret::from_uri(&uri).map_err(|_| PeopleError::Damaged)?;
            Ok::<_, PeopleError>(secret.verify(passcode.trim(), seconds, WINDOW))
        };
        let step = self.inner.crypto.run(job).await??;
        Ok(step.and_then(|step| i64::try_from(step).ok()).filter(|step| *step > last_step))
    }

    /// The provider of a principal and what is its own in it.
    pub(super) async fn factor_of(&self, row: &PrincipalRow) -> Result<Option<(Digest, Provider, Own)>, PeopleError> {
        let Some(factor) = &row.factor else { return Ok(None) };
        let providers = self.inner.store.providers().await?;
        let provider = providers.iter().find(|provider| provider.id == factor.provider).ok_or(PeopleError::Changed)?;
        let own = self.inner.sealer.open_own(&row.id, factor)?;
        Ok(Some((factor.id, self.open_provider(provider)?, own)))
    }

    fn new_key(
        &self,
        name: &PrincipalName,
        provider: &Provider,
        given: Option<&str>,
    ) -> Result<(Own, Option<GeneratedKey>), PeopleError> {
        let issuer = provider.options.issuer.as_deref().unwrap_or(&self.inner.name);
        let generate = || {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            self.rng().fill_bytes(key.as_mut_slice());
            OtpSecret::new(key.as_slice(), Parameters::default())
        };
        let secret = given.map_or_else(generate, OtpSecret::from_base32);
        let secret = secret.and_then(|secret| secret.with_names(Some(issuer), name.own())).map_err(PeopleError::Key)?;
        let uri = secret.to_uri();
        let shown = given.is_none().then(|| GeneratedKey { base32: secret.to_base32(), uri: uri.clone() });
        Ok((Own::Totp(uri), shown))
    }
}
