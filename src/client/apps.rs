//! The routes of apps, for people with a ticket and for applications with an API key.

use super::{ApiKey, Client, ClientError, MAX_ANSWER, TTL, is_code, segment};
use quorate_protocol::api::{
    App, AppCode, AppGrant, AppRight, AppSession, ChangedApp, ExportApps, ExportedApps, KnownApp, MAX_WANTED, NewApp,
    NewAppGrant, ReadCode, WantedApp, WantedApps,
};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use std::fmt;
use zeroize::Zeroizing;

/// Carries an API key with its secret.
pub(super) const FUNCTION_KEY_HEADER: &str = "x-functions-key";
/// Bytes of an answer with every app, or with an export of them.
const MAX_APPS: u64 = 64 * MAX_ANSWER;
/// Bytes of URIs in one question for what is known, which the oracle's bound for bodies lets pass.
const MAX_QUESTION: usize = 48 * 1024;
/// Apps that are asked for at once. An oracle that knows no pages answers with all of them, or with exactly so many by chance:
/// then it is asked in vain once more.
const PAGE: usize = 500;
/// Pages that nobody has, of which each takes one request, and one more for each app that goes meanwhile.
const MOST_PAGES: usize = 4_000;
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

/// What is answered to whoever reads a code.
#[derive(Debug)]
pub enum AppRead {
    /// The code.
    Code(AppCode),
    /// The session that it comes from, of an app by quorum.
    Session(Box<AppSession>),
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

    /// `GET /api/apps`: those that one may read, page by page.
    pub fn apps(&self) -> Result<Vec<App>, ClientError> {
        let mut apps: Vec<App> = Vec::new();
        for _ in 0..MOST_PAGES {
            let after = match apps.last() {
                Some(last) => format!("&after={}", segment(&last.uuid)?),
                None => String::new(),
            };
            let read = self.read::<Vec<App>>(&format!("/api/apps?limit={PAGE}{after}"), None, MAX_APPS);
            let page = match read {
                // The last one that was listed has gone meanwhile: the list goes on behind the one before it.
                Err(error) if error.code() == Some("app_unknown") && apps.pop().is_some() => continue,
                page => page?,
            };
            let is_last = page.len() != PAGE;
            apps.extend(page);
            if is_last {
                return Ok(apps);
            }
        }
        Err(self.strange("its list of apps has no end"))
    }

    /// `GET /api/apps/{uuid}`.
    pub fn app(&self, uuid: &str) -> Result<App, ClientError> {
        self.read(&path(uuid)?, None, MAX_ANSWER)
    }

    /// `POST /api/apps`.
    pub fn add_app(&self, app: &NewApp) -> Result<App, ClientError> {
        self.json(self.post("/api/apps", app)?, MAX_ANSWER)
    }

    /// `PATCH /api/apps/{uuid}`.
    pub fn change_app(&self, uuid: &str, changed: &ChangedApp) -> Result<App, ClientError> {
        self.json(self.act(Method::PATCH, &path(uuid)?, Some(changed))?, MAX_ANSWER)
    }

    /// `POST /api/apps/known`, as often as it takes: what is known of each.
    pub fn known_apps(&self, wanted: Vec<WantedApp>) -> Result<Vec<KnownApp>, ClientError> {
        let (mut known, mut asked, mut size) = (Vec::with_capacity(wanted.len()), WantedApps::default(), 0);
        for app in wanted {
            let more = app.otpauth.as_ref().map_or(0, |uri| uri.len());
            if asked.apps.len() == MAX_WANTED || (size + more > MAX_QUESTION && !asked.apps.is_empty()) {
                self.ask_known(&mut asked, &mut known)?;
                size = 0;
            }
            size += more;
            asked.apps.push(app);
        }
        self.ask_known(&mut asked, &mut known)?;
        Ok(known)
    }

    fn ask_known(&self, asked: &mut WantedApps, known: &mut Vec<KnownApp>) -> Result<(), ClientError> {
        if asked.apps.is_empty() {
            return Ok(());
        }
        let answer: Vec<KnownApp> = self.json(self.post("/api/apps/known", &asked)?, MAX_ANSWER)?;
        if answer.len() != asked.apps.len() {
            return Err(self.strange("it does not say of each app whether it is known"));
        }
        asked.apps.clear();
        known.extend(answer);
        Ok(())
    }

    /// `DELETE /api/apps/{uuid}`.
    pub fn remove_app(&self, uuid: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path(uuid)?, None::<&()>).map(drop)
    }

    /// `POST /api/apps/{uuid}/code`. Callers print a code as it is: nothing but digits passes.
    pub fn read_app(&self, uuid: &str, wanted: &ReadCode) -> Result<AppRead, ClientError> {
        let response = self.post(&(path(uuid)? + "/code"), wanted)?;
        if response.status() == StatusCode::ACCEPTED {
            let session: AppSession = self.json(response, MAX_ANSWER)?;
            return if TTL.contains(&session.session.ttl) {
                Ok(AppRead::Session(Box::new(session)))
            } else {
                Err(self.strange("its session lasts for a time that cannot be"))
            };
        }
        let code: AppCode = self.json(response, MAX_ANSWER)?;
        if !is_code(&code.otp) {
            return Err(self.strange("its code is not 6 to 8 digits"));
        }
        if code.expires > LONGEST || code.period == 0 {
            return Err(self.strange("its code lasts for a time that cannot be"));
        }
        Ok(AppRead::Code(code))
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
