//! The honest path to a code, what may slow it down, and how a session ends.

use crate::support::Answer;
use crate::support::Asked;
use crate::support::Court;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;

pub async fn a_quorum_gets_the_code_and_nobody_less() {
    let court = Court::of(3, 5).await;
    let asked = court.ask(2).await;
    for (before, x) in [2, 5, 1].into_iter().enumerate() {
        let answer = court.code(&asked).await;
        assert_eq!(answer.refusal(), (409, "not_quorate"));
        assert_eq!(
            (answer.json["tocs_provided"].as_u64(), answer.json["tocs_threshold"].as_u64()),
            (Some(before as u64), Some(3))
        );
        court.join(&asked, x).await;
    }
    court.assert_code(&asked).await;
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.json["complete"], true);
}

pub async fn a_farmfa_client_works_with_our_tocs_too() {
    let court = Court::of(2, 3).await;
    let toc = &court.deal.tocs;
    let zero: Value = serde_json::from_slice(&toc[0].to_json()).expect("JSON");
    let asked = court.post("/sessions", &json!({ "toc_zero": zero })).await.asked();
    assert_eq!(asked.credentials.session.tocs_provided, 1);
    let whole = Asked::unproved(asked.encrypt(&toc[2].to_json()));
    assert_eq!(court.post(&asked.path("tocs"), &whole).await.status, StatusCode::OK);
    court.assert_code(&asked).await;
}

pub async fn the_same_toc_twice_counts_once() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let approval = asked.approval(&court.deal.tocs[0]);
    for _ in 0..3 {
        assert_eq!(court.post(&asked.path("tocs"), &approval).await.status, StatusCode::OK);
    }
    // Encrypted anew it is another file, and still the same player's.
    court.join(&asked, 1).await;
    // Without its proof it may count provisionally, until it is opened.
    assert_eq!(
        court.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(&court.deal.tocs[0].to_json()))).await.status,
        200
    );
    assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"));
    court.join(&asked, 3).await;
    court.assert_code(&asked).await;
}

