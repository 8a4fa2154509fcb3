//! Who may call: principals with a ticket, and what their role allows. What a route needs stands in its handler's signature,
//! and what is not there is open to everybody.

use crate::error::ApiError;
use crate::extract::{ClientAddr, Path};
use crate::service::people::rights::Act;
use crate::service::people::{Caller, PeopleError, PrincipalName, Token};
use crate::service::sessions::error::SessionError;
use crate::state::AppState;
use axum::extract::FromRequestParts;
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
            Ok(caller) => Ok(Self(Some(caller))),
            Err(PeopleError::Ticket) if required => Err(SessionError::LoginRequired.into()),
            // It may be no ticket at all, and nobody has asked for one.
            Err(PeopleError::Ticket) => Ok(Self(None)),
            Err(error) => Err(error.into()),
        }
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
