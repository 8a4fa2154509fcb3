//! Who may call: principals with a ticket, and what their role allows. What a route needs stands in its handler's signature,
//! and what is not there is open to everybody.

use crate::error::ApiError;
use crate::extract::{ClientAddr, Path};
use crate::service::people::rights::Act;
use crate::service::people::{Caller, PeopleError, PrincipalName, Token};
use crate::service::sessions::error::SessionError;
use crate::state::AppState;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use std::fmt;
use std::marker::PhantomData;

/// What a route lets its callers do.
pub trait Right {
    /// The act that their role must allow.
    const ACT: Act;
}

macro_rules! rights {
    ($( $name:ident, $doc:literal; )*) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Right for $name {
                const ACT: Act = Act::$name;
            }
        )*
    };
}

rights! {
    CancelSessions, "End somebody else's quorum session.";
    ChangeGroups, "Add and remove groups, and say who stands for their holders.";
    ChangePrincipals, "Make, change and remove principals.";
    ChangeProviders, "Make, change and remove providers.";
    OwnTicket, "What concerns the caller alone.";
    ReadAudit, "Read the audit trail.";
    ReadDrills, "See who has answered drills.";
    ReadGroups, "See groups.";
    ReadPrincipals, "See principals.";
    ReadProviders, "See providers.";
    RunDrills, "Begin and end drills.";
}

/// A body that was read, of a request whose sender may still do what they might when it began: it takes its time to come, and they may
/// have been dismissed meanwhile. Behind [`Allowed`] or [`Actor`]; elsewhere the body alone.
#[derive(Debug)]
pub struct Still<B>(pub B);

/// What a request's sender was let do before its body came.
#[derive(Clone, Copy)]
enum Begun {
    Act(Act),
    /// To take part in sessions.
    Session,
}

impl<B: FromRequest<AppState, Rejection = ApiError> + Send> FromRequest<AppState> for Still<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(&mut parts, state).await;
        let (begun, ticket) = (parts.extensions.get().copied(), ticket(&parts.headers));
        let body = B::from_request(Request::from_parts(parts, body), state).await?;
        match begun {
            Some(Begun::Act(act)) => state.people.authenticate(ticket, source).await?.may(act)?,
            Some(Begun::Session) => drop(state.people.authenticate(ticket, source).await.map_err(login_required)?),
            None => {}
        }
        Ok(Self(body))
    }
}

/// A caller whose ticket is good and whose role allows `R`.
pub struct Allowed<R>(pub Caller, PhantomData<R>);

impl<R> fmt::Debug for Allowed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Allowed").field(&self.0).finish()
    }
}

impl<R: Right> FromRequestParts<AppState> for Allowed<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(parts, state).await;
        let caller = state.people.authenticate(ticket(&parts.headers), source).await?;
        caller.may(R::ACT)?;
        parts.extensions.insert(Begun::Act(R::ACT));
        Ok(Self(caller, PhantomData))
    }
}

/// Who acts on a session: whoever shows a good ticket; `None` for everybody else, where this oracle asks for no login. Whether
/// they may is for the session to say.
#[derive(Debug)]
pub struct Actor(pub Option<Caller>);

impl FromRequestParts<AppState> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let ticket = ticket(&parts.headers);
        let required = state.config.session_require_login;
        if ticket.is_none() && !required {
            return Ok(Self(None));
        }
        let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(parts, state).await;
        match state.people.authenticate(ticket, source).await {
            Ok(caller) => {
                parts.extensions.insert(Begun::Session);
                Ok(Self(Some(caller)))
            }
            // It may be no ticket at all, and nobody has asked for one.
            Err(PeopleError::Ticket) if !required => Ok(Self(None)),
            Err(error) => Err(login_required(error)),
        }
    }
}

/// What a session answers to whoever has no ticket.
fn login_required(error: PeopleError) -> ApiError {
    match error {
        PeopleError::Ticket => SessionError::LoginRequired.into(),
        error => error.into(),
    }
}

/// The bearer value of a request.
fn ticket(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    Token::presented(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

/// The principal that the path names: by its short name or its full one, percent-encoded in one part or as it stands.
#[derive(Debug, Clone)]
pub struct Named(pub PrincipalName);

#[derive(Deserialize)]
struct Parameters {
    kind: Option<String>,
    name: String,
}

impl FromRequestParts<AppState> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Path(Parameters { kind, name }) = Path::from_request_parts(parts, state).await?;
        let name = match kind {
            Some(kind) => PrincipalName::parse(&format!("principal/internal/{kind}/{name}")),
            None => PrincipalName::parse(&name),
        };
        // What is no name names nobody.
        Ok(Self(name.map_err(|_| PeopleError::Unknown)?))
    }
}
