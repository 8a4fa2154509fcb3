//! Which security key is asked: those that somebody named, or those that are connected; which of them says that it has what is asked
//! for, and whether it may be given a PIN. Whatever plugs in may say anything. It must not know sites, PINs or where keys come from.

use crate::cli::Context;
use crate::token::fido::ports::Found;
use crate::token::fido::{FidoError, FidoToken, Hash, hash};
use crate::ui::shown;
use crate::webauthn::Verification;
use std::path::Path;

/// Keys to ask.
#[derive(Default)]
pub(super) struct Keys {
    /// Those that can be used.
    usable: Vec<Box<dyn FidoToken>>,
    /// What was found and cannot be used: what it is called, where, and why.
    unusable: Vec<(String, FidoError)>,
    /// Whether somebody said that it is these.
    named: bool,
}

/// What a key has, or may have.
pub(super) struct Held<'a> {
    pub(super) party: &'a str,
    pub(super) credential: &'a [u8],
    /// Whether the key says so.
    sure: bool,
}

/// A key, and what it has.
pub(super) type Holder<'a> = (Box<dyn FidoToken>, Held<'a>);

/// Those of `found` at `device`, where one was named.
fn meant(mut found: Vec<Found>, device: Option<&str>) -> Result<Vec<Found>, FidoError> {
    let Some(device) = device else { return Ok(found) };
    // Also by another name of it, such as a rule of udev gives.
    let place = Path::new(device).canonicalize().ok();
    found.retain(|found| found.place == device || place.as_deref() == Some(Path::new(&found.place)));
    if found.is_empty() { Err(FidoError::Unknown(device.to_owned())) } else { Ok(found) }
}

/// The only key that was found. Among several none is opened, nor is one that alone opens taken for it: the others are there.
pub(super) fn only(found: Vec<Found>, device: Option<&str>) -> Result<Box<dyn FidoToken>, FidoError> {
    let mut found = meant(found, device)?;
    match (found.pop(), found.len()) {
        (Some(only), 0) => only.open(),
        (Some(_), others) => Err(FidoError::Several(others + 1)),
        (None, _) => Err(FidoError::NoKey),
    }
}

impl Keys {
    /// Those of `found` that are meant. Where one was named the others are not even opened.
    pub(super) fn of(found: Vec<Found>, device: Option<&str>) -> Result<Self, FidoError> {
        let mut keys = Self { named: device.is_some(), ..Self::default() };
        for found in meant(found, device)? {
            let name = format!("{} at {}", shown(&found.name), shown(&found.place));
            match found.open() {
                Ok(key) => keys.usable.push(key),
                Err(fault) => keys.unusable.push((name, fault)),
            }
        }
        if keys.found() == 0 { Err(FidoError::NoKey) } else { Ok(keys) }
    }

    /// One that somebody named.
    pub(super) fn named(key: Box<dyn FidoToken>) -> Self {
        Self { usable: vec![key], unusable: Vec::new(), named: true }
    }

    /// All of these and those, each of which somebody named.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.usable.extend(other.usable);
        self.unusable.extend(other.unusable);
        Self { named: true, ..self }
    }

    /// Says why some cannot be used, where that is not all that is said in the end.
    pub(super) fn told(self, context: &Context) -> Self {
        if self.found() > 1 {
            for (name, fault) in &self.unusable {
                context.ui.warn(format_args!("security key {name}: {}", shown(&fault.to_string())));
            }
        }
        self
    }

    /// How many there are, whether they can be used or not: somebody keeps the right one from opening while a wrong one does.
    fn found(&self) -> usize {
        self.usable.len() + self.unusable.len()
    }

    /// The key to ask. One that nobody named gets no PIN unless it is the only one that is there, and says that it is the right one.
    pub(super) fn chosen<'a>(
        self,
        parties: &[&'a str],
        allow: &'a [Vec<u8>],
        verification: Verification,
    ) -> Result<Holder<'a>, FidoError> {
        let (named, found) = (self.named, self.found());
        let (key, held) = self.holder(parties, allow)?;
        if !named {
            may_want_pin(key.as_ref(), &held, verification, found)?;
        }
        Ok((key, held))
    }

    /// The same of these, which somebody named; where none of them has it, of `others`, if those have a say.
    pub(super) fn first_or<'a>(
        self,
        others: Option<impl FnOnce() -> Result<Self, FidoError>>,
        parties: &[&'a str],
        allow: &'a [Vec<u8>],
        verification: Verification,
    ) -> Result<Holder<'a>, FidoError> {
        let are_some = self.found() > 0;
        match (self.chosen(parties, allow, verification), others) {
            (Err(FidoError::WrongKey), Some(others)) => match others() {
                Err(FidoError::NoKey) if are_some => Err(FidoError::WrongKey),
                others => others?.chosen(parties, allow, verification),
            },
            (chosen, _) => chosen,
        }
    }

    /// The key that says it has a credential that is asked for; if none does, the first that may have one. One that fails to answer
    /// does not stand in the way of the others.
    pub(super) fn holder<'a>(self, parties: &[&'a str], allow: &'a [Vec<u8>]) -> Result<Holder<'a>, FidoError> {
        let mut fault = self.unusable.into_iter().next().map(|(_, fault)| fault);
        let mut unsure = None;
        for mut key in self.usable {
            match held(key.as_mut(), parties, allow) {
                Ok(Some(held)) if held.sure => return Ok((key, held)),
                Ok(Some(held)) if unsure.is_none() => unsure = Some((key, held)),
                Ok(_) => {}
                Err(failed) => fault = fault.or(Some(failed)),
            }
        }
        unsure.ok_or_else(|| fault.unwrap_or(FidoError::WrongKey))
    }
}

/// Whether the key is to verify its user.
pub(super) fn verifies(key: &dyn FidoToken, verification: Verification, registering: bool) -> bool {
    match verification {
        Verification::Discouraged => false,
        Verification::Preferred => key.info().wants_pin(true, registering).is_ok(),
        Verification::Required => true,
    }
}

/// Fails when a key that nobody named would be given a PIN, although it does not say that it has the credential, or there are
/// others: any device may say nothing, or yes, and whoever is told a PIN, were it as a hash, soon knows it.
fn may_want_pin(
    key: &dyn FidoToken,
    held: &Held<'_>,
    verification: Verification,
    found: usize,
) -> Result<(), FidoError> {
    if !key.info().wants_pin(verifies(key, verification, false), false)? {
        return Ok(());
    }
    match found {
        _ if !held.sure => Err(FidoError::Unsaid(key.info().place.clone())),
        1 => Ok(()),
        _ => Err(FidoError::Several(found)),
    }
}

/// Which of the credentials that are asked for the key has, and for which party; asked without a touch.
fn held<'a>(key: &mut dyn FidoToken, parties: &[&'a str], allow: &'a [Vec<u8>]) -> Result<Option<Held<'a>>, FidoError> {
    let mut unsure = None;
    for &party in parties {
        let application: Hash = hash(party.as_bytes());
        for credential in allow {
            match key.holds(party, &application, credential)? {
                Some(true) => return Ok(Some(Held { party, credential, sure: true })),
                // It says so when it is touched.
                None if unsure.is_none() => unsure = Some(Held { party, credential, sure: false }),
                Some(false) | None => {}
            }
        }
    }
    Ok(unsure)
}

#[cfg(test)]
mod tests;
