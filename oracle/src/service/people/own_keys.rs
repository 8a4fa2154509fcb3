//! Security keys of whoever is logged in: shown, one more registered, one of several removed. Every step of both takes a login of
//! just now, which must still be one where the step is written: a ticket that was stolen a while ago must not become a key. Against
//! a thief who is there at the login nothing here helps.

use super::error::PeopleError;
use super::hashes::Token;
use super::name::PrincipalName;
use super::record::Own;
use super::ticket::Caller;
use super::{People, entry};
use crate::service::audit::Kind;
use crate::service::webauthn::{Names, Note, Noted, NotedKey, Party, RegistrationAnswer, WebauthnError};
use crate::store::{KeyRemoval, KeyRemovalOutcome};
use webauthn_rs_core::proto::CreationChallengeResponse;

/// Bytes of what a key is called at most.
const MAX_NAME: usize = 64;

impl People {
    /// The caller's keys; `None` when no provider of security keys is assigned.
    pub async fn own_keys(&self, caller: &Caller) -> Result<Option<Vec<NotedKey>>, PeopleError> {
        match self.with_own_keys(caller).await {
            Ok((uuid, party)) => {
                let own = self.own().await?;
                Ok(Some(self.inner.webauthn.noted_keys(own, &uuid, &party.id).await?))
            }
            Err(PeopleError::NoSecurityKey) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The keys of a principal, for whoever may read principals; `None` when no provider of security keys is assigned, or when what is
    /// kept of it cannot be read: then the rest of the principal can be read all the same.
    pub async fn keys_of(&self, name: &PrincipalName) -> Result<Option<Vec<NotedKey>>, PeopleError> {
        let row = self.row(name).await?;
        let (factor, provider) = match self.factor_of(&row).await {
            Ok(Some((factor, provider, Own::Webauthn))) => (factor, provider),
            Ok(_) | Err(PeopleError::Changed | PeopleError::Damaged) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(party) = self.party(&provider.options) else { return Ok(None) };
        let own = self.own().await?;
        match self.inner.webauthn.noted_keys(own, &Self::uuid(&factor), &party.id).await {
            Err(WebauthnError::Damaged) => Ok(None),
            keys => Ok(Some(keys?)),
        }
    }

    /// What a browser asks one more key of the caller, who has logged in just now. It is answered with the same login.
    pub async fn begin_own_key(&self, caller: &Caller) -> Result<CreationChallengeResponse, PeopleError> {
        let (uuid, party) = self.with_own_keys(caller).await?;
        self.check_fresh(caller)?;
        let name = caller.name.own().to_owned();
        let names = Names { name: name.clone(), display_name: name };
        let (own, ticket) = (self.own().await?, caller.login().ticket);
        Ok(self.inner.webauthn.begin_registration(own, party, Some(uuid), names, Some(ticket)).await?.1)
    }

    /// Registers the key that answers, or the passkey, of a caller who has logged in just now.
    pub async fn add_own_key(
        &self,
        caller: &Caller,
        name: &str,
        answer: RegistrationAnswer,
        passkey: bool,
    ) -> Result<(), PeopleError> {
        check_name(name)?;
        let (uuid, party) = self.with_own_keys(caller).await?;
        self.check_fresh(caller)?;
        let told = Some(entry(Kind::PrincipalKeyAdded, caller, &caller.name));
        let (note, login) = (Some(Note::added(name.to_owned(), self.now())), caller.login());
        let noted = Noted { note, told, begun_with: Some(login.ticket), login: Some(login), passkey };
        let (webauthn, own) = (&self.inner.webauthn, self.own().await?);
        webauthn.finish_registration(own, party, Some(&uuid), answer, noted).await?;
        Ok(())
    }

    /// Removes a key of the caller, who has logged in just now and has another key that lets in. Whatever rests on the keys as they
    /// were ends, approvals and every login; the caller goes on with the ticket that this gives.
    pub async fn remove_own_key(&self, caller: &Caller, key: &str) -> Result<Token, PeopleError> {
        let (uuid, party) = self.with_own_keys(caller).await?;
        self.check_fresh(caller)?;
        let (webauthn, own) = (&self.inner.webauthn, self.own().await?);
        let keys = webauthn.noted_keys(own, &uuid, &party.id).await?;
        let going = keys.iter().find(|known| known.key_handle_hash == key).ok_or(PeopleError::KeyUnknown)?;
        let kept = keys.iter().filter(|other| other.usable && other.id != going.id).map(|other| other.id).collect();
        let (token, ticket) = self.successor(caller);
        let told = going.told.tell(entry(Kind::PrincipalKeyRemoved, caller, &caller.name));
        let removal = KeyRemoval {
            api_key: own.number(),
            owner: webauthn.owner(&uuid),
            key: going.id,
            kept,
            login: caller.login(),
            ticket,
            at: self.now(),
            told: Some(self.inner.audit.seal(told)),
        };
        match self.inner.store.remove_own_key(removal).await? {
            KeyRemovalOutcome::Changed => Err(PeopleError::Ticket),
            KeyRemovalOutcome::Gone => Err(PeopleError::KeyUnknown),
            KeyRemovalOutcome::Last => Err(PeopleError::LastKey),
            KeyRemovalOutcome::Removed => Ok(token),
        }
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

    /// How the caller's keys are kept, and for whom they are. A name that is somebody else's by now, or a login that is over, has none.
    async fn with_own_keys(&self, caller: &Caller) -> Result<(String, Party), PeopleError> {
        let row = self.row(&caller.name).await?;
        if row.id != caller.id() || row.version != caller.login().version || row.disabled_at.is_some() {
            return Err(PeopleError::Ticket);
        }
        match self.factor_of(&row).await? {
            Some((factor, provider, Own::Webauthn)) => Ok((Self::uuid(&factor), self.party(&provider.options)?)),
            _ => Err(PeopleError::NoSecurityKey),
        }
    }
}

/// Refuses what no key can be called.
pub(super) fn check_name(name: &str) -> Result<(), PeopleError> {
    let fits = name.len() <= MAX_NAME;
    fits.then_some(()).ok_or(PeopleError::Option("a key is called something of 64 bytes at most"))
}
