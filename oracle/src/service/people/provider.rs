//! Providers of second factors as operators configure them: a type, a fixed name, options. Secrets among the options go in
//! and never come out.

use super::error::PeopleError;
use super::name::ProviderName;
use super::record::{ProviderRecord, Sealer};
use super::ticket::Caller;
use super::{People, random_id};
use crate::service::audit::Kind;
use crate::service::relying_party::{Origin, RpId};
use crate::store::{NewProvider, ProviderOutcome, ProviderRow, RemoveProviderOutcome};
use quorate_protocol::otp::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of an option at most.
const MAX_OPTION: usize = 1024;
/// What stands for a secret wherever options are shown, and keeps the secret where they come back.
pub const REDACTED: &str = "(redacted)";

/// How a provider proves somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Duo decides.
    Duo,
    /// A code of an authenticator app.
    Totp,
    /// A security key or a passkey.
    Webauthn,
}

impl ProviderKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Duo => "duo",
            Self::Totp => "totp",
            Self::Webauthn => "webauthn",
        }
    }

    /// Reads the word, in either case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Duo, Self::Totp, Self::Webauthn].into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }
}

/// The options of all types; each uses its own, and the others are empty.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Duo: the API host name.
    pub host: Option<String>,
    /// Duo: the integration key.
    pub integration_key: Option<String>,
    /// Duo: the secret key.
    pub secret_key: Option<Zeroizing<String>>,
    /// TOTP: what authenticator apps show above the account; unset: the oracle's name.
    pub issuer: Option<String>,
    /// `WebAuthn`: the domain that keys are bound to; unset: that of the oracle's address.
    pub rp_id: Option<String>,
    /// `WebAuthn`: the origin of the pages that use them; unset: that of the oracle's address.
    pub origin: Option<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Its type.
    pub kind: ProviderKind,
    /// Its options.
    pub options: Options,
}

impl Provider {
    /// The same as it may be shown.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if self.options.secret_key.is_some() {
            self.options.secret_key = Some(Zeroizing::new(REDACTED.to_owned()));
        }
        self
    }

    /// Checks what the type needs, keeps the options of that type alone, and takes from `before` the secret that is not said
    /// again.
    fn checked(mut self, before: Option<Self>) -> Result<Self, PeopleError> {
        let given = std::mem::take(&mut self.options);
        let text = |option: Option<String>| option.filter(|text| !text.is_empty());
        for option in [&given.host, &given.integration_key, &given.issuer, &given.rp_id, &given.origin] {
            if option.as_ref().is_some_and(|text| text.len() > MAX_OPTION || text.chars().any(char::is_control)) {
                return Err(PeopleError::Option("an option is longer than 1,024 bytes, or holds control characters"));
            }
        }
        match self.kind {
            ProviderKind::Duo => {
                let new = given.secret_key.filter(|key| !key.is_empty() && key.as_str() != REDACTED);
                let secret_key = new.or_else(|| before.and_then(|before| before.options.secret_key));
                let (host, integration_key) = (text(given.host), text(given.integration_key));
                let long = secret_key.as_ref().is_some_and(|key| key.len() > MAX_OPTION);
                if host.is_none() || integration_key.is_none() || secret_key.is_none() || long {
                    return Err(PeopleError::Option("duo needs the options Host, IntegrationKey and SecretKey"));
                }
                self.options = Options { host, integration_key, secret_key, ..Options::default() };
            }
            ProviderKind::Totp => {
                let issuer = text(given.issuer);
                if issuer.as_ref().is_some_and(|issuer| issuer.len() > MAX_NAME_BYTES) {
                    return Err(PeopleError::Option("the option Issuer has 255 bytes at most"));
                }
                self.options.issuer = issuer;
            }
            ProviderKind::Webauthn => {
                (self.options.rp_id, self.options.origin) = (text(given.rp_id), text(given.origin));
            }
        }
        Ok(self)
    }
}

impl People {
    /// Every provider, oldest first, without secrets.
    pub async fn providers(&self) -> Result<Vec<Provider>, PeopleError> {
        let rows = self.inner.store.providers().await?;
        rows.iter().map(|row| Ok(self.open_provider(row)?.redacted())).collect()
    }

