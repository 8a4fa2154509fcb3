//! TOTP secrets that the oracle keeps for applications' users: enrolled, checked, removed (see `docs/mfa.md`).
//!
//! A code counts once, whichever node looks at it first: the store decides with one conditional write. Wrong codes lock the
//! secret they were tried on; they do not count against the address that they come from, which is an application's and
//! serves all its users.

mod picture;
mod record;

pub(super) use self::record::seal_legacy;
use self::record::{Opened, open, seal};
use crate::clock::Clock;
use crate::keys::KeyedHasher;
use crate::memory::pool::{CryptoPool, PoolError};
use crate::service::api_keys::{NotOwned, Tenant};
use crate::service::audit::{Audit, Entry, Kind};
use crate::state::StateRng;
use crate::store::{AcceptOutcome, Digest, FailOutcome, NewTotp, Store, StoreError, TotpRow};
use quorate_protocol::otp::{OtpError, OtpSecret, Parameters};
use rand::Rng as _;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a new secret: what RFC 4226 §4 recommends, 160 bits.
const KEY_BYTES: usize = 20;
/// Time steps that a code may be early or late.
const WINDOW: u8 = 1;
/// What a user's account is called when the application does not say.
const DEFAULT_LABEL: &str = "SecretKey";
/// Milliseconds that wrong code number 1, 2, 3… after the last right one locks the secret for; the last holds for all
/// further ones. A guess meets one of three codes in a million, and after a short while there are four guesses an hour. A
/// longer lock would keep out the user, too, for one wrong code of whoever knows their password.
const DELAYS: &[i64] = &[0, 0, 0, 0, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000];

/// The service. Clones share it.
#[derive(Clone)]
pub struct Totps {
    inner: Arc<Parts>,
}

impl fmt::Debug for Totps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totps(…)")
    }
}

