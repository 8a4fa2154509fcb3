//! Pages of apps: the codes that somebody may read. HTTP only; who may what is decided where programs ask.

use super::admin::{Asked, is_confirmed};
use super::site::{Site, Told};
use super::visitor::{Sent, Visitor};
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Form, Path, Query, RightTime, Upload};
use crate::handlers::people::OwnTicket;
use crate::service::apps::{AppCaller, AppError, Grantee, New, Page};
use crate::service::people::Caller;
use crate::service::pictures::PictureError;
use crate::service::sessions::error::SessionError;
use crate::web::apps::one::{One, content};
use crate::web::apps::quorum::Begun;
use crate::web::apps::{Adding, HERE, List, list as look, title_text};
use axum::http::StatusCode;
use axum::response::Response;
use quorate_protocol::api::{AppCode, AppRight, AppSession, KnownApp, MAX_WANTED, WantedApp};
use quorate_protocol::import::{Imported, parse_any};
use quorate_protocol::otp::OtpSecret;
use std::net::IpAddr;
use zeroize::Zeroizing;

const TITLE: &str = "Apps";

/// `GET /apps`: the list.
pub async fn apps(site: Site, Visitor { caller, .. }: Visitor<OwnTicket>, query: ApiResult<Query<Asked>>) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    list(&site, &caller, &asked, &Adding::default(), None).await
}

/// `POST /apps`: adds one, or those that a picture shows.
pub async fn add_app(site: Site, Sent { by, form: mut upload, .. }: Sent<OwnTicket, Upload>) -> Response {
    let picture = upload.take_file("picture");
    let form = upload.fields();
    let added = match entries(&site, form, picture).await {
        Ok(Entries::One(new)) => {
            site.state.apps.add(&reader(&by), *new).await.map(|app| Added::One(app.uuid)).map_err(ApiError::from)
        }
        Ok(Entries::Several(entries)) => add_several(&site, &by, entries).await.map(Added::Several),
        Err(error) => Err(error),
    };
    match added {
        Ok(Added::One(uuid)) => site.see_other(&format!("{HERE}/{uuid}?done=added")),
        Ok(Added::Several(several)) => {
            let adding = Adding { several: &several, ..Adding::default() };
            list(&site, &by, &Asked::default(), &adding, None).await
        }
        Err(error) => {
            let told = Told::of(error);
            let adding = Adding {
                name: form.text("name"),
                group: form.text("group"),
                refusal: Some((told.code, &told.sentence)),
                several: &[],
            };
            told.mark(list(&site, &by, &Asked::default(), &adding, Some(&told)).await)
        }
    }
}

/// What is to be added.
enum Entries {
    One(Box<New>),
    Several(Vec<Imported>),
}

enum Added {
    One(String),
    Several(Vec<(String, Option<String>)>),
}

/// What the form gives: a picture, a group or a URI.
async fn entries(site: &Site, form: &Form, picture: Option<Zeroizing<Vec<u8>>>) -> ApiResult<Entries> {
    let name = form.given("name").map(|name| name.to_string());
    let group = form.given("group").map(|group| group.trim().to_owned());
    let invalid =
        |error: quorate_protocol::import::ImportError| ApiError::bad_request("invalid_app", error.to_string());
    let read = match (picture, form.given("otpauth"), group) {
        (None, None, Some(group)) => {
            return Ok(Entries::One(Box::new(New { group: Some(group), name, ..New::default() })));
        }
        (None, Some(text), None) if text.trim_start().get(..8).is_some_and(|s| s.eq_ignore_ascii_case("otpauth:")) => {
            let otpauth = Some(Zeroizing::new(text.trim().to_owned()));
            return Ok(Entries::One(Box::new(New { otpauth, name, ..New::default() })));
        }
        (None, Some(text), None) => parse_any(&text).map_err(invalid)?,
        (Some(picture), None, None) => site.state.pictures.read(picture).await.map_err(|error| match error {
            PictureError::Import(error) => invalid(error),
            PictureError::Busy => ApiError::overloaded().because(error),
            PictureError::NoReader | PictureError::Start(_) => ApiError::unavailable(error),
        })?,
        _ => {
            let message = "give one of these: a picture, an otpauth URI, or a group";
            return Err(ApiError::bad_request("invalid_app", message));
        }
    };
    match <[Imported; 1]>::try_from(read) {
        Ok([Imported::Secret(secret)])
            if secret.issuer().is_none() && secret.account().is_empty() && name.is_none() =>
        {
            Err(ApiError::bad_request("invalid_app", "say what it is called: this key does not"))
        }
        Ok([Imported::Secret(secret)]) => {
            Ok(Entries::One(Box::new(New { otpauth: Some(secret.to_uri()), name, ..New::default() })))
        }
        Ok([Imported::LeftOut { name, reason }]) => {
            Err(ApiError::bad_request("invalid_app", format!("{name}: {reason}")))
        }
        Err(several) => Ok(Entries::Several(several)),
    }
}

