//! The oracle's store: sessions, Tocs, codes, redeals and their events, durable and decided once.
//!
//! [`Store`] is the whole of it for the services. Back ends are named in [`Store::open_with`] and nowhere else. The store
//! never sees HTTP or a plain secret: `sealed` fields are opaque. It has no clock and no randomness: times are Unix
//! milliseconds that the caller gives.
//!
//! When a method that writes returns, what it did is durable. A caller that goes away after the first poll changes
//! nothing: the write is done.

mod api_keys;
mod applicants;
mod apps;
mod audit;
mod ceremonies;
mod claim;
mod codes;
mod credentials;
mod drills;
mod engine;
mod error;
mod events;
mod factors;
mod groups;
mod imports;
mod lanes;
mod legacy;
mod lockout;
mod migrations;
mod notices;
mod own_keys;
mod place;
mod postgres;
mod principals;
mod redeals;
mod rights;
mod rows;
mod sessions;
mod settings;
mod sqlite;
mod sweep;
mod tickets;
mod tocs;
mod totps;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::broadcast;

pub use self::{
    api_keys::{
        ApiKeyRow, DataKeyRow, MAX_DATA_KEYS, NewApiKey, NewDataKey, OwningApiKey, RecordCounts, RecordKind,
        RevokeOutcome, Rewrapped, RotateOutcome,
    },
    applicants::{ApplicantsOutcome, Ground, MAX_APPLICANTS},
    apps::{
        AppBy, AppChange, AppReader, AppRow, AppSeen, ChangeAppOutcome, GrantRow, GrantedRow, GranteeRow, HeldApp,
        HeldApps, HeldGrant, HeldUnder, HolderRow, InsertAppOutcome, LastApp, MAX_APPS, NewAppRow, NewHolder,
        OverseenApp, OwnedApp, WrittenGrant,
    },
    audit::{AuditHead, AuditRow, NewAudit, NumberedAudit, NumberedRow, PendingAudit},
    ceremonies::{CeremonyAct, CeremonyName, CeremonyRow, NewCeremony},
    claim::Claim,
    credentials::{
        AddOutcome, CredentialKind, CredentialName, CredentialRow, MAX_CREDENTIALS, NewCredential, Removed, UseOutcome,
        Which,
    },
    drills::{
        AnswerOutcome, BeginOutcome, DrillAnswerRow, DrillEnd, DrillReport, DrillRow, NewDrill, NewDrillAnswer,
        NewTocProof, TocProofRow,
    },
    error::{EngineError, StoreError},
    factors::{FactorRow, MAX_PROVIDERS, NewFactor, NewProvider, ProviderOutcome, ProviderRow, RemoveProviderOutcome},
    groups::{
        AddGroupOutcome, DamagedRow, GroupMemberRow, GroupMembersOutcome, GroupRow, GroupRows, MAX_GROUPS, NewGroup,
        NewGroupMember, Standing,
    },
    imports::{
        ImportMark, ImportOutcome, ImportTarget, ImportedApiKey, ImportedRecord, ImportedRow, Known,
        MAX_IMPORTED_DATA_KEYS, NewLegacyUser,
    },
    legacy::{FirstUse, KnownDataKey, LegacyUserRow},
    lockout::FailOutcome,
    notices::{NOTICE_ID, NewNotice, TakenNotice},
    own_keys::{KeyRemoval, KeyRemovalOutcome},
    place::{Channel, DatabaseUrl, Password},
    principals::{
        ChangeOutcome, EnrolOutcome, Enrolment, LinkRow, MAX_MEMBERS, MembersOutcome, NewLink, NewPrincipal,
        OPERATOR_ENROLLED, PrincipalKind, PrincipalRow, Role,
    },
    rights::{Acting, Applying, Approver, Asking, Basis, Login},
    rows::{
        ClosedAs, CodeOutcome, DenyOutcome, Digest, EventRow, InsertOutcome, JoinedRow, MAX_REPLACEMENTS, NewApproval,
        NewEvent, NewRedeal, NewSession, NewToc, Once, Purpose, Quorate, ReceiveOutcome, RedealOutcome, RedealRow,
        RedealTocRow, SessionOverview, SessionRow, Swept, TocOutcome, TocRow, UnlessOpen,
    },
    sweep::Tell,
    tickets::{Candidate, LogIn, LogInOutcome, MAX_TICKETS, NewTicket, SecondProof, TicketRow},
    totps::{AcceptOutcome, NewTotp, TotpRow},
};
use self::{
    audit::Done,
    engine::Act,
    lanes::{Lanes, Place},
    postgres::Postgres,
    sqlite::Sqlite,
    sweep::Round,
};

