//! Adding and removing apps.

use super::error::AppError;
use super::refused::Tried;
use super::sealed::{Bound, CodeSource, Record, level, new_version};
use super::{AppCaller, Apps, hyphenated};
use crate::service::api_keys::ApiKeyError;
use crate::service::audit::Kind;
use crate::service::people::PeopleError;
use crate::service::people::rights::Act;
use crate::store::{AppBy, InsertAppOutcome, NewAppRow, WrittenGrant};
use quorate_protocol::api::{App, AppQuorum, AppRight};
use quorate_protocol::app_key::AppKey;
use quorate_protocol::header::GroupName;
use quorate_protocol::otp::{MAX_NAME_BYTES, OtpSecret};
use rand::Rng as _;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// An app to be added: with a secret or by quorum.
#[derive(Default)]
pub struct New {
    /// The secret as an otpauth URI.
    pub otpauth: Option<Zeroizing<String>>,
    /// G of a known group.
    pub group: Option<String>,
    /// What it is called besides.
    pub name: Option<String>,
    /// The UUID to be kept.
    pub uuid: Option<String>,
}

impl fmt::Debug for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("New").field("group", &self.group).field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

impl Apps {
    /// Adds an app, which is the caller's, and gives it.
    pub async fn add(&self, caller: &AppCaller, new: New) -> Result<App, AppError> {
        let New { otpauth, group, name, uuid } = new;
        let kept = uuid.is_some();
        let uuid = match uuid {
            Some(uuid) => hyphenated(&uuid).ok_or(AppError::Request("uuid is not a UUID in its usual spelling"))?,
            None => self.new_uuid(),
        };
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME_BYTES) {
            return Err(AppError::Request("name is empty or longer than 255 bytes"));
        }
        let code = match (otpauth, group) {
            // Kept in the canonical form, whatever else the URI said.
            (Some(uri), None) => CodeSource::Otpauth(OtpSecret::from_uri(&uri)?.to_uri()),
            (None, Some(group)) => self.quorum(caller, &group).await?,
            _ => return Err(AppError::Request("an app takes either otpauth or group")),
        };
        let told = caller.entry(Kind::AppAdded, uuid).with("by_quorum", matches!(code, CodeSource::Quorum { .. }));
        let place = self.admit(caller, Tried::Uuid, usize::from(kept))?;
        let (holder, id, added_at) = (self.own_holder(caller).await?, self.inner.sealer.id(uuid), self.now());
        let (sealer, owner, mut rng) = (Arc::clone(&self.inner.sealer), caller.name(), self.rng());
        let job = move || {
            let (key, version) = (AppKey::generate(&mut rng), new_version(&mut rng));
            let sealed_key = key.seal_to(&holder.public, &mut rng).ok_or(AppError::Damaged)?;
            let record = Record { uuid: uuid.to_string(), name, code };
            let content = record.seal(&id, &key, &mut rng);
            let level = level(AppRight::Owner);
            let mac = sealer.grant_mac(&Bound {
                app: &id,
                version,
                holder: &holder.id,
                public: &holder.public,
                level,
                granted_at: added_at,
                sealed_key: &sealed_key,
            });
            let grant = WrittenGrant { holder: holder.number, level, granted_at: added_at, sealed_key, mac };
            Ok::<_, AppError>((record.shown(AppRight::Owner, Some(owner), added_at)?, version, content, grant))
        };
        let (app, version, content, grant) = self.inner.crypto.run(job).await??;
        let sealed_told = Some(self.seal(told.clone()));
        let new =
            NewAppRow { id, version, added_at, sealed: content, owner: caller.reader(), grant, told: sealed_told };
        match self.inner.store.insert_app(new).await? {
            InsertAppOutcome::Added => Ok(app),
            InsertAppOutcome::Full => Err(AppError::Full),
            InsertAppOutcome::Gone if caller.tenant().is_some() => Err(ApiKeyError::Unauthorized.into()),
            InsertAppOutcome::Gone => Err(PeopleError::Ticket.into()),
            InsertAppOutcome::Moved => Err(AppError::Changed),
            InsertAppOutcome::Taken => Err(self.refused(caller, place, told, AppError::Taken).await),
        }
    }

    /// Removes an app with all its grants.
    pub async fn remove(&self, caller: &AppCaller, uuid: &str) -> Result<(), AppError> {
        let (uuid, id) = self.named(uuid)?;
        let held = self.inner.store.app(caller.reader(), &id).await?.ok_or(AppError::Unknown)?;
        let readable = self.readable(caller, held)?;
        if readable.right < AppRight::Manage {
            return Err(AppError::Forbidden);
        }
        let told = Some(self.seal(caller.entry(Kind::AppRemoved, uuid)));
        let level = level(AppRight::Manage);
        let by = AppBy::Holder { reader: caller.reader(), holder: readable.held.holder.number, level };
        let removed = self.inner.store.remove_app(by, &id, told).await?;
        if removed { Ok(()) } else { Err(AppError::Unknown) }
    }

    /// A group, for whoever may see groups or ask for its codes: what it is called stands in the app, and reading the app's code
    /// starts a session. For everybody else it is one that the oracle does not know.
    async fn quorum(&self, caller: &AppCaller, group: &str) -> Result<CodeSource, AppError> {
        let name: GroupName =
            group.parse().map_err(|_| AppError::Request("group is not G of 64 hexadecimal digits"))?;
        let known = match caller {
            AppCaller::ApiKey { .. } => return Err(PeopleError::GroupUnknown.into()),
            AppCaller::Principal(caller) if caller.may(Act::ReadGroups).is_ok() => {
                self.inner.people.group(name).await?.group
            }
            AppCaller::Principal(caller) => match self.inner.people.asker(caller, name).await? {
                (group, Some(_)) => group,
                (_, None) => return Err(PeopleError::GroupUnknown.into()),
            },
        };
        let header = known.header.fields();
        let group = AppQuorum {
            group: name,
            group_id: header.group_id.clone(),
            threshold: header.threshold.into(),
            size: header.size.into(),
        };
        Ok(CodeSource::Quorum { group, note: header.note.clone() })
    }

    fn new_uuid(&self) -> Uuid {
        let mut random = [0; 16];
        self.rng().fill_bytes(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid()
    }
}
