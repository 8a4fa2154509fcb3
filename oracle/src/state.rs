//! What every request shares: settings, time, randomness, keys, cryptography's threads, the store. It must not know any
//! route.

mod entropy;

pub use self::entropy::{Entropy, SeededEntropy, StateRng, SystemEntropy};

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::duo::Duo;
use crate::keys::{Keys, MAIL_PASSWORD, POSTGRES_PASSWORD, Sources, Standing};
use crate::mail::{MailError, Mailer};
use crate::memory::pool::CryptoPool;
use crate::pulse::{Comparison, Pulse, Standing as Time};
use crate::service::api_keys::{self, ApiKeys};
use crate::service::apps::{self, Apps, Custody};
use crate::service::audit::{self, Audit};
use crate::service::drills::{self, DrillError, Drills};
use crate::service::notices::{self, NoticeError, Notices};
use crate::service::people::{self, DuoFactor, People, PeopleError};
use crate::service::pictures::Pictures;
use crate::service::security_keys::SecurityKeys;
use crate::service::sessions::error::SessionError;
use crate::service::sessions::{self, Sessions};
use crate::service::totps::{self, Totps};
use crate::service::u2f::U2f;
use crate::service::webauthn::Webauthn;
use crate::store::{Channel, Password, Store, StoreError, StoreOptions};
use axum::extract::FromRef;
use quorate_protocol::audit::checkpoint::Origin;
use std::fmt;
use std::io::ErrorKind;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long what was seen of the store answers those who ask whether this oracle can serve.
const FRESH: Duration = Duration::from_secs(1);

/// Name of what the store knows of the root secret.
const ROOT_SECRET_CHECK: &str = "root_secret_check";

/// Shared by all handlers; clones are the same state.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

/// What [`AppState`] holds.
#[derive(Debug)]
pub struct Shared {
    /// The settings in force.
    pub config: Config,
    /// The oracle's public address, without a slash at the end.
    pub url: String,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Threads for everything that handles secrets.
    pub crypto: Arc<CryptoPool>,
    /// The store.
    pub store: Store,
    /// The audit log.
    pub audit: Audit,
    /// API keys of applications.
    pub api_keys: ApiKeys,
    /// Apps whose codes are shared.
    pub apps: Apps,
    /// Proofs that Tocs still open.
    pub drills: Drills,
    /// Who is told of what happens.
    pub notices: Notices,
    /// Principals, their logins and tickets.
    pub people: People,
    /// Readers of pictures that people send.
    pub pictures: Pictures,
    /// Security keys of applications' users.
    pub security_keys: SecurityKeys,
    /// Quorum sessions.
    pub sessions: Sessions,
    /// TOTP secrets of applications' users.
    pub totps: Totps,
    clock: Source<dyn Clock>,
    entropy: Source<dyn Entropy>,
    pulse: Arc<Pulse>,
    sources: Sources,
    shutdown: watch::Sender<bool>,
    end: watch::Sender<bool>,
}

struct Source<T: ?Sized>(Arc<T>);

impl<T: ?Sized> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why the state cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Settings.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
    /// Mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Notices.
    #[error(transparent)]
    Notices(#[from] NoticeError),
    /// The store.
    #[error("cannot open the database: {0}")]
    Store(#[from] StoreError),
    /// The database is of no oracle, where one must be there already.
    #[error(
        "the database {0} holds no oracle: name the oracle's state folder with --state, or its database with --database"
    )]
    NoOracle(String),
    /// The root secret was lost: another one would not open anything.
    #[error(
        "there is a database, but no root.secret in {0}: put root.secret back or give QUORATE_ROOT_SECRET, or start with an \
         empty database"
    )]
    NoRootSecret(String),
    /// The root secret was exchanged.
    #[error("the database was sealed with another root secret: put root.secret back, or start with an empty database")]
    RootSecret,
    /// A node with keys of its own beside others.
    #[error(
        "the database belongs to an oracle with another root key: give this one the same keys, see docs/cluster.md"
    )]
    RootKey,
    /// Another key than that of the log.
    #[error(
        "the database's audit log is signed by another key: give this oracle the same audit.key, see docs/audit.md"
    )]
    AuditKey,
    /// A file of certificates.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The system gives no threads.
    #[error("cannot start the threads for cryptography: {0}")]
    Threads(#[source] std::io::Error),
}

