//! `quorate-oracle serve`: puts the parts together, says where it listens, ends when told. It must not know any route.

use super::{Outcome, SettingFlags, tell};
use crate::config::Config;
use crate::keys::Standing;
use crate::serve::{Limits, serve};
use crate::service::audit::{Audit, AuditError, Entry, Kind, Who};
use crate::state::AppState;
use crate::store::Claim;
use crate::tls::Tls;
use crate::{memory, observe, router};
use axum::Router;
use axum::routing::get;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the invite certificate is looked at.
const RENEWAL: Duration = Duration::from_secs(60 * 60);
/// How often the clock is compared with the store's.
const CLOCK: Duration = Duration::from_secs(10);
/// How often sessions and challenges are swept, more or less.
const SWEEP: Duration = Duration::from_secs(2);
/// How long an event of the audit log waits for its number at most, when all goes well.
const AUDIT: Duration = Duration::from_millis(900);
/// How often what was only counted is told to the audit log.
const COUNTS: Duration = Duration::from_secs(60);
/// Connections that the system keeps waiting.
const BACKLOG: u32 = 1024;
/// How often counters are folded together.
const UPKEEP: Duration = Duration::from_secs(5);

pub(super) fn run(settings: &SettingFlags) -> Outcome {
    let config = settings.load()?;
    let hardening = memory::harden();
    observe::start_logging(&config);
    tracing::debug!(hardening.undumpable, hardening.locked, "memory");
    if !hardening.undumpable {
        tracing::warn!("core dumps could not be disabled");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run_until_told(config))
}

async fn run_until_told(config: Config) -> Outcome {
    let mut stop = StopSignals::catch()?;
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::load(certificate, key)?)),
        _ => None,
    };
    let listener = bind(config.listen)?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let limits = Limits::from(&config);
    let state = AppState::open(config, format!("{scheme}://{address}")).await?;
    state.pictures.read_by(std::env::current_exe()?);
    let _claim = Claim::take(&state.config.database_url()?)?;
    if address.ip().is_unspecified() && state.config.url.is_none() {
        tracing::warn!("invites will name {}: set url to the address that people use", state.url);
    }
    if state.config.believes_anyone() {
        tracing::warn!(
            "whoever connects is believed about clients' addresses: set trusted_proxies to the addresses of the proxy"
        );
    }
    warn_of_certificate(state.keys.standing(state.clock().now()));
    // Before the first request, so that a node with a wrong clock takes none. The store has just answered.
    state.look().await?;
    serve_metrics(&state, &limits)?;
    tokio::spawn(maintain(state.clone(), tls.clone(), signal(SignalKind::hangup())?));
    tokio::spawn(sweep(state.clone()));
    let telling = state.clone();
    tokio::spawn(async move { telling.deliver_notices().await });
    tokio::spawn(watch_clock(state.clone()));
    tokio::spawn(post_checkpoints(state.clone()));
    let audited = tokio::spawn(audit(state.clone()));

    tell(&format!("listening on {scheme}://{address}"));
    let stopping = state.clone();
    serve(listener, tls, router::router(state.clone()), limits, async move {
        stop.wait().await;
        tracing::info!("stopping");
        stopping.begin_shutdown();
    })
    .await;
    // It ends after the last request.
    state.end();
    drop(audited.await);
    state.store.shutdown().await;
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error: std::io::Error| {
        let cure = if error.kind() == ErrorKind::AddrInUse { "; name another address with --listen" } else { "" };
        format!("cannot listen on {address}: {error}{cure}")
    })
}

/// SIGTERM and SIGINT, caught from the beginning, so that an early one is not lost.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _received = self.terminate.recv() => {}
            _received = self.interrupt.recv() => {}
        }
    }
}

/// Looks at the certificate each hour; on SIGHUP at once, and reads the gateway key and the TLS files again.
async fn maintain(state: AppState, tls: Option<Arc<Tls>>, mut hangup: Signal) {
    let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + RENEWAL, RENEWAL);
    loop {
        tokio::select! {
            () = state.stopping() => return,
            _tick = renewal.tick() => {}
            _received = hangup.recv() => {
                match state.reload_gateway() {
                    Ok(()) => tracing::info!("gateway key read again"),
                    Err(error) => tracing::error!(%error, "the old gateway key stays"),
                }
                if let Some(tls) = &tls {
                    match tls.reload() {
                        Ok(()) => tracing::info!("TLS certificate read again"),
                        Err(error) => tracing::error!(%error, "the old TLS certificate stays"),
                    }
                }
            }
        }
        match state.renew_certificate() {
            Ok(standing) => warn_of_certificate(standing),
            Err(error) => tracing::error!(%error, "cannot renew the invite certificate"),
        }
    }
}

