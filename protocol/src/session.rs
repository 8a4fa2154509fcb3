//! The keys of a session: its id, the Toc encryption key (TEK), and the key encryption key (KEK) that only the applicant has.

pub(crate) mod x25519;

use self::x25519::KeyPair;
use crate::encoding::{base64, base64url, from_base64, hkdf, length_prefixed, sha256};
use crate::sealing::{SealingError, aead_open, aead_seal};
use age::secrecy::ExposeSecret as _;
use age_core::format::{FileKey, Stanza};
use rand::CryptoRng;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Draws a session id: 160 bits as 32 base32 characters.
pub fn new_session_id(rng: &mut impl CryptoRng) -> String {
    let mut id = [0; 20];
    rng.fill_bytes(&mut id);
    data_encoding::BASE32_NOPAD.encode(&id)
}

/// Whether `text` has the shape of a session id. What has not is unknown, without asking a store.
pub fn is_session_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
}

/// Key encryption key: 32 random bytes, base64 in JSON. The oracle forgets it as soon as it has answered.
#[derive(Clone)]
pub struct Kek(Zeroizing<[u8; 32]>);

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek([redacted])")
    }
}

impl Kek {
    /// Draws a KEK.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut kek = Zeroizing::new([0; 32]);
        rng.fill_bytes(kek.as_mut_slice());
        Self(kek)
    }

    /// Reads the base64 form; a wrong length is the same error as a wrong key.
    pub fn from_base64(text: &str) -> Result<Self, SealingError> {
        let bytes = from_base64(text).ok_or(SealingError::Open)?;
        if bytes.len() != 32 {
            return Err(SealingError::Open);
        }
        let mut kek = Zeroizing::new([0; 32]);
        kek.copy_from_slice(&bytes);
        Ok(Self(kek))
    }

    /// The base64 form, as the applicant gets it.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(base64(self.0.as_slice()))
    }

    /// The bearer token that cancels the session: base64url of HKDF-SHA256(KEK, "quorate/1 cancel").
    pub fn cancel_token(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(hkdf(None, self.0.as_slice(), b"quorate/1 cancel").as_slice()))
    }
}

/// What an oracle keeps to recognise a bearer token: SHA-256("quorate/1 cancel-hash\0" ‖ token).
pub fn cancel_hash(token: &str) -> [u8; 32] {
    sha256(&[b"quorate/1 cancel-hash\0", token.as_bytes()])
}

/// The Toc encryption key: an age X25519 identity, one per session. Opens files itself, faster than
/// [`Tek::identity`] does.
pub struct Tek {
    identity: age::x25519::Identity,
    /// Kept beside it: to find it again is a multiplication on the curve.
    public: age::x25519::Recipient,
    keys: KeyPair,
}

impl age::Identity for Tek {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.keys.unwrap(stanza)
    }
}

impl fmt::Debug for Tek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tek({})", self.recipient())
    }
}