/// Why a sweep was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Drills.
    #[error(transparent)]
    Drills(#[from] DrillError),
    /// Logins.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Sessions.
    #[error(transparent)]
    Sessions(#[from] SessionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppState {
    /// Opens keys and store as `config` says, making what is missing. `url` is used when no public one is set.
    pub async fn open(config: Config, url: String) -> Result<Self, StateError> {
        Self::open_with(config, url, Sources::from_env(), Arc::new(SystemClock), Arc::new(SystemEntropy)).await
    }

    /// Opens keys and store of an oracle that is there already, for what its operator does beside it; makes nothing.
    pub async fn open_existing(config: Config) -> Result<Self, StateError> {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let sources = Sources::from_env().for_operators(&config.state_dir()?, &*entropy)?;
        if !holds_oracle(&config, &sources).await? {
            return Err(StateError::NoOracle(config.database_url()?.to_string()));
        }
        let url = config.own_url();
        Self::open_with(config, url, sources, clock, entropy).await
    }

    /// Whether [`AppState::open`] can go by these settings, as far as it can be told without making anything or connecting to
    /// anybody: reads the keys that are there, passwords and certificates.
    pub fn check(config: &Config) -> Result<(), StateError> {
        let sources = Sources::from_env();
        Keys::check(&config.state_dir()?, &sources)?;
        postgres_password(config, &sources)?;
        let url = config.url.clone().unwrap_or_else(|| config.own_url());
        mailer(config, &sources, &url)?;
        for ca in [&config.postgres_ca, &config.duo_ca, &config.webhooks_ca].into_iter().flatten() {
            crate::tls::certificates(ca)?;
        }
        Ok(())
    }

    /// The same with other sources of keys, time and randomness.
    pub async fn open_with(
        config: Config,
        url: String,
        sources: Sources,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StateError> {
        let folder = config.state_dir()?;
        if !sources.has_root_secret(&folder)? && holds_oracle(&config, &sources).await? {
            return Err(StateError::NoRootSecret(sources.searched(&folder)));
        }
        let keys = Arc::new(Keys::open(&folder, &sources, &*clock, &*entropy, config.invite_days)?);
        let password = postgres_password(&config, &sources)?;
        let channel = Channel::of(&keys.root_secret().subkey("notices"));
        let options = StoreOptions { password, channel, ..StoreOptions::from(&config) };
        let store = Store::open_with(config.database_url()?.expose(), options).await?;
        check_root_secret(&store, &keys).await?;
        check_root_key(&store, &keys).await?;
        check_audit_key(&store, &keys).await?;
        let threads = match config.crypto_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        };
        let crypto = Arc::new(CryptoPool::start(threads, config.crypto_queue as usize).map_err(StateError::Threads)?);
        let url = config.url.clone().unwrap_or(url);
        let origin = audit_origin(&store, config.url.as_deref().unwrap_or(&url)).await?;
        let mailer = mailer(&config, &sources, &url)?;
        let notices = notices::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            keys: Arc::clone(&keys),
            mailer: mailer.clone(),
            url: url.clone(),
        };
        let notices = Notices::open(&config, notices)?;
        let audit = Audit::new(audit::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            keys: Arc::clone(&keys),
            origin,
            folder: config.audit_checkpoints.clone(),
            limits: audit::Limits::from(&config),
            notices: notices.clone(),
            webhook: audit::Webhook::open(&config)?,
        });
        let api_keys = ApiKeys::new(api_keys::Parts {
            audit: audit.clone(),
            name: config.name.clone(),
            url: url.clone(),
            mailer,
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            keys: Arc::clone(&keys),
        });
        let totps = Totps::new(totps::Parts {
            audit: audit.clone(),
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            names: keys.root_secret().hasher("totps"),
        });
        let rng = StateRng(Arc::clone(&entropy));
        let security_keys = SecurityKeys::new(
            audit.clone(),
            store.clone(),
            Arc::clone(&clock),
            rng,
            Arc::clone(&crypto),
            keys.root_secret(),
        );
        let duo = Duo::open(&config, Arc::clone(&clock))?;
        let custody =
            Custody::new(store.clone(), Arc::clone(&crypto), audit.clone(), api_keys.clone(), keys.root_secret());
        let people = People::new(people::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            root: keys.root_secret(),
            name: config.name.clone(),
            url: url.clone(),
            webauthn: Webauthn::new(security_keys.clone()),
            api_keys: api_keys.clone(),
            custody: custody.clone(),
            remote: Arc::new(DuoFactor::new(duo, config.name.clone())),
            audit: audit.clone(),
            limits: people::Limits::from(&config),
        })
        .map_err(StateError::Threads)?;
        let drills = Drills::new(drills::Parts {
            audit: audit.clone(),
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            keys: Arc::clone(&keys),
            url: url.clone(),
            people: people.clone(),
            notices: notices.clone(),
            limits: drills::Limits::from(&config),
        });
        let sessions = Sessions::new(sessions::Parts {
            audit: audit.clone(),
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            url: url.clone(),
            keys: Arc::clone(&keys),
            limits: sessions::Limits::from(&config),
            notices: notices.clone(),
            people: people.clone(),
        });
        let apps = Apps::new(apps::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            rng: StateRng(Arc::clone(&entropy)),
            crypto: Arc::clone(&crypto),
            custody,
            audit: audit.clone(),
            people: people.clone(),
            api_keys: api_keys.clone(),
        });
        let pulse = Pulse::new(store.clone(), Arc::clone(&clock));
        let (clock, entropy) = (Source(clock), Source(entropy));
        let [shutdown, end] = [(); 2].map(|()| watch::Sender::new(false));
        Ok(Self(Arc::new(Shared {
            config,
            url,
            keys,
            crypto,
            store,
            audit,
            api_keys,
            apps,
            drills,
            notices,
            people,
            pictures: Pictures::default(),
            security_keys,
            sessions,
            totps,
            clock,
            entropy,
            pulse,
            sources,
            shutdown,
            end,
        })))
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock.0
    }

    /// A generator for keys, identifiers and nonces.
    pub fn rng(&self) -> StateRng {
        StateRng(Arc::clone(&self.entropy.0))
    }

    /// Reads the invite certificate again and renews it if it is due and the root key is at hand.
    pub fn renew_certificate(&self) -> Result<Standing, crate::keys::KeyError> {
        self.keys.renew_if_due(&self.sources, self.clock(), self.config.invite_days)
    }

    /// Reads the gateway key again.
    pub fn reload_gateway(&self) -> Result<(), crate::keys::KeyError> {
        self.keys.reload_gateway(&self.sources)
    }

    /// How the store is, and how its clock and this oracle's stand, as it was seen no longer than a second ago.
    pub async fn look(&self) -> Result<Comparison, StoreError> {
        self.pulse.look(FRESH).await
    }

    /// What is known of the time, without asking the store.
    pub fn time(&self) -> Time {
        self.pulse.standing()
    }

    /// Sweeps, unless the clocks differ or cannot be compared: a node that is fast would end everybody's sessions. Goes by
    /// the earlier of the two. `true` when there is more to do at once.
    pub async fn sweep(&self) -> Result<bool, SweepError> {
        let seen = self.pulse.look(Duration::ZERO).await?;
        if seen.skew().is_some() {
            return Ok(false);
        }
        let now = self.clock().now_ms();
        let now = seen.theirs.map_or(now, |theirs| theirs.min(now));
        let (sessions, challenges) = (self.sessions.sweep(now).await, self.security_keys.sweep(now).await);
        let (logins, imports) = (self.people.sweep(now).await, self.api_keys.sweep(now).await);
        let (notices, drills) = (self.notices.sweep(now).await, self.drills.sweep(now).await);
        imports?;
        Ok(sessions? | drills? | challenges? | logins? | notices?)
    }

    /// Delivers notices until the oracle stops.
    pub async fn deliver_notices(&self) {
        self.notices.deliver(Arc::clone(&self.pulse), || self.stopping()).await;
    }

    /// Tells everything that waits (event streams, background work) that the oracle stops.
    pub fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Resolves when the oracle stops.
    pub async fn stopping(&self) {
        let mut receiver = self.shutdown.subscribe();
        // The sender lives as long as this state, so waiting cannot fail.
        let _stopping = receiver.wait_for(|stopping| *stopping).await;
    }

    /// Tells the background work that goes on to the last that no request is under way any more.
    pub fn end(&self) {
        self.end.send_replace(true);
    }

    /// Resolves when there will be no other request.
    pub async fn ended(&self) {
        let mut receiver = self.end.subscribe();
        let _ended = receiver.wait_for(|ended| *ended).await;
    }

    /// A receiver that turns true when the oracle stops, for streams that outlive a request.
    pub fn shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }
}

