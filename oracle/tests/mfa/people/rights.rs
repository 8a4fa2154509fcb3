//! Which ticket opens which route: every route of the oracle, with every role and with none. A route that is not in the table
//! here fails the test.

use super::stage::{People, refused};
use crate::pages::visit::Visit;
use crate::routes::{by_short_name, routes};
use crate::stage::send;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    /// Everybody, or whoever shows something else than a ticket.
    Anybody,
    /// Whoever has a ticket.
    Member,
    /// Auditors and operators.
    Auditor,
    /// Operators.
    Operator,
}

/// Where the pages are that somebody has to log in for.
const PAGES: [&str; 3] = ["/account", "/admin", "/apps"];

/// Every route.
const TABLE: &[(&str, &str, For)] = &[
    ("GET", "/", For::Anybody),
    ("GET", "/.well-known/quorate", For::Anybody),
    ("GET", "/account", For::Member),
    ("POST", "/account/keys", For::Member),
    ("POST", "/account/logout", For::Member),
    ("GET", "/admin", For::Auditor),
    ("GET", "/admin/audit", For::Auditor),
    ("GET", "/admin/audit/export", For::Auditor),
    ("GET", "/admin/principal", For::Auditor),
    ("POST", "/admin/principal", For::Operator),
    ("GET", "/admin/principals", For::Auditor),
    ("POST", "/admin/principals", For::Operator),
    ("GET", "/admin/provider", For::Auditor),
    ("POST", "/admin/provider", For::Operator),
    ("GET", "/admin/providers", For::Auditor),
    ("POST", "/admin/providers", For::Operator),
    ("GET", "/admin/sessions", For::Auditor),
    ("POST", "/admin/sessions", For::Operator),
    ("POST", "/api/add-totp-secret", For::Anybody),
    ("GET", "/api/apps", For::Member),
    ("POST", "/api/apps", For::Member),
    ("POST", "/api/apps/export", For::Member),
    ("POST", "/api/apps/known", For::Member),
    ("GET", "/api/apps/{uuid}", For::Member),
    ("PATCH", "/api/apps/{uuid}", For::Member),
    ("DELETE", "/api/apps/{uuid}", For::Member),
    ("POST", "/api/apps/{uuid}/code", For::Member),
    ("GET", "/api/apps/{uuid}/grants", For::Member),
    ("PUT", "/api/apps/{uuid}/grants/{name}", For::Member),
    ("DELETE", "/api/apps/{uuid}/grants/{name}", For::Member),
    ("GET", "/api/get-mfa-code", For::Anybody),
    ("POST", "/api/get-mfa-code", For::Anybody),
    ("GET", "/api/list-available-apps", For::Anybody),
    ("POST", "/api-key", For::Anybody),
    ("POST", "/api-key/activate", For::Anybody),
    ("POST", "/api-key/rotate", For::Anybody),
    ("GET", "/apps", For::Member),
    ("POST", "/apps", For::Member),
    ("GET", "/apps/{uuid}", For::Member),
    ("POST", "/apps/{uuid}", For::Member),
    ("GET", "/assets/{name}", For::Anybody),
    ("GET", "/audit", For::Auditor),
    ("GET", "/audit/checkpoint", For::Auditor),
    ("GET", "/docs", For::Anybody),
    ("GET", "/drill/{id}", For::Anybody),
    ("GET", "/drills", For::Auditor),
    ("POST", "/drills", For::Operator),
    ("GET", "/drills/{id}", For::Anybody),
    ("DELETE", "/drills/{id}", For::Operator),
    ("POST", "/drills/{id}/answers", For::Anybody),
    ("POST", "/enroll/{link}", For::Anybody),
    ("GET", "/enroll/{link}", For::Anybody),
    ("POST", "/enroll/{link}/begin", For::Anybody),
    ("POST", "/enroll/{link}/finish", For::Anybody),
    ("POST", "/enroll/{link}/form", For::Anybody),
    ("GET", "/groups", For::Auditor),
    ("POST", "/groups", For::Operator),
    ("GET", "/groups/{id}", For::Auditor),
    ("DELETE", "/groups/{id}", For::Operator),
    ("POST", "/groups/{id}/applicants", For::Operator),
    ("POST", "/groups/{id}/members", For::Operator),
    ("PUT", "/groups/{id}/members", For::Operator),
    ("GET", "/groups/mine", For::Member),
    ("GET", "/healthz", For::Anybody),
    ("GET", "/login", For::Anybody),
    ("POST", "/login", For::Anybody),
    ("POST", "/login/factor", For::Anybody),
    ("POST", "/login/password", For::Anybody),
    ("POST", "/logout", For::Member),
    ("GET", "/openapi.json", For::Anybody),
    ("GET", "/principals", For::Auditor),
    ("POST", "/principals", For::Operator),
    ("GET", "/principals/{name}", For::Auditor),
    ("DELETE", "/principals/{name}", For::Operator),
    ("POST", "/principals/{name}/disable", For::Operator),
    ("POST", "/principals/{name}/enable", For::Operator),
    ("POST", "/principals/{name}/link", For::Operator),
    ("GET", "/principals/{name}/members", For::Auditor),
    ("POST", "/principals/{name}/members", For::Operator),
    ("PUT", "/principals/{name}/multi_factor", For::Operator),
    ("DELETE", "/principals/{name}/multi_factor", For::Operator),
    ("GET", "/readyz", For::Anybody),
    ("GET", "/s/{id}", For::Anybody),
    ("POST", "/sessions", For::Anybody),
    ("GET", "/sessions/{id}", For::Anybody),
    ("DELETE", "/sessions/{id}", For::Anybody),
    ("POST", "/sessions/{id}/denials", For::Anybody),
    ("GET", "/sessions/{id}/events", For::Anybody),
    ("GET", "/sessions/{id}/invite.svg", For::Anybody),
    ("POST", "/sessions/{id}/receipts", For::Anybody),
    ("GET", "/sessions/{id}/redeal", For::Anybody),
    ("POST", "/sessions/{id}/redeal", For::Anybody),
    ("POST", "/sessions/{id}/tocs", For::Anybody),
    ("POST", "/sessions/{id}/totp", For::Anybody),
    ("GET", "/system/multi_factor", For::Auditor),
    ("POST", "/system/multi_factor", For::Operator),
    ("PUT", "/system/multi_factor/{name}", For::Operator),
    ("DELETE", "/system/multi_factor/{name}", For::Operator),
    ("POST", "/totp", For::Anybody),
    ("DELETE", "/totp/{uuid}", For::Anybody),
    ("POST", "/totp/{uuid}/validate", For::Anybody),
    ("POST", "/u2f", For::Anybody),
    ("PUT", "/u2f/{uuid}", For::Anybody),
    ("DELETE", "/u2f/{uuid}", For::Anybody),
    ("POST", "/u2f/{uuid}/auth", For::Anybody),
    ("PUT", "/u2f/{uuid}/auth", For::Anybody),
    ("DELETE", "/webauthn/credential/{id}", For::Anybody),
    ("POST", "/webauthn/login", For::Anybody),
    ("PUT", "/webauthn/login", For::Anybody),
    ("POST", "/webauthn/register", For::Anybody),
    ("PUT", "/webauthn/register", For::Anybody),
    ("DELETE", "/webauthn/user", For::Anybody),
    ("GET", "/whoami", For::Member),
];

