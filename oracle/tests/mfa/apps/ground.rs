//! An oracle with people and applications that share codes, on either engine.

use crate::people::stage::People;
use crate::postgres;
use crate::stage::{Answer, Stage, Tenant, send};
use quorate_oracle::clock::Clock as _;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::otp::OtpSecret;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// What is shared here.
pub const URI: &str =
    "otpauth://totp/Findable%20Corp:findable.person?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Findable%20Corp";

/// Who asks.
#[derive(Clone, Debug)]
pub enum Who {
    Ticket(String),
    Key(Tenant),
}

pub struct Ground {
    pub people: People,
}

impl Ground {
    pub async fn new() -> Self {
        Self { people: People::new().await }
    }

    /// The embedded engine, and the server's where there is one.
    pub async fn on_both() -> Vec<Self> {
        Self::on_both_with(patient).await
    }

    /// The same with settings.
    pub async fn on_both_with(settings: impl Fn() -> TestSetup) -> Vec<Self> {
        let mut setups = vec![settings()];
        if let Some(server) = postgres::shared() {
            setups.push(settings().set("database", server.url(&server.database().await)));
        }
        let mut grounds = Vec::new();
        for setup in setups {
            grounds.push(Self { people: People::with(setup).await });
        }
        grounds
    }

    pub fn stage(&self) -> &Stage {
        &self.people.stage
    }

    pub async fn user(&self, name: &str) -> Who {
        Who::Ticket(self.people.user(name, "member").await)
    }

    pub async fn key(&self, email: &str) -> Who {
        Who::Key(self.stage().tenant(email).await)
    }

    /// A request of somebody.
    pub fn by(&self, who: &Who, method: Method, path: &str) -> RequestBuilder {
        let request = self.stage().at(method, path);
        match who {
            Who::Ticket(ticket) => request.bearer_auth(ticket),
            Who::Key(Tenant { value, secret }) => request.header("x-functions-key", format!("{value}:{secret}")),
        }
    }

    pub async fn ask(&self, who: &Who, method: Method, path: &str, body: &Value) -> Answer {
        send(self.by(who, method, path).json(body)).await
    }

    /// The same, which must go well.
    pub async fn done(&self, who: &Who, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.ask(who, method.clone(), path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
        answer.json
    }

    /// Adds the app of [`URI`]; gives its UUID.
    pub async fn add(&self, who: &Who) -> String {
        let added = self.done(who, Method::POST, "/api/apps", &json!({ "otpauth": URI })).await;
        assert_eq!(added["right"], "owner");
        added["uuid"].as_str().expect("a UUID").to_owned()
    }

    pub async fn grant(&self, by: &Who, uuid: &str, grantee: &str, right: &str) {
        let path = format!("/api/apps/{uuid}/grants/{grantee}");
        self.done(by, Method::PUT, &path, &json!({ "right": right })).await;
    }

    pub async fn revoke(&self, by: &Who, uuid: &str, grantee: &str) {
        self.done(by, Method::DELETE, &format!("/api/apps/{uuid}/grants/{grantee}"), &json!({})).await;
    }

    pub async fn code(&self, who: &Who, uuid: &str) -> Answer {
        self.ask(who, Method::POST, &format!("/api/apps/{uuid}/code"), &json!({})).await
    }

    /// The code that is right now.
    pub fn right_code(&self) -> String {
        let now = u64::try_from(self.stage().clock.now()).expect("after 1970");
        OtpSecret::from_uri(URI).expect("a URI").code_at(now).digits.to_string()
    }

    /// Whether somebody may read an app. Reading, looking, and listing must agree, whether they may or not.
    pub async fn reads(&self, who: &Who, uuid: &str) -> bool {
        let code = self.code(who, uuid).await;
        let shown = self.ask(who, Method::GET, &format!("/api/apps/{uuid}"), &json!({})).await;
        let listed = self.ask(who, Method::GET, "/api/apps", &json!({})).await;
        if code.status.is_success() {
            assert_eq!(code.json["otp"], self.right_code());
            assert_eq!(shown.status, 200, "{}", shown.text);
            let entry = listed.json.as_array().expect("a list").iter().find(|app| app["uuid"] == *uuid);
            assert_eq!(entry, Some(&shown.json));
            return true;
        }
        let refusal = (code.refusal().0, code.refusal().1);
        assert!(
            [(404, "app_unknown"), (401, "ticket_required"), (401, "unauthorized")].contains(&refusal),
            "{refusal:?}"
        );
        assert_eq!((shown.refusal().0, shown.refusal().1), refusal);
        if refusal.0 == 404 {
            assert!(listed.json.as_array().expect("a list").iter().all(|app| app["uuid"] != *uuid));
        } else {
            assert_eq!(listed.refusal().1, refusal.1);
        }
        false
    }
}

/// Settings of an oracle whose requests take as long as an overloaded machine needs: nothing here is about that.
pub fn patient() -> TestSetup {
    let setup = TestSetup::default().set("limits.request_seconds", "120");
    let setup = setup.set("postgres.wait_seconds", "60").set("postgres.statement_seconds", "60");
    setup.set("postgres.operation_seconds", "100")
}
