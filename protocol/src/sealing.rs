//! Encryption: of an otpauth URI under a group key, of a Toc to age recipients, and what is needed to open both.

use crate::encoding::hkdf;
use crate::header::Header;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use std::io::{Read as _, Write as _};
use zeroize::Zeroizing;

/// Bytes of the nonce that stands in front of every XChaCha20-Poly1305 ciphertext here.
pub const NONCE_LENGTH: usize = 24;
/// Armored age files larger than this are not read.
pub const MAX_ARMORED: usize = 128 * 1024;
/// Recipient stanzas of a Toc that is encrypted to one recipient: one, and what implementations add to keep readers honest.
pub const MAX_STANZAS: usize = 8;
/// A plaintext larger than this is no Toc.
pub const MAX_PLAINTEXT: usize = 96 * 1024;

/// Why something cannot be sealed or opened. One error for every failure to open: nothing is said about where it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// `age` refuses these recipients together.
    #[error("age cannot encrypt to these recipients: {0}")]
    Encrypt(#[from] age::EncryptError),
    /// Writing failed.
    #[error("encryption failed")]
    Io(#[from] std::io::Error),
    /// Not an armored age file, not for this key, or damaged.
    #[error("it cannot be opened: not an armored age file, not for this key, or damaged")]
    Open,
    /// More bytes than a Toc may have.
    #[error("it is larger than {MAX_ARMORED} bytes, which no Toc is")]
    TooLarge,
}

/// XChaCha20-Poly1305 of `plaintext`: a random nonce of 24 bytes, then ciphertext and tag.
pub fn aead_seal(key: &[u8; 32], associated: &[u8], plaintext: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    let sealed = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: associated })
        .expect("inputs are far below the limit of 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`aead_seal`] made.
pub fn aead_open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(SealingError::Open)?;
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: associated })
        .map(Zeroizing::new)
        .map_err(|_| SealingError::Open)
}

/// Seals an otpauth URI under the group key: HKDF-SHA256(group key, salt H, "quorate/1 seal"), associated data the header.
pub fn seal_secret(group_key: &[u8; 32], header: &Header, uri: &str, rng: &mut impl CryptoRng) -> Vec<u8> {
    aead_seal(&seal_key(group_key, header), header.bytes(), uri.as_bytes(), rng)
}

/// Opens what [`seal_secret`] made.
pub fn open_secret(group_key: &[u8; 32], header: &Header, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    aead_open(&seal_key(group_key, header), header.bytes(), sealed)
}

fn seal_key(group_key: &[u8; 32], header: &Header) -> Zeroizing<[u8; 32]> {
    hkdf(Some(&header.digest()), group_key, b"quorate/1 seal")
}

/// Encrypts `plaintext` to all `recipients`, armored. File and ephemeral keys come from the operating system's randomness.
pub fn age_seal<'a>(
    plaintext: &[u8],
    recipients: impl Iterator<Item = &'a dyn age::Recipient>,
) -> Result<String, SealingError> {
    let encryptor = age::Encryptor::with_recipients(recipients)?;
    let armor = ArmoredWriter::wrap_output(Vec::with_capacity(plaintext.len() * 3 / 2 + 512), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(plaintext)?;
    let armored = writer.finish()?.finish()?;
    Ok(String::from_utf8(armored).expect("armor is ASCII"))
}

/// Whether `text` looks like an armored age file of bearable size: what an oracle can check without a key.
pub fn is_armored(text: &str) -> bool {
    if text.len() > MAX_ARMORED || !text.trim_start().starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
        return false;
    }
    let mut binary = Vec::new();
    let read = ArmoredReader::new(text.as_bytes()).take(MAX_ARMORED as u64).read_to_end(&mut binary);
    read.is_ok() && binary.starts_with(b"age-encryption.org/v1\n") && stanzas(&binary) <= MAX_STANZAS
}

/// Recipient stanzas in the header of a binary age file. Each may cost whoever opens it a scalar multiplication.
fn stanzas(binary: &[u8]) -> usize {
    let header = binary.split(|&byte| byte == b'\n').take_while(|line| !line.starts_with(b"---"));
    header.filter(|line| line.starts_with(b"-> ")).count()
}

/// Opens an armored age file with `identity`.
pub fn age_open(armored: &str, identity: &dyn age::Identity) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    if armored.len() > MAX_ARMORED {
        return Err(SealingError::TooLarge);
    }
    let decryptor =
        age::Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes())).map_err(|_| SealingError::Open)?;
    let reader = decryptor.decrypt(std::iter::once(identity)).map_err(|_| SealingError::Open)?;
    // Reserved at once: a vector that grows leaves copies of the plaintext behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(armored.len()));
    reader.take(MAX_PLAINTEXT as u64 + 1).read_to_end(&mut plaintext).map_err(|_| SealingError::Open)?;
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(SealingError::TooLarge);
    }
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let sealed = aead_seal(&[1; 32], b"for", b"text", &mut StdRng::seed_from_u64(0));
        assert_eq!(aead_open(&[1; 32], b"for", &sealed).expect("intact").as_slice(), b"text");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(aead_open(&[1; 32], b"for", &bad).is_err(), "byte {at}");
        }
        assert!(aead_open(&[1; 32], b"other", &sealed).is_err());
        assert!(aead_open(&[2; 32], b"for", &sealed).is_err());
        assert!(aead_open(&[1; 32], b"for", &sealed[..23]).is_err());
    }

    #[test]
    fn age_files_go_round_and_junk_does_not() {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let armored = age_seal(b"a Toc", std::iter::once(&recipient as &dyn age::Recipient)).expect("sealed");
        assert!(is_armored(&armored));
        assert_eq!(age_open(&armored, &identity).expect("opened").as_slice(), b"a Toc");
        assert!(matches!(age_open(&armored, &age::x25519::Identity::generate()), Err(SealingError::Open)));
        assert!(matches!(age_open("-----BEGIN AGE ENCRYPTED FILE-----\n", &identity), Err(SealingError::Open)));
        assert!(matches!(age_open(&"x".repeat(MAX_ARMORED + 1), &identity), Err(SealingError::TooLarge)));
        for junk in ["", "x", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----\n"] {
            assert!(!is_armored(junk), "{junk:?}");
        }
    }
}
