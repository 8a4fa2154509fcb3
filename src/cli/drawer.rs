//! Filed Tocs: `$XDG_DATA_HOME/quorate/tocs/G/NAME.toc.age`, each with a card in the clear beside it that says what can be
//! known without a touch. It must not know how a Toc is opened; a card is a note to oneself, never proof.

use super::{CliError, Paths, files};
use quorate_protocol::header::{GroupName, OraclePin};
use quorate_protocol::toc::Toc;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a Toc file that are read at most: twice what an armored one may have.
pub(crate) const MAX_TOC_FILE: u64 = 256 * 1024;
/// Bytes of a card that are read at most.
const MAX_CARD: u64 = 128 * 1024;
const TOC_END: &str = ".toc.age";
const CARD_END: &str = ".toc.json";
/// The shortest start of a group's name that stands for it.
const MIN_PREFIX: usize = 4;

/// Why a filed Toc is not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DrawerError {
    /// Several filed Tocs fit the description.
    #[error("`{wanted}` fits {count} filed Tocs")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many there are.
        count: usize,
    },
    /// A card that says other than it should, or nothing readable.
    #[error("{} does not describe the Toc beside it", .0.display())]
    Card(PathBuf),
    /// Neither a file nor filed.
    #[error("there is no file `{0}`, and no Toc of such a group is filed")]
    NotFiled(String),
    /// A Toc as it is sent, which has no header and cannot be filed.
    #[error("{} is a Toc as it is sent to an oracle, not one that a player files", .0.display())]
    Short(PathBuf),
}

/// What is known of a filed Toc without opening it. Nothing in it is secret; the Toc itself decides once it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card {
    /// Always 1.
    pub(crate) version: u32,
    /// G; absent for a Toc dealt by farMFA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<GroupName>,
    /// The group's id for people, or farMFA's.
    pub(crate) group_id: String,
    /// Number of players.
    pub(crate) size: u8,
    /// Number of Tocs that it takes.
    pub(crate) threshold: u8,
    /// What the secret opens.
    pub(crate) note: String,
    /// Identifier of the Toc.
    pub(crate) toc_id: String,
    /// The holder's name; farMFA has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<String>,
    /// All players by name, in the order of their shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) players: Vec<String>,
    /// The oracle that the dealer named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oracle: Option<OraclePin>,
    /// When the deal was made, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dealt_at: Option<i64>,
    /// The group that the deal replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<GroupName>,
}

impl Card {
    /// What may be said of an open Toc; `None` for one as it is sent, which has no header.
    pub(crate) fn of(toc: &Toc) -> Option<Self> {
        match toc {
            Toc::Whole(whole) => {
                let fields = whole.header().fields();
                let player =
                    whole.header().player(whole.share().x()).expect("a whole Toc's share is one of its header's");
                Some(Self {
                    version: 1,
                    group: Some(whole.group()),
                    group_id: fields.group_id.clone(),
                    size: fields.size,
                    threshold: fields.threshold,
                    note: fields.note.clone(),
                    toc_id: player.toc_id.clone(),
                    holder: Some(player.holder.clone()),
                    players: fields.players.iter().map(|player| player.holder.clone()).collect(),
                    oracle: fields.oracle.clone(),
                    dealt_at: Some(fields.dealt_at),
                    replaces: fields.replaces,
                })
            }
            Toc::Farmfa(farmfa) => Some(Self {
                version: 1,
                group: None,
                group_id: farmfa.group_id.clone(),
                size: farmfa.size,
                threshold: farmfa.threshold,
                note: farmfa.note.clone(),
                toc_id: farmfa.toc_id.clone(),
                holder: None,
                players: Vec::new(),
                oracle: None,
                dealt_at: None,
                replaces: None,
            }),
            Toc::Short(_) => None,
        }
    }

    /// The name of the folder that Tocs of this group are filed in: G, or `farmfa-` and farMFA's id.
    fn folder(&self) -> String {
        match self.group {
            Some(group) => group.to_string(),
            None => files::safe_name(&format!("farmfa-{}", self.group_id)),
        }
    }

    fn file_stem(&self) -> String {
        files::safe_name(self.holder.as_ref().unwrap_or(&self.toc_id))
    }

