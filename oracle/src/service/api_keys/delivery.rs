//! How the value of a new API key reaches its owner: by mail, or not at all.
//!
//! The mail server takes it before the caller is answered. When it does not, the API key is withdrawn, and the caller may ask
//! again: nobody keeps a mail that could be lost, and no API key is left of which nobody knows.

use super::{ApiKeyError, ApiKeys, told};
use crate::mail::{Address, Letter};
use crate::service::audit::{Entry, Kind, Who};
use rand::Rng as _;

impl ApiKeys {
    /// Mails the value of a new API key; takes the key back when the mail server has not taken the mail.
    pub(super) async fn deliver(&self, value: String, to: Address) -> Result<(), ApiKeyError> {
        let Some(mailer) = &self.inner.mailer else { return Ok(()) };
        let Err(error) = mailer.send(self.letter(&value, to)).await else { return Ok(()) };
        let id = self.inner.hasher.id(&value);
        let told = Entry::new(Kind::ApiKeyWithdrawn, Who::Oracle).to(told::name(&id));
        let withdrawn = self.telling(told).forget_api_key(&id).await?;
        // Whoever has activated it meanwhile has got the mail, whatever the server said.
        if withdrawn { Err(ApiKeyError::NotMailed(error)) } else { Ok(()) }
    }

    fn letter(&self, value: &str, to: Address) -> Letter {
        let (name, url) = (&self.inner.name, &self.inner.url);
        let mut random = [0; 16];
        self.rng().fill_bytes(&mut random);
        let text = format!(
            "Somebody asked for an API key for this address at\n{name}\n{url}\n\n\
             API key: {value}\n\n\
             It is of no use yet. Whoever has that oracle's gateway key activates it, once,\n\
             with this value and this address (EMAIL), and is given its API secret:\n\n\
             \x20 quorate api-key activate --oracle {url} \\\n\
             \x20     EMAIL {value}\n\n\
             If nobody of yours asked for it, leave it: it stays without effect.\n"
        );
        Letter {
            to,
            subject: format!("API key of {name}"),
            text,
            written_at: self.now(),
            id: uuid::Builder::from_random_bytes(random).into_uuid(),
        }
    }
}
