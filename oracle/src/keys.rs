//! The oracle's own keys, from the state folder, the environment or systemd credentials. It must not know what they
//! protect.
//!
//! | name | what |
//! |---|---|
//! | `root.secret` | 32 random bytes, base64: everything at rest is sealed under keys derived from it; also `QUORATE_ROOT_SECRET` |
//! | `root.key` | Ed25519 root key, base64 seed. Tocs pin its public half; it may be kept elsewhere |
//! | `root.public` | the public half, base64; also `QUORATE_ROOT_PUBLIC` |
//! | `invite.key` | Ed25519 key that signs invites, base64 seed; also `QUORATE_INVITE_KEY` |
//! | `invite.certificate` | JSON list that leads from the root key, or from its predecessors, to the invite key; also `QUORATE_INVITE_CERTIFICATE` |
//! | `audit.key` | Ed25519 key that signs checkpoints of the audit log, base64 seed; also `QUORATE_AUDIT_KEY` |
//! | `gateway.key` | what `x-api-key` must hold; also `QUORATE_GATEWAY_KEY` |
//!
//! Each is made on first start, for its owner alone, and never over an existing file. What the environment gives takes
//! precedence over a file of the same name in `$CREDENTIALS_DIRECTORY` (systemd), and that over the state folder's; of
//! certificates, which change, the one that lasts longest counts. An oracle that is given all of them keeps none itself.

pub mod certificates;
pub mod files;
mod material;

pub use material::{GatewayKey, KeyedHasher, RootSecret};

use crate::clock::Clock;
use crate::state::Entropy;
use certificates::{CertificateError, Chain};
use ed25519_dalek::{SigningKey, VerifyingKey};
use files::FileError;
use quorate_protocol::encoding::{base64, from_base64};
use quorate_protocol::invite::Certificate;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::ScopedJoinHandle;
use zeroize::Zeroizing;

const ROOT_SECRET: &str = "root.secret";
/// File name of the root key's private half.
pub const ROOT_KEY: &str = "root.key";
const ROOT_PUBLIC: &str = "root.public";
const INVITE_KEY: &str = "invite.key";
const INVITE_CERTIFICATE: &str = "invite.certificate";
const GATEWAY_KEY: &str = "gateway.key";
const AUDIT_KEY: &str = "audit.key";
/// Name of the credential that holds the database's password.
pub const POSTGRES_PASSWORD: &str = "postgres.password";
/// Name of the credential that holds the password of the SMTP server's user.
pub const MAIL_PASSWORD: &str = "mail.password";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A certificate cannot be issued, read or used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key that is not what it should be. Its text is not repeated.
    #[error("{place} is not {expected}")]
    Malformed {
        /// File or variable.
        place: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A folder that is no oracle's, where keys are only to be used.
    #[error(
        "there is no {name} in {}: name the oracle's state folder with --state; what is kept elsewhere is given as {variable}, \
         or its folder as CREDENTIALS_DIRECTORY", places(.searched)
    )]
    Missing {
        /// File name.
        name: &'static str,
        /// The environment's variable that could hold it.
        variable: String,
        /// Folders where it is not.
        searched: Vec<PathBuf>,
    },
    /// There are certificates, but nothing says which root key they come from.
    #[error("{0} is missing although there are certificates: put it back, or the root key itself")]
    RootUnknown(PathBuf),
    /// A new invite certificate is needed and the root key is elsewhere.
    #[error("the root key is not at {0}: issue the certificate where it is, with `quorate-oracle certify --root FILE`")]
    RootElsewhere(PathBuf),
}