    /// Makes a provider.
    pub async fn make_provider(&self, provider: Provider, by: &Caller) -> Result<Provider, PeopleError> {
        let provider = provider.checked(None)?;
        self.check_party(&provider)?;
        let id = random_id(&mut self.rng());
        let sealed = self.inner.sealer.seal_provider(&id, &ProviderRecord::of(&provider), &mut self.rng());
        let new = NewProvider {
            id,
            name: self.inner.hashes.provider(&provider.name),
            created_at: self.now(),
            sealed,
            told: Some(self.told(Kind::ProviderCreated, by, about(&provider), &[("type", provider.kind.word())])),
        };
        match self.inner.store.insert_provider(new).await? {
            ProviderOutcome::Made => Ok(provider.redacted()),
            ProviderOutcome::Full => Err(PeopleError::TooMany),
            ProviderOutcome::Taken => Err(PeopleError::Taken),
        }
    }

    /// Changes the options of the provider of that name; a secret that is not said again stays.
    pub async fn update_provider(&self, name: &str, provider: Provider, by: &Caller) -> Result<Provider, PeopleError> {
        let (row, before) = self.provider_named(name).await?;
        if before.name != provider.name || before.kind != provider.kind {
            return Err(PeopleError::NameFixed);
        }
        let provider = provider.checked(Some(before))?;
        self.check_party(&provider)?;
        let sealed = self.inner.sealer.seal_provider(&row.id, &ProviderRecord::of(&provider), &mut self.rng());
        let told = Some(self.told(Kind::ProviderUpdated, by, about(&provider), &[("type", provider.kind.word())]));
        let updated = self.inner.store.update_provider(&row.id, row.version, sealed, told).await?;
        if updated { Ok(provider.redacted()) } else { Err(PeopleError::Changed) }
    }

    /// Removes the provider of that name, which nobody may have.
    pub async fn remove_provider(&self, name: &str, by: &Caller) -> Result<(), PeopleError> {
        let (row, provider) = self.provider_named(name).await?;
        let told = Some(self.told(Kind::ProviderRemoved, by, about(&provider), &[("type", provider.kind.word())]));
        match self.inner.store.remove_provider(&row.id, told).await? {
            RemoveProviderOutcome::Removed => Ok(()),
            RemoveProviderOutcome::Assigned => Err(PeopleError::Assigned),
            RemoveProviderOutcome::Unknown => Err(PeopleError::UnknownProvider),
        }
    }

    pub(super) async fn provider_named(&self, name: &str) -> Result<(ProviderRow, Provider), PeopleError> {
        // What is no name names nothing.
        let name = ProviderName::parse(name).map_err(|_| PeopleError::UnknownProvider)?;
        let row = self.inner.store.provider(&self.inner.hashes.provider(&name)).await?;
        let row = row.ok_or(PeopleError::UnknownProvider)?;
        let provider = self.open_provider(&row)?;
        Ok((row, provider))
    }

    pub(super) fn open_provider(&self, row: &ProviderRow) -> Result<Provider, PeopleError> {
        let provider = Sealer::open_provider(&self.inner.sealer, &row.id, &row.sealed)?.into_provider()?;
        // A name that was given to another row.
        let own = self.inner.hashes.provider(&provider.name) == row.name;
        if own { Ok(provider) } else { Err(PeopleError::Damaged) }
    }

    /// The relying party of a provider of type `webauthn`: what keys are bound to, and the pages that may use them.
    pub(super) fn party_of(&self, options: &Options) -> Result<(RpId, Origin), PeopleError> {
        let own = || Origin::parse(self.inner.url.split('/').take(3).collect::<Vec<_>>().join("/").as_str());
        let origin = match &options.origin {
            Some(origin) => Origin::parse(origin)?,
            None => own()?,
        };
        let rp_id = match &options.rp_id {
            Some(rp_id) => RpId::parse(rp_id)?,
            None => RpId::parse(origin.url().domain().unwrap_or_default())?,
        };
        rp_id.admit(&origin, &crate::service::relying_party::AllowList::default())?;
        Ok((rp_id, origin))
    }

    fn check_party(&self, provider: &Provider) -> Result<(), PeopleError> {
        match provider.kind {
            ProviderKind::Webauthn => self.party_of(&provider.options).map(drop),
            ProviderKind::Duo | ProviderKind::Totp => Ok(()),
        }
    }
}

/// How the audit log names a provider.
fn about(provider: &Provider) -> String {
    format!("provider {}", provider.name.as_str())
}