/// Changes that a watcher may be behind before it must look for itself.
const NOTICES: usize = 1024;

/// The notice that names no session: anything may have changed, so look for yourself.
pub const EVERYTHING: &str = "";

/// The bounds of an engine.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Embedded: operations that share a commit at most.
    pub max_batch: usize,
    /// Operations that may wait, of those that read and of those that write; more are refused as [`StoreError::Busy`].
    pub queue: usize,
    /// Embedded: read-only connections.
    pub readers: usize,
    /// Shared: connections for operations at most. There are two more: one listens, one asks how the server is.
    pub connections: usize,
    /// Shared: how long making a connection may take.
    pub connect: Duration,
    /// Shared: how long an operation may wait for a free connection.
    pub wait: Duration,
    /// Shared: how long one statement may take, locks included.
    pub statement: Duration,
    /// Shared: how long an operation may take with all that it waits for and every time that it is run again.
    pub operation: Duration,
    /// Shared: the password, when the URL has none.
    pub password: Option<Password>,
    /// Shared: where nodes tell each other what changed.
    pub channel: Channel,
    /// Shared: PEM file of the certificates that vouch for the server; otherwise the system's.
    pub ca: Option<PathBuf>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_batch: 256,
            queue: 1024,
            readers: 4,
            connections: 16,
            connect: Duration::from_secs(3),
            wait: Duration::from_secs(2),
            statement: Duration::from_secs(3),
            operation: Duration::from_secs(8),
            password: None,
            channel: Channel::default(),
            ca: None,
        }
    }
}

/// What the writer has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterCounts {
    /// Transactions committed.
    pub commits: u64,
    /// Operations answered, with whatever outcome.
    pub jobs: u64,
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
    lanes: Lanes,
    life: Arc<Life>,
    notices: broadcast::Sender<Arc<str>>,
    /// What the audit log is told of what is done.
    told: Option<Arc<NewAudit>>,
}

/// What is known of the database, and this store's signs of life in it.
struct Life {
    /// The schema that a program must know at least, as it was last seen.
    needed: AtomicI64,
    slot: u8,
    beats: AtomicI64,
}

enum Engine {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.engine {
            Engine::Postgres(_) => f.write_str("Store(postgres)"),
            Engine::Sqlite(_) => f.write_str("Store(sqlite)"),
        }
    }
}

