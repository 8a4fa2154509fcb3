//! A 2-of-3 group whose players are known to an oracle that asks for a login: what each of them sends, with whose ticket.

use super::stage::{PASSWORD, People, cheap};
use crate::postgres;
use crate::stage::{Answer, Stage, send};
use crate::support::{Asked, dealt, plan, signed_request};
use quorate_oracle::testing::{TestOracle, TestSetup};
use quorate_protocol::api::NewSession;
use quorate_protocol::deal::Deal;
use quorate_protocol::invite::{Invite, Purpose};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

/// Settings of an oracle that asks for a login.
pub fn named() -> TestSetup {
    TestSetup::default().set("sessions.require_login", "true")
}

/// The full name of a user.
pub fn principal(name: &str) -> String {
    format!("principal/internal/user/{name}")
}

/// Users `one`, `two` and `three` stand for the players 1 to 3; `four` stands for none.
pub struct Scene {
    pub people: People,
    pub deal: Deal,
    /// Tickets, in that order.
    pub tickets: [String; 4],
}

impl Scene {
    pub async fn new() -> Self {
        Self::of(People::with(named()).await).await
    }

    /// With people that are there already.
    pub async fn of(people: People) -> Self {
        let deal = dealt(1, 2, 3);
        let mut tickets = Vec::new();
        for name in ["one", "two", "three", "four"] {
            tickets.push(people.user(name, "member").await);
        }
        let file: Value = serde_json::from_str(&deal.group.to_json()).expect("JSON");
        people.done(Method::POST, "/groups", file).await;
        let scene = Self { people, deal, tickets: tickets.try_into().expect("four") };
        scene.stand(json!({ "player 1": "one", "player 2": "two", "player 3": "three" })).await;
        scene
    }

    /// The operator says who stands for whom.
    pub async fn stand(&self, members: Value) {
        let path = format!("/groups/{}/members", self.deal.group.name());
        self.people.done(Method::PUT, &path, json!({ "members": members })).await;
    }

    /// The ticket of user number `number`; none for 0.
    pub fn ticket(&self, number: usize) -> &str {
        number.checked_sub(1).map_or("", |at| &self.tickets[at])
    }

    /// Sends with the ticket of user number `number`.
    pub async fn post(&self, number: usize, path: &str, body: &impl Serialize) -> Answer {
        send(self.people.request(self.ticket(number), Method::POST, path).json(body)).await
    }

    /// What player `x` sends to start a session for a code.
    pub fn request(&self, x: usize) -> NewSession {
        self.request_for(x, Purpose::Code)
    }

    pub fn request_for(&self, x: usize, purpose: Purpose) -> NewSession {
        // The same proof serves once, so nobody asks for the same thing twice in one second.
        self.people.stage.clock.advance(1_000);
        let now = quorate_oracle::clock::Clock::now(&*self.people.stage.clock);
        let url = &self.people.stage.oracle.state().url;
        let plan = (purpose == Purpose::Redeal).then(|| plan(self.deal.group.name(), 2, &["a", "b"]));
        signed_request(url, &self.deal.tocs[x - 1], purpose, plan.as_ref(), "close the month", now)
    }

    /// Player 1 asks, as `one`.
    pub async fn ask(&self) -> Asked {
        asked(&self.post(1, "/sessions", &self.request(1)).await)
    }

    /// User number `number` joins with the Toc of player `x`.
    pub async fn join_as(&self, number: usize, asked: &Asked, x: usize) -> Answer {
        self.post(number, &asked.path("tocs"), &asked.approval(&self.deal.tocs[x - 1])).await
    }

    /// Player `x` joins, as their own user.
    pub async fn join(&self, asked: &Asked, x: usize) {
        let answer = self.join_as(x, asked, x).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    }

    /// User number `number` asks for the code.
    pub async fn code_as(&self, number: usize, asked: &Asked) -> Answer {
        self.post(number, &asked.path("totp"), &json!({ "kek": asked.credentials.kek.as_str() })).await
    }

    /// The session as holders of the invite see it.
    pub async fn look(&self, asked: &Asked) -> Value {
        let path = format!("/sessions/{}", asked.id());
        let request = self.people.stage.at(Method::GET, &path).header("quorate-invite", asked.invite.view_token());
        let answer = send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// A new ticket of user number `number`, in place of one that has ended.
    pub async fn log_in_again(&mut self, number: usize) {
        let name = ["one", "two", "three", "four"][number - 1];
        let body = json!({ "principal": name, "password": PASSWORD });
        self.tickets[number - 1] = super::stage::ticket_of(&self.people.log_in(body).await);
    }
}

/// A scene whose oracle asks for a login, and a node on the same store that does not.
pub struct Mixed {
    pub scene: Scene,
    lax: TestOracle,
}

impl Mixed {
    /// `None`, saying so, where there is no server and that is allowed.
    pub async fn new() -> Option<Self> {
        let server = postgres::shared()?;
        let database = server.url(&server.database().await);
        let setup = |on: &str| cheap(TestSetup::default()).set("sessions.require_login", on).set("database", &database);
        let setup = |on: &str| setup(on).set("url", "https://o.test");
        let stage = Stage::with(setup("true")).await;
        let lax = setup("false").credentials(stage.oracle.folder()).clock(stage.clock.clone()).start().await;
        Some(Self { scene: Scene::of(People::on(stage).await).await, lax })
    }

    /// Sends to that node with the ticket of user number `number`.
    pub async fn at_lax(&self, number: usize, path: &str, body: Value) -> Answer {
        let http = &self.scene.people.stage.http;
        let request = http.post(format!("http://{}{path}", self.lax.address())).json(&body);
        let ticket = self.scene.ticket(number);
        send(if ticket.is_empty() { request } else { request.bearer_auth(ticket) }).await
    }
}

/// A session that was started.
pub fn asked(answer: &Answer) -> Asked {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let credentials: quorate_protocol::api::SessionCredentials =
        serde_json::from_str(&answer.text).expect("credentials");
    let invite = Invite::parse(&credentials.invite).expect("an invite");
    Asked { credentials, invite }
}
