//! Sessions that a login starts: who may ask without a Toc, that nothing but Tocs of others makes them quorate, and that whoever is
//! dismissed on the way gets nothing.

use super::drills::pinned;
use super::scene::{Mixed, Scene, asked, named, principal};
use super::stage::{PASSWORD, People, link_of, refused};
use crate::apps::ground::patient;
use crate::at_rest::database;
use crate::notices::Receiver;
use crate::postgres;
use crate::stage::{Answer, send};
use crate::support::{Asked, dealt};
use quorate_oracle::testing::TestSetup;
use quorate_protocol::invite::Applicant;
use quorate_protocol::session::Kek;
use reqwest::Method;
use serde_json::{Value, json};

impl Scene {
    fn group(&self) -> String {
        self.deal.group.name().to_string()
    }

    /// The operator changes who may ask without a Toc.
    async fn applicants(&self, changes: Value) -> Value {
        self.people.done(Method::POST, &format!("/groups/{}/applicants", self.group()), changes).await
    }

    /// User number `number` asks with its login alone.
    async fn ask_by_login(&self, number: usize) -> Answer {
        self.post(number, "/sessions", &json!({ "group": self.group(), "reason": "the pager is on fire" })).await
    }
}

/// A scene whose user four may ask.
async fn scene(setup: TestSetup) -> Scene {
    let scene = Scene::of(People::with(setup).await).await;
    scene.applicants(json!({ "add": ["four"] })).await;
    scene
}

#[tokio::test]
async fn whoever_may_asks_without_a_toc_and_the_tocs_come_from_others() {
    for setup in [named(), TestSetup::default()] {
        let scene = scene(setup).await;
        let session = asked(&scene.ask_by_login(4).await);
        let login = Applicant::Login { principal: principal("four") };
        assert_eq!(session.invite.fields().applicant, login, "the invite, which is signed, says who asks and how");
        let shown = scene.look(&session).await;
        assert_eq!(shown["tocs_provided"], 0);
        let details = &shown["details"];
        let says = (&details["applicant"], &details["applicant_status"], &details["applicant_principal"]);
        assert_eq!(says, (&json!(principal("four")), &json!("login"), &json!(principal("four"))));
        assert_eq!(details["players"], json!(["player 1", "player 2", "player 3"]));
        assert_eq!(refused(&scene.code_as(4, &session).await), (409, "not_quorate"));
        scene.join(&session, 1).await;
        assert_eq!(refused(&scene.code_as(4, &session).await), (409, "not_quorate"), "asking is no Toc");
        scene.join(&session, 3).await;
        for number in [0, 1] {
            let refusal = (if number == 0 { (401, "login_required") } else { (403, "not_the_applicant") }, number);
            assert_eq!((refused(&scene.code_as(number, &session).await), number), refusal, "with the KEK alone");
        }
        let code = scene.code_as(4, &session).await;
        assert_eq!(code.status, 200, "{}", code.text);
        assert_eq!(code.json["totp"].as_str().map(str::len), Some(6));
        let kek = json!({ "kek": session.credentials.kek.as_str() });
        assert_eq!(refused(&scene.post(4, &session.path("redeal"), &kek).await), (409, "purpose_mismatch"));
    }
}

