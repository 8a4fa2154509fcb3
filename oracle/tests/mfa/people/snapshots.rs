//! Every route of people as its clients see it: each success, and each refusal that the manual names. The answers stand in
//! `snapshots/`; a change there is a change of the interface. `INSTA_UPDATE=always` writes them anew.

use super::stage::{PASSWORD, People};
use crate::case::Case;
use crate::token::{Format, Token};
use insta::assert_json_snapshot;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::drill::Call;
use quorate_protocol::encoding::base64;
use quorate_protocol::invite::Purpose;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const ORIGIN: &str = "https://oracle.example.com";
/// Characters of a link's last part.
const LINK: usize = 43;
/// Characters of a session's or a drill's id.
const ID: usize = 32;

/// What was asked, and what was answered, in order.
struct Script {
    people: People,
    cases: Vec<Case>,
}

impl Script {
    async fn new() -> Self {
        let people = People::with(TestSetup::default().set("url", ORIGIN)).await;
        Self { people, cases: Vec::new() }
    }

    async fn case(&mut self, what: &str, request: RequestBuilder) -> Value {
        let named = |part: &str| match part.len() {
            LINK => Some("{link}"),
            ID => Some("{id}"),
            _ => None,
        };
        self.cases.push(Case::of(what, request, named).await);
        self.cases.last().expect("just pushed").body.clone()
    }

    /// The operator's request.
    async fn by_operator(&mut self, what: &str, method: Method, path: &str, body: Value) -> Value {
        let request = self.people.request(&self.people.operator, method, path).json(&body);
        self.case(what, request).await
    }

    /// A stranger's.
    async fn post(&mut self, what: &str, path: &str, body: Value) -> Value {
        let request = self.people.stage.at(Method::POST, path).json(&body);
        self.case(what, request).await
    }

    /// What a route for principals refuses whoever calls it.
    async fn usual(&mut self, method: Method, path: &str, member: &str) {
        let nobody = self.people.stage.at(method.clone(), path);
        self.case("no ticket", nobody).await;
        let not_allowed = self.people.request(member, method, path);
        self.case("a member's ticket", not_allowed).await;
    }

    /// Compares what was answered with what stands in the file, but for what is drawn anew in each run.
    fn snapshot(self, name: &str) {
        assert_json_snapshot!(name, self.cases, {
            ".**.challenge" => "[challenge]",
            ".**.key" => "[base32]",
            ".**.link" => "[link]",
            ".**.otpauth_uri" => "[otpauth URI]",
            ".**.recovery_codes" => "[recovery codes]",
            ".**.secret" => "[secret]",
            ".**.state" => "[state]",
            ".**.ticket" => "[ticket]",
            ".**.user.id" => "[id]",
        });
    }
}

#[tokio::test]
async fn enrolments() {
    let mut script = Script::new().await;
    let plain = script.people.invited("plain", "member").await;
    let (begin, enrol) = (format!("/enroll/{plain}/begin"), format!("/enroll/{plain}"));
    script.post("what a link is good for", &begin, json!({})).await;
    script.post("a weak password", &enrol, json!({ "password": "short" })).await;
    script.post("no password", &enrol, json!({})).await;
    script.post("enrolled", &enrol, json!({ "password": PASSWORD })).await;
    script.post("again", &enrol, json!({ "password": PASSWORD })).await;
    script.post("what a used link is good for", &begin, json!({})).await;

    let link = script.people.invited("bob", "member").await;
    let (begin, enrol) = (format!("/enroll/{link}/begin"), format!("/enroll/{link}"));
    let (_, secret) = script.people.assign_totp("bob", "TotpDemoConfig").await;
    script.post("with a TOTP provider", &begin, json!({})).await;
    script.post("no code", &enrol, json!({ "password": PASSWORD })).await;
    let body = json!({ "password": PASSWORD, "passcode": script.people.code(&secret, 0) });
    script.post("enrolled with a code", &enrol, body).await;

    let link = script.people.invited("ann", "member").await;
    let (begin, enrol) = (format!("/enroll/{link}/begin"), format!("/enroll/{link}"));
    script.people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    script.people.done(Method::PUT, "/principals/ann/multi_factor", json!({ "provider": "Keys" })).await;
    let mut shown = script.post("with a provider of security keys", &begin, json!({})).await;
    let credential = Token::new(b"the key of ann").create(&shown["publicKey"].take(), ORIGIN, Format::None);
    let body = json!({ "password": PASSWORD, "credential": credential });
    script.post("enrolled with a key", &enrol, body).await;
    script.snapshot("enrolments");
}

