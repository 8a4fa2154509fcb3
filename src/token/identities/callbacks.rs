//! Lets age's plugins and encrypted identity files talk to people through [`TokenPrompts`]. A plugin is a foreign program:
//! whatever it says or asks stands behind its name, and it never gets what answers for PINs.

use std::sync::Arc;

use age::Callbacks;
use age::secrecy::SecretString;

use crate::token::TokenPrompts;

/// A person, as the `age` crate wants them.
#[derive(Clone)]
pub(crate) struct Person {
    prompts: Arc<dyn TokenPrompts>,
    /// The name of the plugin that speaks to them; `None` for ourselves.
    plugin: Option<String>,
}

impl Person {
    /// Who is asked for the passphrase of an identity file.
    pub(super) fn at_passphrases(prompts: &Arc<dyn TokenPrompts>) -> Self {
        Self { prompts: Arc::clone(prompts), plugin: None }
    }

    /// Who `age-plugin-PLUGIN` speaks to.
    pub(crate) fn at_plugin(plugin: &str, prompts: &Arc<dyn TokenPrompts>) -> Self {
        Self { prompts: Arc::clone(prompts), plugin: Some(plugin.to_owned()) }
    }

    fn signed(&self, text: &str) -> String {
        match &self.plugin {
            Some(name) => format!("age-plugin-{name}: {text}"),
            None => text.to_owned(),
        }
    }
}

impl Callbacks for Person {
    fn display_message(&self, message: &str) {
        self.prompts.message(&self.signed(message));
    }

    fn confirm(&self, message: &str, yes_string: &str, no_string: Option<&str>) -> Option<bool> {
        self.prompts.confirm(&self.signed(message), yes_string, no_string)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.prompts.text(&self.signed(description))
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        self.prompts.passphrase(&self.signed(description))
    }
}
