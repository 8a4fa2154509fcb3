//! The routes of apps, for people with a ticket and for applications with an API key.

use super::{ApiKey, Client, ClientError, MAX_ANSWER, is_code, segment};
use quorate_protocol::api::{
    App, AppCode, AppGrant, AppRight, ExportApps, ExportedApps, NewApp, NewAppGrant, ReadCode,
};
use reqwest::Method;
use reqwest::header::HeaderValue;
use std::fmt;
use zeroize::Zeroizing;

/// Carries an API key with its secret.
pub(super) const FUNCTION_KEY_HEADER: &str = "x-functions-key";
/// Bytes of an answer with every app, or with an export of them.
const MAX_APPS: u64 = 64 * MAX_ANSWER;
/// Longest code in time, in milliseconds: a year.
const LONGEST: u64 = 365 * 24 * 3600 * 1000;

/// An API key with its secret, as requests show it.
#[derive(Clone)]
pub(super) struct FunctionKey(Zeroizing<String>);

impl FunctionKey {
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("an API key is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FunctionKey")
    }
}

impl Client {
    /// The same connection, which shows `key` with every request, and no ticket.
    #[must_use]
    pub fn with_api_key(mut self, key: &ApiKey) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(key.value.len() + key.secret.len() + 1));
        text.push_str(&key.value);
        text.push(':');
        text.push_str(&key.secret);
        self.ticket = None;
        self.function_key = Some(FunctionKey(text));
        self
    }

    /// `GET /api/apps`: those that one may read.
    pub fn apps(&self) -> Result<Vec<App>, ClientError> {
        self.read("/api/apps", None, MAX_APPS)
    }

    /// `GET /api/apps/{uuid}`.
    pub fn app(&self, uuid: &str) -> Result<App, ClientError> {
        self.read(&path(uuid)?, None, MAX_ANSWER)
    }

    /// `POST /api/apps`.
    pub fn add_app(&self, app: &NewApp) -> Result<App, ClientError> {
        self.json(self.post("/api/apps", app)?, MAX_ANSWER)
    }

    /// `DELETE /api/apps/{uuid}`.
    pub fn remove_app(&self, uuid: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path(uuid)?, None::<&()>).map(drop)
    }

    /// `POST /api/apps/{uuid}/code`. Callers print it as it is: nothing but digits passes.
    pub fn app_code(&self, uuid: &str, why: Option<&str>) -> Result<AppCode, ClientError> {
        let wanted = ReadCode { why: why.map(str::to_owned) };
        let code: AppCode = self.json(self.post(&(path(uuid)? + "/code"), &wanted)?, MAX_ANSWER)?;
        if !is_code(&code.otp) {
            return Err(self.strange("its code is not 6 to 8 digits"));
        }
        if code.expires > LONGEST || code.period == 0 {
            return Err(self.strange("its code lasts for a time that cannot be"));
        }
        Ok(code)
    }

    /// `GET /api/apps/{uuid}/grants`.
    pub fn app_grants(&self, uuid: &str) -> Result<Vec<AppGrant>, ClientError> {
        self.read(&(path(uuid)? + "/grants"), None, MAX_APPS)
    }

    /// `PUT /api/apps/{uuid}/grants/{grantee}`.
    pub fn grant_app(&self, uuid: &str, grantee: &str, right: AppRight) -> Result<(), ClientError> {
        self.act(Method::PUT, &grant(uuid, grantee)?, Some(&NewAppGrant { right })).map(drop)
    }

    /// `DELETE /api/apps/{uuid}/grants/{grantee}`.
    pub fn revoke_app(&self, uuid: &str, grantee: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &grant(uuid, grantee)?, None::<&()>).map(drop)
    }

    /// `POST /api/apps/export`.
    pub fn export_apps(&self, wanted: &ExportApps) -> Result<ExportedApps, ClientError> {
        self.json(self.post("/api/apps/export", wanted)?, MAX_APPS)
    }
}

fn path(uuid: &str) -> Result<String, ClientError> {
    Ok(format!("/api/apps/{}", segment(uuid)?))
}

fn grant(uuid: &str, grantee: &str) -> Result<String, ClientError> {
    Ok(format!("{}/grants/{}", path(uuid)?, segment(grantee)?))
}