/// What an entry is told whose codes an app of one's own makes.
const HAD: &str = "you have an app already that makes the same codes: look for it in the list";

/// Whether an app of one's own makes the codes of each of some URIs. One that is none is refused when it is added.
async fn had(site: &Site, by: &Caller, otpauth: Vec<Option<Zeroizing<String>>>) -> ApiResult<Vec<bool>> {
    let (mut had, mut wanted) = (Vec::with_capacity(otpauth.len()), otpauth.into_iter().peekable());
    while wanted.peek().is_some() {
        let some: Vec<_> = wanted.by_ref().take(MAX_WANTED).map(|otpauth| WantedApp { otpauth, uuid: None }).collect();
        let asked = some.len();
        let known = match site.state.apps.known(&reader(by), some).await {
            Err(AppError::Otp(_)) => vec![KnownApp::default(); asked],
            known => known?,
        };
        had.extend(known.iter().map(|app| !app.same.is_empty()));
    }
    Ok(had)
}

/// Adds what can be added, and says of each what became of it.
async fn add_several(site: &Site, by: &Caller, entries: Vec<Imported>) -> ApiResult<Vec<(String, Option<String>)>> {
    let (mut several, mut seen) = (Vec::with_capacity(entries.len()), Vec::<OtpSecret>::new());
    let uri = |entry: &Imported| match entry {
        Imported::LeftOut { .. } => None,
        Imported::Secret(secret) => Some(secret.to_uri()),
    };
    let had = had(site, by, entries.iter().map(uri).collect()).await?;
    for (entry, had) in entries.into_iter().zip(had) {
        several.push(match entry {
            Imported::LeftOut { name, reason } => (name, Some(reason.to_string())),
            Imported::Secret(secret) => {
                let name = secret.display_name();
                let refused = if had || seen.iter().any(|other| other.makes_codes_of(&secret)) {
                    Some(HAD.to_owned())
                } else {
                    let new = New { otpauth: Some(secret.to_uri()), ..New::default() };
                    site.state.apps.add(&reader(by), new).await.err().map(|error| Told::of(error.into()).sentence)
                };
                seen.push(secret);
                (name, refused)
            }
        });
    }
    Ok(several)
}

/// `GET /apps/{uuid}`: one of them, without its code.
pub async fn app(
    site: Site,
    Visitor { caller, .. }: Visitor<OwnTicket>,
    uuid: ApiResult<Path<String>>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let shown = Shown { done: &asked.done, ..Shown::default() };
    one(&site, &caller, &named(uuid), &shown, None).await
}

/// `POST /apps/{uuid}`: reads a code, or does what a manager may, as the pressed button says.
pub async fn act_on_app(
    site: Site,
    time: ApiResult<RightTime>,
    ClientAddr(peer): ClientAddr,
    uuid: ApiResult<Path<String>>,
    Sent { by, form, .. }: Sent<OwnTicket>,
) -> Response {
    let uuid = named(uuid);
    let done = match time {
        Ok(_) => done(&site, &by, &uuid, &form, peer).await,
        Err(error) => Err(error),
    };
    // A session goes on whether there is a code already or not.
    let begun = Begun { id: form.text("session"), kek: form.text("kek"), invite: form.text("invite") };
    let begun = Some(&begun).filter(|begun| !begun.id.is_empty() && form.text("act") == "quorum");
    match done {
        Ok(Done::Leads(place)) => site.see_other(&place),
        Ok(Done::Read(code)) => {
            let shown = Shown { code: Some(&code), why: form.text("why"), begun, ..Shown::default() };
            one(&site, &by, &uuid, &shown, None).await
        }
        Ok(Done::Begun(made)) => {
            let kek = made.kek.as_ref().map_or("", |kek| kek.as_str());
            let begun = Begun { id: &made.session.id, kek, invite: &made.invite };
            let shown = Shown { begun: Some(&begun), why: form.text("why"), ..Shown::default() };
            one(&site, &by, &uuid, &shown, None).await
        }
        Err(error) => {
            let told = Told::of(error);
            let shown = Shown { why: form.text("why"), grantee: form.text("grantee"), begun, ..Shown::default() };
            told.mark(one(&site, &by, &uuid, &shown, Some(&told)).await)
        }
    }
}

/// What comes of an act.
enum Done {
    Begun(Box<AppSession>),
    Leads(String),
    Read(AppCode),
}

