//! A group of players and an oracle inside one test: dealing, asking, joining over HTTP, honestly or not.

pub mod case;
pub mod postgres;
pub mod routes;

use age::Recipient;
use quorate_oracle::clock::TestClock;
use quorate_oracle::testing::{TestOracle, TestSetup};
use quorate_protocol::api::{AddToc, ApplicantProof, Denial, NewSession, SessionCredentials};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::GroupName;
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::proof::{Terms, approve_message, create_message, deny_message, sign};
use quorate_protocol::sealing::age_seal;
use quorate_protocol::toc::WholeToc;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Test key: the secret that every test here deals.
pub const URI: &str = "otpauth://totp/Test%20Bank:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Test%20Bank";
/// Where the test clock starts, Unix seconds.
pub const NOW: i64 = 1_800_000_000;

tokio::task_local! {
    /// The server on which the courts of a test keep their sessions, each in a database of its own; unset: `SQLite`.
    pub static SERVER: &'static postgres::Postgres;
}

/// An oracle on a clock that the test moves, a client, and a deal.
pub struct Court {
    pub oracle: TestOracle,
    pub clock: Arc<TestClock>,
    pub http: reqwest::Client,
    pub deal: Deal,
}

impl Court {
    /// `threshold` of `size`, on an ordinary oracle.
    pub async fn of(threshold: usize, size: usize) -> Self {
        Self::with(TestSetup::default(), threshold, size).await
    }

    /// The same with settings of the test's own.
    pub async fn with(setup: TestSetup, threshold: usize, size: usize) -> Self {
        let setup = match SERVER.try_with(|server| *server) {
            Ok(server) => setup.set("database", server.url(&server.database().await)),
            Err(_unset) => setup,
        };
        let clock = Arc::new(TestClock::at(NOW * 1000));
        let oracle = setup.clock(clock.clone()).start().await;
        // A second installation, by another test of this process, is refused and changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { oracle, clock, http, deal: dealt(1, threshold, size) }
    }

    pub async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Answer {
        let request = self.http.request(method, self.oracle.url(path)).json(body);
        Answer::read(request.send().await.expect("the oracle answers")).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(self.oracle.url(path)).send().await.expect("the oracle answers")).await
    }

    /// Player `x` asks for a code and posts no Toc yet.
    pub async fn ask(&self, x: usize) -> Asked {
        let request = self.request(x, Purpose::Code, None);
        // The same proof serves once, so nobody asks for the same thing twice in one second.
        self.clock.advance(1_000);
        self.post("/sessions", &request).await.asked()
    }

    /// Player `x` asks for a redeal by `plan`.
    pub async fn ask_redeal(&self, x: usize, plan: &Plan) -> Asked {
        let request = self.request(x, Purpose::Redeal, Some(plan));
        self.post("/sessions", &request).await.asked()
    }

    /// What player `x` would send to start a session.
    pub fn request(&self, x: usize, purpose: Purpose, plan: Option<&Plan>) -> NewSession {
        signed_request(
            &self.oracle.url(""),
            &self.deal.tocs[x - 1],
            purpose,
            plan,
            "close the month",
            self.clock_seconds(),
        )
    }

    pub fn clock_seconds(&self) -> i64 {
        quorate_oracle::clock::Clock::now(&*self.clock)
    }

    /// Player `x` joins, honestly.
    pub async fn join(&self, asked: &Asked, x: usize) {
        let answer = self.post(&asked.path("tocs"), &asked.approval(&self.deal.tocs[x - 1])).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    }

    /// The answer to the applicant's request for a code.
    pub async fn code(&self, asked: &Asked) -> Answer {
        self.post(&asked.path("totp"), &serde_json::json!({ "kek": asked.credentials.kek.as_str() })).await
    }

    /// The code that the secret gives now.
    pub fn expected_code(&self) -> String {
        let now = u64::try_from(self.clock_seconds()).expect("after 1970");
        OtpSecret::from_uri(URI).expect("a URI").code_at(now).digits.to_string()
    }

    /// The session gives the right code.
    pub async fn assert_code(&self, asked: &Asked) -> Answer {
        let answer = self.code(asked).await;
        assert_eq!(answer.json["totp"], self.expected_code(), "{}", answer.text);
        answer
    }
}

