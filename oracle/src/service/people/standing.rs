//! Which principal acts for which player, for sessions of an oracle that asks for a login; and the security key that it may
//! ask for at the moment of an approval.

use super::error::PeopleError;
use super::login::Challenge;
use super::name::PrincipalName;
use super::provider::{Options, ProviderKind};
use super::record::{Approving, Own};
use super::ticket::Caller;
use super::{People, random_id};
use crate::service::security_keys::CHALLENGE_MS;
use crate::service::webauthn::{LoginAnswer, WebauthnError};
use crate::store::{Acting, Approver, Digest, GroupMemberRow, PrincipalRow, Standing};
use quorate_protocol::encoding::{length_prefixed, sha256};
use quorate_protocol::header::GroupName;
use std::collections::HashMap;

/// A principal as the player that it stands for.
#[derive(Debug, Clone)]
pub struct Player {
    /// Who.
    pub name: PrincipalName,
    /// Whom it stands for, for the store to look at again.
    pub acting: Acting,
}

/// What is approved: a Toc of one player for one session, and no other.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a> {
    /// The session's id.
    pub session: &'a str,
    /// Digest of the invite that the player agrees to.
    pub invite: &'a Digest,
    /// Digest of the encrypted Toc.
    pub toc: &'a Digest,
}

impl People {
    /// The player of a group that a caller stands for; `None` for none.
    pub async fn player(&self, caller: &Caller, group: GroupName) -> Result<Option<Player>, PeopleError> {
        let GroupName(digest) = group;
        match self.inner.store.standing(&digest, &caller.id()).await? {
            Standing::Holder { x, bound } if self.inner.hashes.holder(&digest, x, &caller.id()) == bound => {
                let acting = Acting { group: digest, x, bound, login: caller.login() };
                Ok(Some(Player { name: caller.name.clone(), acting }))
            }
            // A row that the oracle did not write counts for nothing.
            Standing::Holder { .. } | Standing::Stranger => Ok(None),
            Standing::UnknownGroup => Err(PeopleError::GroupUnknown),
        }
    }

    /// Who stands for the players of a group now, by their numbers. Whoever is disabled stands for nobody here, and a row that the
    /// oracle did not write counts for nothing.
    pub async fn players(&self, group: GroupName) -> Result<HashMap<u8, Approver>, PeopleError> {
        let GroupName(digest) = group;
        let mut players = HashMap::new();
        for GroupMemberRow { x, principal, bound } in self.inner.store.group_members(&digest).await?.whole {
            let own = self.inner.hashes.holder(&digest, x, &principal.id) == bound;
            if own && principal.disabled_at.is_none() && self.inner.sealer.open_name(&principal).is_ok() {
                players.insert(x, Approver { x, principal: principal.id, version: principal.version, bound });
            }
        }
        Ok(players)
    }

    /// Names a principal in a session where it must not be read.
    pub fn approver(&self, player: &Player, session: &str) -> Digest {
        self.inner.hashes.approver(session, &player.acting.login.principal)
    }

    /// Asks a player's security key to sign exactly this approval.
    pub async fn ask_key(&self, player: &Player, approved: Approved<'_>) -> Result<Challenge, PeopleError> {
        let (row, factor, options) = self.with_key(player).await?;
        let nonce = random_id(&mut self.rng());
        let (uuid, party) = (Self::uuid(&factor), self.party(&options)?);
        let challenge = challenge(&nonce, player, approved);
        let begun = self.inner.webauthn.begin_login_with(self.own().await?, party, Some(&uuid), Some(challenge)).await;
        let options = begun.map_err(|error| match error {
            WebauthnError::NoCredentials | WebauthnError::Unknown => PeopleError::NoSecurityKey,
            error => refusal(error),
        })?;
        let approving = Approving { nonce, version: row.version, expires_at: self.now().saturating_add(CHALLENGE_MS) };
        let state = self.inner.sealer.seal_approving(&row.id, &approving, &mut self.rng());
        Ok(Challenge { options, state })
    }

    /// Lets a security key's answer count for exactly this approval, once.
    pub async fn check_key(
        &self,
        player: &Player,
        approved: Approved<'_>,
        state: &str,
        answer: LoginAnswer,
    ) -> Result<(), PeopleError> {
        let (row, factor, options) = self.with_key(player).await?;
        let approving = self.inner.sealer.open_approving(&row.id, state).ok_or(PeopleError::Assertion)?;
        let asked = challenge(&approving.nonce, player, approved);
        let answers = answer.challenge().is_ok_and(|challenge| challenge == asked);
        if !answers || approving.version != row.version || approving.expires_at <= self.now() {
            return Err(PeopleError::Assertion);
        }
        let (uuid, party) = (Self::uuid(&factor), self.party(&options)?);
        let finished = self.inner.webauthn.finish_login(self.own().await?, party, Some(&uuid), answer).await;
        let used = finished.map_err(refusal)?;
        // The approval waits for nothing that it does not need.
        let people = self.clone();
        tokio::spawn(async move { people.note_used(&uuid, &used.key_handle_hash).await });
        Ok(())
    }

    /// A player that has been assigned a provider of security keys; the assignment, which its keys are kept under; its options.
    async fn with_key(&self, player: &Player) -> Result<(PrincipalRow, Digest, Options), PeopleError> {
        let row = self.row(&player.name).await?;
        match self.factor_of(&row).await? {
            Some((factor, provider, Own::Webauthn)) if provider.kind == ProviderKind::Webauthn => {
                Ok((row, factor, provider.options))
            }
            _ => Err(PeopleError::NoSecurityKey),
        }
    }
}

/// What the key signs: it is good for this session, this player and this Toc alone.
fn challenge(nonce: &Digest, player: &Player, approved: Approved<'_>) -> Digest {
    let Acting { group, x, .. } = &player.acting;
    let Approved { session, invite, toc } = approved;
    sha256(&[&length_prefixed(&[b"quorate/1 approval", nonce, session.as_bytes(), invite, group, &[*x], toc])])
}

/// What a ceremony's failure is to whoever approves: a wrong answer like any other, unless the oracle is at fault.
fn refusal(error: WebauthnError) -> PeopleError {
    match error {
        WebauthnError::Locked { .. } | WebauthnError::Damaged | WebauthnError::Pool(_) | WebauthnError::Store(_) => {
            PeopleError::Webauthn(error)
        }
        _ => PeopleError::Assertion,
    }
}
