//! Drills: which players of a group have proved that their Tocs still open, and when each Toc last did.
//!
//! Knows no header, no name and no signature: all of it comes sealed. Whether an answer counts, and whether it is the last
//! that was missing, is decided by the write itself.

use super::{
    Store,
    audit::{self, NewAudit},
    engine::{Row, Tx},
    error::StoreError,
    notices::{self, NewNotice},
    rows::Digest,
};

/// A drill to be begun.
#[derive(Clone, Debug)]
pub struct NewDrill {
    /// Unguessable name, at least 128 bits of randomness.
    pub id: String,
    /// G of a known group.
    pub group: Digest,
    /// Number of its players.
    pub size: u8,
    /// When it begins.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: i64,
    /// When those are told who wait for answers; `None` for never.
    pub remind_at: Option<i64>,
    /// The call.
    pub sealed: Vec<u8>,
    /// What the audit log is told, and others with it, when it is begun.
    pub told: NewAudit,
}

/// Why a drill is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillEnd {
    /// An operator ended it.
    Closed,
    /// Every player has answered.
    Complete,
    /// Its time ran out.
    Expired,
}

impl DrillEnd {
    const ALL: [Self; 3] = [Self::Closed, Self::Complete, Self::Expired];

    /// The word in the database and in answers to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// A drill as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillRow {
    /// Its place in lists.
    pub number: i64,
    /// Its name.
    pub id: String,
    /// G.
    pub group: Digest,
    /// Number of players.
    pub size: u8,
    /// When it began.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: i64,
    /// When those are told next who wait for answers.
    pub remind_at: Option<i64>,
    /// When it ended, and why.
    pub ended: Option<(i64, DrillEnd)>,
    /// Players who have answered.
    pub answered: u32,
    /// The call.
    pub sealed: Vec<u8>,
}

/// An answer as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillAnswerRow {
    /// The player.
    pub x: u8,
    /// When it came.
    pub at: i64,
    /// The signature.
    pub sealed: Vec<u8>,
}

/// When a Toc last proved that it opens, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TocProofRow {
    /// The player.
    pub x: u8,
    /// When.
    pub at: i64,
    /// In what.
    pub sealed: Vec<u8>,
}

/// A drill with its answers, and the last proofs of its group, all of the same moment and in the order of players.
pub type DrillReport = (DrillRow, Vec<DrillAnswerRow>, Vec<TocProofRow>);

/// The proof that a Toc opens.
#[derive(Clone, Debug)]
pub struct NewTocProof {
    /// G.
    pub group: Digest,
    /// The player.
    pub x: u8,
    /// When.
    pub at: i64,
    /// In what.
    pub sealed: Vec<u8>,
}

/// An answer to a drill, its signature checked.
#[derive(Clone, Debug)]
pub struct NewDrillAnswer {
    /// The drill.
    pub id: String,
    /// The signature.
    pub sealed: Vec<u8>,
    /// What it proves.
    pub proof: NewTocProof,
    /// What the audit log is told when it counts.
    pub told: NewAudit,
    /// What it is told besides, and others with it, when nobody is missing any more.
    pub complete: NewAudit,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerOutcome {
    /// This player had answered; nothing was written.
    Already,
    /// The drill is over; nothing was written.
    Over(DrillEnd),
    /// It counts.
    Recorded {
        /// Whether it was the last that was missing.
        complete: bool,
    },
    /// There is no such drill.
    Unknown,
}

/// What became of a drill that was to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginOutcome {
    /// It is open.
    Begun,
    /// The group is gone; nothing was written.
    GroupGone,
    /// Another one of this group is open; nothing was written.
    Running,
}

/// A query of drills: the columns that [`drills`] reads.
macro_rules! select_drills {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, group_fp, size, created_at, expires_at, remind_at, ended_at, ended_as,
                 (SELECT COUNT(*) FROM drill_answers WHERE drill = number), sealed
             FROM drills ",
            $rest
        )
    };
}

impl Store {
    /// Begins a drill, if no other one of its group is open.
    pub async fn begin_drill(&self, new: NewDrill) -> Result<BeginOutcome, StoreError> {
        self.write(&new.group.clone(), new, |tx, new| Box::pin(begin(tx, new))).await
    }