impl Store {
    /// Opens the database that a URL names: `sqlite:PATH` makes the file in an existing folder when it is not there;
    /// `sqlite::memory:` is gone when the store is; `postgres://USER@HOST/NAME` is a server's, with its tables made when
    /// they are not there.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, StoreOptions::default()).await
    }

    /// As [`Store::open`], with other bounds.
    pub async fn open_with(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        let (notices, _) = broadcast::channel(NOTICES);
        let engine = match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest).to_owned();
                let notices = notices.clone();
                let open = move || match path.as_str() {
                    ":memory:" => Sqlite::open_in_memory(&options, notices),
                    path => Sqlite::open(Path::new(path), &options, notices),
                };
                Engine::Sqlite(tokio::task::spawn_blocking(open).await.unwrap_or(Err(StoreError::Panicked))?)
            }
            "postgres" | "postgresql" => Engine::Postgres(Postgres::open(url, &options, notices.clone()).await?),
            _ => return Err(StoreError::UnknownScheme { scheme: scheme.to_owned() }),
        };
        let life = Life { needed: AtomicI64::new(0), slot: rand::random(), beats: AtomicI64::new(0) };
        Ok(Self { engine: Arc::new(engine), lanes: Lanes::default(), life: Arc::new(life), notices, told: None })
    }

    /// Ids of sessions in which something changed, each after the commit of the change, or [`EVERYTHING`]. A receiver
    /// that lagged must look for itself. A node that died may have told nobody, so look now and then without a notice.
    pub fn notices(&self) -> broadcast::Receiver<Arc<str>> {
        self.notices.subscribe()
    }

    /// The same store, which tells the audit log with this event of what an act on API keys, TOTP secrets or security keys does,
    /// in the act's own transaction, and of nothing when it does nothing.
    #[must_use]
    pub fn telling(&self, event: NewAudit) -> Self {
        Self { told: Some(Arc::new(event)), ..self.clone() }
    }

    // Sessions

    /// Makes a session with its first Toc and event.
    pub async fn insert_session(&self, new: NewSession) -> Result<InsertOutcome, StoreError> {
        self.write(&new.source.clone(), new, |tx, new| Box::pin(sessions::insert(tx, new))).await
    }

    /// The session of that id, closed or not.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(sessions::read(tx, id))).await
    }

    /// The session of that id with its Tocs in order of arrival, both of the same moment.
    pub async fn session_with_tocs(&self, id: &str) -> Result<Option<(SessionRow, Vec<TocRow>)>, StoreError> {
        self.read(id.to_owned(), |tx, id| {
            Box::pin(async move {
                let Some(session) = sessions::read(tx, id).await? else { return Ok(None) };
                Ok(Some((session, tocs::list(tx, id).await?)))
            })
        })
        .await
    }

    /// The session of that id with the number of its Tocs and denials.
    pub async fn session_overview(&self, id: &str) -> Result<Option<SessionOverview>, StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(sessions::overview(tx, id))).await
    }

    /// Up to `limit` sessions that are not closed and have a smaller number than `before`, newest first, each with its number.
    pub async fn sessions_before(&self, before: i64, limit: i64) -> Result<Vec<(i64, SessionOverview)>, StoreError> {
        self.read((before, limit), |tx, (before, limit)| Box::pin(sessions::open(tx, *before, *limit))).await
    }

    /// Closes a session, removes its Tocs and empties what is sealed in it. False when it was closed or is unknown.
    pub async fn close(&self, id: &str, closed_as: ClosedAs, now: i64, event: NewEvent) -> Result<bool, StoreError> {
        self.write(id.as_bytes(), (id.to_owned(), closed_as, now, event), |tx, (id, closed_as, now, event)| {
            Box::pin(sessions::close(tx, id, *closed_as, *now, event))
        })
        .await
    }

    /// One round of tidying, of at most `batch` rows of each kind: closes sessions whose time is up (without an event of
    /// theirs, but with a notice and the audit event that `tell` makes of it), removes those closed for `grace_ms` milliseconds, forgets proofs that expired. A redeal stays
    /// until every new player has signed receipt, but not beyond `redeal_ms` milliseconds. Whatever the outcome, what could
    /// be done is done.
    pub async fn sweep(
        &self,
        now: i64,
        grace_ms: i64,
        redeal_ms: i64,
        batch: i64,
        tell: Option<Tell>,
    ) -> Result<Swept, StoreError> {
        let (closed, redealt) = (now.saturating_sub(grace_ms), now.saturating_sub(redeal_ms));
        sweep::round(self, tell, Round { now, closed, redealt, batch }).await
    }

    /// How many sessions are open; those whose time is up count until they are swept.
    pub async fn open_sessions(&self) -> Result<i64, StoreError> {
        self.read((), |tx, ()| Box::pin(sessions::count_open(tx))).await
    }

    /// Whether a redeal has replaced that group.
    pub async fn group_refused(&self, group: &Digest) -> Result<bool, StoreError> {
        self.read(*group, |tx, group| Box::pin(sessions::group_refused(tx, group))).await
    }

    /// Up to `limit` events of a session after number `seq`, in order.
    pub async fn events_after(&self, id: &str, seq: i64, limit: i64) -> Result<Vec<EventRow>, StoreError> {
        self.read((id.to_owned(), seq, limit), |tx, (id, seq, limit)| Box::pin(events::after(tx, id, *seq, *limit)))
            .await
    }

    // Tocs

    /// Who has joined a session, in order of arrival; and those who said no.
    pub async fn answers(&self, id: &str) -> Result<(Vec<JoinedRow>, Vec<u8>), StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(tocs::answers(tx, id))).await
    }

    /// Puts an encrypted Toc into an open session. A proved one has the slot of its player and displaces an earlier one,
    /// up to [`MAX_REPLACEMENTS`] times; at most `provisional_cap` have no proof. The event is written when the Toc is. One
    /// without a proof, which anybody could send, is refused without waiting for a write when there is no room for it.
    pub async fn put_toc(
        &self,
        id: &str,
        toc: NewToc,
        now: i64,
        provisional_cap: i64,
        event: NewEvent,
    ) -> Result<TocOutcome, StoreError> {
        let toc = Arc::new(toc);
        if !toc.proved {
            let input = (id.to_owned(), Arc::clone(&toc), now, provisional_cap);
            let refused = self.read(input, |tx, (id, toc, now, cap)| Box::pin(tocs::refusal(tx, id, toc, *now, *cap)));
            if let Some(refused) = refused.await? {
                return Ok(refused);
            }
        }
        self.write_session(id, (id.to_owned(), toc, now, provisional_cap, event), |tx, (id, toc, now, cap, event)| {
            Box::pin(tocs::put(tx, id, toc, *now, *cap, event))
        })
        .await
    }

    /// Drops Tocs that turned out false. Gives how many were there; the event is written when any was.
    pub async fn drop_tocs(
        &self,
        id: &str,
        digests: Vec<Digest>,
        now: i64,
        event: NewEvent,
    ) -> Result<u64, StoreError> {
        self.write_session(id, (id.to_owned(), digests, now, event), |tx, (id, digests, now, event)| {
            Box::pin(tocs::drop_false(tx, id, digests, *now, event))
        })
        .await
    }

    /// Records that a player said no.
    pub async fn deny(&self, id: &str, x: u8, now: i64, event: NewEvent) -> Result<DenyOutcome, StoreError> {
        self.write_session(id, (id.to_owned(), x, now, event), |tx, (id, x, now, event)| {
            Box::pin(tocs::deny(tx, id, *x, *now, event))
        })
        .await
    }

    // Codes

    /// Consumes the allowance for the code of a time step, if what the `basis` says still stands at that moment. The same step
    /// again is answered without waiting for a write where there is no `basis`.
    pub async fn take_code(
        &self,
        id: &str,
        step: i64,
        now: i64,
        basis: Option<Basis>,
        event: NewEvent,
    ) -> Result<CodeOutcome, StoreError> {
        if basis.is_none() {
            let input = (id.to_owned(), step, now);
            let again = self.read(input, |tx, (id, step, now)| Box::pin(codes::again(tx, id, *step, *now)));
            if let Some(again) = again.await? {
                return Ok(again);
            }
        }
        self.write_session(id, (id.to_owned(), step, now, basis, event), |tx, (id, step, now, basis, event)| {
            Box::pin(codes::take(tx, id, *step, *now, basis.as_ref(), event))
        })
        .await
    }

    /// Counts a failed attempt to open Tocs. Number `cap` closes the session as exhausted, with the event; no other
    /// writes one. Gives the count; a closed session's does not grow, an unknown one's is 0.
    pub async fn record_failure(&self, id: &str, cap: i64, now: i64, event: NewEvent) -> Result<i64, StoreError> {
        self.write_session(id, (id.to_owned(), cap, now, event), |tx, (id, cap, now, event)| {
            Box::pin(codes::fail(tx, id, *cap, *now, event))
        })
        .await
    }

    // Redeals

    /// Stores a redeal that has been done, with the new players' sealed Tocs, and closes its session, exactly once, and if what
    /// it rests on still stands at that moment.
    pub async fn finish_redeal(
        &self,
        id: &str,
        redeal: NewRedeal,
        tocs: Vec<(u8, Vec<u8>)>,
        event: NewEvent,
    ) -> Result<RedealOutcome, StoreError> {
        self.write(id.as_bytes(), (id.to_owned(), redeal, tocs, event), |tx, (id, redeal, tocs, event)| {
            Box::pin(redeals::finish(tx, id, redeal, tocs, event))
        })
        .await
    }

    /// The redeal that a session did, with its Tocs in the order of players, both of the same moment.
    pub async fn redeal(&self, id: &str) -> Result<Option<(RedealRow, Vec<RedealTocRow>)>, StoreError> {
        self.read(id.to_owned(), |tx, id| Box::pin(redeals::read(tx, id))).await
    }

    /// Records a new player's receipt and drops the sealed Toc; with a threshold of receipts the old group is refused.
    pub async fn receive(&self, id: &str, x: u8, at: i64, event: NewEvent) -> Result<ReceiveOutcome, StoreError> {
        self.write(id.as_bytes(), (id.to_owned(), x, at, event), |tx, (id, x, at, event)| {
            Box::pin(redeals::receive(tx, id, *x, *at, event))
        })
        .await
    }

    /// Forgets up to `batch` ceremonies with security keys whose time was up before `before`. Gives how many.
    pub async fn forget_ceremonies(&self, before: i64, batch: i64) -> Result<u64, StoreError> {
        sweep::forget_ceremonies(self, before, batch).await
    }

    // The store itself

    /// The value of a setting, if it was ever put.
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(name.to_owned(), |tx, name| Box::pin(settings::read(tx, name))).await
    }

    /// Puts a setting unless it has a value; gives the value in force.
    pub async fn put_setting_if_absent(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(name.as_bytes(), (name.to_owned(), value), |tx, (name, value)| {
            Box::pin(settings::put_if_absent(tx, name, value))
        })
        .await
    }

    /// Whether the store can be read and takes commits.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.look().await?;
        self.beat().await
    }

    /// Whether the store can be read, and its schema is one that this program knows: while it is not, nothing is written
    /// any more. Gives the store's own clock in Unix milliseconds; `None` when it has no other than this machine's.
    pub async fn look(&self) -> Result<Option<i64>, StoreError> {
        let (now, needed) = match &*self.engine {
            Engine::Postgres(postgres) => postgres.look().await.map(|(now, needed)| (Some(now), needed))?,
            Engine::Sqlite(sqlite) => (None, sqlite.look().await?),
        };
        self.life.needed.store(needed, Ordering::Relaxed);
        migrations::check(needed).map(|()| now)
    }

    /// Commits a sign of life.
    pub async fn beat(&self) -> Result<(), StoreError> {
        self.check_schema()?;
        let count = self.life.beats.fetch_add(1, Ordering::Relaxed);
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.beat(self.life.slot, count).await,
            Engine::Sqlite(sqlite) => sqlite.beat(self.life.slot, count).await,
        }
    }

    /// What the writer has done since the start.
    pub fn counts(&self) -> WriterCounts {
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.counts(),
            Engine::Sqlite(sqlite) => sqlite.counts(),
        }
    }

    /// Finishes what is waiting and closes the database; whatever comes later gets [`StoreError::Stopped`].
    pub async fn shutdown(&self) {
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.shut_down().await,
            Engine::Sqlite(_) => {
                let engine = Arc::clone(&self.engine);
                let stop = move || {
                    if let Engine::Sqlite(sqlite) = &*engine {
                        sqlite.shut_down();
                    }
                };
                drop(tokio::task::spawn_blocking(stop).await);
            }
        }
    }

    /// Has an operation done. `lane` names what it and others would meet in, such as a session's id.
    async fn write<I, T>(&self, lane: &[u8], input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let lane = self.admit(lane)?;
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.write(lane, input, act).await,
            Engine::Sqlite(sqlite) => sqlite.write(lane, input, act).await,
        }
    }

    /// Has an act on one session done that writes the session's row, as everything does that opens, closes or changes an
    /// open one. On a shared engine it runs on one state of the database, and is not watched beyond that: sessions are
    /// neighbours in every index, and it would lose against strangers again and again. That is right because
    ///
    /// - it writes the row if it writes anything, so whatever else has written it since that state makes it run again;
    /// - a receipt, which alone writes to a session without its row, is for one that a redeal has closed, and there such an
    ///   act finds nothing to write;
    /// - beyond the session and its own it looks at nothing but refused groups, which a receipt adds that goes by nothing that such
    ///   an act writes: of the two, the act was first. And, where somebody has logged in, at the rows that [`rights`] looks at,
    ///   which it holds: who changes those waits for it, or was first and makes it run again;
    /// - its source's count, when it closes the session, is a row that it writes, too.
    ///
    /// What makes a session (with its once-only proof and its source's bound) or closes one otherwise, redeals and receipts
    /// look further, and stay as if alone.
    async fn write_session<I, T>(&self, id: &str, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let lane = self.admit(id.as_bytes())?;
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.write_with_row(lane, input, act).await,
            Engine::Sqlite(sqlite) => sqlite.write(lane, input, act).await,
        }
    }

    /// A place in a lane for an operation that may write at all.
    fn admit(&self, lane: &[u8]) -> Result<Place, StoreError> {
        self.check_schema()?;
        self.lanes.place(lane)
    }

    /// As [`Store::write`], with the event that this store was given for the audit log.
    async fn write_told<I, T>(&self, lane: &[u8], input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Done + Send + 'static,
    {
        let Some(event) = &self.told else { return self.write(lane, input, act).await };
        self.write(lane, (input, act, Arc::clone(event)), |tx, (input, act, event)| {
            Box::pin(async move {
                let outcome = act(&mut *tx, input).await?;
                if outcome.is_done() {
                    audit::append(tx, event).await?;
                }
                Ok(outcome)
            })
        })
        .await
    }

    /// Refuses to write to a schema that this program does not know.
    fn check_schema(&self) -> Result<(), StoreError> {
        migrations::check(self.life.needed.load(Ordering::Relaxed))
    }

    async fn read<I, T>(&self, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        match &*self.engine {
            Engine::Postgres(postgres) => postgres.read(input, act).await,
            Engine::Sqlite(sqlite) => sqlite.read(input, act).await,
        }
    }
}
