//! Grants: given, changed, revoked; and sealing an app anew, so that whoever could read it once has nothing of what it is now.
//!
//! Every change is one conditional write on the app as it was read: of two managers at once the second looks again. Whoever
//! loses a right loses it with the write; and since the app gets another version and another data key with it, no row that
//! stood in the database before lets them read again.

use super::amending::Amendment;
use super::error::AppError;
use super::grantee::Grantee;
use super::reading::Readable;
use super::refused::Tried;
use super::sealed::{Bound, Record, Sealer, is_counted, level, new_version, right};
use super::{AppCaller, Apps, rfc3339};
use crate::service::api_keys::{ApiKeyError, Tenant};
use crate::service::audit::{Entry, Kind, Who};
use crate::service::people::PeopleError;
use crate::state::StateRng;
use crate::store::{
    AppBy, AppChange, AppRow, ChangeAppOutcome, Digest, GrantedRow, GranteeRow, HeldGrant, HolderRow, OverseenApp,
    WrittenGrant,
};
use quorate_protocol::api::{AppGrant, AppRight};
use quorate_protocol::app_key::AppKey;
use std::collections::HashMap;
use std::fmt;
use uuid::Uuid;

/// How often a change looks again when others were faster.
const TRIES: usize = 32;

/// A change of who may read, or of what there is to read.
#[derive(Clone)]
pub(super) enum Edit {
    /// Its names or its secret are others.
    Amend(Box<Amendment>),
    /// That key pair gets a right, in place of every right of whoever has that id.
    Grant(Box<HolderRow>, Digest, AppRight),
    /// That key pair gets what those have, whose it is as well.
    Move(Vec<i64>, Box<HolderRow>),
    /// Nobody gets anything; a data key that somebody has who may not read any more is replaced.
    Rekey,
    /// Those key pairs have none any more.
    Revoke(Vec<i64>),
}

impl Edit {
    /// The right that it takes.
    fn needs(&self) -> AppRight {
        match self {
            Self::Amend(amendment) => amendment.needs(),
            Self::Grant(..) | Self::Move(..) | Self::Rekey | Self::Revoke(_) => AppRight::Manage,
        }
    }
}

impl Apps {
    /// Who may read an app, those first who could first.
    pub async fn grants(&self, caller: &AppCaller, uuid: &str) -> Result<Vec<AppGrant>, AppError> {
        let (uuid, id) = self.named(uuid)?;
        let (readable, grants) = self.managed(caller, &id).await?;
        let (mut shown, mut places): (Vec<AppGrant>, HashMap<&Digest, usize>) = (Vec::new(), HashMap::new());
        let genuine = grants.iter().filter(|granted| self.inner.custody.is_genuine(&readable.app, granted));
        for GrantedRow { grant, grantee, .. } in genuine {
            let right = right(grant.level).ok_or(AppError::Damaged)?;
            if let Some(place) = places.get(grantee.id()) {
                // An API key that has taken over another one's rights may have two: the better one counts.
                shown[*place].right = shown[*place].right.max(right);
                continue;
            }
            // One whose name does not open keeps nobody else from being shown.
            match self.name(grantee) {
                Ok(name) => {
                    places.insert(grantee.id(), shown.len());
                    let (grantee, granted_at) = (name.to_string(), rfc3339(grant.granted_at));
                    shown.push(AppGrant { grantee, right, granted_at });
                }
                Err(error) => tracing::warn!(%error, "a grant is not shown"),
            }
        }
        if readable.app.owed {
            self.pay(caller, uuid).await;
        }
        Ok(shown)
    }

    /// Gives somebody a right in place of the one that they had.
    pub async fn grant(
        &self,
        caller: &AppCaller,
        uuid: &str,
        grantee: &Grantee,
        right: AppRight,
    ) -> Result<(), AppError> {
        if right == AppRight::Owner {
            return Err(AppError::Request("right is code or manage: an app has one owner"));
        }
        let (uuid, id) = self.named(uuid)?;
        // Who may not, learns nothing of whom there is.
        self.managed(caller, &id).await?;
        let told = caller.entry(Kind::AppGranted, uuid).with("right", right.word()).with("grantee", self.told(grantee));
        // Everybody may add an app and manage it: who tries names to learn whom there is has to wait.
        let place = self.admit(caller, Tried::Name, 1)?;
        let whose = match self.grantee(grantee).await {
            Err(error) if is_nobody(&error) => return Err(self.refused(caller, place, told, error).await),
            found => found?,
        };
        drop(place);
        let holder = self.holder_of(whose).await?;
        let edit = Edit::Grant(Box::new(holder), whose.id, right);
        self.change(By::Manager(caller), &id, &edit, &told).await
    }