impl From<&Config> for StoreOptions {
    fn from(config: &Config) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            connections: config.postgres_connections as usize,
            connect: seconds(config.postgres_connect_seconds),
            wait: seconds(config.postgres_wait_seconds),
            statement: seconds(config.postgres_statement_seconds),
            operation: seconds(config.postgres_operation_seconds),
            ca: config.postgres_ca.clone(),
            ..Self::default()
        }
    }
}

fn postgres_password(config: &Config, sources: &Sources) -> Result<Option<Password>, StateError> {
    let password = sources.password(POSTGRES_PASSWORD, config.postgres_password_file.as_deref())?;
    Ok(password.map(Password::from))
}

fn mailer(config: &Config, sources: &Sources, url: &str) -> Result<Option<Mailer>, StateError> {
    let password = sources.password(MAIL_PASSWORD, config.mail_password_file.as_deref())?;
    Ok(Mailer::open(config, password, url)?)
}

/// Whether an oracle was made with that database. Makes no file.
async fn holds_oracle(config: &Config, sources: &Sources) -> Result<bool, StateError> {
    let url = config.database_url()?;
    if let Some(file) = url.file()
        && !std::fs::metadata(file).map_or_else(|error| error.kind() != ErrorKind::NotFound, |found| found.len() > 0)
    {
        return Ok(false);
    }
    let options = StoreOptions { password: postgres_password(config, sources)?, ..StoreOptions::from(config) };
    let store = Store::open_with(url.expose(), options).await?;
    let known = store.setting(ROOT_SECRET_CHECK).await;
    store.shutdown().await;
    Ok(known?.is_some())
}

