//! Duo as the one who decides about a second factor: what a login asks becomes a question of Duo's, and what Duo says a verdict.
//! It must not know passwords or tickets.

use super::remote::{Question, RemoteFactor, Unavailable, Verdict};
use crate::duo::{self, Duo, DuoError, Factor, Integration};
use futures_util::future::BoxFuture;
use std::fmt;
use zeroize::Zeroizing;

/// Asks Duo in the name of an oracle.
pub struct DuoFactor {
    duo: Duo,
    oracle: String,
}

impl fmt::Debug for DuoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuoFactor").field("oracle", &self.oracle).finish_non_exhaustive()
    }
}

impl DuoFactor {
    /// For the oracle of that name, which telephones show.
    pub fn new(duo: Duo, oracle: String) -> Self {
        Self { duo, oracle }
    }

    async fn decide(&self, question: Question) -> Result<Verdict, Unavailable> {
        let Question { options, user, principal, source, why, passcode } = question;
        // Nobody is rung up who did not ask for it.
        let Some(factor) = passcode.as_ref().and_then(|text| Factor::parse(text)) else {
            return Ok(Verdict::Refused("no_passcode"));
        };
        let (host, key) = (options.host.unwrap_or_default(), options.integration_key.unwrap_or_default());
        let secret = options.secret_key.unwrap_or_else(|| Zeroizing::new(String::new()));
        let at = Integration::new(&key, secret, &host, self.duo.rules()).map_err(unavailable)?;
        let question = duo::Question::new(&user).map_err(unavailable)?.seen_at(Some(source)).name(principal.own());
        let question = question.line("oracle", &self.oracle).line("why", &why);
        match self.duo.verify(&at, &question, &factor).await {
            Ok(duo::Verdict::Allowed) => Ok(Verdict::Allowed("duo")),
            Ok(duo::Verdict::Bypassed) => Ok(Verdict::Allowed("bypass at duo")),
            Err(error) if error.refuses() => {
                log(&error);
                Ok(Verdict::Refused(error.word()))
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}

impl RemoteFactor for DuoFactor {
    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Verdict, Unavailable>> {
        Box::pin(self.decide(question))
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Unavailable {
    Unavailable(Box::new(error))
}

/// Without names: the audit log has the failed login, with who and from where.
fn log(error: &DuoError) {
    if error.alarms() {
        tracing::warn!(%error, "somebody refused a login in their name");
    } else {
        tracing::info!(%error, "Duo let nobody in");
    }
}