impl Tek {
    /// Draws a TEK.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        const PREFIX: bech32::Hrp = bech32::Hrp::parse_unchecked("age-secret-key-");
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        let text = Zeroizing::new(
            bech32::encode_upper::<bech32::Bech32>(PREFIX, secret.as_slice())
                .expect("32 bytes are within bech32's limit"),
        );
        let identity = age::x25519::Identity::from_str(&text).expect("any 32 bytes make an X25519 identity");
        let public = identity.to_public();
        Self::of(identity, public).expect("age reads what it writes")
    }

    fn of(identity: age::x25519::Identity, public: age::x25519::Recipient) -> Option<Self> {
        let secret = identity.to_string();
        let (_, secret) = bech32::decode(secret.expose_secret()).ok()?;
        let secret = Zeroizing::new(secret);
        let secret = Zeroizing::new(<[u8; 32]>::try_from(secret.as_slice()).ok()?);
        let (_, point) = bech32::decode(&public.to_string()).ok()?;
        let keys = KeyPair::new(&secret, point.try_into().ok()?);
        Some(Self { identity, public, keys })
    }

    /// The public half, `age1…`.
    pub fn recipient(&self) -> String {
        self.public.to_string()
    }

    /// The public half, as something to encrypt to.
    pub fn to_public(&self) -> age::x25519::Recipient {
        self.public.clone()
    }

    /// The private half, as age has it.
    pub fn identity(&self) -> &age::x25519::Identity {
        &self.identity
    }

    /// Seals the private half: XChaCha20-Poly1305 under HKDF-SHA256(KEK, "quorate/1 tek" ‖ id), associated data
    /// id ‖ TEK ‖ invite digest, length-prefixed.
    pub fn seal(&self, kek: &Kek, id: &str, invite_digest: &[u8; 32], rng: &mut impl CryptoRng) -> Vec<u8> {
        let secret = self.identity.to_string();
        aead_seal(
            &tek_key(kek, id),
            &tek_context(id, &self.recipient(), invite_digest),
            secret.expose_secret().as_bytes(),
            rng,
        )
    }

    /// Opens what [`Tek::seal`] made, for the session `id` whose public half is `recipient`.
    pub fn open(
        sealed: &[u8],
        kek: &Kek,
        id: &str,
        recipient: &str,
        invite_digest: &[u8; 32],
    ) -> Result<Self, SealingError> {
        let secret = aead_open(&tek_key(kek, id), &tek_context(id, recipient, invite_digest), sealed)?;
        let text = std::str::from_utf8(&secret).map_err(|_| SealingError::Open)?;
        let identity = age::x25519::Identity::from_str(text).map_err(|_| SealingError::Open)?;
        // Part of what was sealed, so it is the one that belongs to the private half.
        let public = recipient.parse().map_err(|_| SealingError::Open)?;
        Self::of(identity, public).ok_or(SealingError::Open)
    }
}

fn tek_key(kek: &Kek, id: &str) -> Zeroizing<[u8; 32]> {
    hkdf(None, kek.0.as_slice(), &[b"quorate/1 tek".as_slice(), id.as_bytes()].concat())
}

fn tek_context(id: &str, recipient: &str, invite_digest: &[u8; 32]) -> Vec<u8> {
    length_prefixed(&[id.as_bytes(), recipient.as_bytes(), invite_digest])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn a_tek_opens_for_its_session_and_kek_only() {
        let mut rng = StdRng::seed_from_u64(1);
        let (tek, kek, other) = (Tek::generate(&mut rng), Kek::generate(&mut rng), Kek::generate(&mut rng));
        let (id, digest) = (new_session_id(&mut rng), [3; 32]);
        let sealed = tek.seal(&kek, &id, &digest, &mut rng);
        let public = tek.recipient();
        assert_eq!(Tek::open(&sealed, &kek, &id, &public, &digest).expect("opens").recipient(), public);
        assert!(Tek::open(&sealed, &other, &id, &public, &digest).is_err());
        assert!(Tek::open(&sealed, &kek, "OTHER", &public, &digest).is_err());
        assert!(Tek::open(&sealed, &kek, &id, &other.to_base64(), &digest).is_err());
        assert!(Tek::open(&sealed, &kek, &id, &public, &[4; 32]).is_err());
    }

    #[test]
    fn a_kek_has_one_length() {
        assert!(Kek::from_base64("AAAA").is_err());
        assert!(Kek::from_base64("").is_err());
        let kek = Kek::generate(&mut StdRng::seed_from_u64(2));
        assert_eq!(*Kek::from_base64(&kek.to_base64()).expect("reads back").to_base64(), *kek.to_base64());
        assert_eq!(format!("{kek:?}"), "Kek([redacted])");
    }

    #[test]
    fn ids_have_a_shape() {
        let id = new_session_id(&mut StdRng::seed_from_u64(3));
        assert!(is_session_id(&id), "{id}");
        for bad in ["", "../../etc/passwd", &id.to_lowercase(), &id[1..], &format!("{id}A")] {
            assert!(!is_session_id(bad), "{bad}");
        }
    }
}