/// Compares the root secret with the one that the database was made with, so that a lost one is noticed at once and not
/// when something sealed is needed.
async fn check_root_secret(store: &Store, keys: &Keys) -> Result<(), StateError> {
    let check = quorate_protocol::encoding::sha256(&[keys.root_secret().subkey("check").as_slice()]);
    let known = store.put_setting_if_absent(ROOT_SECRET_CHECK, check.to_vec()).await?;
    if known == check { Ok(()) } else { Err(StateError::RootSecret) }
}

/// Compares the root key with the one that the database was made with, or checks that it is a successor's: players would
/// refuse the invites of a node that had made its own.
async fn check_root_key(store: &Store, keys: &Keys) -> Result<(), StateError> {
    let own = keys.root().to_bytes();
    let known = store.put_setting_if_absent("root_key", own.to_vec()).await?;
    if known == own || keys.succeeds(&known) { Ok(()) } else { Err(StateError::RootKey) }
}

/// Compares the audit log's key with the one that the log was begun with: checkpoints of two keys are no log.
async fn check_audit_key(store: &Store, keys: &Keys) -> Result<(), StateError> {
    let own = keys.audit_key().verifying_key().to_bytes();
    let known = store.put_setting_if_absent("audit_key", own.to_vec()).await?;
    if known == own { Ok(()) } else { Err(StateError::AuditKey) }
}

/// What the audit log is called, for good: the address that the oracle had when it began.
async fn audit_origin(store: &Store, url: &str) -> Result<Origin, StoreError> {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let name = store.put_setting_if_absent("audit_origin", format!("{address}/audit").into_bytes()).await?;
    let kept = std::str::from_utf8(&name).ok().and_then(Origin::new);
    // An address that no log could be called.
    Ok(kept.unwrap_or_else(|| Origin::new("quorate/audit").expect("a plain name")))
}

impl FromRef<AppState> for Audit {
    fn from_ref(state: &AppState) -> Self {
        state.audit.clone()
    }
}

impl FromRef<AppState> for ApiKeys {
    fn from_ref(state: &AppState) -> Self {
        state.api_keys.clone()
    }
}

impl FromRef<AppState> for Apps {
    fn from_ref(state: &AppState) -> Self {
        state.apps.clone()
    }
}

impl FromRef<AppState> for Drills {
    fn from_ref(state: &AppState) -> Self {
        state.drills.clone()
    }
}

impl FromRef<AppState> for People {
    fn from_ref(state: &AppState) -> Self {
        state.people.clone()
    }
}

impl FromRef<AppState> for Sessions {
    fn from_ref(state: &AppState) -> Self {
        state.sessions.clone()
    }
}

impl FromRef<AppState> for Totps {
    fn from_ref(state: &AppState) -> Self {
        state.totps.clone()
    }
}

impl FromRef<AppState> for U2f {
    fn from_ref(state: &AppState) -> Self {
        Self::new(state.security_keys.clone())
    }
}

impl FromRef<AppState> for Webauthn {
    fn from_ref(state: &AppState) -> Self {
        Self::new(state.security_keys.clone())
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
