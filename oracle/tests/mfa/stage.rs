//! An oracle on a clock that the test moves, and applications that call it.

use quorate_oracle::clock::TestClock;
use quorate_oracle::testing::{TestOracle, TestSetup};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the test clock starts, Unix seconds.
pub const NOW: i64 = 1_800_000_000;

pub struct Stage {
    pub oracle: TestOracle,
    pub clock: Arc<TestClock>,
    pub http: reqwest::Client,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(TestSetup::default()).await
    }

    pub async fn with(setup: TestSetup) -> Self {
        let clock = Arc::new(TestClock::at(NOW * 1000));
        let oracle = setup.clock(clock.clone()).start().await;
        // A second installation, by another test of this process, is refused and changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { oracle, clock, http }
    }

    pub fn at(&self, method: Method, path: &str) -> RequestBuilder {
        // Its public address may be another.
        self.http.request(method, format!("http://{}{path}", self.oracle.address()))
    }

    /// With the gateway key of this oracle.
    pub fn gateway(&self, path: &str) -> RequestBuilder {
        let key = std::fs::read_to_string(self.oracle.folder().join("gateway.key")).expect("made on first start");
        self.at(Method::POST, path).header("x-api-key", key.trim())
    }

    /// The value of the newest API key of `email`, as its operator sees it.
    pub async fn value_of(&self, email: &str) -> String {
        let listed = self.oracle.state().api_keys.list().await.expect("listed");
        listed.into_iter().rfind(|key| key.email == email).expect("an API key of that email").value
    }

    /// A new API key, activated.
    pub async fn tenant(&self, email: &str) -> Tenant {
        let made = send(self.gateway("/api-key").json(&json!({ "email": email }))).await;
        assert_eq!((made.status, made.text.as_str()), (StatusCode::NO_CONTENT, ""));
        let value = self.value_of(email).await;
        let body = json!({ "email": email, "apiKey": value });
        let activated = send(self.gateway("/api-key/activate").json(&body)).await;
        assert_eq!(activated.status, StatusCode::OK, "{}", activated.text);
        let secret = activated.json["apiSecret"].as_str().expect("a secret").to_owned();
        Tenant { value, secret }
    }

    /// A request of a tenant.
    pub fn by(&self, tenant: &Tenant, method: Method, path: &str) -> RequestBuilder {
        self.at(method, path).header("X-MFA-ApiKey", &tenant.value).header("X-MFA-ApiSecret", &tenant.secret)
    }
}

/// An application's credentials.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub value: String,
    pub secret: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<u64>,
    pub text: String,
    pub json: Value,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let status = response.status();
        let header = response.headers().get("retry-after");
        let retry_after = header.map(|value| value.to_str().expect("ASCII").parse().expect("seconds"));
        let text = response.text().await.expect("a text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, retry_after, text, json }
    }

    /// The refusal: its status, its stable word, and its sentence, which must stand where the clients of both seeds look.
    pub fn refusal(&self) -> (u16, &str, &str) {
        let [code, message, error] =
            ["code", "message", "error"].map(|field| self.json[field].as_str().unwrap_or_default());
        assert_eq!(message, error, "{}", self.text);
        assert_eq!(self.json["status"], self.status.as_u16(), "{}", self.text);
        (self.status.as_u16(), code, message)
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.expect("the oracle answers")).await
}
