//! Requests to other people's servers: one HTTP/1.1 exchange on a connection of its own, every part of it bounded. It must
//! not know what is asked, or of whom.
//!
//! No redirect is followed, no proxy of the environment is used, nothing is sent twice. Where a request may go is decided on
//! the address that is then connected to, after the name was resolved: a name that means another address at the next
//! question changes nothing.

mod reach;

pub use reach::Reach;

use crate::tls::{self, TlsError};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// Bytes of an answer's header at most.
const MAX_HEAD: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// None of its addresses is one that requests may go to.
    #[error("it has no address that requests may go to")]
    Forbidden,
    /// What came back is no HTTP, or broke off.
    #[error("it does not speak HTTP, or stopped in the middle: {0}")]
    Http(#[source] hyper::Error),
    /// It took longer than it may, after it was connected to.
    #[error("it did not answer in time")]
    Slow,
    /// It did not prove who it is.
    #[error("it did not prove who it is: {0}")]
    Tls(#[source] io::Error),
    /// There is more of an answer than anybody wants.
    #[error("its answer has more than {0} bytes")]
    TooLarge(usize),
    /// Nobody vouches for any server.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// It has no address, or none at which anybody listens.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// A URL that no request can go to.
    #[error("its address is no URL that a request can go to")]
    Url,
}

impl OutboundError {
    /// Whether the request certainly reached nobody.
    pub fn unsent(&self) -> bool {
        match self {
            Self::Forbidden | Self::Tls(_) | Self::Trust(_) | Self::Unreachable(_) | Self::Url => true,
            Self::Http(_) | Self::Slow | Self::TooLarge(_) => false,
        }
    }
}

/// How long a request may take, and how much may come back.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Until it is connected to one address, TLS included.
    pub connect: Duration,
    /// From the beginning until the end of the answer.
    pub whole: Duration,
    /// Bytes of an answer's body.
    pub answer: usize,
}

/// What came back, redirects included.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Sends requests.
pub struct Outbound {
    tls: OnceCell<TlsConnector>,
    reach: Reach,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Outbound {
    /// To servers that the certificates of the PEM file `ca` vouch for, or else the system's, which are read when they are
    /// first needed.
    pub fn new(ca: Option<&Path>, reach: Reach) -> Result<Self, TlsError> {
        let tls = match ca {
            Some(path) => OnceCell::new_with(Some(connector(Some(path))?)),
            None => OnceCell::new(),
        };
        Ok(Self { tls, reach })
    }

    /// Sends `request`, whose URI is a path, to the server of `url`. `Host` and `Connection` are set here.
    pub async fn send(
        &self,
        url: &Url,
        mut request: Request<Full<Bytes>>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let authority = url.authority();
        let host = HeaderValue::from_str(authority).map_err(|_| OutboundError::Url)?;
        if authority.contains('@') {
            return Err(OutboundError::Url);
        }
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let sent = async {
            let stream = self.connect(url, bounds.connect).await?;
            if url.scheme() == "https" {
                let stream = timeout(bounds.connect, self.handshake(url, stream));
                exchange(stream.await.map_err(|_| OutboundError::Unreachable(late()))??, request, bounds.answer).await
            } else {
                exchange(stream, request, bounds.answer).await
            }
        };
        timeout(bounds.whole, sent).await.map_err(|_| OutboundError::Slow)?
    }

    async fn connect(&self, url: &Url, within: Duration) -> Result<TcpStream, OutboundError> {
        let port = url.port_or_known_default().ok_or(OutboundError::Url)?;
        let addresses: Vec<SocketAddr> = match url.host().ok_or(OutboundError::Url)? {
            Host::Ipv4(address) => vec![(address, port).into()],
            Host::Ipv6(address) => vec![(address, port).into()],
            Host::Domain(name) => {
                let found = timeout(within, tokio::net::lookup_host((name, port))).await;
                found.unwrap_or_else(|_| Err(late())).map_err(OutboundError::Unreachable)?.collect()
            }
        };
        let mut failed = OutboundError::Forbidden;
        for address in addresses {
            if !self.reach.allows(address.ip(), url.scheme() == "https") {
                continue;
            }
            match timeout(within, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(late())) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = OutboundError::Unreachable(error),
            }
        }
        Err(failed)
    }

