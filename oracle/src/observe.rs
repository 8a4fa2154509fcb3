//! What can be seen of the oracle from outside: one log line for each request, counters, and nothing secret in either. It
//! must not know what requests mean.
//!
//! Logged are the request's number, its method, the route's template (never the path: it holds session ids), the status,
//! the stable word of an error and the time it took. Never a query, a header, a body or an address.

use crate::config::{Config, LogFormat};
use crate::error::{ApiError, RefusalCode};
use crate::memory::scrubbed;
use crate::state::AppState;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing::Instrument as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

/// Crates that tell, at whatever level, what strangers sent or what is about to be sealed. What matters of it comes back as an
/// error, whose words are the oracle's own.
const SILENT: [&str; 2] = ["webauthn_rs", "crypto_glue"];

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Logs to stderr from here on; a panic is logged by its place alone, for its message could hold a secret.
pub fn start_logging(config: &Config) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    // Whatever the operator's level: nothing that it names can bring them back.
    let discreet = filter_fn(|meta| !SILENT.iter().any(|silent| meta.target().starts_with(silent)));
    // Only the first of two attempts in one process counts.
    let _first = tracing_subscriber::registry().with(lines).with(config.log_level.filter()).with(discreet).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// Counts from here on; what it returns renders the counters. One for each process.
pub fn start_metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let buckets = [0.000_25, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&buckets).expect("the list of buckets is not empty");
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Only the first of two attempts in one process counts.
            let _first = metrics::set_global_recorder(recorder);
            metrics::describe_counter!("quorate_requests_total", "Requests answered, by route and status.");
            metrics::describe_histogram!("quorate_request_seconds", "Seconds from header to answer, by route.");
            handle
        })
        .clone()
}

/// Around every route: a bound on its time, panics turned into answers, stack scrubbed, the log line, counters, headers.
pub async fn request(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let number = next_number();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str).to_owned();

    let bound = Duration::from_secs(state.config.request_seconds.into());
    let handled = AssertUnwindSafe(scrubbed(next.run(request))).catch_unwind();
    let span = tracing::info_span!("request", id = %format_args!("{number:016x}"));
    let mut response = match tokio::time::timeout(bound, handled).instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => span.in_scope(|| ApiError::internal("a handler panicked").into_response()),
        Err(_late) => span.in_scope(|| timed_out().into_response()),
    };

    let (status, seconds) = (response.status(), begun.elapsed().as_secs_f64());
    let milliseconds = (seconds * 1e6).round() / 1e3;
    let code = response.extensions().get::<RefusalCode>().map(|code| code.0);
    span.in_scope(|| tracing::info!(%method, route, status = status.as_u16(), code, ms = milliseconds, "answered"));
    count(&route, &method, status, seconds);
    add_headers(&mut response, number, state.config.tls());
    response
}

fn timed_out() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the request took too long").retry_after(1)
}

/// Unique among the requests of this process, and hard to confuse with those of another.
fn next_number() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = FIRST.get_or_init(|| u64::from(rand::random::<u32>()) << 32);
    first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))
}

fn count(route: &str, method: &axum::http::Method, status: StatusCode, seconds: f64) {
    let labels = [
        ("route", route.to_owned()),
        ("method", known_method(method).to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!("quorate_requests_total", &labels).increment(1);
    metrics::histogram!("quorate_request_seconds", "route" => route.to_owned()).record(seconds);
}

/// Strangers can make up methods; counters for each would fill the memory.
fn known_method(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}

fn add_headers(response: &mut Response, number: u64, tls: bool) {
    let headers = response.headers_mut();
    let number = HeaderValue::from_str(&format!("{number:016x}")).expect("hexadecimal digits are visible ASCII");
    headers.insert(REQUEST_ID.clone(), number);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}