    /// Takes somebody's right away, at once. Their own everybody may give up.
    pub async fn revoke(&self, caller: &AppCaller, uuid: &str, grantee: &Grantee) -> Result<(), AppError> {
        let (uuid, id) = self.named(uuid)?;
        let by = if grantee.to_string() == caller.name() { By::Leaver(caller) } else { By::Manager(caller) };
        self.revoke_by(by, uuid, &id, grantee).await
    }

    pub(super) async fn revoke_by(
        &self,
        by: By<'_>,
        uuid: impl fmt::Display,
        id: &Digest,
        grantee: &Grantee,
    ) -> Result<(), AppError> {
        let found = self.found(by, id, AppRight::Manage).await?;
        // By name among those who have one, so that whoever is disabled or revoked can be taken off as well.
        let theirs = found.grants.iter().filter(|granted| self.name(&granted.grantee).ok().as_ref() == Some(grantee));
        let theirs: Vec<_> = theirs.map(|granted| granted.holder.number).collect();
        if theirs.is_empty() {
            return Err(AppError::Ungranted);
        }
        let told = by.entry(Kind::AppRevoked, uuid).with("grantee", self.told(grantee));
        self.change(by, id, &Edit::Revoke(theirs), &told).await
    }

    /// Seals an app under another data key, if that is owed: with the root secret, since perhaps nobody manages it any more.
    pub(super) async fn rekey(&self, caller: &AppCaller, uuid: Uuid) -> Result<(), AppError> {
        let told = caller.entry(Kind::AppRekeyed, uuid);
        self.change(By::Reader(caller), &self.inner.sealer.id(uuid), &Edit::Rekey, &told).await
    }

    /// What the audit log calls a grantee: an API key by a part of its keyed hash, as everywhere in the log.
    fn told(&self, grantee: &Grantee) -> String {
        match grantee {
            Grantee::ApiKey(value) => self.inner.api_keys.told(value),
            Grantee::Principal(name) => name.to_string(),
        }
    }

    /// An app that the caller may change, with everybody's grants.
    pub(super) async fn managed(
        &self,
        caller: &AppCaller,
        id: &Digest,
    ) -> Result<(Readable, Vec<GrantedRow>), AppError> {
        let found = self.inner.store.app_with_grants(caller.reader(), id).await?;
        let (held, grants) = found.ok_or(AppError::Unknown)?;
        let readable = self.readable(caller, held)?;
        if readable.right < AppRight::Manage { Err(AppError::Forbidden) } else { Ok((readable, grants)) }
    }

    /// An app as it is to be changed, with everybody's grants, by who has the right that it takes.
    async fn found(&self, by: By<'_>, id: &Digest, needs: AppRight) -> Result<Found, AppError> {
        let (readable, grants) = match by {
            By::Manager(caller) => {
                let (readable, grants) = self.managed(caller, id).await?;
                if readable.right < needs {
                    return Err(AppError::OwnersOnly);
                }
                (readable, grants)
            }
            By::Leaver(caller) => {
                let found = self.inner.store.app_with_grants(caller.reader(), id).await?;
                let (mut held, grants) = found.ok_or(AppError::Unknown)?;
                // What a team has is the team's.
                held.held.retain(|held| held.member.is_none());
                if held.held.is_empty() {
                    return Err(AppError::Ungranted);
                }
                (self.readable(caller, held)?, grants)
            }
            By::Operator | By::Reader(_) => {
                let OverseenApp { app, grants, .. } =
                    self.inner.store.overseen_app(id).await?.ok_or(AppError::Unknown)?;
                return Ok(Found { app: app.ok_or(AppError::Damaged)?, grants, opening: Opening::ByRoot });
            }
        };
        let Readable { app, held, .. } = readable;
        Ok(Found { app, grants, opening: Opening::By(Box::new(held)) })
    }

