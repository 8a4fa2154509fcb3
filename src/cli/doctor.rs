//! `quorate doctor`: what is wrong on this machine, and the cure. It opens nothing that wants a PIN or a touch, and changes
//! nothing.

mod security_keys;
mod tokens;

use super::drawer::Drawer;
use super::trust::{TrustStore, TrustedOracle};
use super::{CliError, Context, NetworkArgs, Paths};
use crate::client::Client;
use crate::ui::{shown, shown_path};
use clap::Args;
use quorate_protocol::proof::MAX_SKEW;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    network: NetworkArgs,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    /// What was looked at.
    what: String,
    state: State,
    /// What was found.
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Wrong,
}

pub(crate) fn run(context: &Context, args: &DoctorArgs) -> Result<(), CliError> {
    let paths = context.paths()?;
    let mut findings = vec![identities(context)];
    findings.extend(tokens::findings());
    findings.extend(security_keys::findings());
    findings.push(tocs(&paths));
    findings.extend(oracles(context, args, &paths));
    findings.extend(permissions(context, &paths));
    for finding in &findings {
        context.ui.print(finding, || line(finding))?;
    }
    let failed = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    if failed == 0 { Ok(()) } else { Err(CliError::Failed { failed, of: findings.len(), what: "checks" }) }
}

fn identities(context: &Context) -> Finding {
    let what = "identities";
    let identities = match context.load_identities() {
        Ok(identities) => identities,
        Err(error) => return wrong(what, &error, error.hint()),
    };
    if let Some(damaged) = identities.damaged().into_iter().next() {
        let cure = "take your copy of the file, or move it out of the folder".to_owned();
        return Finding { what: what.to_owned(), state: State::Wrong, found: shown(&damaged), cure: Some(cure) };
    }
    let mut names = Vec::new();
    let mut of_tokens = Vec::new();
    for token in identities.tokens() {
        for key in token.keys() {
            names.push(format!("\"{}\" in {}", shown(&key.label), shown(&token.info().to_string())));
            of_tokens.extend(key.recipients().map(|recipient| recipient.to_string()));
        }
        if token.keys().is_empty() {
            names.push(format!("{} without a key", shown(&token.info().to_string())));
        }
    }
    let plain = identities.recipients().into_iter().filter(|own| !of_tokens.contains(&own.recipient));
    names.extend(plain.map(|own| format!("an age key in {}", shown(&own.source))));
    if names.is_empty() {
        let cure = "make a key with `quorate key generate`, or name a file with -i";
        return warning(what, "none whose recipient is known without a passphrase".to_owned(), Some(cure.to_owned()));
    }
    ok(what, names.join(", "))
}

fn tocs(paths: &Paths) -> Finding {
    match Drawer::new(paths).list() {
        Ok(filed) => ok("filed Tocs", format!("{} readable", filed.len())),
        Err(error) => wrong("filed Tocs", &error, error.hint()),
    }
}

/// Every trusted oracle, and every oracle that a filed Toc names.
fn oracles(context: &Context, args: &DoctorArgs, paths: &Paths) -> Vec<Finding> {
    let store = match TrustStore::load(paths) {
        Ok(store) => store,
        Err(error) => return vec![wrong("trusted oracles", &error, error.hint())],
    };
    let mut known: Vec<TrustedOracle> = store.oracles().to_vec();
    for filed in Drawer::new(paths).list().unwrap_or_default() {
        if let Some(pin) = filed.card.oracle
            && !known.iter().any(|oracle| oracle.pin() == pin)
        {
            let fingerprint = quorate_protocol::api::fingerprint(&pin.root_key.0);
            known.push(TrustedOracle { url: pin.url, root_key: pin.root_key, fingerprint, trusted_at: String::new() });
        }
    }
    known.iter().map(|oracle| ask_oracle(context, args, oracle)).collect()
}

fn ask_oracle(context: &Context, args: &DoctorArgs, oracle: &TrustedOracle) -> Finding {
    let what = format!("oracle {}", shown(&oracle.url));
    let description = match Client::describe(&oracle.url, &args.network.options()) {
        Ok(description) => description,
        Err(error) => {
            let error = CliError::from(error);
            return wrong(&what, &error, error.hint());
        }
    };
    if description.root_key != oracle.root_key {
        return Finding {
            what,
            state: State::Wrong,
            found: "it answers with another root key than the one trusted".to_owned(),
            cure: Some(format!("ask its operator, then `quorate oracle trust {}`", shown(&oracle.url))),
        };
    }
    let skew = description.time.saturating_sub(context.now());
    if skew.saturating_abs() > MAX_SKEW {
        return Finding {
            what,
            state: State::Wrong,
            found: format!("its clock differs from this machine's by {skew} seconds"),
            cure: Some("set the clock of this machine (timedatectl set-ntp true), or ask the operator".to_owned()),
        };
    }
    ok(&what, format!("reachable, root key as trusted, clocks {} s apart", skew.saturating_abs()))
}

/// Private files that others can read, and folders that others can write to.
fn permissions(context: &Context, paths: &Paths) -> Vec<Finding> {
    let mut private: Vec<PathBuf> = context.identities.clone();
    if private.is_empty() {
        private.push(paths.identities());
    }
    private.push(paths.sessions());
    let filed = Drawer::new(paths).list().unwrap_or_default();
    private.extend(filed.into_iter().map(|filed| filed.path));
    let open: Vec<Finding> = private.iter().filter_map(|path| too_open(path)).collect();
    if open.is_empty() { vec![ok("permissions", "private files are private".to_owned())] } else { open }
}

fn too_open(path: &Path) -> Option<Finding> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| Finding {
        what: format!("permissions of {}", shown_path(path)),
        state: State::Wrong,
        found: format!("mode {mode:03o}: others can reach it"),
        cure: Some(format!("chmod go= {}", shown_path(path))),
    })
}

fn ok(what: &str, found: String) -> Finding {
    Finding { what: what.to_owned(), state: State::Ok, found, cure: None }
}

/// Something that may be meant to be so.
fn warning(what: &str, found: String, cure: Option<String>) -> Finding {
    Finding { what: what.to_owned(), state: State::Warning, found, cure }
}

fn wrong(what: &str, error: &CliError, cure: Option<String>) -> Finding {
    Finding { what: what.to_owned(), state: State::Wrong, found: shown(&error.to_string()), cure }
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Wrong => "WRONG",
    };
    let cure = finding.cure.as_ref().map(|cure| format!("\n         cure: {cure}")).unwrap_or_default();
    format!("{state:7}  {}: {}{cure}", finding.what, finding.found)
}