/// Ends sessions whose time is up, forgets those that are long over and challenges that nobody answered, for as long as the
/// oracle runs.
async fn sweep(state: AppState) {
    loop {
        let more = match state.sweep().await {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(%error, "cannot sweep");
                false
            }
        };
        // Not in step with the other nodes, which have the same to do.
        let pause = if more { Duration::ZERO } else { SWEEP.mul_f64(0.75 + rand::random::<f64>() / 2.0) };
        if tokio::time::timeout(pause, state.stopping()).await.is_ok() {
            return;
        }
    }
}

/// Numbers the audit log and publishes its checkpoints, for as long as the oracle runs and once more when it has stopped.
async fn audit(state: AppState) {
    let started = Entry::new(Kind::OracleStarted, Who::Oracle).with("version", env!("CARGO_PKG_VERSION"));
    let started = started.with("url", state.url.as_str()).with("listen", state.config.listen.to_string());
    let mut told = Told::default();
    told.hear(state.audit.record(started).await.map_err(AuditError::from));
    let (mut counted, mut over) = (Instant::now(), false);
    while !over {
        // Not in step with the other nodes, which have the same to do.
        let pause = AUDIT.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        over = tokio::time::timeout(pause, state.ended()).await.is_ok();
        if over {
            told.hear(state.audit.record(Entry::new(Kind::OracleStopped, Who::Oracle)).await.map_err(AuditError::from));
        }
        if over || counted.elapsed() >= COUNTS {
            counted = Instant::now();
            told.hear(state.audit.record_counts().await.map_err(AuditError::from));
        }
        told.hear(state.audit.number_all().await);
        told.hear(state.audit.publish().await.map(drop));
    }
    told.hear(state.audit.post().await.map(drop));
}

/// Posts the audit log's newest checkpoint again and again, for as long as the oracle serves. Apart from its numbering, which
/// waits for nobody.
async fn post_checkpoints(state: AppState) {
    let (mut told, mut failures) = (Told::default(), 0);
    loop {
        let posted = state.audit.post().await;
        failures = if posted.is_err() { failures + 1 } else { 0 };
        let pause = Audit::pause_after(&posted, failures);
        told.hear(posted.map(drop));
        if tokio::time::timeout(pause, state.stopping()).await.is_ok() {
            return;
        }
    }
}

/// What was said of the audit log last, so that the same is not said each second.
#[derive(Default)]
struct Told(Option<(String, Instant)>);

impl Told {
    fn hear(&mut self, outcome: Result<(), AuditError>) {
        let Err(error) = outcome else { return };
        let text = error.to_string();
        let again = self.0.as_ref().is_some_and(|(last, at)| *last == text && at.elapsed() < COUNTS);
        metrics::counter!("quorate_audit_failures_total").increment(1);
        if !again {
            tracing::error!(%error, "the audit log");
            self.0 = Some((text, Instant::now()));
        }
    }
}

/// Compares the clock with the store's, and says when they part and when they agree again. While they differ, what goes by
/// the time is refused.
async fn watch_clock(state: AppState) {
    let mut differed = false;
    loop {
        // A store out of reach is told of by those who need it.
        if let Ok(seen) = state.look().await {
            let ahead = seen.ahead;
            metrics::gauge!("quorate_store_clock_ahead_milliseconds")
                .set(f64::from(i32::try_from(ahead).unwrap_or(i32::MAX)));
            let differs = seen.skew().is_some();
            if differs && !differed {
                tracing::error!(
                    ahead,
                    "the store's clock is ahead by so many milliseconds: not ready until they agree"
                );
            } else if differed && !differs {
                tracing::info!("the clock agrees with the store's again");
            }
            differed = differs;
        }
        if tokio::time::timeout(CLOCK, state.stopping()).await.is_ok() {
            return;
        }
    }
}

fn warn_of_certificate(standing: Standing) {
    match standing {
        Standing::Valid(_) => {}
        Standing::Expiring(until) => {
            tracing::warn!(
                until,
                "the invite certificate ends soon and the root key is not here: run quorate-oracle certify"
            );
        }
        Standing::Invalid => {
            tracing::error!(
                "there is no valid invite certificate and the root key is not here: run quorate-oracle certify"
            );
        }
    }
}

/// `/metrics` on a listener of its own, when one is set.
fn serve_metrics(state: &AppState, limits: &Limits) -> Outcome {
    let Some(address) = state.config.metrics_listen else { return Ok(()) };
    let listener = bind(address)?;
    let handle = observe::start_metrics();
    tell(&format!("metrics on http://{}/metrics", listener.local_addr()?));
    let render = handle.clone();
    let router = Router::new().route("/metrics", get(async move || render.render()));
    let stopping = state.clone();
    tokio::spawn(serve(listener, None, router, limits.clone(), async move { stopping.stopping().await }));
    let stopping = state.clone();
    tokio::spawn(async move {
        while tokio::time::timeout(UPKEEP, stopping.stopping()).await.is_err() {
            handle.run_upkeep();
        }
    });
    Ok(())
}
