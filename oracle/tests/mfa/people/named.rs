//! Sessions of an oracle that asks for a login: everything in them has a name that was proved, and nobody has two.

use super::scene::{Mixed, Scene, asked, named, principal};
use super::stage::{People, cheap, refused};
use crate::at_rest::database;
use crate::nodes;
use crate::postgres;
use crate::stage::send;
use crate::support::{Asked, dealt};
use futures_util::future::join_all;
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, Verifier};
use quorate_protocol::invite::{Applicant, Purpose};
use reqwest::Method;
use serde_json::{Value, json};

/// What an auditor reads of the log: its lines.
async fn export(people: &People, auditor: &str) -> Vec<String> {
    people.stage.oracle.state().audit.number_all().await.expect("numbered");
    let answer = send(people.request(auditor, Method::GET, "/audit")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(str::to_owned).collect()
}

fn is_sound(people: &People, lines: &[String]) -> bool {
    let key = people.stage.oracle.state().audit.verifier_key().clone();
    let mut verifier = Verifier::new(vec![key], Vec::new());
    for line in lines {
        verifier.push(line);
    }
    verifier.finish().is_sound()
}

#[tokio::test]
async fn who_asked_who_approved_and_who_saw_the_code_is_shown_and_logged() {
    let scene = Scene::new().await;
    let auditor = scene.people.user("auditor", "auditor").await;
    let asked = scene.ask().await;
    let holder = "player 1".to_owned();
    let applicant = Applicant::Named { holder, x: 1, principal: principal("one") };
    assert_eq!(asked.invite.fields().applicant, applicant, "the invite, which is signed, says who asks");
    scene.join(&asked, 1).await;
    let early = scene.code_as(1, &asked).await;
    assert_eq!(refused(&early), (409, "not_quorate"));
    scene.people.stage.clock.advance(5_000);
    scene.join(&asked, 3).await;
    let denial = asked.denial(&scene.deal.tocs[1], "not today");
    assert_eq!(scene.post(2, &asked.path("denials"), &denial).await.status, 204);

    let details = scene.look(&asked).await["details"].take();
    assert_eq!(
        (&details["applicant"], &details["applicant_principal"]),
        (&json!("player 1"), &json!(principal("one")))
    );
    let approval = |x: u8, name: &str, at: &str| json!({ "x": x, "holder": format!("player {x}"), "principal": principal(name), "with": "login", "at": at });
    let approvals = [approval(1, "one", "2027-01-15T08:00:01Z"), approval(3, "three", "2027-01-15T08:00:06Z")];
    assert_eq!(details["approvals"], json!(approvals));
    let code = scene.code_as(1, &asked).await;
    assert_eq!(code.status, 200, "{}", code.text);

    let path = format!("/sessions/{}", asked.id());
    let view = asked.invite.view_token();
    let cancel = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
    assert_eq!(send(scene.people.request(&cancel, Method::DELETE, &path)).await.status, 204);
    let events = scene.people.stage.at(Method::GET, &format!("{path}/events")).header("quorate-invite", &view);
    let text = send(events).await.text;
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let who: Vec<_> = events.iter().map(|event| (event["kind"].as_str(), event["principal"].as_str())).collect();
    let (one, two, three) = (principal("one"), principal("two"), principal("three"));
    assert_eq!(
        who,
        [
            (Some("created"), Some(one.as_str())),
            (Some("joined"), Some(one.as_str())),
            (Some("joined"), Some(three.as_str())),
            (Some("denied"), Some(two.as_str())),
            (Some("code"), Some(one.as_str())),
            (Some("cancelled"), None),
        ],
        "{text}"
    );

    let lines = export(&scene.people, &auditor).await;
    assert!(is_sound(&scene.people, &lines));
    let told: Vec<Event> = lines
        .iter()
        .filter_map(|line| match serde_json::from_str(line).expect("a line") {
            Line::Row(row) => Event::from_leaf(&row.event.expect("it opens")),
            Line::Head(_) => None,
        })
        .filter(|event| event.kind.starts_with("session."))
        .collect();
    let shown: Vec<_> = told.iter().map(|event| format!("{} {}", event.kind, event.who)).collect();
    let expected = [
        format!("session.asked principal {one}"),
        format!("session.joined principal {one}"),
        format!("session.joined principal {three}"),
        format!("session.denied principal {two}"),
        format!("session.code principal {one}"),
        format!("session.cancelled principal {one}"),
    ];
    assert_eq!(shown, expected);
    assert_eq!((&told[2].details["holder"], &told[2].details["approved_with"]), (&json!("player 3"), &json!("login")));
    assert_eq!(told[4].details["approved_by"], json!([one, three]));
    assert!(!lines.join("\n").contains(code.json["totp"].as_str().expect("a code")));

    // Whatever byte of a row is changed, the export says so.
    let database = database(&scene.people.stage);
    let rows: i64 = database.query_row("SELECT MAX(number) FROM audit_log", [], |row| row.get(0)).expect("rows");
    for number in 1..=rows {
        for column in ["hash", "sealed"] {
            let sql = format!("SELECT {column} FROM audit_log WHERE number = ?1");
            let whole: Vec<u8> = database.query_row(&sql, [number], |row| row.get(0)).expect("a row");
            let mut damaged = whole.clone();
            let place = usize::try_from(number).expect("few") * 7 % whole.len();
            damaged[place] ^= 1;
            let put = format!("UPDATE audit_log SET {column} = ?1 WHERE number = ?2");
            database.execute(&put, (&damaged, number)).expect("written");
            let lines = export(&scene.people, &auditor).await;
            assert!(!is_sound(&scene.people, &lines), "{column} of row {number}, byte {place}");
            database.execute(&put, (&whole, number)).expect("written");
        }
    }
    assert!(is_sound(&scene.people, &export(&scene.people, &auditor).await));
}

#[tokio::test]
async fn without_a_login_nobody_takes_part_and_farmfa_is_told_so() {
    let mut scene = Scene::new().await;
    let session = scene.ask().await;
    scene.join(&session, 2).await;
    let farmfa = json!({ "toc_zero": { "group_id": "J7UHQPZK", "group_size": 5, "group_threshold": 2, "note": "",
        "toc_id": "toc", "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" } });
    let kek = json!({ "kek": session.credentials.kek.as_str() });
    let toc = serde_json::to_value(session.approval(&scene.deal.tocs[0])).expect("JSON");
    let denial = serde_json::to_value(session.denial(&scene.deal.tocs[0], "")).expect("JSON");
    let own = serde_json::to_value(scene.request(1)).expect("JSON");
    let requests = [
        ("/sessions".to_owned(), farmfa.clone()),
        ("/sessions".to_owned(), own),
        (session.path("tocs"), toc),
        (session.path("tocs"), json!({ "encrypted_toc": session.encrypt(b"a Toc of farMFA") })),
        (session.path("denials"), denial),
        (session.path("totp"), kek.clone()),
        (session.path("redeal"), kek),
    ];
    assert_eq!(send(scene.people.request(scene.ticket(1), Method::POST, "/logout")).await.status, 204);
    for (path, body) in &requests {
        // None, and one that has ended.
        for number in [0, 1] {
            let answer = scene.post(number, path, body).await;
            assert_eq!(refused(&answer), (401, "login_required"), "{path} {body}");
            assert!(
                answer.json["message"].as_str().is_some_and(|text| text.contains("quorate login")),
                "{}",
                answer.text
            );
        }
    }
    scene.log_in_again(1).await;
    let answer = scene.post(1, "/sessions", &farmfa).await;
    assert_eq!(refused(&answer), (409, "group_not_added"), "Tocs dealt by farMFA are of no known group");
    let unproved = Asked::unproved(session.encrypt(b"a Toc of farMFA"));
    assert_eq!(refused(&scene.post(1, &session.path("tocs"), &unproved).await), (400, "invalid_request"));
    // Looking takes no login, as before.
    assert_eq!(scene.look(&session).await["tocs_provided"], 1);
}

#[tokio::test]
async fn only_who_stands_for_the_player_acts_for_it() {
    let scene = Scene::new().await;
    let session = scene.ask().await;
    for (number, what) in [(2, "another player"), (4, "nobody of the group")] {
        let answer = scene.post(number, "/sessions", &scene.request(1)).await;
        assert_eq!(refused(&answer), (403, "not_the_holder"), "{what} asks");
        let answer = scene.join_as(number, &session, 3).await;
        assert_eq!(refused(&answer), (403, "not_the_holder"), "{what} joins");
        let denial = session.denial(&scene.deal.tocs[2], "");
        let answer = scene.post(number, &session.path("denials"), &denial).await;
        assert_eq!(refused(&answer), (403, "not_the_holder"), "{what} says no");
    }
    let operator = scene.people.call(Method::POST, "/sessions", serde_json::to_value(scene.request(1)).expect("JSON"));
    assert_eq!(refused(&operator.await), (403, "not_the_holder"), "not even an operator");
    let mut forged = session.approval(&scene.deal.tocs[1]);
    forged.x = Some(3);
    assert_eq!(refused(&scene.post(3, &session.path("tocs"), &forged).await), (403, "bad_proof"));
    assert_eq!(scene.look(&session).await["tocs_provided"], 0);

    // The login alone is no approval, and the player's key alone is none.
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    for number in [2, 4] {
        assert_eq!(refused(&scene.code_as(number, &session).await), (403, "not_the_applicant"));
    }
    assert_eq!(scene.code_as(1, &session).await.status, 200);

    let unknown = dealt(2, 2, 3);
    let now = quorate_oracle::clock::Clock::now(&*scene.people.stage.clock);
    let url = &scene.people.stage.oracle.state().url;
    let request = crate::support::signed_request(url, &unknown.tocs[0], Purpose::Code, None, "why", now);
    assert_eq!(refused(&scene.post(1, "/sessions", &request).await), (409, "group_not_added"));
    let late = scene.ask().await;
    scene.people.done(Method::DELETE, &format!("/groups/{}", scene.deal.group.name()), json!({})).await;
    assert_eq!(refused(&scene.join_as(1, &late, 1).await), (409, "group_not_added"));
    assert_eq!(refused(&scene.code_as(1, &late).await), (409, "group_not_added"));
}

#[tokio::test]
async fn nobody_approves_twice_whatever_they_are_called() {
    let scene = Scene::new().await;
    let session = scene.ask().await;
    // The applicant becomes another player.
    scene.stand(json!({ "player 2": "one", "player 3": "three" })).await;
    assert_eq!(refused(&scene.join_as(1, &session, 2).await), (409, "already_approved"));
    assert_eq!(
        refused(&scene.code_as(1, &session).await),
        (403, "not_the_holder"),
        "and is not the applicant any more"
    );
    scene.stand(json!({ "player 1": "one", "player 3": "three" })).await;
    scene.join(&session, 1).await;
    // So does somebody who has approved; what they approved with counts no more.
    scene.join(&session, 3).await;
    scene.stand(json!({ "player 1": "one", "player 2": "three" })).await;
    assert_eq!(refused(&scene.join_as(3, &session, 2).await), (409, "already_approved"));
    assert_eq!(refused(&scene.code_as(1, &session).await), (409, "not_quorate"));
    // The same player may send another Toc, as before.
    scene.stand(json!({ "player 1": "one", "player 3": "three" })).await;
    scene.join(&session, 3).await;
    assert_eq!(scene.look(&session).await["details"]["approvals"].as_array().map(Vec::len), Some(2));
    assert_eq!(scene.code_as(1, &session).await.status, 200);
}

#[tokio::test]
async fn who_is_removed_or_disabled_has_not_approved() {
    let scene = Scene::new().await;
    let session = scene.ask().await;
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    for (method, path) in [(Method::POST, "/principals/two/disable"), (Method::DELETE, "/principals/two")] {
        scene.people.done(method, path, json!({})).await;
        let answer = scene.code_as(1, &session).await;
        assert_eq!((refused(&answer), &answer.json["tocs_provided"]), ((409, "not_quorate"), &json!(1)), "{path}");
    }
    assert_eq!(refused(&scene.join_as(2, &session, 2).await), (401, "login_required"));
    scene.join(&session, 3).await;
    assert_eq!(scene.code_as(1, &session).await.status, 200);
    scene.people.done(Method::POST, "/principals/one/disable", json!({})).await;
    assert_eq!(refused(&scene.code_as(1, &session).await), (401, "login_required"));
}

#[tokio::test]
async fn a_whole_toc_starts_a_session_and_is_an_approval_of_its_own_player() {
    let scene = Scene::new().await;
    let toc: Value = serde_json::from_slice(&scene.deal.tocs[0].to_json()).expect("JSON");
    let body = json!({ "toc_zero": toc, "reason": "close the month" });
    assert_eq!(refused(&scene.post(2, "/sessions", &body).await), (403, "not_the_holder"));
    let session = asked(&scene.post(1, "/sessions", &body).await);
    let details = scene.look(&session).await["details"].take();
    assert_eq!(
        (&details["approvals"][0]["principal"], &details["approvals"][0]["x"]),
        (&json!(principal("one")), &json!(1))
    );
    scene.join(&session, 2).await;
    assert_eq!(scene.code_as(1, &session).await.status, 200);
}

#[tokio::test]
async fn a_redeal_has_names_too() {
    let scene = Scene::new().await;
    let session = asked(&scene.post(1, "/sessions", &scene.request_for(1, Purpose::Redeal)).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    let kek = json!({ "kek": session.credentials.kek.as_str() });
    assert_eq!(refused(&scene.post(2, &session.path("redeal"), &kek).await), (403, "not_the_applicant"));
    let done = scene.post(1, &session.path("redeal"), &kek).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

#[tokio::test]
async fn an_approval_written_into_the_database_is_none() {
    let scene = Scene::new().await;
    let session = scene.ask().await;
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    let database = database(&scene.people.stage);
    let kept = "CREATE TEMP TABLE kept AS SELECT digest, approval FROM tocs";
    database.execute_batch(kept).expect("kept");
    let back = "UPDATE tocs SET approval = (SELECT approval FROM kept WHERE kept.digest = tocs.digest)";
    // Another's approval, moved; a new one; and none.
    let moved = "UPDATE tocs SET approval = (SELECT approval FROM kept WHERE kept.digest <> tocs.digest)";
    database.execute(moved, []).expect("written");
    assert_eq!(refused(&scene.code_as(1, &session).await), (500, "internal"));
    database.execute("UPDATE tocs SET approval = x'00'", []).expect("written");
    assert_eq!(refused(&scene.code_as(1, &session).await), (500, "internal"));
    database.execute("UPDATE tocs SET approval = NULL WHERE x = 2", []).expect("written");
    database.execute(&format!("{back} WHERE x = 1"), []).expect("written");
    assert_eq!(refused(&scene.code_as(1, &session).await), (409, "not_quorate"));
    database.execute(back, []).expect("written");
    assert_eq!(scene.code_as(1, &session).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_know_the_same_names_and_one_approval_of_each() {
    let Some(server) = postgres::shared() else { return };
    let nodes::Pair { first, second, .. } =
        nodes::Pair::start(server, || cheap(named().set("url", "https://o.test"))).await;
    let scene = Scene::of(People::on(first).await).await;
    let session = scene.ask().await;
    let approval = session.approval(&scene.deal.tocs[1]);
    let path = session.path("tocs");
    let http = &scene.people.stage.http;
    let first = scene.people.stage.oracle.address();
    let post = |number: usize, body: &quorate_protocol::api::AddToc| {
        let address = if number.is_multiple_of(2) { first } else { second.address() };
        send(http.post(format!("http://{address}{path}")).bearer_auth(scene.ticket(2)).json(body))
    };
    let answers = join_all((0..16).map(|number| post(number, &approval))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let details = scene.look(&session).await["details"].take();
    assert_eq!(details["approvals"].as_array().map(Vec::len), Some(1), "{details}");
    // While an operator at one node has `two` change places, `two` approves at both as whoever they are.
    let tocs = [session.approval(&scene.deal.tocs[1]), session.approval(&scene.deal.tocs[2])];
    let moving = async {
        for members in
            [json!({ "player 1": "one", "player 3": "two" }), json!({ "player 1": "one", "player 2": "two" })]
        {
            scene.stand(members).await;
        }
    };
    let (answers, ()) = tokio::join!(join_all((0..16).map(|number| post(number, &tocs[number / 2 % 2]))), moving);
    for answer in answers {
        let word = answer.json["code"].as_str().unwrap_or("taken");
        assert!(
            ["taken", "not_the_holder", "already_approved", "pool_full", "overloaded"].contains(&word),
            "{}",
            answer.text
        );
    }
    let details = scene.look(&session).await["details"].take();
    let approved: Vec<_> = details["approvals"].as_array().expect("a list").iter().collect();
    assert_eq!(approved.len(), 1, "{details}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_the_rule_that_it_was_started_under() {
    let Some(nodes) = Mixed::new().await else { return };
    let scene = &nodes.scene;
    let at_lax = async |number: usize, path: &str, body: Value| nodes.at_lax(number, path, body).await;
    let of = |value: &quorate_protocol::api::AddToc| serde_json::to_value(value).expect("JSON");
    let session = scene.ask().await;
    let (path, toc) = (session.path("tocs"), of(&session.approval(&scene.deal.tocs[1])));
    assert_eq!(refused(&at_lax(0, &path, toc.clone()).await), (401, "login_required"));
    assert_eq!(refused(&at_lax(3, &path, toc.clone()).await), (403, "not_the_holder"));
    assert_eq!(at_lax(2, &path, toc).await.status, 200);
    // One from before logins were asked for is not served where they are.
    let request = serde_json::to_value(scene.request(1)).expect("JSON");
    let unnamed = asked(&at_lax(0, "/sessions", request).await);
    let toc = of(&unnamed.approval(&scene.deal.tocs[1]));
    assert_eq!(at_lax(0, &unnamed.path("tocs"), toc).await.status, 200);
    assert_eq!(refused(&scene.join_as(2, &unnamed, 2).await), (409, "session_unnamed"));
    assert_eq!(refused(&scene.code_as(1, &unnamed).await), (409, "session_unnamed"));
}