#[tokio::test]
async fn logins() {
    let mut script = Script::new().await;
    script.people.user("bob", "auditor").await;
    let login = |name: &str, password: &str, passcode: Value| json!({ "principal": name, "password": password, "passcode": passcode });
    let done = script.post("with a password", "/login", login("bob", PASSWORD, Value::Null)).await;
    let ticket = done["ticket"].as_str().expect("a ticket").to_owned();
    script.post("a wrong password", "/login", login("bob", "wrong", Value::Null)).await;
    script.post("nobody", "/login", login("nobody", PASSWORD, Value::Null)).await;
    script.post("no principal", "/login", json!({ "password": PASSWORD })).await;
    for number in 0..5 {
        script.people.log_in(login("locked", &number.to_string(), Value::Null)).await;
    }
    script.post("a locked name", "/login", login("locked", PASSWORD, Value::Null)).await;

    for (what, method, path) in [
        ("who one is", Method::GET, "/whoami"),
        ("logged out", Method::POST, "/logout"),
        ("with an old ticket", Method::GET, "/whoami"),
        ("logged out again", Method::POST, "/logout"),
    ] {
        let request = script.people.request(&ticket, method, path);
        script.case(what, request).await;
    }

    script.people.user("ann", "member").await;
    let (_, secret) = script.people.assign_totp("ann", "TotpDemoConfig").await;
    script.post("no passcode", "/login", login("ann", PASSWORD, Value::Null)).await;
    let code = json!(script.people.code(&secret, 0));
    script.post("with a passcode", "/login", login("ann", PASSWORD, code.clone())).await;
    script.post("the same again", "/login", login("ann", PASSWORD, code)).await;

    let options = json!({ "IntegrationKey": "DIXXXXXX", "SecretKey": "deadbeef", "Host": "api-x.duosecurity.com" });
    let duo = json!({ "Type": "duo", "Name": "Duo", "Options": options });
    script.people.done(Method::POST, "/system/multi_factor", duo).await;
    script.people.user("dan", "member").await;
    script.people.done(Method::PUT, "/principals/dan/multi_factor", json!({ "provider": "Duo" })).await;
    script.post("a service that does not answer", "/login", login("dan", PASSWORD, json!("push"))).await;

    script.people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    let link = script.people.invited("eve", "member").await;
    script.people.done(Method::PUT, "/principals/eve/multi_factor", json!({ "provider": "Keys" })).await;
    let begun = script.people.stage.at(Method::POST, &format!("/enroll/{link}/begin"));
    let mut token = Token::new(b"the key of eve");
    let created = token.create(&crate::stage::send(begun).await.json["publicKey"], ORIGIN, Format::None);
    script.people.enrol(&link, json!({ "password": PASSWORD, "credential": created })).await;
    let asked = script.post("a security key is asked", "/login", login("eve", PASSWORD, Value::Null)).await;
    let answer = |credential: Value| json!({ "principal": "eve", "state": asked["state"], "credential": credential });
    let right = token.get(&asked["publicKey"], ORIGIN);
    script.post("no answer of a key", "/login", answer(json!({ "type": "password" }))).await;
    script.post("with a security key", "/login", answer(right.clone())).await;
    script.post("its answer again", "/login", answer(right)).await;
    while script.people.log_in(login("no name", "wrong", Value::Null)).await.status != 429 {}
    script.post("an address that has to wait", "/login", login("bob", PASSWORD, Value::Null)).await;
    script.snapshot("logins");
}

