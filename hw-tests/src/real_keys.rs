//! The contract on keys that people agreed to lose: which ones they are, what will be erased, and the agreement. It must not
//! know cases or cards.

use std::io::{self, IsTerminal, Write};

use quorate::token::readers::Readers;
use quorate::token::yubikey::YubiKeys;
use quorate::token::{PivToken, TokenError};

use crate::contract::{CASES, run};
use crate::hardware::{Hand, HardwareGround, PersonsHand};

/// The variable that names the keys that may be erased.
pub const SERIALS: &str = "QUORATE_HW_SERIALS";
/// The variable that agrees beforehand, by naming the same keys once more.
pub const CONFIRM: &str = "QUORATE_HW_CONFIRM";

/// Why nothing was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The person wrote something else than the serial numbers.
    #[error("`{0}` does not name the same keys, so nothing was erased")]
    Declined(String),
    /// Nobody can be asked.
    #[error("nobody can be asked: there is no terminal, and {CONFIRM} is not set")]
    Nobody,
    /// No key was named.
    #[error("name the keys that may be erased by the number on them, as in {SERIALS}=12345678,23456789")]
    NoneNamed,
    /// Something that is no serial number, or one that stands twice.
    #[error("`{0}` in {SERIALS} is no serial number, or stands there twice")]
    Serial(String),
    /// A named key is not in a reader.
    #[error("no key with serial number {0} is connected")]
    NotThere(u32),
    /// A key, or the service that reaches it, does not answer as it should.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Neither stderr nor the terminal could be used.
    #[error("cannot ask: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the contract on every key that `serials` names, one after the other, once its owner has agreed: with `confirmed`, or on
/// the terminal. Panics where a key does not keep the contract. Afterwards the keys are as they came from the factory.
#[expect(clippy::print_stdout, reason = "how much was run is said")]
pub fn keep_the_contract(serials: &str, confirmed: Option<&str>) -> Result<(), Refusal> {
    let serials = parse(serials)?;
    if serials.is_empty() {
        return Err(Refusal::NoneNamed);
    }
    announce(&serials)?;
    let answer = match confirmed {
        Some(answer) => answer.to_owned(),
        None => ask()?,
    };
    if parse(&answer).ok().as_ref() != Some(&serials) {
        return Err(Refusal::Declined(answer.trim().to_owned()));
    }
    for serial in serials {
        let name = find(serial)?.info().to_string();
        let ran = run(&mut HardwareGround::new(&name, serial, PersonsHand::new(serial)));
        PersonsHand::new(serial).wipe();
        println!("{name}: {ran} of {} cases; its PIV application is as it came from the factory", CASES.len());
    }
    Ok(())
}

/// The serial numbers of a list with commas or blanks.
fn parse(text: &str) -> Result<Vec<u32>, Refusal> {
    let mut serials = Vec::new();
    for word in text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        match word.parse() {
            Ok(serial) if !serials.contains(&serial) => serials.push(serial),
            _ => return Err(Refusal::Serial(word.to_owned())),
        }
    }
    Ok(serials)
}

fn find(serial: u32) -> Result<Box<dyn PivToken>, Refusal> {
    YubiKeys::default().open(serial)?.ok_or(Refusal::NotThere(serial))
}

/// Says what is in each key now and will not be there afterwards.
fn announce(serials: &[u32]) -> Result<(), Refusal> {
    let mut out = io::stderr().lock();
    writeln!(out, "The contract erases the whole PIV application of these keys, again and again:")?;
    for serial in serials {
        let mut token = find(*serial)?;
        let info = token.info().clone();
        writeln!(out, "\n{info}, firmware {}", info.firmware.as_deref().unwrap_or("unknown"))?;
        for key in token.keys()? {
            let [recipient, _] = key.recipients();
            writeln!(out, "  slot {}  {:?}  {recipient}", key.slot, key.label)?;
        }
        writeln!(out, "  every other PIV key and certificate (9a, 9c, 9e and the rest), PIN, PUK, management key")?;
    }
    writeln!(out, "\nWhat was encrypted to these keys is lost. FIDO, OTP and OpenPGP on them are left alone.")?;
    Ok(())
}

fn ask() -> Result<String, Refusal> {
    if !io::stdin().is_terminal() {
        return Err(Refusal::Nobody);
    }
    let mut out = io::stderr().lock();
    write!(out, "Type the serial numbers once more to have them erased: ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_serial_numbers_are_read_as_people_write_them() {
        assert_eq!(parse("12345678, 23456789\n").expect("two"), [12_345_678, 23_456_789]);
        assert!(parse(" ,").expect("none").is_empty());
        for wrong in ["12x", "-1", "4294967296", "1,1"] {
            assert!(matches!(parse(wrong), Err(Refusal::Serial(_))), "{wrong}");
        }
    }

    #[test]
    fn without_a_name_nothing_is_looked_at() {
        assert!(matches!(keep_the_contract(" ", Some("")), Err(Refusal::NoneNamed)));
        assert!(matches!(keep_the_contract("7,seven", Some("7,seven")), Err(Refusal::Serial(word)) if word == "seven"));
    }
}
