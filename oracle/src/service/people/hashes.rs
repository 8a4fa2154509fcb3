//! Keyed hashes of what the store looks up and may not read: names, links, tickets, recovery codes, applications' secrets; and
//! the generated secrets themselves.
//!
//! Whatever belongs to a principal is hashed together with the principal's id as well, so that whoever can write to the
//! database cannot give one principal what is another's.

use super::name::{PrincipalName, ProviderName};
use crate::keys::{KeyedHasher, RootSecret};
use crate::store::Digest;
use quorate_protocol::encoding::{base64url, length_prefixed};
use rand::CryptoRng;
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of a text that is looked at as a token; a longer one is wrong.
const MAX_TOKEN: usize = 128;
/// Recovery codes that come with a factor.
pub(super) const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code: 80 bits, which nobody guesses at a lock that opens four times an hour.
const RECOVERY_BYTES: usize = 10;

/// A bearer value of 256 random bits: a ticket, a link, an application's secret. 43 characters of base64url.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(Zeroizing::new(base64url(bytes.as_slice())))
    }

    /// As somebody presents it; `None` when it cannot be one.
    pub fn presented(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= MAX_TOKEN).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the one answer that gives it out.
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A token as the store has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// What it is found by.
    pub hash: Digest,
    /// What binds it to its principal.
    pub bound: Digest,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Link,
    Ticket,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Link => b"link",
            Self::Ticket => b"ticket",
        }
    }
}

pub(super) struct Hashes(KeyedHasher);

impl Hashes {
    pub(super) fn new(root: &RootSecret) -> Self {
        Self(root.hasher("people"))
    }

    pub(super) fn principal(&self, name: &PrincipalName) -> Digest {
        self.hash(&[b"principal", name.to_string().as_bytes()])
    }

    pub(super) fn provider(&self, name: &ProviderName) -> Digest {
        self.hash(&[b"provider", name.as_str().as_bytes()])
    }

    /// What a token is found by.
    pub(super) fn token(&self, purpose: Purpose, token: &Token) -> Digest {
        self.hash(&[purpose.label(), token.0.as_bytes()])
    }

    /// How a principal's token is stored that ends at a time.
    pub(super) fn stored(&self, purpose: Purpose, token: &Token, principal: &Digest, ends: i64) -> Stored {
        let bound = self.hash(&[b"bound", purpose.label(), token.0.as_bytes(), principal, &ends.to_be_bytes()]);
        Stored { hash: self.token(purpose, token), bound }
    }

    /// Whether a token that was found is that principal's and ends then, in constant time.
    pub(super) fn is_bound(
        &self,
        purpose: Purpose,
        token: &Token,
        principal: &Digest,
        ends: i64,
        bound: &Digest,
    ) -> bool {
        self.stored(purpose, token, principal, ends).bound.ct_eq(bound).into()
    }

    pub(super) fn member(&self, team: &Digest, member: &Digest) -> Digest {
        self.hash(&[b"member", team, member])
    }

    /// Binds a principal to the holder of a group that it stands for.
    pub(super) fn holder(&self, group: &Digest, x: u8, principal: &Digest) -> Digest {
        self.hash(&[b"holder", group, &[x], principal])
    }

    /// Binds a principal or a team to the group whose codes it may ask for.
    pub(super) fn applicant(&self, group: &Digest, principal: &Digest) -> Digest {
        self.hash(&[b"applicant", group, principal])
    }

    /// What the forms show that are made for whoever has the ticket of that hash.
    pub(super) fn form(&self, ticket: &Digest) -> Digest {
        self.hash(&[b"form", ticket])
    }

    /// Names a principal in a session.
    pub(super) fn approver(&self, session: &str, principal: &Digest) -> Digest {
        self.hash(&[b"approver", session.as_bytes(), principal])
    }

    /// Names a user as one who enrols: what is guessed with their link locks no login, and the other way round.
    pub(super) fn enrolment(&self, principal: &Digest) -> Digest {
        self.hash(&[b"enrolment", principal])
    }

