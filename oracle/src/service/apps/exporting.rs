//! Taking secrets out: for owners, only encrypted with age, and told to the audit log before it is answered.

use super::error::AppError;
use super::sealed::CodeSource;
use super::{AppCaller, Apps, hyphenated};
use crate::service::audit::Kind;
use quorate_protocol::api::{AppRecord, AppRight, ExportApps, ExportedApps};
use quorate_protocol::recipient::{NativeRecipient, check_kinds};
use quorate_protocol::sealing::age_seal;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Recipients of an export at most.
const MAX_RECIPIENTS: usize = 16;

impl Apps {
    /// The secrets of apps that the caller owns, encrypted to recipients.
    pub async fn export(&self, caller: &AppCaller, wanted: &ExportApps) -> Result<ExportedApps, AppError> {
        let ExportApps { recipients, uuids } = wanted;
        if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
            return Err(AppError::Request("an export is for 1 to 16 recipients"));
        }
        let parsed: Vec<NativeRecipient> =
            recipients.iter().map(|recipient| recipient.trim().parse()).collect::<Result<_, _>>()?;
        check_kinds(&parsed)?;
        let mut readable = Vec::new();
        if let Some(uuids) = uuids {
            for uuid in uuids {
                let (_, id) = self.named(uuid)?;
                let held = self.inner.store.app(caller.reader(), &id).await?.ok_or(AppError::Unknown)?;
                let app = self.readable(caller, held)?;
                if app.right < AppRight::Owner {
                    return Err(AppError::OwnersOnly);
                }
                readable.push(app);
            }
        } else {
            let (apps, _) = self.inner.store.apps(caller.reader()).await?;
            for held in apps {
                readable.push(self.readable(caller, held)?);
            }
            readable.retain(|app| app.right == AppRight::Owner);
        }
        let (all, sealer, tenant) = (uuids.is_none(), Arc::clone(&self.inner.sealer), caller.tenant().cloned());
        let job = move || {
            let (mut exported, mut lines) = (Vec::new(), Zeroizing::new(Vec::new()));
            for app in &readable {
                let (record, _) = app.open(&sealer, tenant.as_ref())?;
                match record.code {
                    CodeSource::Otpauth(otpauth) => {
                        let line = AppRecord { uuid: record.uuid.clone(), otpauth, name: record.name };
                        append(&mut lines, &line);
                        exported.push(record.uuid);
                    }
                    // It holds no secret that could be taken out.
                    CodeSource::Quorum { .. } if all => {}
                    CodeSource::Quorum { group, .. } => return Err(AppError::ByQuorum(Box::new(group))),
                }
            }
            let recipients = parsed.iter().map(|recipient| recipient as &dyn age::Recipient);
            let age = age_seal(&lines, recipients).map_err(|_| AppError::Damaged)?;
            Ok(ExportedApps { uuids: exported, age })
        };
        let exported = self.inner.crypto.run(job).await??;
        let told = exported.uuids.iter().filter_map(|uuid| hyphenated(uuid));
        let told =
            told.map(|uuid| self.seal(caller.entry(Kind::AppExported, uuid).with("recipients", recipients.clone())));
        self.inner.store.append_audit(told.collect()).await?;
        Ok(exported)
    }
}

/// Adds a line of JSON. The buffer never grows in place: that would leave a copy of the secrets behind.
fn append(lines: &mut Zeroizing<Vec<u8>>, record: &AppRecord) {
    let line = Zeroizing::new(serde_json::to_vec(record).expect("plain data always serialises"));
    let mut longer = Zeroizing::new(Vec::with_capacity(lines.len() + line.len() + 1));
    longer.extend_from_slice(lines);
    longer.extend_from_slice(&line);
    longer.push(b'\n');
    *lines = longer;
}
