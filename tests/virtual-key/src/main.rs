//! A security key in software: a line of hex with an APDU of U2F in, a line of hex with its answer and status word out, until
//! the input ends; behind the word `cbor`, a message of CTAP2 in, a status byte and its answer out. Whoever holds it touches it at once. Its keys are gone with it, and so is the attestation, made at the start.

use ctaphid_app::{App as _, Command};
use data_encoding::HEXLOWER;
use fido_authenticator::{Authenticator, Config, Silent};
use littlefs2_core::path;
use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::error::Error;
use std::io::Write as _;
use std::thread;
use trussed::backend::BackendId;
use trussed::platform::Platform as _;
use trussed::store::Store as _;
use trussed::virt::StoreConfig;
use trussed_staging::virt::{BackendIds, Dispatcher};

/// Bytes of the longest message.
const MESSAGE: usize = 7609;
/// The firmware builds its messages on the stack.
const STACK: usize = 16 << 20;
/// In the firmware's store: a secret key of P-256.
const SECRET_P256: [u8; 4] = [0, 2, 0, 5];
const BACKENDS: &[BackendId<BackendIds>] = &[BackendId::Custom(BackendIds::StagingBackend), BackendId::Core];

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let key = thread::Builder::new().stack_size(STACK).spawn(run)?;
    key.join().map_err(|_| "the key panicked")?
}

fn run() -> Outcome {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(Vec::new())?.self_signed(&pair)?;
    let secret = SecretKey::from_pkcs8_der(&pair.serialize_der())?;
    let secret = [&SECRET_P256[..], &secret.to_bytes()].concat();
    trussed::virt::with_platform(StoreConfig::ram(), |platform| {
        let store = platform.store();
        let files = [
            (path!("fido/x5c"), path!("fido/x5c/00"), &certificate.der()[..]),
            (path!("fido/sec"), path!("fido/sec/00"), &secret),
        ];
        for (folder, file, content) in files {
            store.ifs().create_dir_all(folder).map_err(|error| format!("{error:?}"))?;
            store.ifs().write(file, content).map_err(|error| format!("{error:?}"))?;
        }
        platform.run_client_with_backends("fido", Dispatcher::default(), BACKENDS, |client| {
            let mut key = Authenticator::new(client, Silent {}, Config::new(MESSAGE));
            for line in std::io::stdin().lines() {
                let line = line?;
                let (command, request) = match line.strip_prefix("cbor ") {
                    Some(request) => (Command::Cbor, request),
                    None => (Command::Msg, line.as_str()),
                };
                let request = HEXLOWER.decode(request.as_bytes())?;
                let mut answer = heapless_bytes::Bytes::<MESSAGE>::new();
                key.call(command, &request, answer.as_mut_view()).map_err(|error| format!("{error:?}"))?;
                writeln!(std::io::stdout().lock(), "{}", HEXLOWER.encode(&answer))?;
            }
            Ok(())
        })
    })
}
