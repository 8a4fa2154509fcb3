//! Enrolling on pages. HTTP only. Opening a link asks nothing of the oracle: programs that look into mail open links, too.
//! A button shows what the link is good for, and only a form that is right uses it up.

use super::site::{Site, Told};
use super::visitor::OwnForm;
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Form, Path, RightTime};
use crate::handlers::webauthn::CreatedCredential;
use crate::service::people::{Enrolling, Invitation, Made, PeopleError};
use crate::service::webauthn::RegistrationAnswer;
use crate::web;
use crate::web::enroll::{Blank, Wrong};
use axum::http::StatusCode;
use axum::response::Response;
use std::net::IpAddr;
use zeroize::Zeroizing;

const TITLE: &str = "Enrol";
/// Bytes of a link's last part at most.
const MAX_LINK: usize = 128;

/// The last part of a link, when it can be one.
fn plain(link: ApiResult<Path<String>>) -> ApiResult<String> {
    let fits = |link: &String| {
        let letters = link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        letters && !link.is_empty() && link.len() <= MAX_LINK
    };
    link.ok().map(|Path(link)| link).filter(fits).ok_or_else(|| PeopleError::Link.into())
}

/// `GET /enroll/{link}`: a button.
pub async fn open_link(site: Site, link: ApiResult<Path<String>>) -> Response {
    match plain(link) {
        Ok(link) => {
            let content = web::enroll::opened(&site.root, &link, &site.state.config.name);
            site.page(StatusCode::OK, TITLE, None, "", &content)
        }
        Err(error) => spent(&site, error),
    }
}

/// `POST /enroll/{link}/form`: what the link is good for.
pub async fn invitation(
    site: Site,
    time: ApiResult<RightTime>,
    ClientAddr(source): ClientAddr,
    link: ApiResult<Path<String>>,
    OwnForm(_): OwnForm,
) -> Response {
    let link = match time.and_then(|_| plain(link)) {
        Ok(link) => link,
        Err(error) => return spent(&site, error),
    };
    show(&site, &link, source, &Wrong::default(), StatusCode::OK).await
}

/// `POST /enroll/{link}/finish`: the password, and the proof of the second factor.
pub async fn enrol(
    site: Site,
    time: ApiResult<RightTime>,
    ClientAddr(source): ClientAddr,
    link: ApiResult<Path<String>>,
    OwnForm(form): OwnForm,
) -> Response {
    let link = match time.and_then(|_| plain(link)) {
        Ok(link) => link,
        Err(error) => return spent(&site, error),
    };
    let key_name = form.text("key_name").trim().to_owned();
    if form.text("password") != form.text("again") {
        let wrong = Wrong { again: "These are two different passwords.".to_owned(), key_name, ..Wrong::default() };
        return show(&site, &link, source, &wrong, StatusCode::BAD_REQUEST).await;
    }
    let made = async {
        let (password, passcode) = (form.given("password").unwrap_or_default(), form.code("passcode"));
        let (passkey, key_name) = (is_passkey(&form), key_name.clone());
        let enrolling = Enrolling { password, passcode, credential: credential(&form)?, passkey, key_name };
        ApiResult::Ok(site.state.people.enrol(Zeroizing::new(link.clone()), enrolling, source).await?)
    };
    match made.await {
        Ok(Made { name, recovery_codes }) => {
            let content = web::enroll::done(&site.root, &name.to_string(), &recovery_codes);
            site.page(StatusCode::OK, "Enrolled", None, "", &content)
        }
        // The link still serves, and something can be mended: what was typed, the code, what the key answered.
        Err(error)
            if error.status() == StatusCode::BAD_REQUEST || ["changed", "overloaded"].contains(&error.code()) =>
        {
            let told = Told::of(error);
            let (password, factor, above) = match told.code {
                "weak_password" => (told.sentence.clone(), String::new(), String::new()),
                "factor_not_confirmed" => (String::new(), WRONG_CODE.to_owned(), String::new()),
                _ => (String::new(), String::new(), told.sentence.clone()),
            };
            let wrong = Wrong { code: told.code, above, password, again: String::new(), factor, key_name };
            told.mark(show(&site, &link, source, &wrong, told.status).await)
        }
        Err(error) => spent(&site, error),
    }
}

/// Why the second factor is not confirmed, as somebody can mend it.
const WRONG_CODE: &str = "This is not the code that your authenticator app shows, or it was used already: wait for the next one, and look at the clock of \
     your telephone. A security key has to be touched again.";

/// The form, empty.
async fn show(site: &Site, link: &str, source: IpAddr, wrong: &Wrong, status: StatusCode) -> Response {
    let invitation = match site.state.people.invitation(link, source).await {
        Ok(invitation) => invitation,
        Err(error) => return spent(site, error.into()),
    };
    let Invitation { name, expires_at, provider, totp_uri, public_key } = invitation;
    let blank = Blank {
        root: &site.root,
        link,
        name: name.to_string(),
        expires_at,
        provider: provider.as_ref().map(|provider| (provider.name.as_str(), provider.kind)),
        totp_uri,
        key_options: public_key
            .map(|options| serde_json::to_string(&options.public_key).expect("plain data always serialises")),
    };
    site.page(status, TITLE, None, "", &web::enroll::form(&blank, wrong))
}

/// Whether the button for a passkey was pressed, which the page's script keeps in the form.
pub fn is_passkey(form: &Form) -> bool {
    form.text("kind") == "passkey"
}

/// What a security key answered, as the page's script puts it into the form.
fn credential(form: &Form) -> ApiResult<Option<RegistrationAnswer>> {
    let Some(text): Option<Zeroizing<String>> = form.given("credential") else { return Ok(None) };
    let read = serde_json::from_str::<CreatedCredential>(&text).map_err(|_| ApiError::from(PeopleError::Factor))?;
    read.into_answer().map(Some)
}

/// The page of a link that does not serve, or not now.
fn spent(site: &Site, error: ApiError) -> Response {
    if error.code() != "link_unknown" {
        return site.refused(error, None);
    }
    let told = Told::of(error);
    told.mark(site.page(told.status, "This link does not serve any more", None, "", &web::enroll::spent(&site.root)))
}