    fn fits(&self, wanted: &str) -> bool {
        let by_name =
            self.group.is_some_and(|group| wanted.len() >= MIN_PREFIX && group.to_string().starts_with(wanted));
        by_name || self.group_id.eq_ignore_ascii_case(wanted)
    }
}

/// A filed Toc.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    /// The encrypted file.
    pub(crate) path: PathBuf,
    /// What is known of it.
    pub(crate) card: Card,
}

/// All filed Tocs of this person.
#[derive(Debug)]
pub(crate) struct Drawer {
    root: PathBuf,
}

impl Drawer {
    /// The drawer under `$XDG_DATA_HOME/quorate/tocs`, which need not exist.
    pub(crate) fn new(paths: &Paths) -> Self {
        Self { root: paths.tocs() }
    }

    /// Files `encrypted` (an age file, armored or not), which opened to `toc` and lies at `from`. Filing the same bytes
    /// again changes nothing; another file of that name is refused.
    pub(crate) fn file(&self, toc: &Toc, encrypted: &[u8], from: &Path) -> Result<Filed, CliError> {
        let card = Card::of(toc).ok_or_else(|| DrawerError::Short(from.to_owned()))?;
        let folder = self.root.join(card.folder());
        files::private_folder(&folder)?;
        let stem = card.file_stem();
        let path = folder.join(stem.clone() + TOC_END);
        match files::read(&path, MAX_TOC_FILE) {
            Ok(there) if there.as_slice() == encrypted => {}
            Ok(_) => return Err(CliError::Exists(path)),
            Err(_) => files::write_new(&path, encrypted)?,
        }
        let json = serde_json::to_vec_pretty(&card).expect("a card is plain data");
        files::replace(&folder.join(stem + CARD_END), &json)?;
        Ok(Filed { path, card })
    }

    /// Every filed Toc, by group and name. Cards that cannot be read are errors: `doctor` and `toc add` mend them.
    pub(crate) fn list(&self) -> Result<Vec<Filed>, CliError> {
        let mut filed = Vec::new();
        for folder in entries(&self.root)?.into_iter().filter(|path| path.is_dir()) {
            for path in entries(&folder)? {
                if let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(TOC_END)) {
                    let card = read_card(&folder.join(stem.to_owned() + CARD_END), &folder)?;
                    filed.push(Filed { path, card });
                }
            }
        }
        Ok(filed)
    }

    /// The filed Tocs of `group`.
    pub(crate) fn of_group(&self, group: GroupName) -> Result<Vec<Filed>, CliError> {
        Ok(self.list()?.into_iter().filter(|filed| filed.card.group == Some(group)).collect())
    }

    /// The one filed Toc that `wanted` means: a group's name, its first characters (4 at least) or its id for people.
    pub(crate) fn find(&self, wanted: &str) -> Result<Filed, CliError> {
        let mut found: Vec<Filed> = self.list()?.into_iter().filter(|filed| filed.card.fits(wanted)).collect();
        match (found.pop(), found.len()) {
            (None, _) => Err(DrawerError::NotFiled(wanted.to_owned()).into()),
            (Some(only), 0) => Ok(only),
            (Some(_), others) => Err(DrawerError::Ambiguous { wanted: wanted.to_owned(), count: others + 1 }.into()),
        }
    }

    /// The file that `wanted` means: a path, or what [`Drawer::find`] takes. The card is there when it was filed.
    pub(crate) fn path_of(&self, wanted: &str) -> Result<(PathBuf, Option<Card>), CliError> {
        let path = Path::new(wanted);
        if !path.is_file() {
            return self.find(wanted).map(|filed| (filed.path, Some(filed.card)));
        }
        let beside = wanted.strip_suffix(TOC_END).map(|stem| PathBuf::from(stem.to_owned() + CARD_END));
        let card = beside.filter(|_| path.starts_with(&self.root)).and_then(|card| parse_card(&card).ok());
        Ok((path.to_owned(), card))
    }
}