#[tokio::test]
async fn nobody_else_starts_one() {
    let scene = Scene::new().await;
    let body = json!({ "group": scene.group(), "reason": "why" });
    for number in [1, 2] {
        let answer = scene.post(number, "/sessions", &body).await;
        assert_eq!(refused(&answer), (403, "may_not_ask"), "who stands for a holder asks with the Toc");
    }
    scene.applicants(json!({ "add": ["one"] })).await;
    let session = asked(&scene.post(1, "/sessions", &body).await);
    assert_eq!(scene.look(&session).await["tocs_provided"], 0, "who is let may, and has not sent a Toc");
    assert_eq!(refused(&scene.ask_by_login(4).await), (403, "may_not_ask"));
    assert_eq!(refused(&scene.ask_by_login(0).await), (401, "login_required"));
    let operator = scene.people.call(Method::POST, "/sessions", body.clone()).await;
    assert_eq!(refused(&operator), (403, "may_not_ask"), "not even an operator");
    let unknown = json!({ "group": dealt(2, 2, 3).group.name().to_string() });
    assert_eq!(refused(&scene.post(1, "/sessions", &unknown).await), (409, "group_not_added"));

    let whole: Value = serde_json::from_slice(&scene.deal.tocs[0].to_json()).expect("JSON");
    let plan = crate::support::plan(scene.deal.group.name(), 2, &["a", "b"]);
    let request = serde_json::to_value(scene.request(1)).expect("JSON");
    let with = |field: &str, value: &Value| {
        let mut body = body.clone();
        body[field] = value.clone();
        body
    };
    for (what, body, word) in [
        ("a Toc", with("toc_zero", &whole), "invalid_request"),
        ("a header", with("header", &request["header"]), "invalid_request"),
        ("a proof", with("applicant", &request["applicant"]), "invalid_request"),
        ("a redeal", with("purpose", &json!("redeal")), "invalid_request"),
        ("a plan", with("plan", &json!(quorate_protocol::encoding::base64(plan.bytes()))), "invalid_request"),
        ("a ttl of nothing", with("ttl", &json!(0)), "invalid_request"),
        ("a reason that is too long", with("reason", &json!("r".repeat(1_025))), "invalid_request"),
        ("a group id", with("group", &json!("J7UHQPZK")), "invalid_body"),
        ("a number", with("group", &json!(7)), "invalid_body"),
    ] {
        assert_eq!(refused(&scene.post(1, "/sessions", &body).await), (400, word), "{what}");
    }
    let nothing = scene.post(1, "/sessions", &json!({ "reason": "why" })).await;
    assert_eq!(refused(&nothing), (400, "invalid_request"));
}

#[tokio::test]
async fn a_group_for_another_oracle_is_refused_as_ever() {
    let scene = Scene::new().await;
    let root_key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let pinned = pinned(&scene.people.stage.oracle.state().url, root_key.as_bytes());
    let file: Value = serde_json::from_str(&pinned.group.to_json()).expect("JSON");
    scene.people.done(Method::POST, "/groups", file).await;
    let group = pinned.group.name().to_string();
    scene.people.done(Method::POST, &format!("/groups/{group}/applicants"), json!({ "add": ["four"] })).await;
    let answer = scene.post(4, "/sessions", &json!({ "group": group })).await;
    assert_eq!(refused(&answer), (409, "wrong_oracle"));
}

#[tokio::test]
async fn a_team_lets_its_members_ask_for_as_long_as_they_are() {
    let scene = Scene::new().await;
    let team = "principal/internal/group/ops";
    scene.people.done(Method::POST, "/principals", json!({ "name": team })).await;
    let shown = scene.applicants(json!({ "add": [team, "one", "one"] })).await;
    assert_eq!(shown["applicants"], json!([principal("one"), team]));
    assert_eq!(refused(&scene.ask_by_login(4).await), (403, "may_not_ask"));
    let members = format!("/principals/{team}/members");
    scene.people.done(Method::POST, &members, json!({ "add": ["four"] })).await;
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    scene.people.done(Method::POST, &members, json!({ "remove": ["four"] })).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (403, "may_not_ask"), "and the session gives nothing more");
    assert_eq!(refused(&scene.ask_by_login(4).await), (403, "may_not_ask"));
    scene.people.done(Method::POST, &members, json!({ "add": ["four"] })).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    scene.people.done(Method::POST, &format!("/principals/{team}/disable"), json!({})).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (403, "may_not_ask"), "disabled, it lets nobody ask");
    assert_eq!(refused(&scene.ask_by_login(4).await), (403, "may_not_ask"));
    scene.people.done(Method::POST, &format!("/principals/{team}/enable"), json!({})).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    scene.people.done(Method::DELETE, &format!("/principals/{team}"), json!({})).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (403, "may_not_ask"));
}

