//! Pages on which operators act and auditors look. HTTP only; whom a page is for stands in its handler's signature.

mod audit;
mod principals;
mod providers;
mod sessions;

pub use self::audit::{audit, audit_export};
pub use self::principals::{act_on_principal, add_principal, principal, principals};
pub use self::providers::{act_on_provider, add_provider, provider, providers};
pub use self::sessions::{end_session, sessions};

use super::site::Site;
use super::visitor::Visitor;
use crate::extract::Form;
use crate::handlers::people::ReadPrincipals;
use axum::response::Response;
use serde::Deserialize;

/// What the address of a list or a thing may say besides.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// What is shown: the name of a principal or a provider.
    name: String,
    /// What is looked for.
    pub(super) search: String,
    /// Which page of a list, from 1.
    page: Option<usize>,
    /// What was done just now.
    pub(super) done: String,
}

/// `GET /admin`: leads to the first page of those that an auditor may see.
pub async fn admin(site: Site, _: Visitor<ReadPrincipals>) -> Response {
    site.see_other("admin/principals")
}

/// Whether somebody has said that they mean it.
pub(super) fn is_confirmed(form: &Form) -> bool {
    form.text("confirm") == "yes"
}