/// Where keys may come from besides the state folder.
#[derive(Default)]
pub struct Sources {
    /// `QUORATE_ROOT_SECRET`.
    pub root_secret: Option<Zeroizing<String>>,
    /// `QUORATE_AUDIT_KEY`.
    pub audit_key: Option<Zeroizing<String>>,
    /// `QUORATE_GATEWAY_KEY`.
    pub gateway_key: Option<Zeroizing<String>>,
    /// `QUORATE_ROOT_PUBLIC`.
    pub root_public: Option<Zeroizing<String>>,
    /// `QUORATE_INVITE_KEY`.
    pub invite_key: Option<Zeroizing<String>>,
    /// `QUORATE_INVITE_CERTIFICATE`.
    pub invite_certificate: Option<Zeroizing<String>>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Sources {
    /// From the process's environment.
    pub fn from_env() -> Self {
        let secret = |name| std::env::var(name).ok().filter(|text| !text.is_empty()).map(Zeroizing::new);
        Self {
            root_secret: secret("QUORATE_ROOT_SECRET"),
            audit_key: secret("QUORATE_AUDIT_KEY"),
            gateway_key: secret("QUORATE_GATEWAY_KEY"),
            root_public: secret("QUORATE_ROOT_PUBLIC"),
            invite_key: secret("QUORATE_INVITE_KEY"),
            invite_certificate: secret("QUORATE_INVITE_CERTIFICATE"),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// What is given under a name besides the state folder.
    fn given(&self, name: &str) -> Result<Option<Zeroizing<String>>, KeyError> {
        let from_env = match name {
            ROOT_SECRET => &self.root_secret,
            AUDIT_KEY => &self.audit_key,
            GATEWAY_KEY => &self.gateway_key,
            ROOT_PUBLIC => &self.root_public,
            INVITE_KEY => &self.invite_key,
            INVITE_CERTIFICATE => &self.invite_certificate,
            _ => &None,
        };
        match (from_env, &self.credentials) {
            (Some(text), _) => Ok(Some(text.clone())),
            (None, Some(credentials)) => Ok(files::read(&credentials.join(name))?),
            (None, None) => Ok(None),
        }
    }

    /// For work on certificates: the oracle's own invite key must be there already, and secrets that have no part in it are
    /// neither read nor made, so that none is left where it would be taken for the oracle's.
    pub fn for_certificates(self, folder: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        self.must_have(folder, INVITE_KEY)?;
        let [root_secret, audit_key] = [(); 2].map(|()| Some(material::fresh(entropy)));
        Ok(Self { root_secret, audit_key, gateway_key: Some(material::fresh_token(entropy)), ..self })
    }

    /// For what operators do with an oracle's data: its own keys must be there already, and none is made. The gateway key has
    /// no part in it.
    pub fn for_operators(self, folder: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        for name in [ROOT_SECRET, INVITE_KEY, AUDIT_KEY] {
            self.must_have(folder, name)?;
        }
        if files::read(&folder.join(ROOT_PUBLIC))?.is_none() && self.given(ROOT_PUBLIC)?.is_none() {
            self.must_have(folder, ROOT_KEY)?;
        }
        Ok(Self { gateway_key: Some(material::fresh_token(entropy)), ..self })
    }

    fn must_have(&self, folder: &Path, name: &'static str) -> Result<(), KeyError> {
        if self.read(folder, name)?.is_some() {
            return Ok(());
        }
        let variable = format!("QUORATE_{}", name.to_ascii_uppercase().replace('.', "_"));
        Err(KeyError::Missing { name, variable, searched: self.folders(folder) })
    }

    /// Whether the root secret is anywhere; otherwise a start would make one.
    pub fn has_root_secret(&self, folder: &Path) -> Result<bool, KeyError> {
        Ok(self.read(folder, ROOT_SECRET)?.is_some())
    }

    /// Where keys are looked for besides the environment, for messages.
    pub fn searched(&self, folder: &Path) -> String {
        places(&self.folders(folder))
    }

    fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        std::iter::once(folder.to_owned()).chain(self.credentials.clone()).collect()
    }

    /// A password at another server: of a private file when one is named, or else the credential of that name.
    pub fn password(&self, credential: &str, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, KeyError> {
        let text = match file {
            Some(file) => Some(files::read_private(file)?.ok_or_else(|| FileError::vanished(file))?),
            None => self.given(credential)?,
        };
        Ok(text.map(|text| Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    fn root_secret_place(&self) -> &'static str {
        if self.root_secret.is_some() { "QUORATE_ROOT_SECRET" } else { ROOT_SECRET }
    }

    fn gateway_place(&self) -> &'static str {
        if self.gateway_key.is_some() { "QUORATE_GATEWAY_KEY" } else { GATEWAY_KEY }
    }

    /// What is given, or else the text of a private file in the state folder.
    fn read(&self, folder: &Path, name: &str) -> Result<Option<Zeroizing<String>>, KeyError> {
        match self.given(name)? {
            Some(text) => Ok(Some(text)),
            None => Ok(files::read_private(&folder.join(name))?),
        }
    }

    /// The same, made from `fresh` when there is none.
    fn read_or_make(
        &self,
        folder: &Path,
        name: &str,
        fresh: impl FnOnce() -> Zeroizing<String>,
    ) -> Result<Zeroizing<String>, KeyError> {
        if let Some(text) = self.read(folder, name)? {
            return Ok(text);
        }
        let path = folder.join(name);
        match files::create_private(&path, fresh().as_bytes()) {
            // Another process was faster: its key counts.
            Ok(()) | Err(FileError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        files::read_private(&path)?.ok_or_else(|| FileError::vanished(&path).into())
    }
}

/// The keys in force.
pub struct Keys {
    folder: PathBuf,
    root_secret: RootSecret,
    gateway: RwLock<Arc<GatewayKey>>,
    audit: SigningKey,
    root: VerifyingKey,
    invite: SigningKey,
    chain: RwLock<Arc<Chain>>,
}

/// How the invite certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Valid, and not due yet. Unix seconds of its end.
    Valid(i64),
    /// Valid, in the last third of its time. Unix seconds of its end.
    Expiring(i64),
    /// There is none that is valid now.
    Invalid,
}

impl Standing {
    /// When it ends, Unix seconds; `None` when it is not valid.
    fn until(self) -> Option<i64> {
        match self {
            Self::Valid(until) | Self::Expiring(until) => Some(until),
            Self::Invalid => None,
        }
    }
}

impl Keys {
    /// Reads the keys of `folder`, making what is missing; a new invite certificate is valid for `days`.
    pub fn open(
        folder: &Path,
        sources: &Sources,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
        days: u32,
    ) -> Result<Self, KeyError> {
        files::prepare_folder(folder)?;
        let fresh = || material::fresh(entropy);
        let root_secret =
            || RootSecret::parse(&sources.read_or_make(folder, ROOT_SECRET, fresh)?, sources.root_secret_place());
        let gateway = || {
            let text = sources.read_or_make(folder, GATEWAY_KEY, || material::fresh_token(entropy))?;
            GatewayKey::parse(&text, sources.gateway_place())
        };
        let signing = |name| material::signing_key(&sources.read_or_make(folder, name, fresh)?, name);
        let (invite, audit) = (|| signing(INVITE_KEY), || signing(AUDIT_KEY));
        // On a first start each file waits for the disk; side by side they wait once.
        let (root, root_secret, gateway, invite, audit) = std::thread::scope(|scope| {
            let (root_secret, gateway) = (scope.spawn(root_secret), scope.spawn(gateway));
            let (invite, audit) = (scope.spawn(invite), scope.spawn(audit));
            let root = Self::open_root(folder, sources, fresh)?;
            Ok::<_, KeyError>((root, joined(root_secret)?, joined(gateway)?, joined(invite)?, joined(audit)?))
        })?;
        let (gateway, chain) = (RwLock::new(Arc::new(gateway)), RwLock::default());
        let keys = Self { folder: folder.to_owned(), root_secret, gateway, audit, root, invite, chain };
        keys.renew_if_due(sources, clock, days)?;
        Ok(keys)
    }

    /// Reads the keys that are there, as [`Keys::open`] would, and makes nothing.
    pub fn check(folder: &Path, sources: &Sources) -> Result<(), KeyError> {
        if folder.exists() {
            files::check_folder(folder)?;
        }
        if let Some(text) = sources.read(folder, ROOT_SECRET)? {
            RootSecret::parse(&text, sources.root_secret_place())?;
        }
        if let Some(text) = sources.read(folder, GATEWAY_KEY)? {
            GatewayKey::parse(&text, sources.gateway_place())?;
        }
        for name in [INVITE_KEY, ROOT_KEY, AUDIT_KEY] {
            if let Some(text) = sources.read(folder, name)? {
                material::signing_key(&text, name)?;
            }
        }
        Self::read_root(&folder.join(ROOT_PUBLIC), sources)?;
        for text in
            [sources.given(INVITE_CERTIFICATE)?, files::read(&folder.join(INVITE_CERTIFICATE))?].iter().flatten()
        {
            Chain::parse(text)?;
        }
        Ok(())
    }

    fn read_root(public: &Path, sources: &Sources) -> Result<Option<VerifyingKey>, KeyError> {
        if let Some(text) = sources.given(ROOT_PUBLIC)? {
            return material::verifying_key(&text, ROOT_PUBLIC).map(Some);
        }
        let text = files::read(public)?;
        text.map(|text| material::verifying_key(&text, &public.display().to_string())).transpose()
    }

    /// The public root key; the pair is made only in a folder that has never had one.
    fn open_root(
        folder: &Path,
        sources: &Sources,
        fresh: impl FnOnce() -> Zeroizing<String>,
    ) -> Result<VerifyingKey, KeyError> {
        let public = folder.join(ROOT_PUBLIC);
        if let Some(key) = Self::read_root(&public, sources)? {
            return Ok(key);
        }
        let certificate = sources.given(INVITE_CERTIFICATE)?;
        let had_one = certificate.is_some() || files::read(&folder.join(INVITE_CERTIFICATE))?.is_some();
        if had_one && sources.read(folder, ROOT_KEY)?.is_none() {
            return Err(KeyError::RootUnknown(public));
        }
        let root = material::signing_key(&sources.read_or_make(folder, ROOT_KEY, fresh)?, ROOT_KEY)?.verifying_key();
        match files::create_public(&public, format!("{}\n", base64(root.as_bytes())).as_bytes()) {
            Ok(()) | Err(FileError::Exists(_)) => Ok(root),
            Err(error) => Err(error.into()),
        }
    }

    /// The certificates that are given, or those in the folder when they last longer: `certify` leaves them there.
    fn read_chain(&self, sources: &Sources, now: i64) -> Result<Chain, KeyError> {
        let mut best = Chain::default();
        for text in [sources.given(INVITE_CERTIFICATE)?, files::read(&self.folder.join(INVITE_CERTIFICATE))?] {
            let Some(text) = text else { continue };
            let chain = Chain::parse(&text)?;
            let until = |chain: &Chain| chain.standing(&self.root, &self.invite.verifying_key(), now).until();
            if best == Chain::default() || until(&chain) > until(&best) {
                best = chain;
            }
        }
        Ok(best)
    }

    /// Reads the certificates again, as `quorate-oracle certify` may have left them, and renews the invite certificate
    /// when its time is nearly over and the root key is at hand.
    pub fn renew_if_due(&self, sources: &Sources, clock: &dyn Clock, days: u32) -> Result<Standing, KeyError> {
        self.replace_chain(self.read_chain(sources, clock.now())?);
        let standing = self.standing(clock.now());
        if matches!(standing, Standing::Valid(_)) {
            return Ok(standing);
        }
        let Some(text) = sources.read(&self.folder, ROOT_KEY)? else { return Ok(standing) };
        let root = material::signing_key(&text, ROOT_KEY)?;
        if root.verifying_key() != self.root {
            return Ok(standing);
        }
        self.install(&[certificates::for_invites(&root, &self.invite.verifying_key(), clock.now(), days)], clock)?;
        Ok(self.standing(clock.now()))
    }

    /// Checks that `new` leads from this root key to this invite key, and keeps it. A certificate of a successor root key
    /// among them makes that one the root key in force, from the next start.
    pub fn install(&self, new: &[Certificate], clock: &dyn Clock) -> Result<VerifyingKey, KeyError> {
        let (chain, root) = self.chain().extended(new, &self.root, &self.invite.verifying_key(), clock.now())?;
        // In this order: the new chain also begins at the old root, whatever happens in between.
        files::replace(&self.folder.join(INVITE_CERTIFICATE), chain.to_text().as_bytes())?;
        if root != self.root {
            files::replace(&self.folder.join(ROOT_PUBLIC), format!("{}\n", base64(root.as_bytes())).as_bytes())?;
        }
        self.replace_chain(chain);
        Ok(root)
    }

    fn replace_chain(&self, chain: Chain) {
        *self.chain.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(chain);
    }

    fn chain(&self) -> Arc<Chain> {
        Arc::clone(&self.chain.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How the invite certificate stands at `now`, Unix seconds.
    pub fn standing(&self, now: i64) -> Standing {
        self.chain().standing(&self.root, &self.invite.verifying_key(), now)
    }

    /// Whether the certificates lead, or once led, from an earlier root key to the invite key.
    pub fn succeeds(&self, earlier: &[u8]) -> bool {
        let earlier = <[u8; 32]>::try_from(earlier).ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        earlier.is_some_and(|earlier| self.chain().led_from(&earlier, &self.invite.verifying_key()))
    }

    /// From the root key to the invite key, for invites.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.chain().certificates().to_vec()
    }

    /// The key that signs invites.
    pub fn invite_key(&self) -> &SigningKey {
        &self.invite
    }

    /// The key that signs checkpoints of the audit log.
    pub fn audit_key(&self) -> &SigningKey {
        &self.audit
    }

    /// The public root key, which Tocs pin.
    pub fn root(&self) -> &VerifyingKey {
        &self.root
    }

    /// The root key's fingerprint, for comparing by eye or voice.
    pub fn fingerprint(&self) -> String {
        quorate_protocol::api::fingerprint(self.root.as_bytes())
    }

    /// What everything at rest hangs on.
    pub fn root_secret(&self) -> &RootSecret {
        &self.root_secret
    }

    /// What `x-api-key` must hold.
    pub fn gateway(&self) -> Arc<GatewayKey> {
        Arc::clone(&self.gateway.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the gateway key again, for whoever has exchanged it. On an error the old one stays.
    pub fn reload_gateway(&self, sources: &Sources) -> Result<(), KeyError> {
        let text = sources.read(&self.folder, GATEWAY_KEY)?;
        let text = text.ok_or_else(|| FileError::vanished(&self.folder.join(GATEWAY_KEY)))?;
        let key = GatewayKey::parse(&text, sources.gateway_place())?;
        *self.gateway.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(())
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("folder", &self.folder).field("root", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// Reads a private Ed25519 key file, readable by its owner alone.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyError> {
    let text = files::read_private(path)?.ok_or_else(|| FileError::vanished(path))?;
    material::signing_key(&text, &path.display().to_string())
}

/// Makes a private Ed25519 key file, never over an existing one.
pub fn create_signing_key(path: &Path, entropy: &dyn Entropy) -> Result<SigningKey, KeyError> {
    let text = material::fresh(entropy);
    files::create_private(path, text.as_bytes())?;
    material::signing_key(&text, &path.display().to_string())
}

/// Reads a public Ed25519 key: 32 bytes, base64.
pub fn parse_public_key(text: &str) -> Result<VerifyingKey, KeyError> {
    material::verifying_key(text, "the public key")
}

fn places(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("reading and making a key does not panic")
}

fn decode_32(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = from_base64(text.trim())?;
    let mut array = Zeroizing::new([0; 32]);
    (bytes.len() == 32).then(|| array.copy_from_slice(&bytes))?;
    Some(array)
}
