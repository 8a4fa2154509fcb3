//! The pages as they leave the oracle: status, headers, what stands on them and what must not. How they behave is tested
//! in a browser.

#[expect(dead_code, reason = "a page is looked at, not fought with as sessions are")]
mod support;

use quorate_oracle::testing::TestSetup;
use quorate_protocol::session::Kek;
use reqwest::Response;
use serde_json::json;
use support::{Asked, Court, plan};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

async fn get(court: &Court, path: &str) -> Response {
    court.http.get(court.oracle.url(path)).send().await.expect("the oracle answers")
}

/// The page at `path`, which must have this status, our headers, and nothing from elsewhere or inline.
async fn page(court: &Court, path: &str, status: u16) -> String {
    let response = get(court, path).await;
    assert_eq!(response.status().as_u16(), status, "{path}");
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(response.headers()[name], value, "{path}");
    }
    let text = response.text().await.expect("a text");
    for forbidden in
        ["src=\"http", "href=\"http", "href=\"//", "src=\"//", "style=", "onclick", "<style", "javascript:"]
    {
        assert!(!text.contains(forbidden), "{path} has {forbidden}");
    }
    // A script has an address, never content.
    assert_eq!(text.matches("<script").count(), text.matches("\"></script>").count(), "{path}");
    text
}

fn at(asked: &Asked) -> String {
    format!("/s/{}", asked.id())
}

#[tokio::test]
async fn whoever_has_only_the_id_sees_counts() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.join(&asked, 2).await;
    court.clock.advance(15 * 60 * 1000);
    let text = page(&court, &at(&asked), 200).await;
    assert!(text.contains("<title>1 of 2 joined</title>"), "{text}");
    let content = text.split_once("<main>").expect("a page").1.replace(asked.id(), "ID");
    insta::assert_snapshot!("session", content.replace('>', ">\n"));
    for secret in
        ["player", "close the month", "test bank", asked.credentials.kek.as_str(), asked.credentials.tek.as_str()]
    {
        assert!(!content.replace("players", "").contains(secret), "{secret} stands on the page");
    }
    let denial = asked.denial(&court.deal.tocs[2], "no");
    court.post(&asked.path("denials"), &denial).await;
    court.join(&asked, 1).await;
    let text = page(&court, &at(&asked), 200).await;
    assert!(text.contains("Enough have joined.") && text.contains("1 said no."), "{text}");
}

#[tokio::test]
async fn what_is_over_or_unknown_has_a_page_and_its_status() {
    let court = Court::with(TestSetup::default().set("sessions.max_codes", "1"), 2, 3).await;
    let ended = |text: &str, title: &str| {
        assert!(text.contains(&format!("<h1>{title}</h1>")), "{title}: {text}");
        assert!(text.contains("data-session="), "its events can still be read");
    };
    let cancelled = court.ask(1).await;
    let token = Kek::from_base64(&cancelled.credentials.kek).expect("a KEK").cancel_token();
    let url = court.oracle.url(&format!("/sessions/{}", cancelled.id()));
    let answer = court.http.delete(url).bearer_auth(token.as_str()).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 204);
    ended(&page(&court, &at(&cancelled), 410).await, "This request was cancelled");

    let exhausted = court.ask(1).await;
    court.join(&exhausted, 1).await;
    court.join(&exhausted, 2).await;
    court.assert_code(&exhausted).await;
    court.clock.advance(30_000);
    assert_eq!(court.code(&exhausted).await.refusal(), (410, "session_exhausted"));
    ended(&page(&court, &at(&exhausted), 410).await, "This request is used up");

    let plan = plan(court.deal.group.name(), 2, &["edith", "fred"]);
    let redeal = court.ask_redeal(1, &plan).await;
    let text = page(&court, &at(&redeal), 200).await;
    assert!(text.contains("Request for a redeal") && text.contains("id=\"plan-players\"") && !text.contains("edith"));
    court.join(&redeal, 1).await;
    court.join(&redeal, 2).await;
    let kek = json!({ "kek": redeal.credentials.kek.as_str() });
    assert_eq!(court.post(&redeal.path("redeal"), &kek).await.status.as_u16(), 200);
    let text = page(&court, &at(&redeal), 410).await;
    ended(&text, "The redeal is done");
    assert!(text.contains("quorate session fetch"));

    let expired = court.ask(2).await;
    court.clock.advance(3_601_000);
    ended(&page(&court, &at(&expired), 410).await, "This request has ended");

    let never = "A".repeat(32);
    for id in [never.as_str(), "x", "%ff", "%3Cscript%3E", &"A".repeat(4000)] {
        let text = page(&court, &format!("/s/{id}"), 404).await;
        assert!(
            text.contains("There is no such request") && !text.contains("data-session") && !text.contains("<script")
        );
    }
}

