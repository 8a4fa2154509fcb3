//! Groups that the oracle knows: operators add the public half of a deal and say which principal stands for which holder. From
//! then on the oracle knows whose Toc is whose, for sessions that need a login and for drills.

use super::People;
use super::error::PeopleError;
use super::name::PrincipalName;
use super::ticket::Caller;
use crate::service::audit::Kind;
use crate::store::{
    AddGroupOutcome, DamagedRow, GroupMemberRow, GroupMembersOutcome, GroupRow, GroupRows, NewGroup, NewGroupMember,
    PrincipalKind,
};
use quorate_protocol::header::GroupName;
use quorate_protocol::toc::Group;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Groups in a page of a list that is read from the store: a header has up to 48 KiB.
const PAGE: i64 = 50;
/// Damaged rows that the audit log is told of by what they name, before it is told of their number alone.
const TOLD: usize = 20;

/// A group that operators have added.
#[derive(Debug, Clone)]
pub struct KnownGroup {
    /// The public half of the deal. Its name is the one that it was found by.
    pub group: Group,
    /// When it was added, Unix milliseconds.
    pub added_at: i64,
    /// Whether a redeal has replaced it: the oracle serves it no more.
    pub replaced: bool,
    /// All its holders, in the order of their numbers.
    pub holders: Vec<GroupHolder>,
    /// Who may ask for its codes without a Toc: users, applications and teams, in order of their making.
    pub applicants: Vec<PrincipalName>,
    /// Rows that name somebody as a holder or an applicant, and that the oracle did not write or cannot read. They count for nothing,
    /// and go with the next change.
    pub damaged: Vec<Damaged>,
}

/// A row of the database that the oracle does not go by.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Whom it names: the full name, or, where that cannot be read, what the database has in its place.
    pub names: String,
    pub(super) row: DamagedRow,
}

/// A holder of a known group. The share key stands in the group's header under the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHolder {
    /// Number of their share, 1 to 255.
    pub x: u8,
    /// The name in the header.
    pub holder: String,
    /// The principal that stands for them, if one does.
    pub principal: Option<PrincipalName>,
}

/// A group in a list.
#[derive(Debug, Clone)]
pub struct GroupSummary {
    /// The public half of the deal.
    pub group: Group,
    /// When it was added, Unix milliseconds.
    pub added_at: i64,
    /// Whether a redeal has replaced it.
    pub replaced: bool,
}

impl People {
    /// Adds the group of a group file, and gives it. Nobody stands for its holders yet.
    pub async fn add_group(&self, file: &[u8], by: &Caller) -> Result<KnownGroup, PeopleError> {
        let group = Group::parse(file).map_err(PeopleError::Group)?;
        let (GroupName(name), added_at) = (group.name(), self.now());
        let told = self.told(Kind::GroupAdded, by, about(&group.name()), &[("group_id", group_id(&group))]);
        let sealed = self.inner.sealer.seal_group(&group, &mut self.rng());
        match self.inner.store.add_group(NewGroup { group: name, added_at, sealed, told: Some(told) }).await? {
            AddGroupOutcome::Added => self.group(group.name()).await,
            AddGroupOutcome::Full => Err(PeopleError::TooMany),
            AddGroupOutcome::Known => Err(PeopleError::GroupKnown),
        }
    }