#[tokio::test]
async fn principals() {
    let mut script = Script::new().await;
    let member = script.people.user("member", "member").await;
    let at = "/principals";
    script.by_operator("a user", Method::POST, at, json!({ "name": "bob", "role": "auditor" })).await;
    let application = json!({ "name": "principal/internal/application/ci" });
    script.by_operator("an application", Method::POST, at, application).await;
    let team = json!({ "name": "principal/internal/group/ops" });
    script.by_operator("a team", Method::POST, at, team).await;
    script.by_operator("a name that is taken", Method::POST, at, json!({ "name": "bob" })).await;
    script.by_operator("no name", Method::POST, at, json!({ "name": "b ob" })).await;
    script.by_operator("no such role", Method::POST, at, json!({ "name": "eve", "role": "root" })).await;
    let body = json!({ "name": "principal/internal/group/dev", "role": "operator" });
    script.by_operator("a team with a role", Method::POST, at, body).await;
    script.by_operator("all", Method::GET, at, json!({})).await;
    script.usual(Method::POST, at, &member).await;
    script.usual(Method::GET, at, &member).await;

    let bob = "/principals/bob";
    script.by_operator("one", Method::GET, bob, json!({})).await;
    script.by_operator("by the full name", Method::GET, "/principals/principal/internal/user/bob", json!({})).await;
    script.by_operator("nobody", Method::GET, "/principals/nobody", json!({})).await;
    script.usual(Method::GET, bob, &member).await;
    script.by_operator("a new link", Method::POST, "/principals/bob/link", json!({})).await;
    let link = "/principals/principal/internal/application/ci/link";
    script.by_operator("a link for no user", Method::POST, link, json!({})).await;
    script.usual(Method::POST, "/principals/bob/link", &member).await;
    for act in ["disable", "enable"] {
        let path = format!("/principals/bob/{act}");
        script.by_operator(act, Method::POST, &path, json!({})).await;
        script.usual(Method::POST, &path, &member).await;
    }
    script.by_operator("the last operator", Method::POST, "/principals/operator/disable", json!({})).await;

    let members = "/principals/principal/internal/group/ops/members";
    script.by_operator("members", Method::POST, members, json!({ "add": ["bob"] })).await;
    script.by_operator("the same", Method::GET, members, json!({})).await;
    let team = json!({ "add": ["principal/internal/group/ops"] });
    script.by_operator("a team as a member", Method::POST, members, team).await;
    script.by_operator("members of no team", Method::GET, "/principals/bob/members", json!({})).await;
    script.usual(Method::POST, members, &member).await;
    script.usual(Method::GET, members, &member).await;

    script.by_operator("removed", Method::DELETE, bob, json!({})).await;
    script.by_operator("gone", Method::DELETE, bob, json!({})).await;
    script.usual(Method::DELETE, bob, &member).await;
    script.snapshot("principals");
}