#[tokio::test]
async fn an_oracle_in_trouble_says_so_and_nothing_more() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.oracle.state().store.shutdown().await;
    let response = get(&court, &at(&asked)).await;
    assert!(response.headers().contains_key("retry-after"));
    let text = page(&court, &at(&asked), 503).await;
    assert!(text.contains("The oracle cannot answer now") && !text.contains("<script") && !text.contains("store"));
}

#[tokio::test]
async fn what_strangers_call_their_group_is_escaped() {
    let court = Court::of(2, 3).await;
    let toc = json!({ "group_id": "<b>\u{202e}\"x", "group_size": 3, "group_threshold": 2, "note": "n", "toc_id": "t",
        "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" });
    let answer = court.post("/sessions", &json!({ "toc_zero": toc })).await;
    let text = page(&court, &at(&answer.asked()), 200).await;
    assert!(text.contains("group &lt;b&gt;\\u{202e}&quot;x"), "{text}");
}

#[tokio::test]
async fn style_script_and_icon_are_kept_by_their_version() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let text = page(&court, &at(&asked), 200).await;
    for (name, kind) in [
        ("quorate.css", "text/css; charset=utf-8"),
        ("session.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let (_, link) = text.split_once(&format!("\"../assets/{name}?")).expect("the page links it");
        let version = link.split('"').next().expect("an end");
        let kept = get(&court, &format!("/assets/{name}?{version}")).await;
        assert_eq!(kept.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(kept.headers()["content-type"], kind);
        let tag = kept.headers()["etag"].clone();
        assert!(!kept.text().await.expect("a text").is_empty());
        // Another release's: what is here is sent, but nobody keeps it under that name.
        let other = get(&court, &format!("/assets/{name}?0123456789abcdef")).await;
        assert_eq!(
            (other.status().as_u16(), &other.headers()["cache-control"]),
            (200, &"no-cache".parse().expect("a value"))
        );
        let again = court.http.get(court.oracle.url(&format!("/assets/{name}"))).header("if-none-match", tag);
        let again = again.send().await.expect("an answer");
        assert_eq!((again.status().as_u16(), again.text().await.expect("no text")), (304, String::new()));
    }
    for name in ["nothing.js", "..%2fCargo.toml", "session.js%00"] {
        assert_eq!(court.get(&format!("/assets/{name}")).await.refusal(), (404, "unknown_route"));
    }
}

#[tokio::test]
async fn every_page_works_under_the_base_path() {
    let court =
        Court::with(TestSetup::default().set("base_path", "/prod").set("name", "oracle <of> Delphi"), 2, 3).await;
    let asked = court.ask(1).await;
    for (path, root) in [("/", ""), ("/prod", "prod/"), ("/prod/", ""), ("/docs", ""), ("/prod/docs", "")] {
        let text = page(&court, path, 200).await;
        assert!(text.contains(&format!("href=\"{root}assets/quorate.css?")), "{path}");
        assert!(text.contains("oracle &lt;of&gt; Delphi") && !text.contains("<script"), "{path}");
    }
    for base in ["", "/prod"] {
        let text = page(&court, &format!("{base}{}", at(&asked)), 200).await;
        assert!(text.contains("src=\"../assets/session.js?"), "{base}");
        assert_eq!(get(&court, &format!("{base}/assets/session.js")).await.status().as_u16(), 200);
        let login = get(&court, &format!("{base}/login")).await.text().await.expect("a text");
        assert!(
            login.contains("src=\"assets/forms.js?") && login.contains("action=\"login/password\""),
            "{base}: {login}"
        );
        assert_eq!(get(&court, &format!("{base}/assets/forms.js")).await.status().as_u16(), 200);
    }
}