/// A deal of the test secret.
pub fn dealt(seed: u64, threshold: usize, size: usize) -> Deal {
    let holders: Vec<String> = (1..=size).map(|x| format!("player {x}")).collect();
    let secret = OtpSecret::from_uri(URI).expect("a URI");
    let request = DealRequest {
        secret: &secret,
        threshold,
        holders: &holders,
        note: "test bank",
        dealt_at: NOW,
        oracle: None,
        replaces: None,
    };
    deal(&request, &mut StdRng::seed_from_u64(seed)).expect("dealt")
}

/// A request to the oracle of that URL, signed with the share key of `toc`.
pub fn signed_request(
    oracle: &str,
    toc: &WholeToc,
    purpose: Purpose,
    plan: Option<&Plan>,
    reason: &str,
    time: i64,
) -> NewSession {
    let plan_bytes = plan.map_or(&[][..], Plan::bytes);
    let terms = Terms { oracle, purpose: purpose.as_str(), plan: plan_bytes, reason, ttl: 0, max_codes: 0 };
    let x = toc.share().x();
    let signature = sign(&toc.signing_key(), &create_message(toc.group(), x, time, &terms));
    NewSession {
        header: Some(toc.header().bytes().to_vec().into()),
        sealed: Some(toc.sealed().to_vec().into()),
        applicant: Some(ApplicantProof { x, time, signature: signature.into() }),
        purpose: Some(purpose),
        plan: plan.map(|plan| plan.bytes().to_vec().into()),
        reason: Some(reason.to_owned()),
        ..NewSession::default()
    }
}

/// A plan for `holders` with fresh keys, which are thrown away.
pub fn plan(replaces: GroupName, threshold: u8, holders: &[&str]) -> Plan {
    let players = holders.iter().map(|holder| planned(holder, &age::x25519::Identity::generate())).collect();
    plan_of(replaces, threshold, players)
}

pub fn plan_of(replaces: GroupName, threshold: u8, players: Vec<PlannedPlayer>) -> Plan {
    let note = "test bank".to_owned();
    Plan::new(PlanFields { version: 1, replaces: Replaced::Group(replaces), threshold, note, players }).expect("a plan")
}

pub fn planned(holder: &str, identity: &age::x25519::Identity) -> PlannedPlayer {
    PlannedPlayer { holder: holder.to_owned(), recipients: vec![identity.to_public().to_string()] }
}

/// A session as its applicant has it.
pub struct Asked {
    pub credentials: SessionCredentials,
    pub invite: Invite,
}

impl Asked {
    pub fn id(&self) -> &str {
        &self.credentials.session.id
    }

    pub fn path(&self, what: &str) -> String {
        format!("/sessions/{}/{what}", self.id())
    }

    pub fn tek(&self) -> age::x25519::Recipient {
        self.credentials.tek.parse().expect("the TEK is an age recipient")
    }

    /// `plaintext`, encrypted to the TEK.
    pub fn encrypt(&self, plaintext: &[u8]) -> String {
        let tek = self.tek();
        age_seal(plaintext, std::iter::once(&tek as &dyn Recipient)).expect("sealed")
    }

    /// What the holder of `toc` sends to join.
    pub fn approval(&self, toc: &WholeToc) -> AddToc {
        self.proved(toc, self.encrypt(&toc.to_short_json()))
    }

    /// `encrypted_toc`, with the proof of the holder of `toc`.
    pub fn proved(&self, toc: &WholeToc, encrypted_toc: String) -> AddToc {
        let x = toc.share().x();
        let message = approve_message(&self.invite.digest(), toc.group(), x, &encrypted_toc);
        AddToc { encrypted_toc, x: Some(x), proof: Some(sign(&toc.signing_key(), &message).into()) }
    }

    /// `encrypted_toc`, without any proof.
    pub fn unproved(encrypted_toc: String) -> AddToc {
        AddToc { encrypted_toc, x: None, proof: None }
    }

    pub fn denial(&self, toc: &WholeToc, reason: &str) -> Denial {
        let x = toc.share().x();
        let message = deny_message(&self.invite.digest(), toc.group(), x, reason);
        Denial { x, proof: sign(&toc.signing_key(), &message).into(), reason: reason.to_owned() }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
    pub json: Value,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let status = response.status();
        let text = response.text().await.expect("a text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, text, json }
    }

    /// The error's status and stable word.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["code"].as_str().unwrap_or(&self.text))
    }

    pub fn asked(&self) -> Asked {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let credentials: SessionCredentials = serde_json::from_str(&self.text).expect("credentials");
        let invite = Invite::parse(&credentials.invite).expect("an invite");
        Asked { credentials, invite }
    }
}