pub async fn sessions_end_in_each_of_their_ways() {
    let court = Court::of(2, 3).await;
    for id in ["A".repeat(32).as_str(), "x", "../etc", "%00"] {
        assert_eq!(court.get(&format!("/sessions/{id}")).await.status, StatusCode::NOT_FOUND, "{id}");
    }
    // Nobody completes it.
    let asked = court.ask(1).await;
    court.clock.advance(3_600_000);
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.refusal(), (410, "session_expired"));
    let late = asked.approval(&court.deal.tocs[0]);
    assert_eq!(court.post(&asked.path("tocs"), &late).await.refusal(), (410, "session_expired"));
    court.oracle.state().sessions.sweep(quorate_oracle::clock::Clock::now_ms(&*court.clock)).await.expect("swept");
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_expired"));
    court.clock.advance(3_700_000);
    court.oracle.state().sessions.sweep(quorate_oracle::clock::Clock::now_ms(&*court.clock)).await.expect("swept");
    assert_eq!(court.code(&asked).await.refusal(), (404, "session_unknown"));

    // Codes flow for ttl seconds after the first.
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
    court.clock.advance(59_000);
    court.assert_code(&asked).await;
    court.clock.advance(1_000);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_expired"));

    // Cancelled, with authority only.
    let asked = court.ask(1).await;
    let path = court.oracle.url(&format!("/sessions/{}", asked.id()));
    let cancel = |token: String| court.http.delete(&path).bearer_auth(token).send();
    for token in ["", "x", asked.credentials.kek.as_str(), &asked.invite.view_token()] {
        assert_eq!(cancel(token.to_owned()).await.expect("an answer").status(), StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(court.http.delete(&path).send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    let token = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
    assert_eq!(cancel(token.to_string()).await.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(cancel(token.to_string()).await.expect("an answer").status(), StatusCode::GONE);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_cancelled"));
}

pub async fn an_allowance_of_codes_is_kept() {
    let court = Court::of(2, 3).await;
    let toc: Value = serde_json::from_slice(&court.deal.tocs[0].to_json()).expect("JSON");
    let request = json!({ "toc_zero": toc, "max_codes": 2, "ttl": 600 });
    let asked = court.post("/sessions", &request).await.asked();
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
    court.assert_code(&asked).await;
    court.clock.advance(30_000);
    court.assert_code(&asked).await;
    court.clock.advance(30_000);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_exhausted"));
}

pub async fn sixty_four_clients_start_sessions_at_once() {
    let court = Court::of(2, 64).await;
    let asking = (1..=64).map(|x| court.ask(x));
    let asked = futures_util::future::join_all(asking).await;
    let mut ids: Vec<&str> = asked.iter().map(Asked::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 64);
}

pub async fn events_are_told_in_order_and_resumed() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let follow = |after: &'static str| {
        let request =
            court.http.get(court.oracle.url(&asked.path("events"))).header("quorate-invite", asked.invite.view_token());
        request.header("last-event-id", after).send()
    };
    let mut live = follow("0").await.expect("an answer");
    let mut seen = String::new();
    for (what, act) in [("created", 0), ("joined", 1), ("joined", 2)] {
        if act > 0 {
            court.join(&asked, act).await;
        }
        while seen.matches(&format!("event: {what}")).count() < act.max(1) {
            let chunk = live.chunk().await.expect("alive").expect("not over");
            seen.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
    assert!(seen.contains("\"who\":\"player 2\""), "{seen}");
    let token = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
    let path = court.oracle.url(&format!("/sessions/{}", asked.id()));
    court.http.delete(path).bearer_auth(token.as_str()).send().await.expect("an answer");
    while let Some(chunk) = live.chunk().await.expect("alive") {
        seen.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    assert!(seen.contains("event: cancelled"), "the stream ends with the session: {seen}");
    let resumed = follow("3").await.expect("an answer").text().await.expect("a stream that ends");
    assert_eq!(resumed.matches("event: ").count(), 1, "{resumed}");
}

/// Whoever asks for a code when enough have joined must be told so with the last of them: nothing comes after it.
pub async fn no_event_comes_with_counts_from_before_it() {
    let court = Court::of(2, 24).await;
    let asked = court.ask(1).await;
    let all_join = async {
        for x in 1..=24 {
            court.join(&asked, x).await;
        }
    };
    let all_look = async {
        let sessions = &court.oracle.state().sessions;
        let mut seen = 0;
        while seen < 25 {
            let (events, _) = sessions.events(asked.id(), seen, None).await.expect("read");
            let Some(last) = events.last() else { continue };
            seen = last.seq;
            let provided = last.session.as_ref().expect("open").tocs_provided;
            // The first event is the session's own.
            assert!(i64::from(provided) + 1 >= seen, "event {seen} says that {provided} have joined");
        }
    };
    tokio::join!(all_join, all_look);
}

pub async fn a_no_is_signed_and_seen() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let mut denial = asked.denial(&court.deal.tocs[1], "not at night");
    denial.reason = "at any time".into();
    assert_eq!(court.post(&asked.path("denials"), &denial).await.refusal(), (403, "bad_proof"));
    let denial = asked.denial(&court.deal.tocs[1], "not at night");
    assert_eq!(court.post(&asked.path("denials"), &denial).await.status, StatusCode::NO_CONTENT);
    let path = format!("/sessions/{}", asked.id());
    let plain = court.get(&path).await;
    assert_eq!((plain.json["denials"].as_u64(), plain.json.get("details")), (Some(1), None));
    assert!(
        !plain.text.contains("player") && !plain.text.contains("month"),
        "names are for holders of the invite: {}",
        plain.text
    );
    let request = court.http.get(court.oracle.url(&path)).header("quorate-invite", asked.invite.view_token());
    let named = Answer::read(request.send().await.expect("an answer")).await;
    assert_eq!(named.json["details"]["denied"], json!(["player 2"]));
    assert_eq!(named.json["details"]["reason"], "close the month");
}

/// A stream that waits does not keep the oracle from stopping.
pub async fn who_follows_is_let_go_when_the_oracle_stops() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let mut live = court.http.get(court.oracle.url(&asked.path("events"))).send().await.expect("an answer");
    live.chunk().await.expect("alive").expect("the first event");
    let Court { oracle, .. } = court;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(8), oracle.stop());
    stopped.await.expect("sooner than the bound for requests under way");
    while live.chunk().await.expect("ended in order").is_some() {}
}

/// An end by time is told like any other, once.
pub async fn who_follows_hears_of_an_end_by_time() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.clock.advance(3_600_000);
    for _ in 0..2 {
        let follow = |after: &'static str| {
            court.http.get(court.oracle.url(&asked.path("events"))).header("last-event-id", after)
        };
        let all = follow("0").send().await.expect("an answer").text().await.expect("a stream that ends");
        assert_eq!((all.matches("event: created").count(), all.matches("event: expired").count()), (1, 1), "{all}");
        let rest = follow("1").send().await.expect("an answer").text().await.expect("a stream that ends");
        assert_eq!((rest.matches("event: ").count(), rest.matches("event: expired").count()), (1, 1), "{rest}");
        let none = follow("2").send().await.expect("an answer").text().await.expect("a stream that ends");
        assert!(!none.contains("event: "), "{none}");
        court.oracle.state().sessions.sweep(quorate_oracle::clock::Clock::now_ms(&*court.clock)).await.expect("swept");
    }
}
