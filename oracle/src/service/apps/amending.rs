//! What an app is called and what makes its codes, changed by those who may, while its UUID and everybody's rights stay.
//!
//! Whatever changes, the app is sealed under another data key: a row with what it was before opens nothing any more.

use super::error::AppError;
use super::granting::{By, Edit};
use super::sealed::{CodeSource, Record};
use super::{AppCaller, Apps};
use crate::service::audit::Kind;
use quorate_protocol::api::{App, AppRight, ChangedApp};
use quorate_protocol::otp::{MAX_NAME_BYTES, OtpSecret};
use zeroize::Zeroizing;

/// What is to change, as far as it can be checked before the app is open.
#[derive(Clone)]
pub(super) struct Amendment {
    /// In the canonical form.
    otpauth: Option<Zeroizing<String>>,
    issuer: Option<String>,
    label: Option<String>,
    name: Option<String>,
}

impl Apps {
    /// Changes names of an app, for its managers, or its secret, for its owner; gives the app.
    pub async fn amend(&self, caller: &AppCaller, uuid: &str, changed: ChangedApp) -> Result<App, AppError> {
        let (uuid, id) = self.named(uuid)?;
        let (readable, _) = self.managed(caller, &id).await?;
        // Before anything is said of what was sent; it is looked at again where it is written.
        if changed.otpauth.is_some() && readable.right < AppRight::Owner {
            return Err(AppError::OwnersOnly);
        }
        let amendment = Amendment::checked(changed)?;
        let told = caller.entry(Kind::AppChanged, uuid).with("what", amendment.what());
        self.change(By::Manager(caller), &id, &Edit::Amend(Box::new(amendment)), &told).await?;
        self.show(caller, &uuid.to_string()).await
    }
}

impl Amendment {
    fn checked(changed: ChangedApp) -> Result<Self, AppError> {
        let ChangedApp { otpauth, issuer, label, name } = changed;
        let otpauth = otpauth.map(|uri| Ok::<_, AppError>(OtpSecret::from_uri(&uri)?.to_uri())).transpose()?;
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            return Err(AppError::Request("name is longer than 255 bytes"));
        }
        let amendment = Self { otpauth, issuer, label, name };
        if amendment.what().is_empty() {
            return Err(AppError::Request("nothing is to be changed: give otpauth, issuer, label or name"));
        }
        Ok(amendment)
    }

    /// The right that it takes.
    pub fn needs(&self) -> AppRight {
        if self.otpauth.is_some() { AppRight::Owner } else { AppRight::Manage }
    }

    /// Which parts of the app change, for the audit log.
    fn what(&self) -> Vec<String> {
        let parts = [
            ("secret", self.otpauth.is_some()),
            ("issuer", self.issuer.is_some()),
            ("label", self.label.is_some()),
            ("name", self.name.is_some()),
        ];
        parts.into_iter().filter(|(_, changes)| *changes).map(|(part, _)| part.to_owned()).collect()
    }

    /// Makes the changes.
    pub fn apply(&self, record: &mut Record) -> Result<(), AppError> {
        let Self { otpauth, issuer, label, name } = self;
        match &mut record.code {
            CodeSource::Otpauth(uri) => {
                let before = OtpSecret::from_uri(uri).map_err(|_| AppError::Damaged)?;
                let issuer = issuer.as_deref().or(before.issuer());
                let label = label.as_deref().unwrap_or(before.account());
                let secret = OtpSecret::from_uri(otpauth.as_ref().unwrap_or(uri))?.with_names(issuer, label)?;
                *uri = secret.to_uri();
            }
            // It holds no secret, and is called what its group is called.
            CodeSource::Quorum { group, .. } if otpauth.is_some() || issuer.is_some() || label.is_some() => {
                return Err(AppError::ByQuorum(Box::new(group.clone())));
            }
            CodeSource::Quorum { .. } => {}
        }
        if let Some(name) = name {
            record.name = Some(name.clone()).filter(|name| !name.is_empty());
        }
        Ok(())
    }
}
