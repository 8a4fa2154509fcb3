//! Security keys of whoever is logged in: shown, one more registered, one of several removed.

use super::People;
use super::error::PeopleError;
use super::record::Own;
use super::ticket::Caller;
use crate::service::audit::Kind;
use crate::service::webauthn::{Names, NotedKey, Party, RegistrationAnswer, WebauthnError};
use webauthn_rs_core::proto::CreationChallengeResponse;

/// Bytes of what a key is called at most.
const MAX_NAME: usize = 64;

impl People {
    /// The caller's keys; `None` when no provider of security keys is assigned.
    pub async fn own_keys(&self, caller: &Caller) -> Result<Option<Vec<NotedKey>>, PeopleError> {
        match self.with_own_keys(caller).await {
            Ok((uuid, _)) => Ok(Some(self.inner.webauthn.noted_keys(self.own().await?, &uuid).await?)),
            Err(PeopleError::NoSecurityKey) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a browser asks one more key of the caller.
    pub async fn begin_own_key(&self, caller: &Caller) -> Result<CreationChallengeResponse, PeopleError> {
        let (uuid, party) = self.with_own_keys(caller).await?;
        let name = caller.name.own().to_owned();
        let names = Names { name: name.clone(), display_name: name };
        let begun = self.inner.webauthn.begin_registration(self.own().await?, party, Some(uuid), names).await?;
        Ok(begun.1)
    }

    /// Registers the key that answers.
    pub async fn add_own_key(
        &self,
        caller: &Caller,
        name: &str,
        answer: RegistrationAnswer,
    ) -> Result<(), PeopleError> {
        if name.len() > MAX_NAME {
            return Err(PeopleError::Option("a key is called something of 64 bytes at most"));
        }
        let (uuid, party) = self.with_own_keys(caller).await?;
        let (webauthn, own) = (&self.inner.webauthn, self.own().await?);
        let key = webauthn.finish_registration(own, party, Some(&uuid), answer).await?.key_handle_hash;
        webauthn.note_added(own, &uuid, &key, name.to_owned()).await?;
        self.told_of_key(Kind::PrincipalKeyAdded, caller, name).await
    }

    /// Removes a key of the caller, who has another one.
    pub async fn remove_own_key(&self, caller: &Caller, key: &str) -> Result<(), PeopleError> {
        let (uuid, _) = self.with_own_keys(caller).await?;
        let (webauthn, own) = (&self.inner.webauthn, self.own().await?);
        let keys = webauthn.noted_keys(own, &uuid).await?;
        let known = keys.into_iter().find(|known| known.key_handle_hash == key).ok_or(PeopleError::KeyUnknown)?;
        match webauthn.remove_spare(own, &uuid, key).await {
            Ok(true) => {}
            Ok(false) => return Err(PeopleError::LastKey),
            Err(WebauthnError::Unknown) => return Err(PeopleError::KeyUnknown),
            Err(error) => return Err(error.into()),
        }
        self.told_of_key(Kind::PrincipalKeyRemoved, caller, &known.note.name).await
    }

    /// Keeps with a key that it counted. Whoever it let in is in, whether that can be kept now or not.
    pub(super) async fn note_used(&self, uuid: &str, key: &str) {
        let noted = match self.own().await {
            Ok(own) => self.inner.webauthn.note_used(own, uuid, key).await.map_err(PeopleError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "when a security key was used is not kept");
        }
    }

    async fn told_of_key(&self, kind: Kind, caller: &Caller, key: &str) -> Result<(), PeopleError> {
        let told = self.told(kind, caller, &caller.name, &[("key", key)]);
        Ok(self.inner.store.append_audit(vec![told]).await?)
    }

    /// How the caller's keys are kept, and for whom they are.
    async fn with_own_keys(&self, caller: &Caller) -> Result<(String, Party), PeopleError> {
        let row = self.row(&caller.name).await?;
        match self.factor_of(&row).await? {
            Some((factor, provider, Own::Webauthn)) => Ok((Self::uuid(&factor), self.party(&provider.options)?)),
            _ => Err(PeopleError::NoSecurityKey),
        }
    }
}
