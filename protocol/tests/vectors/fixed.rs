//! Fixed input of the vectors: keys, names and a stream of bytes instead of randomness. Knows no file.

use hkdf::Hkdf;
use p256::SecretKey;
use quorate_protocol::deal::Deal;
use quorate_protocol::encoding::sha256;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::recipient::NativeRecipient;
use quorate_protocol::session::{Tek, new_session_id};
use rand::{TryCryptoRng, TryRng};
use sha2::Sha256;
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

/// HKDF-SHA256, 32 bytes, from the `hkdf` crate alone.
pub fn hkdf(salt: Option<&[u8]>, ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let mut okm = [0; 32];
    Hkdf::<Sha256>::new(salt, ikm).expand(info, &mut okm).expect("32 bytes are few");
    okm
}

/// The group key of a deal, from its shares.
pub fn group_key(deal: &Deal) -> [u8; 32] {
    let threshold = usize::from(deal.group.header.fields().threshold);
    let shares: Vec<_> = deal.tocs[..threshold].iter().map(|toc| toc.share().clone()).collect();
    *quorate_protocol::sharing::combine(&shares, &deal.group.header).expect("an honest deal")
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

/// Its private half as text.
pub fn tek_identity_text() -> String {
    use age::secrecy::ExposeSecret as _;
    tek().identity().to_string().expose_secret().to_owned()
}

/// An X25519 key of that name.
pub fn x25519(name: &str) -> age::x25519::Identity {
    let secret = sha256(&[b"x25519", name.as_bytes()]);
    let prefix = bech32::Hrp::parse("age-secret-key-").expect("a constant");
    let text = bech32::encode_upper::<bech32::Bech32>(prefix, &secret).expect("32 bytes are few");
    age::x25519::Identity::from_str(&text).expect("any 32 bytes will do")
}

/// A P-256 key of that name.
pub fn p256(name: &str) -> SecretKey {
    SecretKey::from_slice(&sha256(&[b"p256", name.as_bytes()])).expect("below the order, for these names")
}

/// The `age1tag1…` recipient of that name.
pub fn recipient_tag(name: &str) -> NativeRecipient {
    NativeRecipient::tag(&p256(name).public_key())
}

/// The `age1yubikey1…` recipient of that name.
pub fn recipient_yubikey(name: &str) -> NativeRecipient {
    NativeRecipient::yubikey(&p256(name).public_key())
}
