//! Fixed input of the vectors: keys, names and a stream of bytes instead of randomness. Knows no file.

use quorate_protocol::encoding::sha256;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::session::{Tek, new_session_id};
use rand::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::str::FromStr as _;

/// When everything in the vectors is valid, Unix seconds.
pub const NOW: i64 = 1_800_000_000;
/// The oracle of the vectors.
pub const ORACLE: &str = "https://oracle.example/mfa";

/// Bytes that are the same on every machine and with every version of `rand`: SHA-256(label ‖ counter), block by block.
pub struct Stream {
    label: &'static str,
    counter: u64,
    block: Vec<u8>,
}

impl Stream {
    /// The stream of that label.
    pub fn new(label: &'static str) -> Self {
        Self { label, counter: 0, block: Vec::new() }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            if self.block.is_empty() {
                self.block = sha256(&[self.label.as_bytes(), &self.counter.to_be_bytes()]).to_vec();
                self.counter += 1;
            }
            *byte = self.block.remove(0);
        }
        bytes
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.take::<1>()[0];
        }
        Ok(())
    }
}

/// True of tests only: the stream is known to everybody.
impl TryCryptoRng for Stream {}

/// The secret that is dealt.
pub fn secret() -> OtpSecret {
    let uri = "otpauth://totp/AWS:root%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=AWS&digits=8";
    OtpSecret::from_uri(uri).expect("a good URI")
}

/// The root key that Tocs pin.
pub fn root() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&sha256(&[b"root key"]))
}

/// The root key's successor.
pub fn next_root() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&sha256(&[b"next root key"]))
}

/// The key that signs invites.
pub fn invite_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&sha256(&[b"invite key"]))
}

/// The id of the session in `session.json`.
pub fn session_id() -> String {
    new_session_id(&mut Stream::new("session"))
}

/// The TEK of that session.
pub fn tek() -> Tek {
    Tek::generate(&mut Stream::new("tek"))
}

/// An X25519 key of that name.
pub fn x25519(name: &str) -> age::x25519::Identity {
    let secret = sha256(&[b"x25519", name.as_bytes()]);
    let prefix = bech32::Hrp::parse("age-secret-key-").expect("a constant");
    let text = bech32::encode_upper::<bech32::Bech32>(prefix, &secret).expect("32 bytes are few");
    age::x25519::Identity::from_str(&text).expect("any 32 bytes will do")
}
