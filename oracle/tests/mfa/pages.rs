//! Pages for people over HTTP, as browsers ask for them: logins, cookies, forms, and what strangers, neighbours and foreign
//! pages can do about them. How they look and behave in a browser is tested in one.

mod account;
mod admin;
mod apps;
mod enroll;
pub mod login;
pub mod visit;