    /// Names an address where it must not be read.
    pub(super) fn source(&self, source: IpAddr) -> Digest {
        self.hash(&[b"source", source.to_string().as_bytes()])
    }

    /// What an application's secret is checked with.
    pub(super) fn secret(&self, principal: &Digest, secret: &str) -> Digest {
        self.hash(&[b"secret", principal, secret.as_bytes()])
    }

    /// What a recovery code of a factor is found by; `None` for what cannot be one.
    pub(super) fn recovery(&self, factor: &Digest, typed: &str) -> Option<Digest> {
        const CHARACTERS: usize = RECOVERY_BYTES * 8 / 5;
        let bare = typed.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let bare = Zeroizing::new(bare.map(|byte| byte.to_ascii_uppercase()).collect::<Vec<u8>>());
        let base32 = bare.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        (base32 && bare.len() == CHARACTERS).then(|| self.hash(&[b"recovery", factor, &bare]))
    }

    fn hash(&self, parts: &[&[u8]]) -> Digest {
        self.0.hash(&[&Zeroizing::new(length_prefixed(parts))])
    }
}

/// New recovery codes, in groups of four characters.
pub(super) fn recovery_codes(rng: &mut impl CryptoRng) -> Vec<Zeroizing<String>> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let mut bytes = Zeroizing::new([0; RECOVERY_BYTES]);
        rng.fill_bytes(bytes.as_mut_slice());
        let text = Zeroizing::new(data_encoding::BASE32_NOPAD.encode(bytes.as_slice()));
        let mut code = Zeroizing::new(String::with_capacity(text.len() + text.len() / 4));
        for (place, character) in text.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                code.push('-');
            }
            code.push(character);
        }
        codes.push(code);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::encoding::base64;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn hashes() -> Hashes {
        Hashes::new(&RootSecret::parse(&base64(&[1; 32]), "test").expect("32 bytes"))
    }

    #[test]
    fn a_token_is_of_its_purpose_and_its_principal() {
        let (hashes, token) = (hashes(), Token::generate(&mut StdRng::seed_from_u64(0)));
        let stored = hashes.stored(Purpose::Ticket, &token, &[1; 32], 5);
        assert_eq!(stored.hash, hashes.token(Purpose::Ticket, &token));
        assert_ne!(stored.hash, hashes.token(Purpose::Link, &token));
        assert!(hashes.is_bound(Purpose::Ticket, &token, &[1; 32], 5, &stored.bound));
        assert!(!hashes.is_bound(Purpose::Ticket, &token, &[2; 32], 5, &stored.bound), "in another principal's row");
        assert!(!hashes.is_bound(Purpose::Ticket, &token, &[1; 32], 6, &stored.bound), "for longer");
        assert!(!hashes.is_bound(Purpose::Link, &token, &[1; 32], 5, &stored.bound));
        // What the database holds is no token.
        let replayed = Token::presented(&base64url(&stored.hash)).expect("short enough");
        assert_ne!(hashes.token(Purpose::Ticket, &replayed), stored.hash);
        assert_eq!((format!("{token:?}").as_str(), token.into_text().len()), ("Token(…)", 43));
    }

    #[test]
    fn a_recovery_code_is_read_as_people_type_it_and_is_its_factors() {
        let hashes = hashes();
        let codes = recovery_codes(&mut StdRng::seed_from_u64(0));
        assert_eq!((codes.len(), codes[0].len()), (RECOVERY_CODES, 19));
        let hash = hashes.recovery(&[1; 32], &codes[0]).expect("a code");
        let typed = codes[0].to_lowercase().replace('-', " ");
        assert_eq!(hashes.recovery(&[1; 32], &typed), Some(hash));
        assert_ne!(hashes.recovery(&[2; 32], &codes[0]), Some(hash));
        assert_ne!(hashes.recovery(&[1; 32], &codes[1]), Some(hash));
        for wrong in ["", "123456", "0000-1111-8888-9999", "ABCD-EFGH-IJKL-MNO", "ABCD-EFGH-IJKL-MNOPQ"] {
            assert_eq!(hashes.recovery(&[1; 32], wrong), None, "{wrong}");
        }
    }
}