#[tokio::test]
async fn every_route_opens_for_the_roles_of_the_table_and_for_no_other() {
    let people = People::new().await;
    let table: BTreeMap<(&str, &str), For> =
        TABLE.iter().map(|(method, path, whom)| ((*path, *method), *whom)).collect();
    let roles = [
        (String::new(), For::Anybody),
        (people.user("member", "member").await, For::Member),
        (people.user("auditor", "auditor").await, For::Auditor),
        (people.user("second", "operator").await, For::Operator),
    ];
    let mut met = 0;
    for (path, methods) in routes() {
        let short = by_short_name(&path);
        for method in methods {
            let whom = table.get(&(short.as_str(), method.as_str())).copied();
            let whom = whom.unwrap_or_else(|| panic!("{method} {path} is new: say in the table whom it is for"));
            met += usize::from(short == path);
            for (ticket, role) in &roles {
                let (status, word) = tried(&people, ticket, &method, &path).await;
                let kept_out = word == "ticket_required" || word == "role_forbids";
                match role {
                    role if *role >= whom => {
                        assert!(!kept_out, "{method} {path} for {role:?}: {status} {word}");
                    }
                    For::Anybody => assert_eq!((status, word.as_str()), (401, "ticket_required"), "{method} {path}"),
                    role => assert_eq!((status, word.as_str()), (403, "role_forbids"), "{method} {path} for {role:?}"),
                }
            }
        }
    }
    assert_eq!(met, TABLE.len(), "a route of the table is gone");
}