async fn done(site: &Site, caller: &Caller, uuid: &str, form: &Form, peer: IpAddr) -> ApiResult<Done> {
    let (apps, by) = (&site.state.apps, &reader(caller));
    let grantee = |text: &str| text.trim().parse::<Grantee>();
    let stays = |word: &str| Ok(Done::Leads(format!("{HERE}/{uuid}?done={word}")));
    match form.text("act") {
        act @ ("code" | "another") => {
            let why = form.given("why").map(|why| why.to_string());
            match (apps.code(by, uuid, why.as_deref()).await, why) {
                (Err(AppError::ByQuorum(quorum)), Some(why)) => {
                    let (sessions, again) = (&site.state.sessions, act == "another");
                    match sessions.ask_by_login(quorum.group, why, again, caller, peer).await {
                        Ok(made) => Ok(Done::Begun(Box::new(made))),
                        // Whoever may not ask by a login asks with a Toc.
                        Err(SessionError::MayNotAsk) => Err(AppError::ByQuorum(quorum).into()),
                        Err(error) => Err(error.into()),
                    }
                }
                (code, _) => Ok(Done::Read(code?)),
            }
        }
        "quorum" => {
            let kek = form.given("kek").unwrap_or_default();
            let code = site.state.sessions.code(form.text("session"), kek, Some(caller), peer).await?;
            let now = site.state.clock().now_ms();
            let ends = code.totp_expires_at.parse::<jiff::Timestamp>().map_or(now, jiff::Timestamp::as_millisecond);
            let expires = u64::try_from(ends.saturating_sub(now)).unwrap_or(0);
            // How long its step is, a session does not say: the ring is full at first.
            let period = u32::try_from(expires.div_ceil(1000)).unwrap_or(u32::MAX);
            Ok(Done::Read(AppCode { otp: code.totp, expires, period }))
        }
        "grant" => {
            let right = if form.text("right") == AppRight::Manage.word() { AppRight::Manage } else { AppRight::Code };
            apps.grant(by, uuid, &grantee(form.text("grantee"))?, right).await?;
            stays("granted")
        }
        "leave" | "revoke" | "remove" if !is_confirmed(form) => {
            Err(ApiError::bad_request("not_confirmed", "nothing was done: tick the box if you mean it"))
        }
        "leave" => {
            apps.revoke(by, uuid, &Grantee::Principal(caller.name.clone())).await?;
            Ok(Done::Leads(format!("{HERE}?done=left")))
        }
        "revoke" => {
            apps.revoke(by, uuid, &grantee(form.text("grantee"))?).await?;
            stays("revoked")
        }
        "remove" => {
            apps.remove(by, uuid).await?;
            Ok(Done::Leads(format!("{HERE}?done=removed")))
        }
        _ => Err(ApiError::bad_request("invalid_act", "there is no such button")),
    }
}

/// What one app's page shows besides it.
#[derive(Default)]
struct Shown<'a> {
    code: Option<&'a AppCode>,
    why: &'a str,
    begun: Option<&'a Begun<'a>>,
    grantee: &'a str,
    done: &'a str,
}

async fn list(site: &Site, caller: &Caller, asked: &Asked, adding: &Adding<'_>, told: Option<&Told>) -> Response {
    let mut apps = match site.state.apps.list(&reader(caller), &Page::default()).await {
        Ok(apps) => apps,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let search = asked.search.trim();
    let sought = search.to_lowercase();
    apps.retain(|app| {
        let words = [app.issuer.as_str(), &app.label, app.name.as_deref().unwrap_or_default()];
        words.iter().any(|word| word.to_lowercase().contains(&sought))
    });
    let token = site.state.people.form_token(caller);
    let content = look(&List { root: &site.root, token: &token, search, done: &asked.done, apps: &apps, adding });
    site.page(told.map_or(StatusCode::OK, |told| told.status), TITLE, Some(caller), HERE, &content)
}

async fn one(site: &Site, caller: &Caller, uuid: &str, shown: &Shown<'_>, told: Option<&Told>) -> Response {
    let (apps, reader) = (&site.state.apps, reader(caller));
    let app = match apps.show(&reader, uuid).await {
        Ok(app) => app,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let grants = if app.right >= AppRight::Manage {
        match apps.grants(&reader, uuid).await {
            Ok(grants) => Some(grants),
            Err(error) => return site.refused(error, Some(caller)),
        }
    } else {
        None
    };
    let token = site.state.people.form_token(caller);
    let content = content(&One {
        root: &site.root,
        token: &token,
        app: &app,
        code: shown.code,
        why: shown.why,
        begun: shown.begun,
        grants: grants.as_deref(),
        grantee: shown.grantee,
        done: shown.done,
        refusal: told.map(|told| (told.code, told.sentence.as_str())),
    });
    let status = told.map_or(StatusCode::OK, |told| told.status);
    site.page(status, &title_text(&app), Some(caller), HERE, &content)
}

fn reader(caller: &Caller) -> AppCaller {
    AppCaller::Principal(caller.clone())
}

/// The UUID of the path; what is no text names no app.
fn named(uuid: ApiResult<Path<String>>) -> String {
    uuid.map_or_else(|_| String::new(), |Path(uuid)| uuid)
}