#[tokio::test]
async fn groups() {
    let mut script = Script::new().await;
    let member = script.people.user("member", "member").await;
    script.people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    let (at, group) = ("/groups", crate::support::dealt(1, 2, 3).group);
    let file: Value = serde_json::from_str(&group.to_json()).expect("JSON");
    script.by_operator("added", Method::POST, at, file.clone()).await;
    script.by_operator("added before", Method::POST, at, file.clone()).await;
    let mut other = file.clone();
    other["group"] = json!("0".repeat(64));
    script.by_operator("not the group's name", Method::POST, at, other).await;
    script.by_operator("no group file", Method::POST, at, json!({ "group_id": "J7UHQPZK" })).await;
    script.by_operator("all", Method::GET, at, json!({})).await;
    script.usual(Method::POST, at, &member).await;
    script.usual(Method::GET, at, &member).await;

    let one = format!("/groups/{}", group.name());
    let members = format!("{one}/members");
    let stand = |members: Value| json!({ "members": members });
    let both = stand(json!({ "player 1": "member", "player 3": "principal/internal/user/operator" }));
    script.by_operator("who stands for whom", Method::PUT, &members, both).await;
    script.by_operator("no such holder", Method::PUT, &members, stand(json!({ "player 4": "member" }))).await;
    script.by_operator("nobody", Method::PUT, &members, stand(json!({ "player 1": "nobody" }))).await;
    script.by_operator("no name", Method::PUT, &members, stand(json!({ "player 1": "no body" }))).await;
    let team = stand(json!({ "player 1": "principal/internal/group/ops" }));
    script.by_operator("a team", Method::PUT, &members, team).await;
    let twice = stand(json!({ "player 1": "member", "player 2": "member" }));
    script.by_operator("one for two holders", Method::PUT, &members, twice).await;
    script.usual(Method::PUT, &members, &member).await;
    let change = json!({ "add": { "player 2": "member" }, "remove": ["player 1"] });
    script.by_operator("changed", Method::POST, &members, change).await;
    let twice = json!({ "add": { "player 1": "member" } });
    script.by_operator("a change to one for two holders", Method::POST, &members, twice).await;
    let unknown = json!({ "remove": ["player 4"] });
    script.by_operator("nobody for no holder", Method::POST, &members, unknown).await;
    script.usual(Method::POST, &members, &member).await;
    let applicants = format!("{one}/applicants");
    let add = json!({ "add": ["member", "principal/internal/group/ops"] });
    script.by_operator("who may ask", Method::POST, &applicants, add).await;
    let nobody = json!({ "remove": ["nobody"] });
    script.by_operator("nobody asks no more", Method::POST, &applicants, nobody).await;
    script.usual(Method::POST, &applicants, &member).await;
    script.usual(Method::GET, "/groups/mine", &member).await;
    script.people.done(Method::DELETE, "/principals/member", json!({})).await;
    let member = script.people.user("other", "member").await;
    script.by_operator("without who was removed", Method::GET, &one, json!({})).await;
    script.usual(Method::GET, &one, &member).await;
    script.usual(Method::DELETE, &one, &member).await;
    for what in ["removed", "gone"] {
        script.by_operator(what, Method::DELETE, &one, json!({})).await;
    }
    script.by_operator("not there", Method::GET, &one, json!({})).await;
    script.by_operator("no name of a group", Method::GET, "/groups/J7UHQPZK", json!({})).await;
    script.by_operator("members of none", Method::PUT, &members, stand(json!({}))).await;
    script.by_operator("applicants of none", Method::POST, &applicants, json!({})).await;
    script.snapshot("groups");
}