    /// Every known group, those first that were added first.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, PeopleError> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.groups_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.number;
            for GroupRow { group, added_at, sealed, replaced, .. } in page {
                all.push(GroupSummary { group: self.inner.sealer.open_group(&group, &sealed)?, added_at, replaced });
            }
        }
    }

    /// A known group with all its holders: their numbers, their share keys (in the header) and the principals that stand for
    /// them. A principal that was removed stands for nobody any more; one that is disabled still does, and cannot log in.
    pub async fn group(&self, name: GroupName) -> Result<KnownGroup, PeopleError> {
        let GroupName(digest) = name;
        let row = self.inner.store.group(&digest).await?.ok_or(PeopleError::GroupUnknown)?;
        let group = self.inner.sealer.open_group(&digest, &row.sealed)?;
        let (applicants, mut damaged) = self.applicants(&digest).await?;
        let (mut principals, size) = (BTreeMap::new(), group.header.fields().size);
        let GroupRows { whole, damaged: unread } = self.inner.store.group_members(&digest).await?;
        damaged.extend(unread.into_iter().map(|row| Damaged::new(None, row)));
        for GroupMemberRow { x, principal, bound } in whole {
            let own = x <= size && self.inner.hashes.holder(&digest, x, &principal.id) == bound;
            match self.inner.sealer.open_name(&principal) {
                Ok(name) if own => drop(principals.insert(x, name)),
                name => {
                    let (principal, bound) = (principal.id.to_vec(), bound.to_vec());
                    damaged.push(Damaged::new(name.ok(), DamagedRow::Holder { x: x.into(), principal, bound }));
                }
            }
        }
        if !damaged.is_empty() {
            tracing::error!(group = %name, rows = damaged.len(), "somebody else has written who stands or asks for a group");
        }
        let players = (1..=u8::MAX).zip(&group.header.fields().players);
        let holders = players
            .map(|(x, player)| GroupHolder { x, holder: player.holder.clone(), principal: principals.remove(&x) })
            .collect();
        Ok(KnownGroup { group, added_at: row.added_at, replaced: row.replaced, holders, applicants, damaged })
    }

    /// Removes a group from those that the oracle knows; nobody stands for its holders any more.
    pub async fn remove_group(&self, name: GroupName, by: &Caller) -> Result<(), PeopleError> {
        let GroupName(digest) = name;
        let row = self.inner.store.group(&digest).await?.ok_or(PeopleError::GroupUnknown)?;
        // Whoever cannot read a group any more must be able to remove it.
        let known = self.inner.sealer.open_group(&digest, &row.sealed);
        let id = known.as_ref().map(group_id).unwrap_or_default();
        let told = self.told(Kind::GroupRemoved, by, about(&name), &[("group_id", id)]);
        let removed = self.inner.store.remove_group(&digest, Some(told)).await?;
        if removed { Ok(()) } else { Err(PeopleError::GroupUnknown) }
    }

    /// Has these principals, by the names of the holders that they stand for, and no others stand for the holders of a group.
    pub async fn set_group_members(
        &self,
        name: GroupName,
        members: &BTreeMap<String, PrincipalName>,
        by: &Caller,
    ) -> Result<KnownGroup, PeopleError> {
        let known = self.sound_group(name, by).await?;
        let (new, told) = self.standing_for(&known, members).await?;
        let more = [("group_id", group_id(&known.group).into()), ("members", told)];
        let told = Some(self.told_more(Kind::GroupMembers, by, about(&name), more));
        let outcome = self.inner.store.set_group_members(&name.0, new, told).await?;
        self.members_changed(name, outcome).await
    }

    /// Has these principals, by the names of the holders, stand for them, and nobody for others; for holders who are not named it
    /// stays as it is.
    pub async fn change_group_members(
        &self,
        name: GroupName,
        added: &BTreeMap<String, PrincipalName>,
        removed: &[String],
        by: &Caller,
    ) -> Result<KnownGroup, PeopleError> {
        let known = self.sound_group(name, by).await?;
        let (new, told) = self.standing_for(&known, added).await?;
        let gone = removed.iter().map(|holder| number(&known, holder)).collect::<Result<Vec<u8>, _>>()?;
        let more = [("group_id", group_id(&known.group).into()), ("added", told), ("removed", removed.into())];
        let told = Some(self.told_more(Kind::GroupMembers, by, about(&name), more));
        let outcome = self.inner.store.change_group_members(&name.0, new, gone, told).await?;
        self.members_changed(name, outcome).await
    }

    /// A group that is about to be changed, without its damaged rows, which are removed before: nobody could name all of them.
    pub(super) async fn sound_group(&self, name: GroupName, by: &Caller) -> Result<KnownGroup, PeopleError> {
        let mut known = self.group(name).await?;
        let damaged = std::mem::take(&mut known.damaged);
        if damaged.is_empty() {
            return Ok(known);
        }
        let shown: Vec<_> = damaged.iter().take(TOLD).map(|damaged| damaged.names.as_str()).collect();
        let more = [
            ("group_id", group_id(&known.group).into()),
            ("damaged", damaged.len().into()),
            ("damaged_names", shown.into()),
        ];
        let told = Some(self.told_more(Kind::GroupMembers, by, about(&name), more));
        let rows = damaged.into_iter().map(|damaged| damaged.row).collect();
        self.inner.store.forget_damaged(&name.0, rows, told).await?;
        Ok(known)
    }

    /// Principals for holders, for the store and for the audit log.
    async fn standing_for(
        &self,
        known: &KnownGroup,
        members: &BTreeMap<String, PrincipalName>,
    ) -> Result<(Vec<NewGroupMember>, Value), PeopleError> {
        let GroupName(group) = known.group.name();
        let (mut new, mut told, mut taken) = (Vec::with_capacity(members.len()), Vec::new(), HashSet::new());
        for (holder, principal) in members {
            let x = number(known, holder)?;
            if principal.kind() == PrincipalKind::Team {
                return Err(PeopleError::TeamHolds);
            }
            let id = self.row(principal).await?.id;
            if !taken.insert(id) {
                return Err(PeopleError::RepeatedMember);
            }
            new.push(NewGroupMember { x, principal: id, bound: self.inner.hashes.holder(&group, x, &id) });
            told.push(json!({ "holder": holder, "principal": principal.to_string() }));
        }
        Ok((new, told.into()))
    }

    async fn members_changed(&self, name: GroupName, outcome: GroupMembersOutcome) -> Result<KnownGroup, PeopleError> {
        match outcome {
            GroupMembersOutcome::Changed => self.group(name).await,
            GroupMembersOutcome::GroupGone => Err(PeopleError::GroupUnknown),
            GroupMembersOutcome::PrincipalGone => Err(PeopleError::Changed),
            GroupMembersOutcome::Repeated => Err(PeopleError::RepeatedMember),
        }
    }
}

impl Damaged {
    pub(super) fn new(name: Option<PrincipalName>, row: DamagedRow) -> Self {
        let id = &row.principal()[..row.principal().len().min(8)];
        let names = match name {
            Some(name) => name.to_string(),
            None => format!("unreadable principal {}", data_encoding::HEXLOWER.encode(id)),
        };
        Self { names, row }
    }
}

/// The number of a holder.
fn number(known: &KnownGroup, holder: &str) -> Result<u8, PeopleError> {
    let known = known.holders.iter().find(|known| known.holder == holder);
    known.map(|known| known.x).ok_or(PeopleError::HolderUnknown)
}

pub(super) fn about(group: &GroupName) -> String {
    format!("group {group}")
}

pub(super) fn group_id(group: &Group) -> &str {
    &group.header.fields().group_id
}