#[tokio::test]
async fn who_is_dismissed_on_the_way_gets_nothing() {
    let mut scene = scene(named()).await;
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    scene.applicants(json!({ "remove": ["four", "three"] })).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (403, "may_not_ask"));
    scene.applicants(json!({ "add": ["four"] })).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    scene.people.done(Method::POST, "/principals/four/disable", json!({})).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (401, "login_required"));
    assert_eq!(refused(&scene.ask_by_login(4).await), (401, "login_required"));
    scene.people.done(Method::POST, "/principals/four/enable", json!({})).await;
    scene.log_in_again(4).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200, "the same principal, logged in again");

    // Somebody else of the same name is somebody else.
    scene.people.done(Method::DELETE, "/principals/four", json!({})).await;
    scene.tickets[3] = scene.people.user("four", "member").await;
    scene.applicants(json!({ "add": ["four"] })).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (403, "not_the_applicant"));
    asked(&scene.ask_by_login(4).await);

    // Without the group nobody asks.
    let late = asked(&scene.ask_by_login(4).await);
    scene.people.done(Method::DELETE, &format!("/groups/{}", scene.group()), json!({})).await;
    assert_eq!(refused(&scene.code_as(4, &late).await), (409, "group_not_added"));
    assert_eq!(refused(&scene.ask_by_login(4).await), (409, "group_not_added"));
}

#[tokio::test]
async fn an_approval_is_of_who_gave_it_and_does_not_outlive_their_login() {
    let mut scene = scene(named()).await;
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    // Disabled and enabled again: the approval rested on a login that was ended.
    scene.people.done(Method::POST, "/principals/two/disable", json!({})).await;
    scene.people.done(Method::POST, "/principals/two/enable", json!({})).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (409, "not_quorate"));
    scene.log_in_again(2).await;
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);

    // A new person with the name and the place of an old one has approved nothing.
    scene.people.done(Method::DELETE, "/principals/two", json!({})).await;
    scene.tickets[1] = scene.people.user("two", "member").await;
    scene.stand(json!({ "player 1": "one", "player 2": "two", "player 3": "three" })).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (409, "not_quorate"));
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);

    // A new password ends what was approved with the old one.
    let link = scene.people.done(Method::POST, "/principals/one/link", json!({})).await;
    let link = link_of(link["link"].as_str().expect("a link"));
    scene.people.enrol(&link, json!({ "password": PASSWORD })).await;
    assert_eq!(refused(&scene.code_as(4, &session).await), (409, "not_quorate"));
}

#[tokio::test]
async fn who_may_ask_without_a_toc_may_also_hold_one_and_approves_once() {
    let scene = scene(named()).await;
    scene.stand(json!({ "player 1": "one", "player 2": "four", "player 3": "three" })).await;
    let session = asked(&scene.ask_by_login(4).await);
    let own = session.approval(&scene.deal.tocs[1]);
    assert_eq!(scene.post(4, &session.path("tocs"), &own).await.status, 200);
    scene.stand(json!({ "player 1": "four", "player 3": "three" })).await;
    assert_eq!(refused(&scene.join_as(4, &session, 1).await), (409, "already_approved"));
    scene.stand(json!({ "player 1": "one", "player 2": "four", "player 3": "three" })).await;
    scene.join(&session, 1).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
}