#[tokio::test]
async fn sessions_with_names() {
    let (scene, _) = super::named_keys::scene().await;
    let (asked, request, late) = (scene.ask().await, scene.request(1), scene.request(1));
    let unknown = crate::support::dealt(2, 2, 3);
    let unknown_group = unknown.group.name().to_string();
    let now = quorate_oracle::clock::Clock::now(&*scene.people.stage.clock);
    let unknown = crate::support::signed_request(ORIGIN, &unknown.tocs[0], Purpose::Code, None, "why", now);
    let tocs = [1, 2, 3].map(|x| asked.approval(&scene.deal.tocs[x - 1]));
    let (kek, members) =
        (json!({ "kek": asked.credentials.kek.as_str() }), json!({ "player 2": "one", "player 3": "three" }));
    let mut answered = serde_json::to_value(&tocs[1]).expect("JSON");
    answered["state"] = json!("x");
    let response = json!({ "authenticatorData": "", "clientDataJSON": "", "signature": "" });
    answered["credential"] = json!({ "rawId": "", "type": "public-key", "response": response });
    let path = format!("/groups/{}/members", scene.deal.group.name());
    let super::scene::Scene { people, tickets, .. } = scene;
    let mut script = Script { people, cases: Vec::new() };
    let group = json!({ "group": unknown_group, "reason": "why" });
    let own = json!({ "group": path.split('/').nth(2), "reason": "why" });
    let [request, late, unknown] = [request, late, unknown].map(|it| serde_json::to_value(it).expect("JSON"));
    let [_, second, third] = tocs.map(|it| serde_json::to_value(it).expect("JSON"));
    for (what, number, path, body) in [
        ("no login", 0, "/sessions".to_owned(), request),
        ("another's player", 2, "/sessions".to_owned(), late),
        ("a group that nobody has added", 1, "/sessions".to_owned(), unknown),
        ("the same by login alone", 4, "/sessions".to_owned(), group),
        ("by login alone, without a login", 0, "/sessions".to_owned(), own.clone()),
        ("whoever may not ask", 4, "/sessions".to_owned(), own),
        ("a player without a key", 3, asked.path("tocs"), third),
        ("a security key is asked", 2, asked.path("tocs"), second.clone()),
        ("no answer of a key", 2, asked.path("tocs"), answered),
        ("somebody else's code", 2, asked.path("totp"), kek),
    ] {
        let ticket = if number == 0 { "" } else { &tickets[number - 1] };
        let request = script.people.request(ticket, Method::POST, &path).json(&body);
        script.case(what, request).await;
    }
    script.people.done(Method::PUT, &path, json!({ "members": members })).await;
    let again = script.people.request(&tickets[0], Method::POST, &asked.path("tocs")).json(&second);
    script.case("the applicant as another player", again).await;
    script.snapshot("sessions_with_names");
}

