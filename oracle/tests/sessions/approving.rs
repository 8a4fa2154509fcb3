//! Pages of other origins: those that the operator named may call what they need, and nothing else; nobody is named by default.

use super::support::Court;
use quorate_oracle::testing::TestSetup;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

const NAMED: &str = "https://approve.example";
const ALSO_NAMED: &str = "https://approve.example.org:8443";
/// Every route that the page calls, with its method.
const CALLED: [(&str, Method); 4] = [
    ("/sessions/{id}", Method::GET),
    ("/sessions/{id}/tocs", Method::POST),
    ("/sessions/{id}/denials", Method::POST),
    ("/.well-known/quorate", Method::GET),
];

async fn court() -> Court {
    let origins = format!("{NAMED}, {ALSO_NAMED}");
    Court::with(TestSetup::default().set("approve.origins", &origins), 2, 3).await
}

/// What a browser asks before it lets a page of `origin` send `method`.
async fn preflight(court: &Court, path: &str, origin: &str, method: &Method) -> (StatusCode, HeaderMap) {
    let asked = court.http.request(Method::OPTIONS, court.oracle.url(path)).header("origin", origin);
    let asked = asked.header("access-control-request-method", method.as_str());
    let asked = asked.header("access-control-request-headers", "content-type,quorate-invite");
    let answer = asked.send().await.expect("the oracle answers");
    (answer.status(), answer.headers().clone())
}

/// What a page of `origin` gets that sends `method` without asking first, as for a plain GET.
async fn plain(court: &Court, path: &str, origin: &str, method: &Method) -> HeaderMap {
    let sent = court.http.request(method.clone(), court.oracle.url(path)).header("origin", origin);
    sent.send().await.expect("the oracle answers").headers().clone()
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers.get("access-control-allow-origin").map(|origin| origin.to_str().expect("a text"))
}

#[tokio::test]
async fn a_named_page_may_call_what_it_needs() {
    let court = court().await;
    let asked = court.ask(1).await;
    for origin in [NAMED, ALSO_NAMED] {
        for (path, method) in &CALLED {
            let path = path.replace("{id}", asked.id());
            let (status, headers) = preflight(&court, &path, origin, method).await;
            assert!(status.is_success(), "{status}");
            assert_eq!(allowed(&headers), Some(origin), "{path}");
            assert_eq!(headers["access-control-allow-methods"], method.as_str(), "{path}");
            assert_eq!(headers["access-control-allow-headers"], "content-type,quorate-invite");
            assert!(headers["vary"].to_str().expect("a text").contains("origin"), "or a cache would mix origins up");
            assert!(!headers.contains_key("access-control-allow-credentials"), "no cookie goes with it");
        }
        // The answer itself, a refusal too, can be read by the page.
        let body = serde_json::to_string(&asked.approval(&court.deal.tocs[1])).expect("JSON");
        for (body, status) in [(body.as_str(), StatusCode::OK), ("{", StatusCode::BAD_REQUEST)] {
            let sent = court.http.post(court.oracle.url(&asked.path("tocs"))).header("origin", origin);
            let answer = sent.header("content-type", "application/json").body(body.to_owned()).send().await;
            let answer = answer.expect("the oracle answers");
            assert_eq!((answer.status(), allowed(answer.headers())), (status, Some(origin)));
        }
    }
}

#[tokio::test]
async fn other_pages_may_call_nothing() {
    let court = court().await;
    let id = court.ask(1).await.id().to_owned();
    let others =
        ["https://approve.example:8443", "http://approve.example", "https://evil.approve.example", "null", "https://x"];
    for origin in others {
        for (path, method) in &CALLED {
            let path = path.replace("{id}", &id);
            let (_, headers) = preflight(&court, &path, origin, method).await;
            assert_eq!(allowed(&headers), None, "{origin} {path}");
            let headers = plain(&court, &path, origin, method).await;
            assert_eq!(allowed(&headers), None, "{origin} reads what {method} {path} is answered");
        }
    }
}

#[tokio::test]
async fn what_a_named_page_does_not_need_stays_closed() {
    let court = court().await;
    let id = court.ask(1).await.id().to_owned();
    for (path, method) in super::support::routes::routes().into_iter().flat_map(|(path, methods)| {
        methods.into_iter().map(move |method| (path.clone(), Method::from_bytes(method.as_bytes()).expect("a method")))
    }) {
        let called = CALLED.contains(&(path.as_str(), method.clone()));
        let headers = plain(&court, &path.replace("{id}", &id), NAMED, &method).await;
        assert_eq!(allowed(&headers), called.then_some(NAMED), "the answer of {method} {path}");
        let (_, headers) = preflight(&court, &path.replace("{id}", &id), NAMED, &method).await;
        let methods = headers.get("access-control-allow-methods").and_then(|named| named.to_str().ok());
        let open = allowed(&headers).is_some() && methods.is_some_and(|named| named.contains(method.as_str()));
        assert_eq!(open, called, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_is_named_unless_an_operator_does() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    for (path, method) in &CALLED {
        let path = path.replace("{id}", asked.id());
        let (status, headers) = preflight(&court, &path, NAMED, method).await;
        assert_eq!((status, allowed(&headers)), (StatusCode::METHOD_NOT_ALLOWED, None));
    }
    let looked = court.http.get(court.oracle.url(&format!("/sessions/{}", asked.id()))).header("origin", NAMED);
    let answer = looked.send().await.expect("the oracle answers");
    assert_eq!((answer.status(), allowed(answer.headers())), (StatusCode::OK, None));
    assert!(!page(&court, asked.id()).await.contains("Approve with a passkey"));
}

#[tokio::test]
async fn a_sessions_page_leads_to_the_first_that_is_named() {
    let court = court().await;
    let asked = court.ask(1).await;
    let page = page(&court, asked.id()).await;
    assert!(page.contains(&format!("href=\"{NAMED}\" data-origin=\"{NAMED}\"")), "{page}");
}

async fn page(court: &Court, id: &str) -> String {
    court.get(&format!("/s/{id}")).await.text
}
