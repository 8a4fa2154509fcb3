//! A Toc: what one player holds, as it is filed (whole), as it is sent to an oracle (short), and as farMFA deals it.
//!
//! The outer fields keep farMFA's names so that its reader can show ours; they are copies and must match the header.

use crate::encoding::{Base64, base64, from_base64};
use crate::farmfa;
use crate::header::{GroupName, Header, HeaderError};
use crate::sharing::{Share, SharingError};
use crate::strict_json::{self, JsonError};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of the sealed secret that a Toc may carry: an otpauth URI is far shorter.
pub const MAX_SEALED: usize = 5 * 1024;

/// A Toc of either kind, read and checked as far as it can be by itself.
#[derive(Debug)]
pub enum Toc {
    /// Dealt by quorate, with its header and the sealed secret.
    Whole(WholeToc),
    /// Dealt by quorate, as `join` sends it: the share and the name of the group.
    Short(ShortToc),
    /// Dealt by farMFA.
    Farmfa(FarmfaToc),
}

/// A Toc as its player files it.
#[derive(Debug, Clone)]
pub struct WholeToc {
    header: Header,
    sealed: Vec<u8>,
    share: Share,
}

/// A Toc as it travels to an oracle that has the header already.
#[derive(Debug, Clone)]
pub struct ShortToc {
    /// The group it says it is of.
    pub group: GroupName,
    /// The share, not yet compared with the header.
    pub share: Share,
}

/// A Toc dealt by farMFA.
#[derive(Debug, Clone)]
pub struct FarmfaToc {
    /// farMFA's name of the group.
    pub group_id: String,
    /// Number of players.
    pub size: u8,
    /// Number of Tocs that it takes.
    pub threshold: u8,
    /// What the secret opens.
    pub note: String,
    /// farMFA's name of the Toc.
    pub toc_id: String,
    /// The share, in either of farMFA's layouts.
    pub share: farmfa::Share,
    /// Digest of the invite whose redeal the holder agrees to, when this Toc may be used for one.
    pub approval: Option<[u8; 32]>,
}

/// Why a Toc is refused. Never repeats what it holds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TocError {
    /// The `approval` field is not a digest.
    #[error("the approval in the Toc is not the base64 of 32 bytes")]
    Approval,
    /// A share that farMFA cannot have dealt.
    #[error(transparent)]
    Farmfa(#[from] farmfa::FarmfaError),
    /// The header inside is refused.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The JSON is not acceptable.
    #[error("this is no Toc: {0}")]
    Json(#[from] JsonError),
    /// An outer field that differs from the header.
    #[error("the Toc's {0} is not what its header says")]
    Mismatch(&'static str),
    /// The `quorate` part has neither header and sealed secret nor a group.
    #[error("the Toc's quorate part is incomplete")]
    Part,
    /// The share is no base64.
    #[error("the share in the Toc is not base64")]
    ShareText,
    /// The share is not acceptable.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// Size or threshold out of range.
    #[error("the Toc's group size or threshold is out of range")]
    Size,
}

#[derive(Serialize, Deserialize)]
struct TocJson {
    group_id: String,
    group_size: u16,
    group_threshold: u16,
    #[serde(default)]
    note: Option<String>,
    toc_id: String,
    share: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorate: Option<PartJson>,
}

#[derive(Serialize, Deserialize)]
struct PartJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
}

impl Toc {
    /// Reads a decrypted Toc.
    pub fn parse(json: &[u8]) -> Result<Self, TocError> {
        let toc: TocJson = strict_json::from_slice(json)?;
        let Some(part) = &toc.quorate else {
            return FarmfaToc::read(&toc).map(Self::Farmfa);
        };
        let share = Share::from_bytes(&from_base64(&toc.share).ok_or(TocError::ShareText)?)?;
        match (&part.header, &part.sealed, part.group) {
            (Some(header), Some(sealed), None) => {
                let whole = WholeToc::new(Header::parse(&header.0)?, sealed.0.clone(), share)?;
                whole.compare(&toc)?;
                Ok(Self::Whole(whole))
            }
            (None, None, Some(group)) => Ok(Self::Short(ShortToc { group, share })),
            _ => Err(TocError::Part),
        }
    }
}

impl WholeToc {
    /// Puts a Toc together; the share must be the one that the header names.
    pub fn new(header: Header, sealed: Vec<u8>, share: Share) -> Result<Self, TocError> {
        if sealed.len() > MAX_SEALED {
            return Err(TocError::Mismatch("sealed part"));
        }
        share.check(&header)?;
        Ok(Self { header, sealed, share })
    }

    fn compare(&self, outer: &TocJson) -> Result<(), TocError> {
        let fields = self.header.fields();
        let player = self.header.player(self.share.x()).expect("checked against the header when it was made");
        let same = [
            ("group id", outer.group_id == fields.group_id),
            ("group size", outer.group_size == u16::from(fields.size)),
            ("threshold", outer.group_threshold == u16::from(fields.threshold)),
            ("note", outer.note.as_deref().unwrap_or_default() == fields.note),
            ("toc id", outer.toc_id == player.toc_id),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some((field, _)) => Err(TocError::Mismatch(field)),
            None => Ok(()),
        }
    }

    /// G.
    pub fn group(&self) -> GroupName {
        self.header.group_name(&self.sealed)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The sealed secret.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// The share.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// The holder's name.
    pub fn holder(&self) -> &str {
        &self.header.player(self.share.x()).expect("checked against the header when it was made").holder
    }

    /// The key that proves possession of this Toc.
    pub fn signing_key(&self) -> SigningKey {
        self.share.check(&self.header).expect("checked against the header when it was made")
    }

    /// The Toc as it is filed.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        self.write(PartJson {
            header: Some(self.header.bytes().to_vec().into()),
            sealed: Some(self.sealed.clone().into()),
            group: None,
        })
    }

    /// The Toc as it is sent: farMFA's fields and G. At 255 players the whole Toc is some 50 kB, this one half of one.
    pub fn to_short_json(&self) -> Zeroizing<Vec<u8>> {
        self.write(PartJson { header: None, sealed: None, group: Some(self.group()) })
    }

    fn write(&self, part: PartJson) -> Zeroizing<Vec<u8>> {
        let fields = self.header.fields();
        let player = self.header.player(self.share.x()).expect("checked against the header when it was made");
        let toc = TocJson {
            group_id: fields.group_id.clone(),
            group_size: fields.size.into(),
            group_threshold: fields.threshold.into(),
            note: Some(fields.note.clone()),
            toc_id: player.toc_id.clone(),
            share: Zeroizing::new(base64(self.share.as_bytes())),
            approval: None,
            quorate: Some(part),
        };
        // Reserved at once: a vector that grows leaves copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(self.header.bytes().len() * 2 + self.sealed.len() * 2 + 4096));
        serde_json::to_writer(&mut *json, &toc).expect("plain data always serialises");
        json
    }
}

