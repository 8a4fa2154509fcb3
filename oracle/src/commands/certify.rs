//! `quorate-oracle certify`: certificates by the root key, where it is, or put in place where they are used. It must not
//! know how certificates look.

use super::{Outcome, SettingFlags, print, tell};
use crate::clock::{Clock as _, SystemClock};
use crate::keys::certificates::{Chain, for_invites, for_successor, to_text};
use crate::keys::{self, KeyError, Keys, ROOT_KEY, Sources, files};
use crate::state::SystemEntropy;
use clap::Args;
use ed25519_dalek::{SigningKey, VerifyingKey};
use quorate_protocol::encoding::base64;
use quorate_protocol::invite::Certificate;
use std::path::{Path, PathBuf};

/// Days that a successor's certificate is valid: as long as Tocs that pin the old key are in use.
const SUCCESSOR_DAYS: u32 = 3650;

/// Without arguments: renews the certificate of this state's invite key by this state's root key.
///
/// With the root key offline: `certify --show` here prints the invite key; `certify --root FILE --invite PUBKEY -o CERT`
/// there; then `certify --install CERT` here.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Certify {
    #[command(flatten)]
    settings: SettingFlags,
    /// Private root key [default: STATE/root.key]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Public invite key to certify, base64 [default: that of this state]
    #[arg(long, value_name = "PUBKEY")]
    invite: Option<String>,
    /// Certify the root key in FILE (made if it does not exist) as successor, and the invite key by it
    #[arg(long, value_name = "FILE")]
    successor: Option<PathBuf>,
    /// Days that the invite certificate is valid [default: invite.days]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
    /// Write the certificates to FILE, never over an existing one, instead of putting them in place here
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Put certificates that were issued elsewhere in place here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "invite", "successor", "days", "output"])]
    install: Option<PathBuf>,
    /// Print the public invite key
    #[arg(long, conflicts_with_all = ["root", "invite", "successor", "days", "output", "install"])]
    show: bool,
}

impl Certify {
    pub(super) fn run(&self) -> Outcome {
        crate::memory::harden();
        if let (Some(root), Some(invite), Some(output)) = (&self.root, &self.invite, &self.output) {
            // Offline: no state is read or made.
            let days = self.days.unwrap_or(self.settings.load()?.invite_days);
            let new = self.issue(&keys::read_signing_key(root)?, &keys::parse_public_key(invite)?, days)?;
            return write(output, &new);
        }
        let config = self.settings.load()?;
        let days = self.days.unwrap_or(config.invite_days);
        let folder = config.state_dir()?;
        let sources = Sources::from_env().for_certificates(&folder, &SystemEntropy)?;
        let keys = Keys::open(&folder, &sources, &SystemClock, &SystemEntropy, config.invite_days)?;
        let own = keys.invite_key().verifying_key();
        if self.show {
            return print(&format!("{}\n", base64(own.as_bytes())));
        }
        if let Some(file) = &self.install {
            let text = files::read(file)?.ok_or_else(|| format!("there is no file {}", file.display()))?;
            return put_in_place(&keys, Chain::parse(&text).map_err(KeyError::from)?.certificates());
        }
        let root = self.root.clone().unwrap_or_else(|| folder.join(ROOT_KEY));
        if !root.exists() {
            return Err(KeyError::RootElsewhere(root).into());
        }
        let invite = self.invite.as_deref().map_or(Ok(own), keys::parse_public_key)?;
        let new = self.issue(&keys::read_signing_key(&root)?, &invite, days)?;
        match &self.output {
            Some(output) => write(output, &new),
            None => put_in_place(&keys, &new),
        }
    }

    fn issue(&self, root: &SigningKey, invite: &VerifyingKey, days: u32) -> Result<Vec<Certificate>, KeyError> {
        let now = SystemClock.now();
        let Some(file) = &self.successor else { return Ok(vec![for_invites(root, invite, now, days)]) };
        let successor =
            if file.exists() { keys::read_signing_key(file)? } else { keys::create_signing_key(file, &SystemEntropy)? };
        let succession = for_successor(root, &successor.verifying_key(), now, SUCCESSOR_DAYS);
        Ok(vec![succession, for_invites(&successor, invite, now, days)])
    }
}

fn write(output: &Path, certificates: &[Certificate]) -> Outcome {
    files::create_public(output, to_text(certificates).as_bytes())?;
    tell(&format!("written to {}; put it in place with quorate-oracle certify --install", output.display()));
    Ok(())
}

fn put_in_place(keys: &Keys, new: &[Certificate]) -> Outcome {
    let root = keys.install(new, &SystemClock)?;
    if root == *keys.root() {
        tell("the invite certificate is in place; a running oracle reads it on SIGHUP, and within the hour by itself");
    } else {
        let fingerprint = quorate_protocol::api::fingerprint(root.as_bytes());
        tell(&format!(
            "the root key is now {fingerprint}; restart the oracle, and replace its {ROOT_KEY} if it keeps one"
        ));
    }
    Ok(())
}
