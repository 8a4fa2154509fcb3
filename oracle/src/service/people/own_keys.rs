//! Security keys of whoever is logged in: shown, one more registered, one of several removed. Every step of both takes a login of
//! just now, which must still be one where the step is written: a ticket that was stolen a while ago must not become a key. Against
//! a thief who is there at the login nothing here helps.

use super::People;
use super::error::PeopleError;
use super::hashes::Token;
use super::record::Own;
use super::ticket::Caller;
use crate::service::audit::Kind;
use crate::service::webauthn::{Names, Note, Noted, NotedKey, Party, RegistrationAnswer};
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
        if name.len() > MAX_NAME {
            return Err(PeopleError::Option("a key is called something of 64 bytes at most"));
        }
        let (uuid, party) = self.with_own_keys(caller).await?;
        self.check_fresh(caller)?;
        let told = Some(self.told(Kind::PrincipalKeyAdded, caller, &caller.name, &[("key", name)]));
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
        let removal = KeyRemoval {
            api_key: own.number(),
            owner: webauthn.owner(&uuid),
            key: going.id,
            kept,
            login: caller.login(),
            ticket,
            at: self.now(),
            told: Some(self.told(Kind::PrincipalKeyRemoved, caller, &caller.name, &[("key", &*going.note.name)])),
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