    /// The drill of that name.
    pub async fn drill(&self, id: &str) -> Result<Option<DrillRow>, StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(one(tx, id))).await
    }

    /// The same with all that is known of its players.
    pub async fn drill_report(&self, id: &str) -> Result<Option<DrillReport>, StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(report(tx, id))).await
    }

    /// Up to `limit` drills before number `before`, those first that began last.
    pub async fn drills_before(&self, before: i64, limit: i64) -> Result<Vec<DrillRow>, StoreError> {
        self.read((before, limit), |tx, (before, limit)| {
            Box::pin(async move {
                let page = select_drills!("WHERE number < $1 ORDER BY number DESC LIMIT $2");
                tx.query(page, &[(*before).into(), (*limit).into()]).await?.into_iter().map(drill).collect()
            })
        })
        .await
    }

    /// Counts an answer, once for each player and only while its drill is open; the last that was missing ends the drill.
    pub async fn answer_drill(&self, new: NewDrillAnswer) -> Result<AnswerOutcome, StoreError> {
        self.write(new.id.clone().as_bytes(), new, |tx, new| Box::pin(answer(tx, new))).await
    }

    /// Ends a drill that is open; one that has expired only when its time is up by then. False when there is nothing to end.
    pub async fn end_drill(&self, id: &str, end: DrillEnd, at: i64, told: NewAudit) -> Result<bool, StoreError> {
        self.write(id.as_bytes(), (id.to_owned(), end, at, told), |tx, (id, end, at, told)| {
            Box::pin(async move {
                let due = if *end == DrillEnd::Expired { *at } else { i64::MAX };
                let ended = tx
                    .execute(
                        "UPDATE drills SET ended_at = $1, ended_as = $2, remind_at = NULL
                         WHERE id = $3 AND ended_at IS NULL AND expires_at <= $4",
                        &[(*at).into(), end.as_str().into(), id.as_str().into(), due.into()],
                    )
                    .await?;
                audit::tell(tx, Some(told).filter(|_| ended > 0)).await?;
                Ok(ended > 0)
            })
        })
        .await
    }

    /// Writes the notices of a reminder that is due, and when the next one is; false when somebody else has.
    pub async fn remind_of_drill(
        &self,
        id: &str,
        due: i64,
        next: Option<i64>,
        notices: Vec<NewNotice>,
    ) -> Result<bool, StoreError> {
        self.write(id.as_bytes(), (id.to_owned(), due, next, notices), |tx, (id, due, next, notices)| {
            Box::pin(async move {
                let moved = tx
                    .execute(
                        "UPDATE drills SET remind_at = $1 WHERE id = $2 AND ended_at IS NULL AND remind_at = $3",
                        &[(*next).into(), id.as_str().into(), (*due).into()],
                    )
                    .await?;
                if moved > 0 {
                    notices::append(tx, notices).await?;
                }
                Ok(moved > 0)
            })
        })
        .await
    }

    /// Up to `limit` open drills of which somebody is to be told at `now`, or whose time is up.
    pub async fn due_drills(&self, now: i64, limit: i64) -> Result<Vec<DrillRow>, StoreError> {
        self.read((now, limit), |tx, (now, limit)| {
            Box::pin(async move {
                let due = select_drills!(
                    "WHERE ended_at IS NULL AND (expires_at <= $1 OR remind_at <= $1) ORDER BY expires_at LIMIT $2"
                );
                tx.query(due, &[(*now).into(), (*limit).into()]).await?.into_iter().map(drill).collect()
            })
        })
        .await
    }

    /// Forgets up to `limit` drills that ended before `before`. Gives how many.
    pub async fn forget_drills(&self, before: i64, limit: i64) -> Result<u64, StoreError> {
        self.write(b"drills", (before, limit), |tx, (before, limit)| {
            Box::pin(async move {
                tx.execute(
                    "DELETE FROM drills WHERE number IN (
                         SELECT number FROM drills WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)",
                    &[(*before).into(), (*limit).into()],
                )
                .await
            })
        })
        .await
    }

    /// Notes that a Toc has proved that it opens, if its group is a known one.
    pub async fn note_toc_proof(&self, proof: NewTocProof) -> Result<(), StoreError> {
        let group = proof.group;
        let known = self.read(group, |tx, group| Box::pin(is_known(tx, group))).await?;
        if !known {
            return Ok(());
        }
        self.write(&group, proof, |tx, proof| {
            Box::pin(async move {
                // It may have been removed meanwhile.
                if is_known(tx, &proof.group).await? {
                    note(tx, proof).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn begin(tx: &mut dyn Tx, new: &NewDrill) -> Result<BeginOutcome, StoreError> {
    if !is_known(tx, &new.group).await? {
        return Ok(BeginOutcome::GroupGone);
    }
    let begun = tx
        .execute(
            "INSERT INTO drills (id, group_fp, size, created_at, expires_at, remind_at, sealed)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            &[
                new.id.as_str().into(),
                (&new.group).into(),
                new.size.into(),
                new.created_at.into(),
                new.expires_at.into(),
                new.remind_at.into(),
                new.sealed.as_slice().into(),
            ],
        )
        .await?;
    if begun == 0 {
        return Ok(BeginOutcome::Running);
    }
    audit::append(tx, &new.told).await?;
    Ok(BeginOutcome::Begun)
}

async fn one(tx: &mut dyn Tx, id: &str) -> Result<Option<DrillRow>, StoreError> {
    tx.first(select_drills!("WHERE id = $1"), &[id.into()]).await?.map(drill).transpose()
}

async fn report(tx: &mut dyn Tx, id: &str) -> Result<Option<DrillReport>, StoreError> {
    let Some(row) = one(tx, id).await? else { return Ok(None) };
    let answers = tx
        .query("SELECT x, at, sealed FROM drill_answers WHERE drill = $1 ORDER BY x", &[row.number.into()])
        .await?
        .into_iter()
        .map(|mut row| Ok(DrillAnswerRow { x: row.x(0)?, at: row.int(1)?, sealed: row.take_blob(2)? }))
        .collect::<Result<_, StoreError>>()?;
    let proofs = tx
        .query("SELECT x, at, sealed FROM toc_proofs WHERE group_fp = $1 ORDER BY x", &[(&row.group).into()])
        .await?
        .into_iter()
        .map(|mut row| Ok(TocProofRow { x: row.x(0)?, at: row.int(1)?, sealed: row.take_blob(2)? }))
        .collect::<Result<_, StoreError>>()?;
    Ok(Some((row, answers, proofs)))
}

async fn answer(tx: &mut dyn Tx, new: &NewDrillAnswer) -> Result<AnswerOutcome, StoreError> {
    let Some(row) = one(tx, &new.id).await? else { return Ok(AnswerOutcome::Unknown) };
    let at = new.proof.at;
    match row.ended {
        Some((_, end)) => return Ok(AnswerOutcome::Over(end)),
        None if row.expires_at <= at => return Ok(AnswerOutcome::Over(DrillEnd::Expired)),
        None => {}
    }
    let recorded = tx
        .execute(
            "INSERT INTO drill_answers (drill, x, at, sealed) VALUES ($1, $2, $3, $4)
             ON CONFLICT (drill, x) DO NOTHING",
            &[row.number.into(), new.proof.x.into(), at.into(), new.sealed.as_slice().into()],
        )
        .await?;
    if recorded == 0 {
        return Ok(AnswerOutcome::Already);
    }
    note(tx, &new.proof).await?;
    audit::append(tx, &new.told).await?;
    let complete = row.answered + 1 == u32::from(row.size);
    if complete {
        tx.defer(
            "UPDATE drills SET ended_at = $1, ended_as = $2, remind_at = NULL WHERE number = $3",
            &[at.into(), DrillEnd::Complete.as_str().into(), row.number.into()],
        )
        .await?;
        audit::append(tx, &new.complete).await?;
    }
    Ok(AnswerOutcome::Recorded { complete })
}

/// Notes a proof unless a later one is known.
async fn note(tx: &mut dyn Tx, proof: &NewTocProof) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO toc_proofs (group_fp, x, at, sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_fp, x) DO UPDATE SET at = excluded.at, sealed = excluded.sealed
         WHERE toc_proofs.at < excluded.at",
        &[(&proof.group).into(), proof.x.into(), proof.at.into(), proof.sealed.as_slice().into()],
    )
    .await
}

async fn is_known(tx: &mut dyn Tx, group: &Digest) -> Result<bool, StoreError> {
    Ok(tx.first("SELECT 1 FROM known_groups WHERE group_fp = $1", &[group.into()]).await?.is_some())
}

fn drill(mut row: Row) -> Result<DrillRow, StoreError> {
    let ended = match (row.optional_int(7)?, row.optional_text(8)?) {
        (Some(at), Some(word)) => {
            let end = DrillEnd::ALL.into_iter().find(|end| end.as_str() == word);
            Some((at, end.ok_or(StoreError::Row { column: 8, expected: "why a drill is over" })?))
        }
        _ => None,
    };
    let answered = u32::try_from(row.int(9)?).map_err(|_| StoreError::Row { column: 9, expected: "a count" })?;
    Ok(DrillRow {
        number: row.int(0)?,
        id: row.text(1)?.to_owned(),
        group: row.digest(2)?,
        size: row.x(3)?,
        created_at: row.int(4)?,
        expires_at: row.int(5)?,
        remind_at: row.optional_int(6)?,
        ended,
        answered,
        sealed: row.take_blob(10)?,
    })
}
