//! An oracle with people: an operator who has enrolled, and others as a test needs them.

use crate::stage::{Answer, Stage, send};
use quorate_oracle::service::people::PrincipalName;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::otp::OtpSecret;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// The password of everybody here.
pub const PASSWORD: &str = "correct horse battery staple";

/// A stage whose passwords cost next to nothing, with a ticket of its operator.
pub struct People {
    pub stage: Stage,
    pub operator: String,
}

/// Settings with which a password costs next to nothing.
pub fn cheap(setup: TestSetup) -> TestSetup {
    setup.set("passwords.memory_kib", "32").set("passwords.passes", "1").set("passwords.waiting", "1000")
}

impl People {
    pub async fn new() -> Self {
        Self::with(TestSetup::default()).await
    }

    pub async fn with(setup: TestSetup) -> Self {
        Self::on(Stage::with(cheap(setup)).await).await
    }

    /// On a stage that is there already.
    pub async fn on(stage: Stage) -> Self {
        let mut people = Self { stage, operator: String::new() };
        let name = PrincipalName::parse("operator").expect("a name");
        let link = people.stage.oracle.state().people.first_operator(&name).await.expect("made").expect("the first");
        people.enrol(&link_of(&link.url), json!({ "password": PASSWORD })).await;
        people.operator = people.ticket("operator").await;
        people
    }

    /// A request, with a ticket unless it is empty.
    pub fn request(&self, ticket: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.stage.at(method, path);
        if ticket.is_empty() { request } else { request.bearer_auth(ticket) }
    }

    /// The operator's.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        send(self.request(&self.operator, method, path).json(&body)).await
    }

    /// The same, which must go well.
    pub async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.call(method.clone(), path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
        answer.json
    }

    /// Makes a user who has not enrolled; gives the link's last part.
    pub async fn invited(&self, name: &str, role: &str) -> String {
        let made = self.done(Method::POST, "/principals", json!({ "name": name, "role": role })).await;
        link_of(made["link"].as_str().expect("a link"))
    }

    /// Makes a user who has enrolled; gives a ticket.
    pub async fn user(&self, name: &str, role: &str) -> String {
        let link = self.invited(name, role).await;
        self.enrol(&link, json!({ "password": PASSWORD })).await;
        self.ticket(name).await
    }

    /// Enrols with a link, which must go well.
    pub async fn enrol(&self, link: &str, body: Value) -> Value {
        let answer = send(self.stage.at(Method::POST, &format!("/enroll/{link}")).json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    pub async fn log_in(&self, body: Value) -> Answer {
        send(self.stage.at(Method::POST, "/login").json(&body)).await
    }

    /// A ticket of somebody without a second factor.
    pub async fn ticket(&self, name: &str) -> String {
        ticket_of(&self.log_in(json!({ "principal": name, "password": PASSWORD })).await)
    }

    /// Makes a provider of type `totp` and assigns it; gives what was answered, and the secret.
    pub async fn assign_totp(&self, name: &str, provider: &str) -> (Value, OtpSecret) {
        let body = json!({ "Type": "totp", "Name": provider });
        let made = self.call(Method::POST, "/system/multi_factor", body).await;
        assert!([201, 409].contains(&made.status.as_u16()), "{}", made.text);
        let path = format!("/principals/{name}/multi_factor");
        let assigned = self.done(Method::PUT, &path, json!({ "provider": provider })).await;
        let secret = OtpSecret::from_uri(assigned["otpauth_uri"].as_str().expect("a URI")).expect("an otpauth URI");
        (assigned, secret)
    }

    /// The code of the step that is `steps` away from now.
    pub fn code(&self, secret: &OtpSecret, steps: i64) -> String {
        let now = u64::try_from(quorate_oracle::clock::Clock::now(&*self.stage.clock)).expect("after 1970");
        secret.code_at(now.saturating_add_signed(steps * 30)).digits.to_string()
    }

    /// How many events of that kind the audit log has.
    pub async fn told_of(&self, kind: &str) -> usize {
        self.told().await.iter().filter(|event| event["kind"] == kind).count()
    }

    /// Whether a ticket is good.
    pub async fn knows(&self, ticket: &str) -> bool {
        let answer = send(self.request(ticket, Method::GET, "/whoami")).await;
        assert!([200, 401].contains(&answer.status.as_u16()), "{}", answer.text);
        answer.status == 200
    }
}

/// The last part of a link.
pub fn link_of(url: &str) -> String {
    url.rsplit_once("/enroll/").expect("a link").1.to_owned()
}

/// The ticket of a login that must have gone well.
pub fn ticket_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["ticket"].as_str().expect("a ticket").to_owned()
}

/// Status and stable word of a refusal.
pub fn refused(answer: &Answer) -> (u16, &str) {
    let (status, word, _) = answer.refusal();
    (status, word)
}