#[tokio::test]
async fn one_sees_the_groups_that_one_may_ask_for_and_no_others() {
    let scene = scene(named()).await;
    let other = dealt(2, 2, 3);
    let file: Value = serde_json::from_str(&other.group.to_json()).expect("JSON");
    scene.people.done(Method::POST, "/groups", file).await;
    let own = async |number| {
        let answer = send(scene.people.request(scene.ticket(number), Method::GET, "/groups/mine")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let groups = answer.json.as_array().expect("a list").clone();
        groups.iter().map(|group| group["group"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((own(1).await, own(4).await), (vec![], vec![scene.group()]));
    let path = format!("/groups/{}/applicants", other.group.name());
    scene.people.done(Method::POST, &path, json!({ "add": ["four"] })).await;
    assert_eq!(own(4).await, [scene.group(), other.group.name().to_string()]);
    scene.applicants(json!({ "remove": ["four"] })).await;
    assert_eq!(own(4).await, [other.group.name().to_string()]);
    let answer = send(scene.people.request("", Method::GET, "/groups/mine")).await;
    assert_eq!(refused(&answer), (401, "ticket_required"));
}

#[tokio::test]
async fn the_log_says_who_asked_by_login_and_who_let_them() {
    let scene = scene(named()).await;
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    let told = scene.people.told().await;
    let of = |kind: &str| told.iter().find(|event| event["kind"] == kind).unwrap_or_else(|| panic!("{kind}"));
    let four = format!("principal {}", principal("four"));
    assert_eq!(of("group.applicants")["details"]["added"], json!([principal("four")]));
    let start = of("session.asked");
    let said = (&start["who"], &start["details"]["asked_with"], &start["details"]["reason"]);
    assert_eq!(said, (&json!(four), &json!("login"), &json!("the pager is on fire")));
    assert_eq!(start["details"]["holder"], Value::Null);
    let code = of("session.code");
    assert_eq!(
        (&code["who"], &code["details"]["approved_by"]),
        (&json!(four), &json!([principal("one"), principal("two")]))
    );
}

#[tokio::test]
async fn notices_with_names_say_that_somebody_asks_by_login() {
    let mut receiver = Receiver::start().await;
    let targets = json!([{ "url": receiver.url("/in"), "names": true, "shape": "slack" }]);
    let setup = named().set("notices", targets.to_string()).set("webhooks.allow", "127.0.0.1/32");
    let scene = scene(setup.set("webhooks.seconds", "20")).await;
    asked(&scene.ask_by_login(4).await);
    while scene.people.stage.oracle.state().notices.deliver_due().await.expect("the store answers") > 0 {}
    let told = receiver.all().into_iter().map(|got| got.json()["text"].to_string());
    let told: Vec<_> = told.filter(|text| text.contains("a session was started")).collect();
    let by = "principal/internal/user/four, by login, without a Toc";
    assert!(matches!(&told[..], [text] if text.contains(by) && text.contains("the pager is on fire")), "{told:?}");
}

#[tokio::test]
async fn who_writes_to_the_database_makes_nobody_an_applicant() {
    let scene = scene(named()).await;
    let database = database(&scene.people.stage);
    let team = "principal/internal/group/ops";
    scene.people.done(Method::POST, "/principals", json!({ "name": team })).await;
    let written = |sql: &str| assert!(database.execute(sql, []).expect("written") > 0, "{sql}");
    written("DELETE FROM group_members WHERE x = 2");
    assert_eq!(refused(&scene.ask_by_login(2).await), (403, "may_not_ask"));
    // The applicant's row, as that of somebody else; a row of a team that has nothing but a member.
    written(
        "UPDATE group_applicants SET principal = (SELECT id FROM principals WHERE number = (SELECT MIN(number) + 2 FROM principals))",
    );
    for number in [2, 4] {
        assert_eq!(refused(&scene.ask_by_login(number).await), (403, "may_not_ask"), "{number}");
    }
    // It is said, hinders nobody, and goes with the next change.
    let shown = async || scene.people.done(Method::GET, &format!("/groups/{}", scene.group()), json!({})).await;
    let group = shown().await;
    assert_eq!((&group["applicants"], &group["damaged"]), (&json!([]), &json!([principal("two")])));
    let group = scene.applicants(json!({ "add": ["four"] })).await;
    assert_eq!((&group["applicants"], group.get("damaged")), (&json!([principal("four")]), None));
    let told = scene.people.told().await;
    let cleared = told.iter().find(|event| event["details"].get("damaged").is_some()).expect("the log says so");
    assert_eq!(cleared["details"]["damaged_names"], json!([principal("two")]));
    asked(&scene.ask_by_login(4).await);
    // The same for a holder.
    written(
        "INSERT INTO group_members (group_fp, x, principal, bound)
             SELECT group_fp, 2, (SELECT id FROM principals WHERE number = (SELECT MIN(number) + 2 FROM principals)), bound
             FROM group_members WHERE x = 1",
    );
    let group = shown().await;
    assert_eq!((&group["holders"][1]["principal"], &group["damaged"]), (&Value::Null, &json!([principal("two")])));
    scene.stand(json!({ "player 1": "one", "player 2": "two", "player 3": "three" })).await;
    let group = shown().await;
    assert_eq!((&group["holders"][1]["principal"], group.get("damaged")), (&json!(principal("two")), None));
}

#[tokio::test]
async fn what_somebody_else_wrote_stops_no_session_and_no_change() {
    let scene = scene(named()).await;
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    let database = database(&scene.people.stage);
    let written = |sql: &str| assert!(database.execute(sql, []).expect("written") > 0, "{sql}");
    // A holder of a number that the group does not have, and a principal that nobody can read, as both.
    let four = "(SELECT id FROM principals WHERE number = (SELECT MAX(number) FROM principals))";
    let planted = "x'ab00000000000000000000000000000000000000000000000000000000000000'";
    let plant = || {
        written(&format!(
            "INSERT INTO group_members (group_fp, x, principal, bound) SELECT group_fp, 200, {four}, bound
             FROM group_members WHERE x = 1"
        ));
        written(&format!(
            "INSERT INTO principals (id, name, kind, role, version, created_at, sealed) VALUES ({planted}, {planted}, 0, 2, 1, 1, x'00')"
        ));
        written(&format!(
            "INSERT INTO group_members (group_fp, x, principal, bound) SELECT group_fp, 201, {planted}, bound
             FROM group_members WHERE x = 1"
        ));
        written(&format!(
            "INSERT INTO group_applicants (group_fp, principal, bound) SELECT group_fp, {planted}, bound FROM group_applicants"
        ));
    };
    plant();
    let group = scene.people.done(Method::GET, &format!("/groups/{}", scene.group()), json!({})).await;
    assert_eq!(group["damaged"], json!(["unreadable principal ab00000000000000", principal("four")]), "{group}");
    assert_eq!(scene.code_as(4, &session).await.status, 200, "they count for nothing");
    let path = format!("/groups/{}/members", scene.group());
    let members = scene.people.done(Method::POST, &path, json!({ "add": { "player 3": "four" } })).await;
    assert_eq!((&members["holders"][2]["principal"], members.get("damaged")), (&json!(principal("four")), None));
    assert_eq!(members["applicants"], json!([principal("four")]));
    written(&format!("DELETE FROM principals WHERE id = {planted}"));
    scene.stand(json!({ "player 1": "one", "player 2": "two" })).await;
    plant();
    let group = scene.applicants(json!({ "add": ["one"] })).await;
    assert_eq!((&group["applicants"], group.get("damaged")), (&json!([principal("one"), principal("four")]), None));
    // Whoever stands for nobody but in such a row is told so.
    written("UPDATE group_members SET bound = zeroblob(32) WHERE x = 2");
    let session = asked(&scene.ask_by_login(4).await);
    assert_eq!(refused(&scene.join_as(2, &session, 2).await), (403, "not_the_holder"));
}

#[tokio::test]
async fn a_row_that_cannot_be_stops_nothing_and_goes_with_the_next_change() {
    let mut grounds = vec![(patient(), None)];
    if let Some(server) = postgres::shared() {
        let name = server.database().await;
        grounds.push((patient().set("database", server.url(&name)), Some((server, name))));
    }
    for (setup, shared) in grounds {
        let mut scene = scene(setup.set("sessions.require_login", "true")).await;
        let bytes = |hex: &str| if shared.is_some() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") };
        let write = async |sql: String| match &shared {
            Some((server, name)) => server.run(name, &sql).await,
            None => database(&scene.people.stage).execute_batch(&sql).expect("written"),
        };
        let (short, planted) = (bytes("00"), bytes("ab"));
        let forge = async || {
            write(format!(
                "INSERT INTO principals (id, name, kind, role, version, created_at, sealed)
                     VALUES ({planted}, {planted}, 0, 2, 1, 1, {short});
                 INSERT INTO group_members (group_fp, x, principal, bound) SELECT group_fp, 200, {planted}, {short}
                     FROM group_members WHERE x = 1;
                 INSERT INTO group_applicants (group_fp, principal, bound) SELECT group_fp, {planted}, {short}
                     FROM group_applicants"
            ))
            .await;
        };
        let path = format!("/groups/{}", scene.group());
        let session = asked(&scene.ask_by_login(4).await);
        scene.join(&session, 1).await;
        forge().await;
        scene.join(&session, 3).await;
        assert_eq!(scene.code_as(4, &session).await.status, 200);
        asked(&scene.ask_by_login(4).await);
        let group = scene.people.done(Method::GET, &path, json!({})).await;
        assert_eq!(group["damaged"], json!(["unreadable principal ab"]), "{group}");
        assert_eq!(
            (&group["holders"][2]["principal"], &group["applicants"]),
            (&json!(principal("three")), &json!([principal("four")]))
        );
        let changed = scene.applicants(json!({})).await;
        assert_eq!(changed.get("damaged"), None, "{changed}");
        write(format!("DELETE FROM principals WHERE id = {planted}")).await;
        forge().await;
        scene.stand(json!({ "player 1": "one", "player 2": "two" })).await;
        assert_eq!(scene.people.done(Method::GET, &path, json!({})).await.get("damaged"), None);
        // One's own row that cannot be is as none.
        write(format!(
            "UPDATE group_members SET bound = {short} WHERE x = 2; UPDATE group_applicants SET bound = {short}"
        ))
        .await;
        assert_eq!(refused(&scene.join_as(2, &session, 2).await), (403, "not_the_holder"));
        assert_eq!(refused(&scene.ask_by_login(4).await), (403, "may_not_ask"));
        scene.log_in_again(1).await;
        scene.ask().await;
    }
}

#[tokio::test]
async fn one_login_fills_neither_the_sessions_nor_the_log() {
    let setup = named().set("sessions.open_per_principal", "3").set("audit.per_source", "5").set("audit.in_all", "0");
    let mut scene = scene(setup).await;
    scene.applicants(json!({ "add": ["one"] })).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(asked(&scene.ask_by_login(4).await));
    }
    for _ in 0..9 {
        assert_eq!(refused(&scene.ask_by_login(4).await), (429, "too_many_sessions"));
    }
    // From the same address, but somebody else.
    asked(&scene.ask_by_login(1).await);
    scene.ask().await;
    let cancel = async |session: &Asked| {
        let token = Kek::from_base64(&session.credentials.kek).expect("a KEK").cancel_token();
        let path = format!("/sessions/{}", session.id());
        assert_eq!(send(scene.people.request(&token, Method::DELETE, &path)).await.status, 204);
    };
    for _ in 0..2 {
        cancel(&open.pop().expect("a session")).await;
        open.insert(0, asked(&scene.ask_by_login(4).await));
    }
    cancel(&open.pop().expect("a session")).await;
    // There is room, and there would be nothing in the log.
    assert_eq!(refused(&scene.ask_by_login(4).await), (429, "too_many_sessions"));
    scene.people.stage.clock.advance(60 * 60 * 1000 / 5);
    let session = asked(&scene.ask_by_login(4).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(4, &session).await.status, 200);
    // Whatever others do, and however often it is tried: each start, each end and each code is there, and says how it was asked.
    scene.people.stage.oracle.state().audit.record_counts().await.expect("recorded");
    let told = scene.people.told().await;
    let four = json!(format!("principal {}", principal("four")));
    let of = |kind: &str| {
        let by_login = |event: &&Value| event["who"] == four && event["details"]["asked_with"] == "login";
        told.iter().filter(|event| event["kind"] == kind).filter(by_login).count()
    };
    assert_eq!((of("session.asked"), of("session.cancelled"), of("session.code")), (6, 3, 1), "{told:?}");

    // What was started with a login that is over takes no place from the next one.
    asked(&scene.ask_by_login(1).await);
    asked(&scene.ask_by_login(1).await);
    assert_eq!(refused(&scene.ask_by_login(1).await), (429, "too_many_sessions"));
    scene.people.done(Method::POST, "/principals/one/disable", json!({})).await;
    scene.people.done(Method::POST, "/principals/one/enable", json!({})).await;
    scene.log_in_again(1).await;
    asked(&scene.ask_by_login(1).await);
}

#[tokio::test]
async fn whoever_asks_ends_the_session_with_their_login_as_well() {
    let scene = scene(named()).await;
    let session = asked(&scene.ask_by_login(4).await);
    let end = async |number: usize| {
        let path = format!("/sessions/{}", session.id());
        send(scene.people.request(scene.ticket(number), Method::DELETE, &path)).await
    };
    for number in [0, 1] {
        assert_eq!(refused(&end(number).await), (401, "cancel_refused"), "{number}");
    }
    assert_eq!(end(4).await.status, 204);
    assert_eq!(refused(&end(4).await), (410, "session_cancelled"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_knows_the_applicants_and_the_rule_of_a_session() {
    let Some(nodes) = Mixed::new().await else { return };
    let scene = &nodes.scene;
    let at_lax = async |number: usize, path: &str, body: Value| nodes.at_lax(number, path, body).await;
    let body = json!({ "group": scene.group() });
    assert_eq!(refused(&at_lax(4, "/sessions", body.clone()).await), (403, "may_not_ask"));
    scene.applicants(json!({ "add": ["four"] })).await;

    // One that was started where a login is asked for keeps that rule where none is.
    let session = asked(&scene.ask_by_login(4).await);
    let toc =
        |session: &Asked, x: usize| serde_json::to_value(session.approval(&scene.deal.tocs[x - 1])).expect("JSON");
    assert_eq!(refused(&at_lax(0, &session.path("tocs"), toc(&session, 1)).await), (401, "login_required"));
    assert_eq!(refused(&at_lax(3, &session.path("tocs"), toc(&session, 1)).await), (403, "not_the_holder"));
    assert_eq!(at_lax(1, &session.path("tocs"), toc(&session, 1)).await.status, 200);
    scene.join(&session, 2).await;
    let kek = json!({ "kek": session.credentials.kek.as_str() });
    assert_eq!(at_lax(4, &session.path("totp"), kek.clone()).await.status, 200);
    scene.applicants(json!({ "remove": ["four"] })).await;
    assert_eq!(refused(&at_lax(4, &session.path("totp"), kek).await), (403, "may_not_ask"));

    // And one in which nobody else has a name is not served where everybody must.
    scene.applicants(json!({ "add": ["four"] })).await;
    let unnamed = asked(&at_lax(4, "/sessions", body).await);
    assert_eq!(at_lax(0, &unnamed.path("tocs"), toc(&unnamed, 1)).await.status, 200, "a Toc is enough there");
    assert_eq!(refused(&scene.join_as(2, &unnamed, 2).await), (409, "session_unnamed"));
    assert_eq!(refused(&scene.code_as(4, &unnamed).await), (409, "session_unnamed"));
}