/// Status and stable word of the answer to an empty request. It names what nobody has, so that whoever is let in changes
/// nothing.
async fn tried(people: &People, ticket: &str, method: &str, path: &str) -> (u16, String) {
    // A logout is for a ticket of its own.
    let own = match path {
        "/logout" | "/account/logout" if !ticket.is_empty() => people.ticket("member").await,
        _ => ticket.to_owned(),
    };
    let named = [("{kind}", "user"), ("{name}", "x"), ("{link}", "x"), ("{uuid}", "x"), ("{id}", "x")];
    let path = named.iter().fold(path.to_owned(), |path, (parameter, value)| path.replace(parameter, value));
    if PAGES.iter().any(|pages| path.starts_with(pages)) {
        return tried_on_page(people, &own, method, &path).await;
    }
    let answer = send(people.request(&own, method.parse().expect("a method"), &path)).await;
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default().to_owned())
}

/// The same of a page, with the ticket as a cookie. A form has no field at all, so that nobody changes anything.
async fn tried_on_page(people: &People, ticket: &str, method: &str, path: &str) -> (u16, String) {
    let mut visit = Visit::with(people, ticket);
    let page = if method == "GET" { visit.open(path).await } else { visit.send(path, &[]).await };
    if page.status == 303 && page.leads_to().contains("login") {
        return (401, "ticket_required".to_owned());
    }
    let taken = method == "POST" && !ticket.is_empty() && page.status != 403;
    assert!(!taken, "{path} takes a form that nobody's page has sent: {}", page.status);
    (page.status, page.code().to_owned())
}

#[tokio::test]
async fn an_operator_ends_a_session_and_nobody_else_without_its_key_does() {
    let people = People::new().await;
    let member = people.user("bob", "member").await;
    let auditor = people.user("ann", "auditor").await;
    let toc = json!({ "group_id": "J7UHQPZK", "group_size": 5, "group_threshold": 2, "note": "", "toc_id": "toc",
        "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" });
    let body = json!({ "toc_zero": toc });
    let made = send(people.stage.at(Method::POST, "/sessions").json(&body)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let path = format!("/sessions/{}", made.json["id"].as_str().expect("an id"));
    for ticket in ["", member.as_str(), auditor.as_str()] {
        let answer = send(people.request(ticket, Method::DELETE, &path)).await;
        assert_eq!(refused(&answer), (401, "cancel_refused"));
    }
    assert_eq!(send(people.request(&people.operator, Method::DELETE, &path)).await.status, 204);
    let over = send(people.request(&people.operator, Method::DELETE, &path)).await;
    assert_eq!(refused(&over), (410, "session_cancelled"));
    let unknown = send(people.request(&people.operator, Method::DELETE, "/sessions/x")).await;
    assert_eq!(refused(&unknown), (404, "session_unknown"));
}