    pub(super) async fn change(&self, by: By<'_>, id: &Digest, edit: &Edit, told: &Entry) -> Result<(), AppError> {
        for _ in 0..TRIES {
            let Found { app, grants, opening } = self.found(by, id, edit.needs()).await?;
            if matches!(edit, Edit::Rekey) && !app.owed {
                return Ok(());
            }
            let written_by = match (by, &opening) {
                (By::Manager(caller) | By::Leaver(caller), Opening::By(held)) => {
                    let level = level(edit.needs());
                    AppBy::Holder { reader: caller.reader(), holder: held.holder.number, level }
                }
                _ => AppBy::Oracle,
            };
            let (seen, now) = (app.seen(), self.now());
            let (custody, tenant, mut rng) = (self.inner.custody.clone(), by.tenant().cloned(), self.rng());
            let job_edit = edit.clone();
            let job = move || {
                let (record, key) = match opening {
                    Opening::By(held) => {
                        let key = custody.sealer().open_key(&held.holder, tenant.as_ref(), &held.grant.sealed_key)?;
                        (Record::open(&app.id, &key, &app.sealed)?, key)
                    }
                    Opening::ByRoot => custody.open(&app, &grants)?,
                };
                let (genuine, forged): (Vec<_>, Vec<_>) =
                    grants.into_iter().partition(|granted| custody.is_current(&app, granted));
                let forged = forged.into_iter().map(|granted| granted.holder.number).collect();
                Rewrite { app, record, key, genuine, forged, now }.done(&job_edit, custody.sealer(), &mut rng)
            };
            let Written { version, content, grants, ended, uuid } = self.inner.crypto.run(job).await??;
            let subject = format!("app {uuid}");
            let last = told.beside(Kind::AppRemoved, subject.clone()).with("with", "its last reader");
            // What was owed is paid with whatever changes the app.
            let change = AppChange {
                app: *id,
                seen,
                by: written_by,
                version,
                owed: false,
                sealed: content,
                grants,
                ended,
                told: Some(self.seal(told.clone().to(subject))),
                last: Some(self.seal(last)),
            };
            match self.inner.store.change_app(change).await? {
                ChangeAppOutcome::Changed => return Ok(()),
                ChangeAppOutcome::Full => return Err(AppError::Full),
                ChangeAppOutcome::HolderGone => return Err(AppError::Changed),
                // What is there now, and what of it they may, is for the next look to say.
                ChangeAppOutcome::Stale | ChangeAppOutcome::Unknown => {}
            }
        }
        Err(AppError::Changed)
    }
}

/// Who changes an app.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// Somebody who gives up their own right.
    Leaver(&'a AppCaller),
    /// One of its managers.
    Manager(&'a AppCaller),
    /// An operator on the oracle's own machine.
    Operator,
    /// Somebody who reads it, for whom the oracle does what is owed.
    Reader(&'a AppCaller),
}

impl By<'_> {
    fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Leaver(caller) | Self::Manager(caller) => caller.tenant(),
            Self::Operator | Self::Reader(_) => None,
        }
    }

    /// What they did to an app, for the audit log.
    pub fn entry(&self, kind: Kind, uuid: impl fmt::Display) -> Entry {
        match self {
            Self::Leaver(caller) | Self::Manager(caller) | Self::Reader(caller) => {
                caller.acted(kind, format!("app {uuid}"))
            }
            Self::Operator => Entry::new(kind, Who::Operator).to(format!("app {uuid}")),
        }
    }
}

/// An app that is to be changed.
struct Found {
    app: AppRow,
    grants: Vec<GrantedRow>,
    opening: Opening,
}

/// What opens an app.
enum Opening {
    /// A grant of whoever changes it.
    By(Box<HeldGrant>),
    /// The root secret, by any genuine grant.
    ByRoot,
}

/// Whether nobody of that name is there.
fn is_nobody(error: &AppError) -> bool {
    matches!(error, AppError::ApiKey(ApiKeyError::Unknown) | AppError::People(PeopleError::Unknown))
}

/// An app that is about to be changed, and all its grants.
struct Rewrite {
    app: AppRow,
    record: Record,
    key: AppKey,
    genuine: Vec<GrantedRow>,
    /// Key pairs whose grants somebody wrote into the database, or brought back.
    forged: Vec<i64>,
    now: i64,
}

/// What is to be written.
struct Written {
    version: i64,
    content: Option<Vec<u8>>,
    grants: Vec<WrittenGrant>,
    ended: Vec<i64>,
    uuid: String,
}

/// Who holds what from now on.
struct Holding {
    holder: HolderRow,
    right: AppRight,
    granted_at: i64,
}

