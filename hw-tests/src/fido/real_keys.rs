//! The contract on real security keys, as far as nothing stays behind on them: no case sets a PIN, and no credential is kept in a key. It
//! must not know cases.

use super::contract::{Wants, count, run_those};
use quorate::token::fido::FidoError;
use quorate::token::fido::ports::{Found, connected};
use std::collections::BTreeMap;
use std::io::{self, Write as _};

/// The variable that names the keys, by their devices.
pub const PLACES: &str = "QUORATE_HW_FIDO";

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A key that would want its PIN again and again.
    #[error("the key at {0} has a PIN: take one without, or one that was reset with its maker's program")]
    HasPin(String),
    /// A key, or the system, does not answer as it should.
    #[error(transparent)]
    Key(#[from] FidoError),
    /// No key was named.
    #[error(
        "name the security keys by their devices, as in {PLACES}=/dev/hidraw3,/dev/hidraw5; `quorate fido list` shows them"
    )]
    NoneNamed,
    /// Nobody could be told what to do.
    #[error("cannot ask: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the contract on the keys that `places` names. Panics where a key does not keep it.
#[expect(clippy::print_stdout, reason = "how much was run is said")]
pub fn keep_the_contract(places: &str) -> Result<(), Refusal> {
    let places: Vec<&str> = places.split([',', ' ', '\t', '\n']).filter(|place| !place.is_empty()).collect();
    if places.is_empty() {
        return Err(Refusal::NoneNamed);
    }
    let mut wants = vec![Wants::Nothing, Wants::Ctap2];
    let mut names = Vec::new();
    for place in &places {
        let key = find(place)?.open()?;
        let info = key.info();
        match &info.ctap2 {
            Some(ctap2) if ctap2.pin_set == Some(true) => return Err(Refusal::HasPin((*place).to_owned())),
            Some(_) => {}
            None => wants.retain(|wants| *wants != Wants::Ctap2),
        }
        names.push(format!("{} at {place}", info.token));
    }
    if places.len() > 1 {
        wants.push(Wants::Another);
    }
    let mut err = io::stderr().lock();
    writeln!(err, "Touch each of these keys whenever it blinks; nothing stays behind on them but their counters:")?;
    for name in &names {
        writeln!(err, "  {name}")?;
    }
    drop(err);
    // In turn, so that two at once are two keys.
    let mut turn = places.iter().cycle();
    let ran = run_those(&wants, || {
        let place = turn.next().expect("a list that was not empty goes round for ever");
        find(place).and_then(Found::open).expect("it was there before")
    });
    println!("{}: {ran} of {} cases", names.join(", "), count(&Wants::ALL));
    Ok(())
}

fn find(place: &str) -> Result<Found, FidoError> {
    let mut found: BTreeMap<String, Found> =
        connected()?.into_iter().map(|found| (found.place.clone(), found)).collect();
    found.remove(place).ok_or_else(|| FidoError::Unknown(place.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_nothing_is_looked_at() {
        assert!(matches!(keep_the_contract(" ,\n"), Err(Refusal::NoneNamed)));
    }

    #[test]
    fn a_device_that_is_no_key_is_not_asked() {
        let refused = keep_the_contract("/dev/null");
        assert!(
            matches!(&refused, Err(Refusal::Key(FidoError::Unknown(place))) if place == "/dev/null"),
            "{refused:?}"
        );
    }
}
