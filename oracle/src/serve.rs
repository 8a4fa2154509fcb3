//! Connections: accepted, bounded, secured, ended. It must not know any route.

mod progress;
mod sources;

use self::progress::Progress;
use self::sources::{Counted, Sources, network};
use crate::config::{Config, IpRange};
use crate::extract::ClientAddr;
use crate::memory::connection::{Held, Wiping};
use crate::tls::Tls;
use axum::Router;
use axum::http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

/// Bytes of a request's header at most, and of a connection's read buffer.
const BUFFER: usize = 8 * 1024;
/// Pause after the system refused a connection for lack of resources.
const BREATH: Duration = Duration::from_millis(50);

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct Limits {
    connections: usize,
    connections_per_source: usize,
    header: Duration,
    write: Duration,
    shutdown: Duration,
    behind_proxy: bool,
    trusted_proxies: Arc<[IpRange]>,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            connections: config.connections as usize,
            connections_per_source: config.connections_per_source as usize,
            header: Duration::from_secs(config.header_seconds.into()),
            write: Duration::from_secs(config.write_seconds.into()),
            shutdown: Duration::from_secs(config.shutdown_seconds.into()),
            behind_proxy: config.behind_proxy,
            trusted_proxies: config.trusted_proxies.as_slice().into(),
        }
    }
}

/// One for all connections.
struct Server {
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

/// Serves `router` on `listener` until `stop` resolves; then finishes what is under way, within the bound.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let sources = Sources::default();
    let free = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let server = Arc::new(Server { router, tls, limits: limits.clone(), stop: stopped });
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // Beyond the bound, connections wait in the system's queue instead of being refused.
            let permit = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(counted) = limits.admit(&sources, peer.ip()) else {
                    tracing::debug!("a source has as many connections as it may");
                    continue;
                };
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.connection(stream, peer).await;
                    drop((permit, counted));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    drop(server);
    stopping.send_replace(true);
    // Every connection holds a receiver.
    if tokio::time::timeout(limits.shutdown, stopping.closed()).await.is_err() {
        tracing::warn!(connections = stopping.receiver_count(), "ending with requests under way");
    }
}

impl Server {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Without it, small answers wait for acknowledgements.
        let _best_effort = stream.set_nodelay(true);
        let stream = Progress::new(stream, self.limits.write);
        let held = Held::default();
        let Some(tls) = &self.tls else {
            return self.http(Wiping::below_http(stream, held.clone()), held, peer.ip()).await;
        };
        let handshake = tls.acceptor().accept(Wiping::below_tls(stream));
        match tokio::time::timeout(self.limits.header, handshake).await {
            Ok(Ok(stream)) => self.http(Wiping::below_http(stream, held.clone()), held, peer.ip()).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_late) => tracing::debug!("no TLS in time"),
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, held: Held, peer: IpAddr) {
        let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
            held.request();
            let client = self.limits.client(peer, request.headers());
            let extensions = request.extensions_mut();
            extensions.insert(ClientAddr(client));
            extensions.insert(held.clone());
            self.router.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.header).max_buf_size(BUFFER);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut stop = self.stop.clone();
        let stopping = async {
            // The sender outlives every connection.
            drop(stop.wait_for(|stopping| *stopping).await);
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// A source has as many connections as it may.
struct SourceFull;

impl Limits {
    /// A place for a connection of `peer`. A proxy carries the connections of all clients, so that none is counted.
    fn admit(&self, sources: &Sources, peer: IpAddr) -> Result<Option<Counted>, SourceFull> {
        if self.is_proxy(peer) {
            return Ok(None);
        }
        sources.admit(network(peer), self.connections_per_source).map(Some).ok_or(SourceFull)
    }

    /// Whether what `peer` reports of clients counts.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.behind_proxy && (self.trusted_proxies.is_empty() || self.trusts(peer))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.contains(address))
    }

    /// The network of the client's address: the socket's, or behind a proxy the last one reported that is not a proxy's.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        network(self.client_address(peer, headers))
    }

    fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.is_proxy(peer) {
            return peer;
        }
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut client = peer;
        for hop in hops {
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// An address, possibly with a port, or in brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(behind_proxy: bool, trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let env = |name: &str| match name {
            "QUORATE_BEHIND_PROXY" => Some(behind_proxy.to_string()),
            "QUORATE_TRUSTED_PROXIES" => Some(trusted.to_owned()),
            _ => None,
        };
        let limits = Limits::from(&Config::load(None, env, &[]).unwrap());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        limits.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn without_a_proxy_the_header_is_a_strangers_claim() {
        assert_eq!(client(false, "", "192.0.2.1", &["203.0.113.5"]), "192.0.2.1");
    }

    #[test]
    fn behind_a_proxy_the_last_hop_counts() {
        assert_eq!(client(true, "", "127.0.0.1", &["198.51.100.1, 203.0.113.5"]), "203.0.113.5");
        assert_eq!(client(true, "", "127.0.0.1", &["198.51.100.1", "203.0.113.5"]), "203.0.113.5");
        assert_eq!(client(true, "", "127.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::");
        assert_eq!(client(true, "", "127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(client(true, "", "127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_client() {
        for peer in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"] {
            assert_eq!(client(false, "", peer, &[]), "2001:db8:1:2::");
            assert_eq!(client(true, "", "127.0.0.1", &[peer]), "2001:db8:1:2::");
        }
        // A proxy is told by its whole address.
        assert_eq!(client(true, "2001:db8::7", "2001:db8::7", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(client(true, "2001:db8::7", "2001:db8::8", &["203.0.113.5"]), "2001:db8::");
    }

    #[test]
    fn known_proxies_are_passed_over_and_strangers_are_not_believed() {
        let chain = &["198.51.100.66, 203.0.113.5, 10.0.0.2"];
        assert_eq!(client(true, "10.0.0.0/8", "10.0.0.1", chain), "203.0.113.5");
        assert_eq!(client(true, "10.0.0.0/8", "192.0.2.9", chain), "192.0.2.9");
        assert_eq!(client(true, "10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client(true, "10.0.0.0/8", "10.0.0.1", &["203.0.113.5, evil, 10.0.0.2"]), "10.0.0.2");
    }
}
