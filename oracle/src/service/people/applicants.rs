//! Who may ask for a group's codes by login: those whom operators have made its applicants, users, applications and teams. Whoever
//! stands for a holder is none by that: a login alone must not do what took a Toc.

use super::People;
use super::error::PeopleError;
use super::groups::{Damaged, GroupSummary, KnownGroup, about, group_id};
use super::name::PrincipalName;
use super::ticket::Caller;
use crate::service::audit::Kind;
use crate::store::{ApplicantsOutcome, Applying, DamagedRow, Digest, Ground, GroupRow, GroupRows};
use quorate_protocol::header::GroupName;
use quorate_protocol::toc::Group;

/// A principal that asks for codes of a group, as one who may.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who.
    pub name: PrincipalName,
    /// The same for the store to look at again.
    pub applying: Applying,
}

impl People {
    /// The group of that name, and its caller as one who may ask for its codes; `None` for one who may not.
    pub async fn asker(&self, caller: &Caller, name: GroupName) -> Result<(Group, Option<Asker>), PeopleError> {
        let GroupName(digest) = name;
        let found = self.inner.store.grounds(&digest, &caller.id()).await?;
        let (row, grounds) = found.ok_or(PeopleError::GroupUnknown)?;
        let group = self.inner.sealer.open_group(&digest, &row.sealed)?;
        let own = |ground: &Ground| self.is_good(&digest, &caller.id(), ground);
        let grounds: Vec<_> = grounds.into_iter().filter(own).collect();
        let asker = (!grounds.is_empty()).then(|| Asker {
            name: caller.name.clone(),
            applying: Applying { group: digest, login: caller.login(), grounds },
        });
        Ok((group, asker))
    }

    /// The groups for whose codes a caller may ask, those first that were added first.
    pub async fn own_groups(&self, caller: &Caller) -> Result<Vec<GroupSummary>, PeopleError> {
        let mut own = Vec::new();
        for GroupRow { group, added_at, replaced, .. } in self.inner.store.groups_of(&caller.id()).await? {
            match self.asker(caller, GroupName(group)).await {
                Ok((group, Some(_))) => own.push(GroupSummary { group, added_at, replaced }),
                // Meanwhile it may have been removed, or the caller from it.
                Ok((_, None)) | Err(PeopleError::GroupUnknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(own)
    }

    /// Makes principals applicants of a group, and others none. Who is one already stays, and who is none is gone.
    pub async fn change_group_applicants(
        &self,
        name: GroupName,
        added: &[PrincipalName],
        removed: &[PrincipalName],
        by: &Caller,
    ) -> Result<KnownGroup, PeopleError> {
        let (known, GroupName(digest)) = (self.sound_group(name, by).await?, name);
        let (mut new, mut old) = (Vec::with_capacity(added.len()), Vec::with_capacity(removed.len()));
        for name in added {
            let id = self.row(name).await?.id;
            new.push((id, self.inner.hashes.applicant(&digest, &id)));
        }
        for name in removed {
            old.push(self.row(name).await?.id);
        }
        let names = |names: &[PrincipalName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().into();
        let more = [("group_id", group_id(&known.group).into()), ("added", names(added)), ("removed", names(removed))];
        let told = Some(self.told_more(Kind::GroupApplicants, by, about(&name), more));
        match self.inner.store.change_group_applicants(&digest, new, old, told).await? {
            ApplicantsOutcome::Changed => self.group(name).await,
            ApplicantsOutcome::Full => Err(PeopleError::TooMany),
            ApplicantsOutcome::GroupGone => Err(PeopleError::GroupUnknown),
            ApplicantsOutcome::PrincipalGone => Err(PeopleError::Changed),
        }
    }

    /// The applicants of a group, and the rows that make nobody one.
    pub(super) async fn applicants(&self, group: &Digest) -> Result<(Vec<PrincipalName>, Vec<Damaged>), PeopleError> {
        let (mut names, mut damaged) = (Vec::new(), Vec::new());
        let GroupRows { whole, damaged: unread } = self.inner.store.group_applicants(group).await?;
        damaged.extend(unread.into_iter().map(|row| Damaged::new(None, row)));
        for (row, bound) in whole {
            let own = self.inner.hashes.applicant(group, &row.id) == bound;
            match self.inner.sealer.open_name(&row) {
                Ok(name) if own => names.push(name),
                name => {
                    let row = DamagedRow::Applicant { principal: row.id.to_vec(), bound: bound.to_vec() };
                    damaged.push(Damaged::new(name.ok(), row));
                }
            }
        }
        Ok((names, damaged))
    }

    /// Whether the oracle itself wrote a ground.
    fn is_good(&self, group: &Digest, principal: &Digest, ground: &Ground) -> bool {
        let hashes = &self.inner.hashes;
        match ground {
            Ground::Applicant { bound } => hashes.applicant(group, principal) == *bound,
            Ground::Team { team, bound, member } => {
                hashes.applicant(group, team) == *bound && hashes.member(team, principal) == *member
            }
        }
    }
}
