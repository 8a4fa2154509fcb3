//! Opening Tocs with the identities of this run: named by `-i`, or kept in the configuration folder. It must not know what a
//! command then does with a Toc.

use super::drawer::{Card, Drawer, MAX_TOC_FILE};
use super::security_key::{OwnSecurityKeys, WhichKey};
use super::{CliError, Context, files};
use crate::token::identities::Identities;
use crate::token::readers::system_readers;
use crate::ui::shown;
use quorate_protocol::toc::Toc;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// An opened Toc, with the file that it came from.
#[derive(Debug)]
pub(crate) struct OpenedToc {
    /// The file.
    pub(crate) path: PathBuf,
    /// The file's bytes.
    pub(crate) encrypted: Zeroizing<Vec<u8>>,
    /// What was in it: holds the share.
    pub(crate) json: Zeroizing<Vec<u8>>,
    /// What it says, checked as far as it can be by itself.
    pub(crate) toc: Toc,
}

impl Context {
    /// The identities of `-i`, or those in the configuration folder and connected tokens. Asks nobody for anything.
    pub(crate) fn load_identities(&self) -> Result<Identities, CliError> {
        self.load_identities_with(&WhichKey::default())
    }

    /// The same where a security key may have been named.
    pub(crate) fn load_identities_with(&self, which: &WhichKey) -> Result<Identities, CliError> {
        let default = self.paths()?.identities();
        let readers = system_readers().map(Arc::from);
        let identities = Identities::load(&self.identities, &default, Arc::new(self.ui), readers)?;
        for damaged in identities.damaged() {
            self.ui.warn(shown(&damaged));
        }
        Ok(identities.asking(Arc::new(OwnSecurityKeys { context: self.clone(), which: which.clone() })))
    }

    /// Opens the Toc that `wanted` means: a file, or a group whose Toc is filed. Takes a PIN and a touch as the key wants.
    /// The card is there when the Toc is filed.
    pub(crate) fn open_toc(&self, wanted: &str, which: &WhichKey) -> Result<(OpenedToc, Option<Card>), CliError> {
        let (path, card) = Drawer::new(&self.paths()?).path_of(wanted)?;
        Ok((open(self, &self.load_identities_with(which)?, &path)?, card))
    }
}

/// Fails when it is clear without a key that none of ours opens the file `path`.
pub(crate) fn check(identities: &Identities, path: &Path) -> Result<(), CliError> {
    let encrypted = files::read(path, MAX_TOC_FILE)?;
    identities.could_open(&encrypted).map_err(|source| CliError::Open { path: path.to_owned(), source })
}

/// Opens the Toc in the file `path`.
pub(crate) fn open(context: &Context, identities: &Identities, path: &Path) -> Result<OpenedToc, CliError> {
    let encrypted = files::read(path, MAX_TOC_FILE)?;
    let failed = |source| CliError::Open { path: path.to_owned(), source };
    let json = identities.decrypt(&encrypted).map_err(failed)?;
    let toc = Toc::parse(&json).map_err(|source| CliError::Toc { path: path.to_owned(), source })?;
    warn_of_another_oracle(context, identities, &toc);
    Ok(OpenedToc { path: path.to_owned(), encrypted, json, toc })
}

/// A sealed identity is drawn for one oracle and serves no other (protocol/SPEC.md §6.4). A Toc that was dealt to it all the same is no
/// reason to keep its player from answering.
fn warn_of_another_oracle(context: &Context, identities: &Identities, toc: &Toc) {
    let Some((file, own)) = identities.opener().and_then(|own| Some((own.source, own.label?.oracle?))) else { return };
    if let Some(pin) = Card::of(toc).and_then(|card| card.oracle).filter(|pin| pin.url != own) {
        context.ui.warn(format_args!(
            "{} was made for the oracle at {}, and this Toc is for {}: ask the dealer to give you one for a key of its own, or the two can tell that you are one player",
            shown(&file),
            shown(&own),
            shown(&pin.url)
        ));
    }
}