fn read_card(path: &Path, folder: &Path) -> Result<Card, CliError> {
    let card = parse_card(path)?;
    // A card in the wrong folder would let one group's Toc pass for another's.
    if card.version == 1 && folder.file_name().is_some_and(|name| name == card.folder().as_str()) {
        Ok(card)
    } else {
        Err(DrawerError::Card(path.to_owned()).into())
    }
}

fn parse_card(path: &Path) -> Result<Card, CliError> {
    let text = files::read_text(path, MAX_CARD)?;
    serde_json::from_str(&text).map_err(|_| DrawerError::Card(path.to_owned()).into())
}

/// What is in `folder`, in order; nothing when it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CliError::read(folder, error)),
    };
    let mut paths = read
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CliError::read(folder, error))?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::deal::{DealRequest, deal};
    use quorate_protocol::otp::OtpSecret;
    use quorate_protocol::toc::WholeToc;

    fn tocs() -> Vec<WholeToc> {
        let secret = OtpSecret::from_base32("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
        let holders = ["ann".to_owned(), "../bob".to_owned()];
        let request = DealRequest {
            secret: &secret,
            threshold: 2,
            holders: &holders,
            note: "test",
            dealt_at: 1_700_000_000,
            oracle: None,
            replaces: None,
        };
        deal(&request, &mut rand::rng()).unwrap().tocs
    }

    fn file(drawer: &Drawer, toc: &WholeToc, bytes: &[u8]) -> Result<Filed, CliError> {
        drawer.file(&Toc::Whole(toc.clone()), bytes, Path::new("somewhere"))
    }

    #[test]
    fn what_is_filed_is_found_by_group_prefix_and_id() {
        let folder = tempfile::tempdir().unwrap();
        let drawer = Drawer { root: folder.path().join("tocs") };
        assert!(drawer.list().unwrap().is_empty());
        let tocs = tocs();
        let filed = file(&drawer, &tocs[0], b"encrypted").unwrap();
        let group = tocs[0].group();
        assert_eq!(filed.path, folder.path().join(format!("tocs/{group}/ann.toc.age")));
        for wanted in [&group.to_string(), &group.to_string()[..4], &filed.card.group_id.to_lowercase()] {
            assert_eq!(drawer.find(wanted).unwrap().path, filed.path, "{wanted}");
        }
        assert!(drawer.find(&group.to_string()[..3]).is_err());
        assert_eq!(drawer.of_group(group).unwrap().len(), 1);
        assert_eq!(drawer.path_of(&group.to_string()).unwrap().1, Some(filed.card.clone()));
        assert_eq!(drawer.path_of(filed.path.to_str().unwrap()).unwrap().1, Some(filed.card));
    }

    #[test]
    fn a_hostile_name_stays_in_the_drawer_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let drawer = Drawer { root: folder.path().join("tocs") };
        let tocs = tocs();
        let filed = file(&drawer, &tocs[1], b"one").unwrap();
        assert!(filed.path.parent().unwrap().parent().unwrap() == drawer.root, "{}", filed.path.display());
        assert_eq!(file(&drawer, &tocs[1], b"one").unwrap().path, filed.path, "again changes nothing");
        assert!(matches!(file(&drawer, &tocs[1], b"two"), Err(CliError::Exists(_))));
        assert_eq!(fs::read(&filed.path).unwrap(), b"one");
        file(&drawer, &tocs[0], b"three").unwrap();
        assert!(matches!(
            drawer.find(&filed.card.group_id),
            Err(CliError::Drawer(DrawerError::Ambiguous { count: 2, .. }))
        ));
    }

    #[test]
    fn a_card_of_another_group_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let drawer = Drawer { root: folder.path().join("tocs") };
        let (one, other) = (file(&drawer, &tocs()[0], b"1").unwrap(), file(&drawer, &tocs()[0], b"2").unwrap());
        let card = |filed: &Filed| filed.path.with_file_name("ann.toc.json");
        fs::copy(card(&one), card(&other)).unwrap();
        assert!(matches!(drawer.list(), Err(CliError::Drawer(DrawerError::Card(_)))));
        fs::write(card(&other), b"{").unwrap();
        assert!(matches!(drawer.list(), Err(CliError::Drawer(DrawerError::Card(_)))));
    }
}
