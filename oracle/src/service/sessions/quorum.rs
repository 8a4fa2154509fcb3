//! From encrypted Tocs to the secret: opens only as many as it takes, and names those that are false. Pure computation,
//! to be run in the crypto pool.

use super::error::SessionError;
use super::known::Known;
use super::record::Record;
use crate::store::Digest;
use quorate_protocol::deal::rebuild_genuine;
use quorate_protocol::farmfa;
use quorate_protocol::header::GroupName;
use quorate_protocol::invite::Purpose;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::sealing::age_open;
use quorate_protocol::session::Tek;
use quorate_protocol::sharing::{GenuineShare, OtherShares};
use quorate_protocol::toc::{Group, Toc};
use zeroize::Zeroizing;

/// Subsets of farMFA Tocs that are tried at most when some of them are false.
const MAX_SUBSETS: usize = 64;
/// The same in work: combining costs the square of the threshold.
const SUBSET_WORK: usize = 16_384;

/// An encrypted Toc of the session.
pub(super) struct Candidate {
    pub digest: Digest,
    /// The x that a proof stands for.
    pub x: Option<u8>,
    pub armored: Zeroizing<String>,
}

/// How far the Tocs go.
pub(super) enum Quorum {
    /// Far enough.
    Reached { secret: Box<OtpSecret>, dropped: Vec<Digest> },
    /// Not yet: so many are genuine.
    Short { genuine: u32, dropped: Vec<Digest> },
}

/// Opens `candidates`, proved ones first. Of `honest` deals the shares that did not come are not compared once more.
pub(super) fn open(
    record: &Record,
    tek: &Tek,
    mut candidates: Vec<Candidate>,
    honest: &Known,
) -> Result<Quorum, SessionError> {
    candidates.sort_by_key(|candidate| candidate.x.is_none());
    match &record.group {
        Some(group) => open_ours(group, record.fields().purpose, tek, &candidates, honest),
        None => Ok(open_farmfa(record, tek, &candidates)),
    }
}

fn open_ours(
    group: &Group,
    purpose: Purpose,
    tek: &Tek,
    candidates: &[Candidate],
    honest: &Known,
) -> Result<Quorum, SessionError> {
    let threshold = usize::from(group.header.fields().threshold);
    let (mut shares, mut dropped): (Vec<GenuineShare>, Vec<Digest>) = (Vec::new(), Vec::new());
    for candidate in candidates {
        if shares.len() == threshold {
            break;
        }
        // What was approved for a redeal was approved by a signature.
        if purpose == Purpose::Redeal && candidate.x.is_none() {
            continue;
        }
        match genuine_share(group, tek, candidate) {
            Some(share) if shares.iter().all(|other| other.x() != share.x()) => shares.push(share),
            Some(_) => {}
            None => dropped.push(candidate.digest),
        }
    }
    if shares.len() < threshold {
        return Ok(Quorum::Short { genuine: count(shares.len()), dropped });
    }
    let GroupName(name) = group.name();
    let others = if honest.has(&name) { OtherShares::CheckedBefore } else { OtherShares::Check };
    match rebuild_genuine(group, &shares, others) {
        Ok(secret) => {
            honest.add(name);
            Ok(Quorum::Reached { secret: Box::new(secret), dropped })
        }
        Err(error) => Err(SessionError::BadDeal(error)),
    }
}

/// The share in `candidate`, when it is one of this group, the one that was dealt, and the one that was announced.
fn genuine_share(group: &Group, tek: &Tek, candidate: &Candidate) -> Option<GenuineShare> {
    let json = age_open(&candidate.armored, tek).ok()?;
    let (name, share) = match Toc::parse(&json).ok()? {
        Toc::Short(toc) => (toc.group, toc.share),
        Toc::Whole(toc) => (toc.group(), toc.share().clone()),
        Toc::Farmfa(_) => return None,
    };
    let announced = candidate.x.is_none_or(|x| x == share.x());
    if !announced || name != group.name() {
        return None;
    }
    GenuineShare::check(share, &group.header).ok()
}