#[tokio::test]
async fn providers() {
    let mut script = Script::new().await;
    let member = script.people.user("member", "member").await;
    let at = "/system/multi_factor";
    let totp = json!({ "type": "totp", "name": "TotpDemoConfig" });
    script.by_operator("TOTP", Method::POST, at, totp.clone()).await;
    script.by_operator("a name that is taken", Method::POST, at, totp).await;
    let options = json!({ "IntegrationKey": "DIXXXXXX", "SecretKey": "deadbeef", "Host": "api-x.duosecurity.com" });
    let duo = json!({ "Type": "duo", "Name": "My Duo", "Options": options });
    script.by_operator("Duo", Method::POST, at, duo.clone()).await;
    script.by_operator("Duo without options", Method::POST, at, json!({ "Type": "duo", "Name": "Duo" })).await;
    script.by_operator("no such type", Method::POST, at, json!({ "Type": "sms", "Name": "Sms" })).await;
    script.by_operator("no name", Method::POST, at, json!({ "Type": "totp", "Name": "a/b" })).await;
    script.by_operator("all", Method::GET, at, json!({})).await;
    script.usual(Method::POST, at, &member).await;
    script.usual(Method::GET, at, &member).await;
    let named = "/system/multi_factor/My%20Duo";
    let mut changed = duo;
    changed["Options"] = json!({ "IntegrationKey": "DIYYYYYY", "Host": "api-y.duosecurity.com" });
    script.by_operator("changed", Method::PUT, named, changed.clone()).await;
    changed["Name"] = json!("Other");
    script.by_operator("another name", Method::PUT, named, changed.clone()).await;
    script.by_operator("unknown", Method::PUT, "/system/multi_factor/My_Duo", changed).await;
    script.usual(Method::PUT, named, &member).await;

    let assigned = "/principals/member/multi_factor";
    script.by_operator("assigned", Method::PUT, assigned, json!({ "provider": "TotpDemoConfig" })).await;
    let key = json!({ "provider": "TotpDemoConfig", "key": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" });
    script.by_operator("assigned with a key", Method::PUT, assigned, key).await;
    let wrong = json!({ "provider": "TotpDemoConfig", "key": "0" });
    script.by_operator("no key", Method::PUT, assigned, wrong).await;
    script.by_operator("no such provider", Method::PUT, assigned, json!({ "provider": "None" })).await;
    script.people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    let team = "/principals/principal/internal/group/ops/multi_factor";
    script.by_operator("a team", Method::PUT, team, json!({ "provider": "TotpDemoConfig" })).await;
    let other = script.people.user("other", "member").await;
    script.usual(Method::PUT, assigned, &other).await;
    script.usual(Method::DELETE, assigned, &other).await;
    script.by_operator("a provider in use", Method::DELETE, "/system/multi_factor/TotpDemoConfig", json!({})).await;
    for what in ["taken away", "none"] {
        script.by_operator(what, Method::DELETE, assigned, json!({})).await;
    }
    for what in ["removed", "gone"] {
        script.by_operator(what, Method::DELETE, named, json!({})).await;
    }
    script.usual(Method::DELETE, named, &other).await;
    script.snapshot("providers");
}

#[tokio::test]
async fn drills() {
    let mut script = Script::new().await;
    let member = script.people.user("member", "member").await;
    let deal = crate::support::dealt(1, 2, 3);
    script.people.done(Method::POST, "/groups", serde_json::from_str(&deal.group.to_json()).expect("JSON")).await;
    let at = "/drills";
    let asked = json!({ "group": deal.group.name(), "reason": "once a quarter" });
    let begun = script.by_operator("begun", Method::POST, at, asked.clone()).await;
    script.by_operator("one at a time", Method::POST, at, asked).await;
    script.by_operator("of no group", Method::POST, at, json!({ "group": "J7UHQPZK" })).await;
    let past = json!({ "group": deal.group.name(), "expires_at": "2027-01-15T07:59:59Z" });
    script.by_operator("in the past", Method::POST, at, past).await;
    let long = json!({ "group": deal.group.name(), "expires_at": "2999-01-15T07:59:59Z" });
    script.by_operator("beyond the certificate", Method::POST, at, long).await;
    script.usual(Method::POST, at, &member).await;
    script.usual(Method::GET, at, &member).await;

    let call = Call::parse(begun["details"]["call"].as_str().expect("a link")).expect("a call");
    let one = format!("/drills/{}", call.fields().drill);
    let answers = format!("{one}/answers");
    let signature = call.question().answer(&deal.tocs[1], crate::stage::NOW).expect("in time");
    let answer = json!({ "x": 2, "signature": base64(&signature) });
    script.post("answered", &answers, answer.clone()).await;
    script.post("answered before", &answers, answer.clone()).await;
    script.post("another's", &answers, json!({ "x": 1, "signature": base64(&signature) })).await;
    script.post("no answer", &answers, json!({ "x": 1 })).await;
    script.post("to no drill", "/drills/J7UHQPZK/answers", answer.clone()).await;
    let stranger = script.people.stage.at(Method::GET, &one);
    script.case("for strangers", stranger).await;
    let holder = script.people.stage.at(Method::GET, &one).header("quorate-invite", call.view_token());
    script.case("for whoever has the link", holder).await;
    script.by_operator("for operators", Method::GET, &one, json!({})).await;
    script.by_operator("all", Method::GET, at, json!({})).await;
    script.usual(Method::DELETE, &one, &member).await;
    script.by_operator("ended", Method::DELETE, &one, json!({})).await;
    script.by_operator("over", Method::DELETE, &one, json!({})).await;
    script.post("too late", &answers, answer).await;
    script.by_operator("its report", Method::GET, &one, json!({})).await;
    script.by_operator("not there", Method::GET, "/drills/J7UHQPZK", json!({})).await;
    assert_json_snapshot!("drills", script.cases, {
        ".**.by" => "drill [id]",
        ".**.call" => "[call]",
        ".*.body.id" => "[id]",
        ".*.body[].id" => "[id]",
    });
}
