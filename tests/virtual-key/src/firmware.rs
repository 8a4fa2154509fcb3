//! The firmware, with what its maker would have put into its store. It must not know where messages come from.

use crate::Failure;
use ctaphid_app::{App as _, Command};
use fido_authenticator::{Authenticator, Config, UserPresence};
use littlefs2_core::{Path, path};
use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::fs::File;
use std::io::Read as _;
use trussed::backend::BackendId;
use trussed::platform::Platform as _;
use trussed::store::Store as _;
use trussed::virt::StoreConfig;
use trussed_staging::virt::{BackendIds, Dispatcher};

/// The firmware builds its messages on the stack: bytes of that.
pub const STACK: usize = 16 << 20;
/// Bytes of the longest message.
const MESSAGE: usize = 7609;
/// Milliseconds that a key of CTAP2 waits for a touch: no less than a key may (CTAP 2.1 §6.1.2), as a guest has better to do.
const TOUCH: u32 = 10_000;
/// In the firmware's store: a secret key of P-256.
const SECRET_P256: [u8; 4] = [0, 2, 0, 5];
const BACKENDS: &[BackendId<BackendIds>] = &[BackendId::Custom(BackendIds::StagingBackend), BackendId::Core];

/// Gives the answer to a message: an APDU to one of [`Command::Msg`], CTAP2 to one of [`Command::Cbor`].
pub type Call<'a> = &'a mut dyn FnMut(Command, &[u8]) -> Result<Vec<u8>, Failure>;

/// Powers a key up for as long as `serve` runs; `holder` touches it. What is in `store` from an earlier time is still there.
///
/// # Errors
/// Those of `serve`, and what the store does not take.
pub fn run<P: UserPresence>(
    store: StoreConfig<'_>,
    holder: P,
    serve: impl FnOnce(Call<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    trussed::virt::with_platform(store, |platform| {
        provision(platform.store().ifs())?;
        platform.run_client_with_backends("fido", Dispatcher::default(), BACKENDS, |client| {
            let config = Config { fido2_up_timeout: Some(TOUCH), ..Config::new(MESSAGE) };
            let mut key = Authenticator::new(client, holder, config);
            serve(&mut |command, request| {
                let mut answer = heapless_bytes::Bytes::<MESSAGE>::new();
                key.call(command, request, answer.as_mut_view()).map_err(|error| format!("{error:?}"))?;
                Ok(answer.to_vec())
            })
        })
    })
}

/// An attestation, which U2F does not work without, and randomness: the stand-in for the hardware has the same in every key.
fn provision(files: &dyn littlefs2_core::DynFilesystem) -> Result<(), Failure> {
    if files.exists(path!("fido/x5c/00")) {
        return Ok(());
    }
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(Vec::new())?.self_signed(&pair)?;
    let secret = SecretKey::from_pkcs8_der(&pair.serialize_der())?;
    let secret = [&SECRET_P256[..], &secret.to_bytes()].concat();
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let made: [(&Path, &Path, &[u8]); 3] = [
        (path!("trussed/dat"), path!("trussed/dat/rng-state.bin"), &seed),
        (path!("fido/sec"), path!("fido/sec/00"), &secret),
        (path!("fido/x5c"), path!("fido/x5c/00"), certificate.der()),
    ];
    for (folder, file, content) in made {
        files.create_dir_all(folder).map_err(|error| format!("{error:?}"))?;
        files.write(file, content).map_err(|error| format!("{error:?}"))?;
    }
    Ok(())
}
