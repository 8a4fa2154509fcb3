//! A deal: splitting a secret among players, and putting it together again.

use crate::encoding::base64;
use crate::header::{
    GroupName, Header, HeaderError, HeaderFields, OraclePin, PlayerEntry, check_name, check_threshold,
};
use crate::otp::{OtpError, OtpSecret};
use crate::sealing::{SealingError, open_secret, seal_secret};
use crate::sharing::{GenuineShare, OtherShares, Share, SharingError, combine, combine_genuine, split};
use crate::toc::{Group, TocError, WholeToc};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// What is dealt, to whom.
#[derive(Debug)]
pub struct DealRequest<'a> {
    /// The secret.
    pub secret: &'a OtpSecret,
    /// How many Tocs make a session quorate, 2 to the number of players.
    pub threshold: usize,
    /// Names of the players, in the order of their shares.
    pub holders: &'a [String],
    /// What the secret opens, for people.
    pub note: &'a str,
    /// When, in seconds since the Unix epoch.
    pub dealt_at: i64,
    /// The oracle that may rebuild the secret.
    pub oracle: Option<OraclePin>,
    /// The group that this deal replaces.
    pub replaces: Option<GroupName>,
}

/// A finished deal. `tocs[x - 1]` is for player x.
#[derive(Debug)]
pub struct Deal {
    /// The public half.
    pub group: Group,
    /// One Toc per player, not yet encrypted.
    pub tocs: Vec<WholeToc>,
}

