//! Taking secrets out: for owners, only encrypted with age, and told to the audit log before it is answered.

use super::error::AppError;
use super::reading::Readable;
use super::sealed::CodeSource;
use super::{AppCaller, Apps};
use crate::service::audit::Kind;
use crate::store::{Digest, HeldApp, MAX_APPS, NewAudit, OwnedApp};
use data_encoding::HEXLOWER;
use quorate_protocol::api::{AppRecord, AppRight, ExportApps, ExportedApps};
use quorate_protocol::encoding::sha256;
use quorate_protocol::recipient::{NativeRecipient, check_kinds};
use quorate_protocol::sealing::age_seal;
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

/// Recipients of an export at most.
const MAX_RECIPIENTS: usize = 16;
/// Apps that one event names at most, so that its leaf holds them beside all recipients.
const TOLD_TOGETHER: usize = 256;
/// Characters of a recipient that the audit log is told as it is. Post-quantum ones are longer.
const MAX_TOLD: usize = 128;

/// What is to be answered and, before that, to be told.
struct Export {
    answer: ExportedApps,
    apps: Vec<OwnedApp>,
    told: Vec<NewAudit>,
}

impl Apps {
    /// The secrets of apps that the caller owns, encrypted to recipients. Whether they are the caller's is looked at again in the
    /// transaction that tells the audit log.
    pub async fn export(&self, caller: &AppCaller, wanted: &ExportApps) -> Result<ExportedApps, AppError> {
        let ExportApps { recipients, uuids } = wanted;
        if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
            return Err(AppError::Request("an export is for 1 to 16 recipients"));
        }
        let recipients: Vec<NativeRecipient> =
            recipients.iter().map(|recipient| recipient.trim().parse()).collect::<Result<_, _>>()?;
        check_kinds(&recipients)?;
        let held = match uuids {
            Some(uuids) => self.owned_by_name(caller, uuids).await?,
            None => self.inner.store.owned_apps(caller.reader()).await?,
        };
        if held.len() > MAX_APPS {
            return Err(AppError::Request("these are more than 1,000 apps: name up to 1,000 at a time in uuids"));
        }
        let (service, by, all) = (self.clone(), caller.clone(), uuids.is_none());
        let job = move || service.sealed_export(&by, held, &recipients, all);
        let Export { answer, apps, told } = self.inner.crypto.run(job).await??;
        let told = self.inner.store.export_apps(caller.reader(), apps, told).await?;
        if told { Ok(answer) } else { Err(AppError::Changed) }
    }

    /// The apps of those UUIDs, each of which must be the caller's.
    async fn owned_by_name(&self, caller: &AppCaller, uuids: &[String]) -> Result<Vec<HeldApp>, AppError> {
        if uuids.len() > MAX_APPS {
            return Err(AppError::Request("an export is of 1,000 apps at most"));
        }
        let ids = uuids.iter().map(|uuid| Ok(self.named(uuid)?.1)).collect::<Result<Vec<Digest>, AppError>>()?;
        let mut named = HashSet::with_capacity(ids.len());
        if !ids.iter().all(|id| named.insert(id)) {
            return Err(AppError::Request("a uuid is named twice"));
        }
        let owned = self.inner.store.owned_apps(caller.reader()).await?;
        let mut owned: HashMap<Digest, HeldApp> = owned.into_iter().map(|held| (held.app.id, held)).collect();
        let mut wanted = Vec::with_capacity(ids.len());
        for id in &ids {
            match owned.remove(id) {
                Some(held) => wanted.push(held),
                None => return Err(self.not_owned(caller, id).await?),
            }
        }
        Ok(wanted)
    }

    /// Why somebody cannot take an app out.
    async fn not_owned(&self, caller: &AppCaller, id: &Digest) -> Result<AppError, AppError> {
        let held = self.inner.store.app(caller.reader(), id).await?.ok_or(AppError::Unknown)?;
        self.readable(caller, held)?;
        Ok(AppError::OwnersOnly)
    }

    fn sealed_export(
        &self,
        caller: &AppCaller,
        held: Vec<HeldApp>,
        recipients: &[NativeRecipient],
        all: bool,
    ) -> Result<Export, AppError> {
        let (mut uuids, mut apps, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for held in held {
            let app = self.readable(caller, held)?;
            if app.right < AppRight::Owner {
                return Err(AppError::OwnersOnly);
            }
            let (record, _) = app.open(&self.inner.sealer, caller.tenant())?;
            match record.code {
                CodeSource::Otpauth(otpauth) => {
                    let line = AppRecord { uuid: record.uuid.clone(), otpauth, name: record.name };
                    lines.push(Zeroizing::new(serde_json::to_vec(&line).expect("plain data always serialises")));
                    uuids.push(record.uuid);
                    apps.push(owned(&app));
                }
                // It holds no secret that could be taken out.
                CodeSource::Quorum { .. } if all => {}
                CodeSource::Quorum { group, .. } => return Err(AppError::ByQuorum(Box::new(group))),
            }
        }
        let age = age_seal(&joined(&lines), recipients.iter().map(|recipient| recipient as &dyn age::Recipient));
        let age = age.map_err(|_| AppError::Damaged)?;
        let recipients: Vec<String> = recipients.iter().map(told).collect();
        let told = uuids.chunks(TOLD_TOGETHER).map(|uuids| {
            let subject = match uuids {
                [uuid] => format!("app {uuid}"),
                several => format!("{} apps", several.len()),
            };
            let told = caller.acted(Kind::AppExported, subject).with("recipients", recipients.clone());
            self.seal(told.with("apps", uuids.to_vec()))
        });
        let told = told.collect();
        Ok(Export { answer: ExportedApps { uuids, age }, apps, told })
    }
}

fn owned(app: &Readable) -> OwnedApp {
    OwnedApp { app: app.app.number, version: app.app.version, holder: app.held.holder.number }
}

/// How the audit log is told a recipient: in its one spelling, or where that is long by its SHA-256.
fn told(recipient: &NativeRecipient) -> String {
    let text = recipient.to_string();
    if text.len() <= MAX_TOLD { text } else { format!("sha256:{}", HEXLOWER.encode(&sha256(&[text.as_bytes()]))) }
}

/// One line after the other. The length is known before: a buffer that grows leaves a copy of the secrets behind.
fn joined(lines: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let length = lines.iter().map(|line| line.len() + 1).sum();
    let mut joined = Zeroizing::new(Vec::with_capacity(length));
    for line in lines {
        joined.extend_from_slice(line);
        joined.push(b'\n');
    }
    joined
}