    async fn handshake(
        &self,
        url: &Url,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, OutboundError> {
        let tls = self.tls.get_or_try_init(async || {
            let read = tokio::task::spawn_blocking(|| connector(None)).await;
            read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        });
        let name = match url.host().ok_or(OutboundError::Url)? {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| OutboundError::Url)?,
            Host::Ipv4(address) => IpAddr::from(address).into(),
            Host::Ipv6(address) => IpAddr::from(address).into(),
        };
        tls.await?.connect(name, stream).await.map_err(OutboundError::Tls)
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let mut config = tls::client(tls::roots(ca)?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// One request and its answer, after which the connection is closed.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, OutboundError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    let opened = http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(OutboundError::Http)?;
    let answered = async {
        let (head, body) = sender.send_request(request).await.map_err(OutboundError::Http)?.into_parts();
        let body =
            Limited::new(body, most).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => OutboundError::Http(*error),
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>());
                    OutboundError::TooLarge(most)
                }
            })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // What it still had to say has been read, or its end is an error there.
        _ended = connection => answered.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const BOUNDS: Bounds = Bounds { connect: Duration::from_secs(60), whole: Duration::from_secs(60), answer: 100 };

    /// What comes of a request to a server that answers `said`, and what the server was sent.
    async fn answered(said: &'static [u8], bounds: Bounds) -> (Result<Answer, OutboundError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/hook?x=1", listener.local_addr().unwrap())).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            asked.truncate(length);
            stream.write_all(said).await.unwrap();
            stream.shutdown().await.unwrap();
            // Until it has hung up.
            let _rest = stream.read_to_end(&mut Vec::new()).await;
            String::from_utf8(asked).unwrap()
        };
        let request = Request::post("/hook?x=1").body(Full::new(Bytes::from_static(b"{}"))).unwrap();
        let outbound = Outbound::new(None, Reach::Anywhere).unwrap();
        let (answer, asked) = tokio::join!(outbound.send(&url, request, bounds), server);
        (answer, asked)
    }

    #[tokio::test]
    async fn a_request_is_sent_once_and_redirects_are_answers() {
        let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 2\r\n\r\nno";
        let (answer, asked) = answered(redirect, BOUNDS).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (302, &b"no"[..]));
        let head = asked.to_lowercase();
        assert!(head.starts_with("post /hook?x=1 http/1.1\r\n") && head.contains("\r\nhost: 127.0.0.1:"), "{asked}");
        assert!(head.contains("\r\nconnection: close\r\n") && head.contains("\r\ncontent-length: 2\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_too_long_or_no_answer_is_an_error() {
        let hundred: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n";
        let long: &'static [u8] = Box::leak([hundred, &[b'x'; 101]].concat().into_boxed_slice());
        assert!(matches!(answered(long, BOUNDS).await.0, Err(OutboundError::TooLarge(100))));
        let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort";
        assert!(matches!(answered(broken, BOUNDS).await.0, Err(OutboundError::Http(_))));
        for nonsense in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"] {
            let answer = answered(nonsense, BOUNDS).await.0;
            assert!(matches!(answer, Err(OutboundError::Http(_))), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_with_an_endless_head_is_an_error() {
        let head: &'static [u8] =
            Box::leak([&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'y'; 2 * MAX_HEAD]].concat().into_boxed_slice());
        let answer = answered(head, BOUNDS).await.0;
        assert!(matches!(answer, Err(OutboundError::Http(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_forbidden_address_is_never_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let outbound = Outbound::new(None, Reach::Public { besides: Vec::new() }).unwrap();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"] {
            for scheme in ["http", "https"] {
                let url = Url::parse(&format!("{scheme}://{host}:{port}/")).unwrap();
                let request = Request::post("/").body(Full::default()).unwrap();
                let answer = outbound.send(&url, request, BOUNDS).await;
                assert!(matches!(answer, Err(OutboundError::Forbidden)), "{url}: {answer:?}");
            }
        }
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "somebody came");
    }

    #[tokio::test]
    async fn user_names_in_urls_are_refused() {
        let outbound = Outbound::new(None, Reach::Anywhere).unwrap();
        let url = Url::parse("http://user:hunter2@127.0.0.1:1/").unwrap();
        let answer = outbound.send(&url, Request::post("/").body(Full::default()).unwrap(), BOUNDS).await;
        assert!(matches!(&answer, Err(error @ OutboundError::Url) if !error.to_string().contains("hunter2")));
    }
}
