//! Lets age's plugins and encrypted identity files talk to people through [`TokenPrompts`].

use std::sync::Arc;

use age::Callbacks;
use age::secrecy::SecretString;

use crate::token::TokenPrompts;

/// A person, as the `age` crate wants them.
#[derive(Clone)]
pub(super) struct Person(pub(super) Arc<dyn TokenPrompts>);

impl Callbacks for Person {
    fn display_message(&self, message: &str) {
        self.0.message(message);
    }

    fn confirm(&self, message: &str, yes_string: &str, no_string: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes_string, no_string)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.text(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        self.0.passphrase(description)
    }
}