/// What the service is made of.
pub struct Parts {
    /// The audit log.
    pub audit: Audit,
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The threads that handle secrets.
    pub crypto: Arc<CryptoPool>,
    /// What makes names for the store of UUIDs.
    pub names: KeyedHasher,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// A new secret, for the one answer that shows it.
pub struct Enrolled {
    /// Names it.
    pub uuid: Uuid,
    /// The key, base32.
    pub key: Zeroizing<String>,
    /// The otpauth URI.
    pub uri: Zeroizing<String>,
    /// The URI as a QR code: a data URL of a PNG.
    pub picture: Zeroizing<String>,
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// Why nothing is done with a TOTP secret. Words that clients of the seeds may compare are theirs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TotpError {
    /// The code, or a later one, has counted before.
    #[error("Invalid")]
    Used,
    /// The code is wrong.
    #[error("Invalid")]
    Wrong,
    /// No code came with the request.
    #[error("code (as a string) is required")]
    CodeMissing,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    Locked {
        /// How long to wait.
        milliseconds: i64,
    },
    /// The API key was rotated while the secret was made.
    #[error("the API key was rotated just now: try again")]
    Moved,
    /// Issuer or label cannot be.
    #[error(transparent)]
    Names(#[from] OtpError),
    /// No such secret, or another tenant's.
    #[error("No TOTP entry found with that uuid for that API Key.")]
    Unknown,
    /// What is stored does not open, or cannot be used.
    #[error("a stored TOTP secret cannot be read")]
    Damaged,
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotOwned> for TotpError {
    fn from(_: NotOwned) -> Self {
        Self::Damaged
    }
}

impl Totps {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }

    /// Makes a secret for a user of `tenant`.
    pub async fn enrol(
        &self,
        tenant: &Tenant,
        issuer: Option<Zeroizing<String>>,
        label: Option<Zeroizing<String>>,
    ) -> Result<Enrolled, TotpError> {
        let (api_key, told_by) = (tenant.number(), tenant);
        let (tenant, mut rng) = (tenant.clone(), self.inner.rng.clone());
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
        let id = self.id(uuid);
        let job = move || {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            rng.fill_bytes(key.as_mut_slice());
            let label = label.as_deref().map_or(DEFAULT_LABEL, String::as_str);
            let secret = OtpSecret::new(key.as_slice(), Parameters::default())?
                .with_names(issuer.as_deref().map(String::as_str), label)?;
            let sealed = seal(&secret, &id, &tenant, &mut rng)?;
            let uri = secret.to_uri();
            let picture = picture::data_url(&uri).ok_or(OtpError::NameTooLong)?;
            Ok::<_, TotpError>((Enrolled { uuid, key: secret.to_base32(), uri, picture }, sealed))
        };
        let (enrolled, sealed) = self.inner.crypto.run(job).await??;
        let new =
            NewTotp { id, data_key: sealed.data_key, created_at: self.inner.clock.now_ms(), sealed: sealed.bytes };
        // Random ids of 122 bits do not meet: what is in the way is a rotation.
        let told = told_by.entry(Kind::TotpEnrolled, subject(&id));
        let kept = self.telling(told).insert_totp(api_key, new).await?;
        if kept { Ok(enrolled) } else { Err(TotpError::Moved) }
    }

    /// Lets a right code count, once.
    pub async fn validate(
        &self,
        tenant: &Tenant,
        uuid: &str,
        code: Option<Zeroizing<String>>,
    ) -> Result<(), TotpError> {
        let code = code.ok_or(TotpError::CodeMissing)?;
        let id = self.named(uuid)?;
        let row = self.inner.store.totp(&id).await?.filter(|row| tenant.owns(row.data_key));
        let TotpRow { data_key, last_step, locked_until, sealed } = row.ok_or(TotpError::Unknown)?;
        let now = self.inner.clock.now_ms();
        still_locked(locked_until, now)?;

        let (told_by, tenant, mut rng) = (tenant, tenant.clone(), self.inner.rng.clone());
        let job = move || {
            let Opened { secret, upgraded } = open(data_key, &sealed, &id, &tenant, &mut rng)?;
            let seconds = u64::try_from(now.div_euclid(1000)).unwrap_or(0);
            let upgrade = upgraded.map(|upgraded| (sealed, upgraded.bytes));
            Ok::<_, TotpError>((secret.verify(&code, seconds, WINDOW), upgrade))
        };
        let (verified, upgrade) = self.inner.crypto.run(job).await??;
        if let Some((read, upgraded)) = upgrade {
            // Whoever else did so first has written the same secret.
            self.inner.store.adopt_totp(&id, read, upgraded).await?;
        }
        match verified {
            Some(step) => {
                let step = i64::try_from(step).map_err(|_| TotpError::Damaged)?;
                if step <= last_step {
                    // What has counted has counted: many copies of one code need not wait for each other.
                    return Err(TotpError::Used);
                }
                match self.inner.store.accept_totp(&id, step, now).await? {
                    AcceptOutcome::Accepted => Ok(()),
                    AcceptOutcome::Locked(until) => still_locked(until, now),
                    AcceptOutcome::Unknown => Err(TotpError::Unknown),
                    AcceptOutcome::Used => Err(TotpError::Used),
                }
            }
            None => match self.inner.store.fail_totp(&id, DELAYS, now).await? {
                failed @ FailOutcome::Counted(_) => {
                    if failed.locks_by(DELAYS) {
                        let told = told_by.entry(Kind::TotpLocked, subject(&id));
                        self.inner.audit.record(told).await?;
                    }
                    Err(TotpError::Wrong)
                }
                FailOutcome::Locked(until) => still_locked(until, now).and(Err(TotpError::Wrong)),
                FailOutcome::Unknown => Err(TotpError::Unknown),
            },
        }
    }

    /// The store, which tells the audit log of the next thing that it does.
    fn telling(&self, told: Entry) -> Store {
        self.inner.store.telling(self.inner.audit.seal(told))
    }

    /// Removes a secret.
    pub async fn remove(&self, tenant: &Tenant, uuid: &str) -> Result<(), TotpError> {
        let id = self.named(uuid)?;
        let told = tenant.entry(Kind::TotpRemoved, subject(&id));
        let removed = self.telling(told).remove_totp(&id, tenant.number()).await?;
        if removed { Ok(()) } else { Err(TotpError::Unknown) }
    }

    /// How the store names the secret of a UUID.
    pub(super) fn id(&self, uuid: Uuid) -> Digest {
        self.inner.names.hash(&[uuid.as_bytes()])
    }

    /// The same of a UUID in the spelling that was given out, in either case: other spellings name nothing.
    fn named(&self, uuid: &str) -> Result<Digest, TotpError> {
        let hyphenated = uuid.len() == uuid::fmt::Hyphenated::LENGTH;
        let uuid = Uuid::try_parse(uuid).ok().filter(|_| hyphenated);
        uuid.map(|uuid| self.id(uuid)).ok_or(TotpError::Unknown)
    }
}

/// What the audit log calls a secret: never by the UUID, which is the application's.
fn subject(id: &Digest) -> String {
    format!("totp {}", data_encoding::HEXLOWER.encode(&id[..8]))
}

fn still_locked(until: i64, now: i64) -> Result<(), TotpError> {
    if until > now { Err(TotpError::Locked { milliseconds: until - now }) } else { Ok(()) }
}
