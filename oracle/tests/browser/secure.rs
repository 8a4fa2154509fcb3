//! HTTPS of the test's own: a certificate that Chromium takes by its key, for an oracle or for the page of an application.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, KeyPair, PublicKeyData as _, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Of every test of this process: a browser is told when it starts.
static PAIR: LazyLock<CertifiedKey<KeyPair>> = LazyLock::new(|| {
    let names = ["127.0.0.1", "*.oracle.test"].map(str::to_owned);
    generate_simple_self_signed(names).expect("a certificate")
});

/// What Chromium knows the key by: base64 of the SHA-256 of its `SubjectPublicKeyInfo`.
pub fn pin() -> String {
    STANDARD.encode(Sha256::digest(PAIR.signing_key.subject_public_key_info()))
}

/// Writes certificate and key.
pub fn write(folder: &Path) -> [PathBuf; 2] {
    let files = [("tls.pem", PAIR.cert.pem()), ("tls.key", PAIR.signing_key.serialize_pem())];
    files.map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    })
}

/// The certificate as a client trusts it.
pub fn trusted() -> reqwest::Certificate {
    reqwest::Certificate::from_der(PAIR.cert.der()).expect("a certificate")
}

/// Takes connections with that certificate.
pub fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let key = PrivatePkcs8KeyDer::from(PAIR.signing_key.serialize_der());
    let config = config.expect("versions of ring's").with_no_client_auth();
    let config = config.with_single_cert(vec![PAIR.cert.der().clone()], key.into()).expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

/// An application's page, with nothing on it; gone when dropped.
pub struct Site {
    port: u16,
    server: JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let acceptor = acceptor();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream));
            }
        });
        Self { port, server }
    }

    /// Its origin under that name.
    pub fn origin(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers one request, whatever it asks for. A browser that leaves is no failure.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 38\r\nconnection: close\r\n\r\n\
                        <!doctype html><title>shop</title>shop";
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    stream.write_all(PAGE.as_bytes()).await?;
    stream.shutdown().await
}
