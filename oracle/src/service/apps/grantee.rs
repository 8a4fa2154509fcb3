//! How people name whom a grant is for, and how those are found and shown.

use super::error::AppError;
use super::{Apps, Whose};
use crate::service::people::PrincipalName;
use crate::store::{AppReader, GranteeRow};
use std::fmt;
use std::str::FromStr;

/// What the name of an API key begins with. No principal's short name has a slash.
const API_KEY: &str = "api-key/";

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// An API key, by its value.
    ApiKey(String),
    /// A principal or a team.
    Principal(PrincipalName),
}

impl FromStr for Grantee {
    type Err = AppError;

    fn from_str(text: &str) -> Result<Self, AppError> {
        if let Some(value) = text.strip_prefix(API_KEY) {
            return Ok(Self::ApiKey(value.to_owned()));
        }
        let name = PrincipalName::parse(text).map_err(crate::service::people::PeopleError::from)?;
        Ok(Self::Principal(name))
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(value) => write!(f, "{API_KEY}{value}"),
            Self::Principal(name) => name.fmt(f),
        }
    }
}

impl Apps {
    /// Whose key pair a grant for that grantee is sealed to.
    pub(super) async fn grantee(&self, grantee: &Grantee) -> Result<Whose, AppError> {
        match grantee {
            Grantee::ApiKey(value) => {
                let (number, id) = self.inner.api_keys.named(value).await?;
                Ok(Whose { reader: AppReader::ApiKey(number), id })
            }
            Grantee::Principal(name) => {
                let id = self.inner.people.id_of(name).await?;
                Ok(Whose { reader: AppReader::Principal(id), id })
            }
        }
    }

    /// The name of a grantee.
    pub(super) fn name(&self, row: &GranteeRow) -> Result<Grantee, AppError> {
        match row {
            GranteeRow::ApiKey { id, sealed, .. } => Ok(Grantee::ApiKey(self.inner.api_keys.value_of(id, sealed)?)),
            GranteeRow::Principal { id, kind, role, sealed, .. } => {
                Ok(Grantee::Principal(self.inner.people.name_of(id, *kind, *role, sealed)?))
            }
        }
    }
}
