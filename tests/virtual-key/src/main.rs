//! A security key in software: a line of hex with an APDU of U2F in, a line of hex with its answer and status word out, until
//! the input ends; behind the word `cbor`, a message of CTAP2 in, a status byte and its answer out. Whoever holds it touches it at once. Its keys are gone with it, and so is the attestation, made at the start.

use ctaphid_app::Command;
use data_encoding::HEXLOWER;
use fido_authenticator::Silent;
use quorate_virtual_key::{Failure, firmware};
use std::io::Write as _;
use std::thread;
use trussed::virt::StoreConfig;

fn main() -> Result<(), Failure> {
    let key = thread::Builder::new().stack_size(firmware::STACK).spawn(run)?;
    key.join().map_err(|_| "the key panicked")?
}

fn run() -> Result<(), Failure> {
    firmware::run(StoreConfig::ram(), Silent {}, |call| {
        for line in std::io::stdin().lines() {
            let line = line?;
            let (command, request) = match line.strip_prefix("cbor ") {
                Some(request) => (Command::Cbor, request),
                None => (Command::Msg, line.as_str()),
            };
            let answer = call(command, &HEXLOWER.decode(request.as_bytes())?)?;
            writeln!(std::io::stdout().lock(), "{}", HEXLOWER.encode(&answer))?;
        }
        Ok(())
    })
}