impl Rewrite {
    fn done(self, edit: &Edit, sealer: &Sealer, rng: &mut StateRng) -> Result<Written, AppError> {
        let Self { app, mut record, key, genuine, forged: mut ended, now } = self;
        let mut lost = app.owed || is_counted(app.version);
        if let Edit::Amend(amendment) = edit {
            amendment.apply(&mut record)?;
            lost = true;
        }
        if let Edit::Revoke(theirs) = edit {
            // Another manager was faster.
            let mut there = genuine.iter().map(|granted| granted.holder.number).chain(ended.iter().copied());
            if !there.any(|holder| theirs.contains(&holder)) {
                return Err(AppError::Ungranted);
            }
        }
        let mut holdings = Vec::with_capacity(genuine.len() + 1);
        let mut moved: Option<(AppRight, i64)> = None;
        for GrantedRow { grant, holder, grantee, .. } in genuine {
            let right = right(grant.level).ok_or(AppError::Damaged)?;
            let revoked = matches!(edit, Edit::Revoke(theirs) if theirs.contains(&holder.number));
            if revoked && right == AppRight::Owner {
                return Err(AppError::OwnerStays);
            }
            // An API key that is out of use gets nothing that is sealed anew.
            let out_of_use = matches!(grantee, GranteeRow::ApiKey { revoked: true, .. });
            // Whoever took over another API key's rights has two key pairs, of which one is granted something.
            let replaced = match edit {
                Edit::Grant(new, id, new_right) if grantee.id() == id && holder.number != new.number => {
                    if right == AppRight::Owner {
                        return Err(AppError::OwnerStays);
                    }
                    Some(right > *new_right)
                }
                _ => None,
            };
            if matches!(edit, Edit::Move(old, _) if old.contains(&holder.number)) {
                let (best, since) = moved.unwrap_or((right, grant.granted_at));
                moved = Some((best.max(right), since.min(grant.granted_at)));
                lost = true;
                ended.push(holder.number);
            } else if revoked || out_of_use || replaced.is_some() {
                lost |= replaced.unwrap_or(true);
                ended.push(holder.number);
            } else {
                holdings.push(Holding { holder, right, granted_at: grant.granted_at });
            }
        }
        let mut new = None;
        if let Edit::Grant(holder, _, right) = edit {
            match holdings.iter_mut().find(|holding| holding.holder.number == holder.number) {
                Some(holding) if holding.right == AppRight::Owner => return Err(AppError::OwnerStays),
                Some(holding) => {
                    lost |= holding.right > *right;
                    (holding.right, holding.granted_at) = (*right, now);
                }
                None => {
                    let holder = HolderRow::clone(holder);
                    ended.retain(|ended| *ended != holder.number);
                    holdings.push(Holding { holder, right: *right, granted_at: now });
                }
            }
            new = Some(holder.number);
        }
        if let (Edit::Move(_, holder), Some((right, granted_at))) = (edit, moved) {
            // What somebody wrote for that pair beforehand ends nothing.
            ended.retain(|ended| *ended != holder.number);
            match holdings.iter_mut().find(|holding| holding.holder.number == holder.number) {
                Some(holding) => holding.right = holding.right.max(right),
                None => holdings.push(Holding { holder: HolderRow::clone(holder), right, granted_at }),
            }
        }
        let (version, key, content) = if lost {
            let key = AppKey::generate(rng);
            let content = record.seal(&app.id, &key, rng);
            (new_version(rng), key, Some(content))
        } else {
            (app.version, key, None)
        };
        // With the same data key the other grants stay as they are.
        let rewritten = holdings.iter().filter(|holding| lost || new == Some(holding.holder.number));
        let grants = rewritten.map(|holding| written(&app.id, version, holding, &key, sealer, rng));
        let grants = grants.collect::<Result<_, _>>()?;
        Ok(Written { version, content, grants, ended, uuid: record.uuid })
    }
}

fn written(
    app: &Digest,
    version: i64,
    holding: &Holding,
    key: &AppKey,
    sealer: &Sealer,
    rng: &mut StateRng,
) -> Result<WrittenGrant, AppError> {
    let Holding { holder, right, granted_at } = holding;
    let (level, granted_at) = (level(*right), *granted_at);
    let sealed_key = key.seal_to(&holder.public, rng).ok_or(AppError::Damaged)?;
    let bound =
        Bound { app, version, holder: &holder.id, public: &holder.public, level, granted_at, sealed_key: &sealed_key };
    let mac = sealer.grant_mac(&bound);
    Ok(WrittenGrant { holder: holder.number, level, granted_at, sealed_key, mac })
}
