//! Passwords of users: Argon2id (RFC 9106), on threads of their own and only so many at once, so that strangers who try to
//! log in take neither the memory nor the processors that codes need. It must not know whose a password is.

use crate::memory::pool::{CryptoPool, PoolError};
use argon2::{Algorithm, Argon2, Params, Version};
use quorate_protocol::api::MIN_PASSWORD;
use quorate_protocol::encoding::Base64;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of a password at most.
pub const MAX_BYTES: usize = 1024;
/// Bytes of the salt, as RFC 9106 §3.1 recommends.
const SALT_BYTES: usize = 16;
/// Bytes of the hash.
const HASH_BYTES: usize = 32;

/// What one evaluation costs. The defaults of the settings are the second recommended option of RFC 9106 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Degree of parallelism. It decides the result; here one thread does the work.
    pub lanes: u32,
}

impl Cost {
    /// Whether Argon2 has such parameters.
    pub fn is_possible(self) -> bool {
        self.params().is_some()
    }

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES)).ok()
    }
}

/// What a password is checked with.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PasswordHash {
    #[serde(flatten)]
    cost: Cost,
    salt: Base64,
    hash: Base64,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// Hashes and checks passwords.
pub(super) struct Passwords {
    pool: CryptoPool,
    cost: Cost,
    evaluations: Arc<AtomicU64>,
}

impl Passwords {
    /// With so many threads, and so many who may wait for one; further ones are refused as overloaded.
    pub(super) fn start(cost: Cost, at_once: usize, waiting: usize) -> std::io::Result<Self> {
        Ok(Self { pool: CryptoPool::start(at_once, waiting)?, cost, evaluations: Arc::default() })
    }

    /// How often Argon2 has run.
    pub(super) fn evaluations(&self) -> u64 {
        self.evaluations.load(Ordering::Relaxed)
    }

    /// What a new password will be checked with.
    pub(super) async fn hash(
        &self,
        password: Zeroizing<String>,
        rng: &mut impl rand::CryptoRng,
    ) -> Result<PasswordHash, PoolError> {
        let (mut salt, cost) = (vec![0; SALT_BYTES], self.cost);
        rng.fill_bytes(&mut salt);
        let hash = self.evaluate(password, salt.clone(), cost).await?.ok_or(PoolError::Panicked)?;
        Ok(PasswordHash { cost, salt: Base64(salt), hash: Base64(hash.to_vec()) })
    }

    /// Whether that is the password. Without a hash the answer is no, after the same work.
    pub(super) async fn matches(
        &self,
        password: Zeroizing<String>,
        known: Option<PasswordHash>,
    ) -> Result<bool, PoolError> {
        let decoy = || PasswordHash { cost: self.cost, salt: Base64(vec![0; SALT_BYTES]), hash: Base64(Vec::new()) };
        let PasswordHash { cost, salt, hash } = known.unwrap_or_else(decoy);
        let found = self.evaluate(password, salt.0, cost).await?;
        Ok(found.is_some_and(|found| found.as_slice().ct_eq(&hash.0).into()))
    }

    async fn evaluate(
        &self,
        password: Zeroizing<String>,
        salt: Vec<u8>,
        cost: Cost,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, PoolError> {
        let evaluations = Arc::clone(&self.evaluations);
        let job = move || {
            evaluations.fetch_add(1, Ordering::Relaxed);
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
            let mut hash = Zeroizing::new(vec![0; HASH_BYTES]);
            // The allocator overwrites its memory when it is freed.
            argon2.hash_password_into(password.as_bytes(), &salt, &mut hash).ok().map(|()| hash)
        };
        self.pool.run(job).await
    }
}

/// Why a text cannot be a password, if it cannot. `name` is the user's own.
pub(super) fn refusal(password: &str, name: &str) -> Option<&'static str> {
    if password.chars().count() < MIN_PASSWORD {
        Some("a password has 12 characters at least: a sentence is easier to remember")
    } else if password.len() > MAX_BYTES {
        Some("a password has 1,024 bytes at most")
    } else if password.trim().eq_ignore_ascii_case(name) || password.chars().all(|c| password.starts_with(c)) {
        Some("this password would be guessed at once")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    const CHEAP: Cost = Cost { memory_kib: 32, passes: 3, lanes: 4 };

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    /// RFC 9106 §5.3 has a secret key and associated data, which are not used here; this is the value of the reference
    /// implementation (`argon2 -id`) for password "password", salt "somesalt", t=2, m=64 MiB, p=1.
    #[test]
    fn the_hash_is_that_of_the_reference_implementation() {
        let params = Cost { memory_kib: 65536, passes: 2, lanes: 1 }.params().unwrap();
        let mut hash = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"password", b"somesalt", &mut hash)
            .unwrap();
        let expected = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7";
        assert_eq!(data_encoding::HEXLOWER.encode(&hash), expected);
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_each_question_is_one_evaluation() {
        let passwords = Passwords::start(CHEAP, 1, 8).unwrap();
        let mut rng = StdRng::seed_from_u64(0);
        let hash = passwords.hash(text("correct horse battery"), &mut rng).await.unwrap();
        let other = passwords.hash(text("correct horse battery"), &mut rng).await.unwrap();
        assert_ne!(hash.hash.0, other.hash.0, "salted");
        assert!(passwords.matches(text("correct horse battery"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.matches(text("correct horse batterz"), Some(hash)).await.unwrap());
        assert!(!passwords.matches(text("correct horse battery"), None).await.unwrap());
        assert_eq!(passwords.evaluations(), 5);
    }

    #[tokio::test]
    async fn so_many_wait_and_further_ones_are_refused_at_no_cost() {
        const WAITING: usize = 2;
        let passwords = Passwords::start(CHEAP, 1, WAITING).unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let busy = passwords.pool.run(move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        });
        let release = async {
            // The only thread has work, so whoever comes now waits, as many as may.
            has_begun.recv().unwrap();
            let mut asked: Vec<_> = (0..12).map(|_| Box::pin(passwords.matches(text("a password"), None))).collect();
            let refused = asked.iter_mut().filter_map(FutureExt::now_or_never).collect::<Vec<_>>();
            assert_eq!(refused, vec![Err(PoolError::Overloaded); 12 - WAITING]);
            assert_eq!(passwords.evaluations(), 0);
            go_on.send(()).unwrap();
            for answered in asked.into_iter().take(WAITING) {
                assert!(!answered.await.unwrap());
            }
        };
        tokio::join!(busy, release).0.unwrap();
        assert_eq!(passwords.evaluations(), WAITING as u64);
    }

    #[test]
    fn what_would_be_guessed_is_no_password() {
        for refused in ["", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "Alexander-the-Great"] {
            assert!(refusal(refused, "alexander-the-great").is_some(), "{refused}");
        }
        assert!(refusal(&"ab".repeat(MAX_BYTES / 2 + 1), "bob").is_some());
        for good in ["twelve chars", "correct horse battery", "пароль из слов"] {
            assert_eq!(refusal(good, "bob"), None, "{good}");
        }
    }
}
