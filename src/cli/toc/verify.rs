//! `quorate toc verify`: opens Tocs and checks all that one Toc by itself can prove. It must not know how to mend anything.

use crate::cli::drawer::{Card, Drawer, DrawerError};
use crate::cli::opening::{OpenedToc, open};
use crate::cli::trust::TrustStore;
use crate::cli::{CliError, Context};
use crate::ui::{shown, shown_path};
use quorate_protocol::toc::Toc;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What was found out about one file.
#[derive(Serialize)]
struct Verdict {
    file: PathBuf,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

pub(super) fn run(context: &Context, wanted: &[String]) -> Result<(), CliError> {
    let drawer = Drawer::new(&context.paths()?);
    let files: Vec<(PathBuf, Option<Card>)> = if wanted.is_empty() {
        drawer.list()?.into_iter().map(|filed| (filed.path, Some(filed.card))).collect()
    } else {
        wanted.iter().map(|wanted| drawer.path_of(wanted)).collect::<Result<_, _>>()?
    };
    if files.is_empty() {
        context.ui.say("no Toc is filed yet: `quorate toc add FILE`");
        return Ok(());
    }
    let identities = context.load_identities()?;
    let trust = TrustStore::load(&context.paths()?)?;
    let mut failures = Vec::new();
    for (path, card) in &files {
        let checked = open(context, &identities, path).and_then(|opened| Ok((check(&opened, card.as_ref())?, opened)));
        let verdict = match checked {
            Ok((card, opened)) => good(path, card, &opened, &trust),
            Err(error) => {
                let verdict = bad(path, &error);
                failures.push(error);
                verdict
            }
        };
        for warning in &verdict.warnings {
            context.ui.warn(warning);
        }
        context.ui.print(&verdict, || line(&verdict))?;
    }
    let failed = failures.len();
    match failures.pop() {
        None => Ok(()),
        Some(only) if files.len() == 1 => Err(only),
        Some(_) => Err(CliError::Failed { failed, of: files.len(), what: "Tocs" }),
    }
}

/// Parsing has compared share, header and outer fields; what is left is the note kept beside a filed Toc.
fn check(opened: &OpenedToc, filed: Option<&Card>) -> Result<Card, CliError> {
    let card = Card::of(&opened.toc).ok_or_else(|| DrawerError::Short(opened.path.clone()))?;
    match filed {
        Some(filed) if *filed != card => Err(DrawerError::Card(opened.path.clone()).into()),
        _ => Ok(card),
    }
}

fn good(path: &Path, card: Card, opened: &OpenedToc, trust: &TrustStore) -> Verdict {
    let mut warnings = Vec::new();
    if matches!(opened.toc, Toc::Farmfa(_)) {
        warnings.push("a Toc of farMFA holds nothing to check its share against; it could only be read".to_owned());
    }
    match &card.oracle {
        None if trust.oracles().is_empty() => {
            warnings.push("no oracle is named in it: `quorate oracle trust URL` says which one you mean".to_owned());
        }
        None => {}
        Some(pin) => match trust.find(&pin.url) {
            Ok(known) if known.root_key != pin.root_key => {
                warnings.push(format!("it names another root key for {} than the one that you trust", shown(&pin.url)));
            }
            _ => {}
        },
    }
    if path.metadata().is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        warnings.push(format!("{} can be read by others: chmod 600", shown_path(path)));
    }
    let group = card.group.map(|group| group.to_string());
    Verdict { file: path.to_owned(), ok: true, error: None, warnings, holder: card.holder, group }
}

fn bad(path: &Path, error: &CliError) -> Verdict {
    Verdict {
        file: path.to_owned(),
        ok: false,
        error: Some(shown(&error.to_string())),
        warnings: Vec::new(),
        holder: None,
        group: None,
    }
}

fn line(verdict: &Verdict) -> String {
    let file = shown_path(&verdict.file);
    if let Some(error) = &verdict.error {
        return format!("FAILED  {error}");
    }
    let holder = verdict.holder.as_deref().map_or_else(|| "a player of farMFA".to_owned(), shown);
    format!("ok      {file}: a Toc of {holder}")
}