/// Why a deal is refused, or why a quorum gives no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DealError {
    /// A name, note, threshold or oracle that cannot stand in a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// What was sealed is no otpauth URI that this program can use.
    #[error("what was dealt is not a usable secret: {0}")]
    Otp(#[from] OtpError),
    /// The sealed part does not open.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The shares do not combine.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// A Toc that cannot be put together.
    #[error(transparent)]
    Toc(#[from] TocError),
}

/// Deals `request.secret`. The group key is drawn here and forgotten here.
pub fn deal(request: &DealRequest<'_>, rng: &mut impl CryptoRng) -> Result<Deal, DealError> {
    let size = request.holders.len();
    check_threshold(request.threshold, size)?;
    request.holders.iter().try_for_each(|holder| check_name(holder))?;
    let (size, threshold) = (byte(size), byte(request.threshold));

    let mut group_key = Zeroizing::new([0; 32]);
    rng.fill_bytes(group_key.as_mut_slice());
    let shares = split(&group_key, threshold, size, rng)?;

    let group_id = readable_id(rng);
    let players = shares
        .iter()
        .zip(request.holders)
        .map(|(share, holder)| {
            let mut id = [0; 9];
            rng.fill_bytes(&mut id);
            let toc_id = base64(&id);
            let share_key = share.signing_key(&group_id, &toc_id).verifying_key().to_bytes().to_vec().into();
            PlayerEntry { holder: holder.clone(), toc_id, share_key }
        })
        .collect();
    let header = Header::new(HeaderFields {
        version: 1,
        group_id,
        size,
        threshold,
        note: request.note.to_owned(),
        dealt_at: request.dealt_at,
        replaces: request.replaces,
        oracle: request.oracle.clone(),
        players,
    })?;
    let sealed = seal_secret(&group_key, &header, &request.secret.to_uri(), rng);
    let tocs = shares
        .into_iter()
        .map(|share| WholeToc::new(header.clone(), sealed.clone(), share))
        .collect::<Result<_, _>>()?;
    Ok(Deal { group: Group { header, sealed }, tocs })
}

/// Rebuilds the secret of `group` from exactly its threshold of shares, checking all of them.
pub fn rebuild(group: &Group, shares: &[Share]) -> Result<OtpSecret, DealError> {
    let group_key = combine(shares, &group.header)?;
    open_with(group, &group_key)
}

/// The same with shares that have been checked against the group's header.
pub fn rebuild_genuine(group: &Group, shares: &[GenuineShare], others: OtherShares) -> Result<OtpSecret, DealError> {
    let group_key = combine_genuine(shares, &group.header, others)?;
    open_with(group, &group_key)
}

fn open_with(group: &Group, group_key: &[u8; 32]) -> Result<OtpSecret, DealError> {
    let uri = open_secret(group_key, &group.header, &group.sealed)?;
    let uri = std::str::from_utf8(&uri).map_err(|_| SealingError::Open)?;
    Ok(OtpSecret::from_uri(uri)?)
}

fn byte(count: usize) -> u8 {
    u8::try_from(count).expect("the threshold check bounds both at 255")
}

/// Eight base32 characters, as farMFA names its groups.
fn readable_id(rng: &mut impl CryptoRng) -> String {
    let mut id = [0; 5];
    rng.fill_bytes(&mut id);
    data_encoding::BASE32_NOPAD.encode(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Toc;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn request<'a>(secret: &'a OtpSecret, holders: &'a [String], threshold: usize) -> DealRequest<'a> {
        DealRequest {
            secret,
            threshold,
            holders,
            note: "test account",
            dealt_at: 1_700_000_000,
            oracle: None,
            replaces: None,
        }
    }

    fn secret() -> OtpSecret {
        OtpSecret::from_uri("otpauth://totp/Test:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Test")
            .expect("a URI")
    }

    fn names(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("player {i}")).collect()
    }

    #[test]
    fn any_quorum_rebuilds_and_every_toc_reads_back() {
        let dealt = deal(&request(&secret(), &names(5), 3), &mut StdRng::seed_from_u64(3)).expect("dealt");
        let read: Vec<WholeToc> = dealt
            .tocs
            .iter()
            .map(|toc| match Toc::parse(&toc.to_json()).expect("reads back") {
                Toc::Whole(whole) => whole,
                other => panic!("{other:?}"),
            })
            .collect();
        let shares: Vec<Share> = [4, 0, 2].map(|i: usize| read[i].share().clone()).to_vec();
        assert_eq!(*rebuild(&dealt.group, &shares).expect("rebuilt").to_uri(), *secret().to_uri());
        assert!(
            matches!(Toc::parse(&read[0].to_short_json()).expect("short"), Toc::Short(s) if s.group == dealt.group.name())
        );
        assert_eq!(Group::parse(dealt.group.to_json().as_bytes()).expect("group file"), dealt.group);
    }

    #[test]
    fn a_dishonest_deal_is_noticed() {
        let mut rng = StdRng::seed_from_u64(4);
        let dealt = deal(&request(&secret(), &names(4), 2), &mut rng).expect("dealt");
        // The dealer gives player 4 a share of another polynomial, and publishes the key that fits it.
        let stray = split(&[9; 32], 2, 4, &mut rng).expect("split")[3].clone();
        let mut fields = dealt.group.header.fields().clone();
        let toc_id = fields.players[3].toc_id.clone();
        fields.players[3].share_key =
            stray.signing_key(&fields.group_id, &toc_id).verifying_key().to_bytes().to_vec().into();
        let group = Group { header: Header::new(fields).expect("header"), sealed: dealt.group.sealed.clone() };
        let shares = [dealt.tocs[0].share().clone(), dealt.tocs[1].share().clone()];
        assert!(matches!(rebuild(&group, &shares), Err(DealError::Sharing(SharingError::DishonestDeal))));
        let shares = [dealt.tocs[0].share().clone(), stray];
        assert!(matches!(rebuild(&group, &shares), Err(DealError::Sharing(SharingError::DishonestDeal))));
    }

    #[test]
    fn a_lowered_threshold_or_a_foreign_share_is_noticed() {
        let dealt = deal(&request(&secret(), &names(5), 3), &mut StdRng::seed_from_u64(5)).expect("dealt");
        let mut fields = dealt.group.header.fields().clone();
        fields.threshold = 2;
        let lowered = Group { header: Header::new(fields).expect("header"), sealed: dealt.group.sealed.clone() };
        let two = [dealt.tocs[0].share().clone(), dealt.tocs[1].share().clone()];
        assert!(matches!(rebuild(&lowered, &two), Err(DealError::Sharing(SharingError::DishonestDeal))));
        assert!(matches!(
            rebuild(&dealt.group, &two),
            Err(DealError::Sharing(SharingError::Count { given: 2, threshold: 3 }))
        ));

        let other = deal(&request(&secret(), &names(5), 3), &mut StdRng::seed_from_u64(6)).expect("dealt");
        let mixed = [two[0].clone(), two[1].clone(), other.tocs[2].share().clone()];
        assert!(matches!(rebuild(&dealt.group, &mixed), Err(DealError::Sharing(SharingError::NotDealt { x: 3 }))));
        // Checked against one header, of no use under another.
        let checked = two.map(|share| GenuineShare::check(share, &dealt.group.header).expect("dealt"));
        assert!(matches!(
            rebuild_genuine(&lowered, &checked, OtherShares::CheckedBefore),
            Err(DealError::Sharing(SharingError::NotDealt { x: 1 }))
        ));
        let three = [4, 0, 2].map(|i: usize| GenuineShare::check(dealt.tocs[i].share().clone(), &dealt.group.header));
        let three = three.map(|share| share.expect("dealt"));
        for others in [OtherShares::Check, OtherShares::CheckedBefore] {
            let rebuilt = rebuild_genuine(&dealt.group, &three, others).expect("an honest quorum");
            assert_eq!(*rebuilt.to_uri(), *secret().to_uri());
        }
        let two = [dealt.tocs[0].share().clone(), dealt.tocs[1].share().clone()];
        let repeated = [two[0].clone(), two[1].clone(), two[1].clone()];
        assert!(matches!(rebuild(&dealt.group, &repeated), Err(DealError::Sharing(SharingError::RepeatedX(2)))));
    }

    #[test]
    fn a_flipped_bit_in_share_header_or_sealed_part_is_noticed() {
        let dealt = deal(&request(&secret(), &names(3), 2), &mut StdRng::seed_from_u64(7)).expect("dealt");
        let shares = [dealt.tocs[0].share().clone(), dealt.tocs[1].share().clone()];
        let mut sealed = dealt.group.sealed.clone();
        sealed[30] ^= 1;
        let flipped = Group { header: dealt.group.header.clone(), sealed };
        assert_ne!(flipped.name(), dealt.group.name());
        assert!(matches!(rebuild(&flipped, &shares), Err(DealError::Sealing(SealingError::Open))));
        for byte in 1..33 {
            let mut bytes = *shares[0].as_bytes();
            bytes[byte] ^= 1;
            let bad = Share::from_bytes(&bytes).expect("still a share");
            assert!(WholeToc::new(dealt.group.header.clone(), dealt.group.sealed.clone(), bad).is_err());
        }
        let text = String::from_utf8(dealt.group.header.bytes().to_vec())
            .expect("JSON")
            .replace("test account", "test akkount");
        let renamed =
            Group { header: Header::parse(text.as_bytes()).expect("header"), sealed: dealt.group.sealed.clone() };
        assert_ne!(renamed.name(), dealt.group.name());
        assert!(rebuild(&renamed, &shares).is_err());
    }

    #[test]
    fn out_of_range_deals_are_refused() {
        let mut rng = StdRng::seed_from_u64(8);
        for (players, threshold) in [(3, 0), (3, 1), (3, 4), (1, 2), (256, 2)] {
            assert!(
                deal(&request(&secret(), &names(players), threshold), &mut rng).is_err(),
                "{threshold} of {players}"
            );
        }
        let twice = vec!["ann".to_owned(), "ann".to_owned()];
        assert!(matches!(
            deal(&request(&secret(), &twice, 2), &mut rng),
            Err(DealError::Header(HeaderError::RepeatedPlayer))
        ));
        assert!(deal(&request(&secret(), &names(255), 128), &mut rng).is_ok());
    }
}
