//! The oracle's program on a port of its own, and a group whose players ask, join and refuse in real time.

use crate::secure;
use crate::support::{Answer, Asked, URI, signed_request};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::invite::Purpose;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::Plan;
use quorate_protocol::session::Kek;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where every route answers as well.
pub const BASE: &str = "/prod";
/// The third player's name tries to turn the reading order.
pub const PLAYERS: [&str; 3] = ["ann", "bob", "carol \u{202e}eve"];

/// Of everybody who logs in.
pub const PASSWORD: &str = "a long sentence of their own";

/// A running oracle and a deal, 2 of 3.
pub struct Stage {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
    scheme: &'static str,
    http: Client,
    /// Goes with every request, where the oracle asks for a login.
    ticket: Option<String>,
    pub deal: Deal,
}

impl Stage {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), &[])
    }

    /// Where the oracle asks for a login: ann, who is its operator, has logged in and stands for the first player.
    pub async fn with_names() -> Self {
        let stage = Self::with_login(tempfile::tempdir().expect("a folder"), &[]).await;
        stage.know_group().await;
        stage
    }

    /// The same over HTTPS, where the approving page of that origin may ask; a group is still to be dealt.
    pub async fn with_names_and_page(origin: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = with_page(&folder, origin);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::with_login(folder, &settings).await
    }

    async fn with_login(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let settings = [settings, &[("QUORATE_SESSIONS_REQUIRE_LOGIN", "true")]].concat();
        let (mut stage, link) = Self::invited_in(folder, &settings);
        stage.post(&format!("/enroll/{link}"), &json!({ "password": PASSWORD })).await;
        let login = json!({ "principal": "ann", "password": PASSWORD });
        let ticket = stage.send(Method::POST, "/login", &login).await.json["ticket"].take();
        stage.ticket = Some(ticket.as_str().expect("a ticket").to_owned());
        stage
    }

    /// Has the oracle know the group of the deal, in which ann stands for the first player.
    pub async fn know_group(&self) {
        let file: serde_json::Value = serde_json::from_str(&self.deal.group.to_json()).expect("JSON");
        self.post("/groups", &file).await;
        let path = format!("/groups/{}/members", self.deal.group.name());
        let set = self.send(Method::PUT, &path, &json!({ "members": { "ann": "ann" } })).await;
        assert!(set.status.is_success(), "{}", set.text);
    }

    /// With the last part of a link for its first operator, ann.
    pub fn with_operator() -> (Self, String) {
        Self::invited(&[])
    }

    /// The same over HTTPS: the names under `oracle.test` lead to it.
    pub fn over_tls() -> (Self, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = secure::write(folder.path()).map(|path| path.display().to_string());
        let settings = [("QUORATE_TLS_CERTIFICATE", certificate.as_str()), ("QUORATE_TLS_KEY", &key)];
        Self::invited_in(folder, &settings)
    }

    /// Over HTTPS, where the approving page of that origin may ask.
    pub fn with_page(origin: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = with_page(&folder, origin);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::start_in(folder, &settings)
    }

    /// With settings of the test's own.
    pub fn invited(settings: &[(&str, &str)]) -> (Self, String) {
        Self::invited_in(tempfile::tempdir().expect("a folder"), settings)
    }

    fn invited_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> (Self, String) {
        let mut init = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
        init.env_clear().env("QUORATE_STATE", folder.path()).args(["init", "--operator", "ann", "--json"]);
        let made = init.output().expect("the oracle's program runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
        let link = made["enroll"].as_str().and_then(|link| link.rsplit('/').next()).expect("a link").to_owned();
        (Self::start_in(folder, settings), link)
    }

    fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let (process, scheme, address) = serve(folder.path(), "127.0.0.1:0", settings);
        // A second installation, by another test of this process, is refused and changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([secure::trusted()]);
        let http = http.build().expect("a client");
        let holders = PLAYERS.map(str::to_owned);
        let secret = OtpSecret::from_uri(URI).expect("a URI");
        let (note, dealt_at) = ("AWS root <b>", now());
        let request = DealRequest {
            secret: &secret,
            threshold: 2,
            holders: &holders,
            note,
            dealt_at,
            oracle: None,
            replaces: None,
        };
        let deal = deal(&request, &mut StdRng::seed_from_u64(7)).expect("dealt");
        Self { process, address, folder, scheme, http, ticket: None, deal }
    }

    /// SIGKILL, and the same oracle again.
    pub fn restart(&mut self) {
        self.kill();
        (self.process, ..) = serve(self.folder.path(), &self.address.to_string(), &[]);
    }

    fn kill(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().expect("a child can be waited for");
    }

    /// An address of the oracle, as `host` and under the base path.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{BASE}{path}", self.scheme, self.address.port())
    }

    pub async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Answer {
        let request = self.http.request(method, self.url("127.0.0.1", path)).json(body);
        let request = match &self.ticket {
            Some(ticket) => request.bearer_auth(ticket),
            None => request,
        };
        Answer::read(request.send().await.expect("the oracle answers")).await
    }

    /// The same with a ticket; it must go well.
    pub async fn by(&self, ticket: &str, method: Method, path: &str, body: &impl Serialize) -> Answer {
        let request = self.http.request(method, self.url("127.0.0.1", path)).bearer_auth(ticket).json(body);
        let answer = Answer::read(request.send().await.expect("the oracle answers")).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) {
        let answer = self.send(Method::POST, path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }

    /// Ann asks for a code, or for the redeal of `plan`.
    pub async fn ask(&self, reason: &str, plan: Option<&Plan>) -> Asked {
        let purpose = if plan.is_some() { Purpose::Redeal } else { Purpose::Code };
        let oracle = format!("http://{}", self.address);
        let request = signed_request(&oracle, &self.deal.tocs[0], purpose, plan, reason, now());
        self.send(Method::POST, "/sessions", &request).await.asked()
    }

    pub async fn join(&self, asked: &Asked, x: usize) {
        self.post(&asked.path("tocs"), &asked.approval(&self.deal.tocs[x - 1])).await;
    }

    pub async fn cancel(&self, asked: &Asked) {
        let token = Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
        let url = self.url("127.0.0.1", &format!("/sessions/{}", asked.id()));
        let answer = self.http.delete(url).bearer_auth(token.as_str()).send().await.expect("the oracle answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Where this browser finds the page of `asked`: the whole link, under the base path.
    pub fn link(&self, asked: &Asked) -> String {
        let whole = asked.invite.to_url();
        let (_, fragment) = whole.split_once('#').expect("a fragment");
        format!("{}#{fragment}", self.page(asked))
    }

    pub fn page(&self, asked: &Asked) -> String {
        self.url("127.0.0.1", &format!("/s/{}", asked.id()))
    }
}

/// HTTPS, and the approving page of that origin.
fn with_page(folder: &tempfile::TempDir, origin: &str) -> [(&'static str, String); 3] {
    let [certificate, key] = secure::write(folder.path()).map(|path| path.display().to_string());
    [("QUORATE_TLS_CERTIFICATE", certificate), ("QUORATE_TLS_KEY", key), ("QUORATE_APPROVE_ORIGINS", origin.to_owned())]
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

/// Starts the program; returns once it listens.
fn serve(state: &Path, listen: &str, settings: &[(&str, &str)]) -> (Child, &'static str, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
    command.env_clear().arg("serve").stderr(Stdio::piped());
    command.env("QUORATE_STATE", state).env("QUORATE_LISTEN", listen).env("QUORATE_LOG_LEVEL", "error");
    command.env("QUORATE_BASE_PATH", BASE).env("QUORATE_NAME", "oracle of Delphi");
    // What is tested here is not how long a password takes.
    command.env("QUORATE_PASSWORDS_MEMORY_KIB", "32").env("QUORATE_PASSWORDS_PASSES", "1");
    command.envs(settings.iter().copied());
    let mut process = command.spawn().expect("the oracle starts");
    let mut said = BufReader::new(process.stderr.take().expect("it was piped")).lines();
    let (scheme, address) = loop {
        let line = said.next().expect("the oracle says where it listens").expect("UTF-8");
        let said = line.strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        if let Some((scheme, address)) = said {
            break (if scheme == "https" { "https" } else { "http" }, address.parse().expect("an address"));
        }
    };
    std::thread::spawn(move || said.for_each(drop));
    (process, scheme, address)
}
