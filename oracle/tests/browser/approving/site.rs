//! The approving page as its operator would serve it: the bundle that the script makes, over HTTPS, on a host of its own.

use crate::secure;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A header that curl sends where it follows its user's settings.
pub const CURLRC: &str = "x-curlrc";
/// The page's host, which is its relying party's id as well.
pub const HOST: &str = "approve.oracle.test";

/// What whoever serves the page makes of a right answer.
pub type Twist = fn(&Request<Incoming>, &mut Response<Full<Bytes>>);

/// A bundle in a folder, and who serves it; gone when dropped.
pub struct Site {
    folder: tempfile::TempDir,
    port: u16,
    twist: Arc<Mutex<Option<Twist>>>,
    server: JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        make(&bundle(folder.path()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let acceptor = secure::acceptor();
        let root = bundle(folder.path());
        let twist = Arc::new(Mutex::new(None::<Twist>));
        let twisted = twist.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, root, twist) = (acceptor.clone(), root.clone(), twisted.clone());
                tokio::spawn(async move {
                    // A browser that leaves is no failure.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(move |request| {
                        let mut answer = file(&root, &request);
                        if let Some(twist) = *twist.lock().expect("a test that failed holds it no more") {
                            twist(&request, &mut answer);
                        }
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _left = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { folder, port, twist, server }
    }

    /// From here on answers are as `twist` leaves them; without one, right.
    pub fn twist(&self, twist: Option<Twist>) {
        *self.twist.lock().expect("a test that failed holds it no more") = twist;
    }

    pub fn origin(&self) -> String {
        format!("https://{HOST}:{}", self.port)
    }

    /// The page's address, with an invite behind `#`.
    pub fn with(&self, invite: &str) -> String {
        format!("{}/#{invite}", self.origin())
    }

    pub fn bundle(&self) -> PathBuf {
        bundle(self.folder.path())
    }

    /// What the script says that compares what is served with the source. The user has settings of curl's, which change what it asks.
    pub async fn compare(&self) -> Output {
        let home = self.folder.path();
        let [certificate, _] = secure::write(home);
        std::fs::write(home.join(".curlrc"), format!("header = \"{CURLRC}: yes\"\n")).expect("a file");
        let mut script = tokio::process::Command::new(script());
        script.args(["compare", &format!("https://127.0.0.1:{}", self.port)]);
        script.env("CURL_HOME", home).env("HOME", home).env("CURL_CA_BUNDLE", certificate).env("NO_PROXY", "*");
        script.output().await.expect("the script runs")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn bundle(folder: &Path) -> PathBuf {
    folder.join("approve")
}

pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/approve.sh")
}

/// Makes the bundle in `folder`; gives what the script prints, which is its hash.
pub fn make(folder: &Path) -> String {
    let made = Command::new(script()).arg(folder).output().expect("the script runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("a text").trim_end().to_owned()
}

/// A file of the bundle, under the headers that approve/README.md names.
fn file(root: &Path, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let read = if path.contains("..") { None } else { std::fs::read(root.join(path)).ok() };
    let status = if read.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let headers = include_str!("../../../../approve/headers.txt").lines().filter_map(|line| line.split_once(": "));
    let answer = headers.fold(Response::builder(), |answer, (name, value)| answer.header(name, value));
    let answer = answer.status(status).header("content-type", kind);
    answer.body(Bytes::from(read.unwrap_or_default()).into()).expect("an answer")
}