impl FarmfaToc {
    fn read(toc: &TocJson) -> Result<Self, TocError> {
        let (size, threshold) = match (u8::try_from(toc.group_size), u8::try_from(toc.group_threshold)) {
            (Ok(size), Ok(threshold)) if (2..=size).contains(&threshold) => (size, threshold),
            _ => return Err(TocError::Size),
        };
        let approval = match &toc.approval {
            Some(digest) => Some(digest.0.as_slice().try_into().map_err(|_| TocError::Approval)?),
            None => None,
        };
        Ok(Self {
            group_id: toc.group_id.clone(),
            size,
            threshold,
            note: toc.note.clone().unwrap_or_default(),
            toc_id: toc.toc_id.clone(),
            share: farmfa::Share::parse(&toc.share)?,
            approval,
        })
    }
}

/// Adds the approval of a redeal to a farMFA Toc's JSON: the digest of the invite, inside what is encrypted.
pub fn approve_farmfa(json: &[u8], invite_digest: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, TocError> {
    let mut toc: TocJson = strict_json::from_slice(json)?;
    toc.approval = Some(invite_digest.to_vec().into());
    Ok(Zeroizing::new(serde_json::to_vec(&toc).expect("plain data always serialises")))
}

/// The public half of a deal, for the oracle and for the drawer: no shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The header.
    pub header: Header,
    /// The sealed secret.
    pub sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct GroupJson {
    group: GroupName,
    header: Base64,
    sealed: Base64,
}

impl Group {
    /// Reads `group.json`; the name in it must be the name of what it holds.
    pub fn parse(json: &[u8]) -> Result<Self, TocError> {
        let file: GroupJson = strict_json::from_slice(json)?;
        let group = Self { header: Header::parse(&file.header.0)?, sealed: file.sealed.0 };
        if group.sealed.len() > MAX_SEALED || group.name() != file.group {
            return Err(TocError::Mismatch("group"));
        }
        Ok(group)
    }

    /// `group.json`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&GroupJson {
            group: self.name(),
            header: self.header.bytes().to_vec().into(),
            sealed: self.sealed.clone().into(),
        })
        .expect("plain data always serialises")
    }

    /// G.
    pub fn name(&self) -> GroupName {
        self.header.group_name(&self.sealed)
    }
}