/// farMFA's shares prove nothing of themselves, so a stranger with the invite can send as many as they like, made to fit
/// each other. The applicant's own Toc is therefore in every quorum that is tried: nobody who does not know its share can
/// steer what comes out, and what is not steered is not base32.
fn open_farmfa(record: &Record, tek: &Tek, candidates: &[Candidate]) -> Quorum {
    let threshold = usize::from(record.fields().threshold);
    let anchor = candidates.iter().find(|candidate| Some(candidate.digest) == record.anchor);
    let Some(own) = anchor.and_then(|anchor| farmfa_share(record, tek, anchor)) else {
        return Quorum::Short { genuine: 0, dropped: Vec::new() };
    };
    let (mut shares, mut digests, mut dropped) = (vec![own], vec![record.anchor.unwrap_or_default()], Vec::new());
    for candidate in candidates.iter().filter(|candidate| Some(candidate.digest) != record.anchor) {
        match farmfa_share(record, tek, candidate) {
            Some(share) => {
                shares.push(share);
                digests.push(candidate.digest);
            }
            None => dropped.push(candidate.digest),
        }
        // The first quorum is tried before anything more is opened.
        if shares.len() == threshold
            && let Ok(secret) = farmfa::combine(&shares, threshold)
        {
            return Quorum::Reached { secret: Box::new(secret), dropped };
        }
    }
    match first_good_subset(&shares, threshold) {
        Some((secret, used)) => {
            // Everybody who does not lie on the polynomial that made sense is false.
            let base: Vec<farmfa::Share> = used.iter().map(|&i| shares[i].clone()).collect();
            for (i, share) in shares.iter().enumerate().filter(|(i, _)| !used.contains(i)) {
                let with: Vec<farmfa::Share> = base.iter().cloned().chain([share.clone()]).collect();
                if !matches!(farmfa::consistent(&with, threshold), Ok(farmfa::Consistency::Agree)) {
                    dropped.push(digests[i]);
                }
            }
            Quorum::Reached { secret: Box::new(secret), dropped }
        }
        None => Quorum::Short { genuine: count(shares.len().min(threshold - 1)), dropped },
    }
}

/// The share in `candidate`, when it says that it is of this group. farMFA's shares prove nothing of themselves.
fn farmfa_share(record: &Record, tek: &Tek, candidate: &Candidate) -> Option<farmfa::Share> {
    let json = age_open(&candidate.armored, tek).ok()?;
    let Ok(Toc::Farmfa(toc)) = Toc::parse(&json) else { return None };
    let fields = record.fields();
    let same = toc.group_id == fields.group_id && toc.size == fields.size && toc.threshold == fields.threshold;
    // Without the digest of this invite inside, a Toc approves a code and no redeal.
    let approved = fields.purpose == Purpose::Code || toc.approval == Some(record.invite.digest());
    (same && approved).then_some(toc.share)
}

/// Tries the subsets that hold the first share, the applicant's, as many as the work allows.
fn first_good_subset(shares: &[farmfa::Share], threshold: usize) -> Option<(OtpSecret, Vec<usize>)> {
    if shares.len() <= threshold {
        return None;
    }
    let mut indices: Vec<usize> = (0..threshold).collect();
    for _ in 0..(SUBSET_WORK / (threshold * threshold)).clamp(1, MAX_SUBSETS) {
        // The next combination in lexicographic order; the first one has been tried, and index 0 stays.
        let at = (1..threshold).rev().find(|&i| indices[i] < shares.len() - threshold + i)?;
        indices[at] += 1;
        for i in at + 1..threshold {
            indices[i] = indices[i - 1] + 1;
        }
        let subset: Vec<farmfa::Share> = indices.iter().map(|&i| shares[i].clone()).collect();
        if let Ok(secret) = farmfa::combine(&subset, threshold) {
            return Some((secret, indices));
        }
    }
    None
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("at most 255 shares are collected")
}
