//! The pages of operators and auditors: what they show to whom, what their forms do, and what is typed into them by people who
//! mean no good.

use super::visit::{Page, Visit};
use crate::people::stage::{PASSWORD, People, link_of};
use crate::stage::send;
use insta::assert_snapshot;
use quorate_oracle::service::audit::{Entry, Kind, Who};
use reqwest::Method;
use serde_json::json;

/// An operator at a browser.
async fn operator(people: &People) -> Visit<'_> {
    Visit::logged_in(people, "operator").await
}

/// The page at an address, which must be there.
async fn shown(visit: &mut Visit<'_>, path: &str) -> Page {
    let page = visit.open(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text);
    assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
    page
}

fn at(name: &str) -> String {
    format!("/admin/principal?name=principal%2Finternal%2Fuser%2F{name}")
}

/// An act on the user of that name, which must be done.
async fn done(visit: &mut Visit<'_>, name: &str, act: &[(&str, &str)]) -> Page {
    let full = format!("principal/internal/user/{name}");
    let fields = [&[("name", full.as_str())][..], act].concat();
    let page = visit.send_from(&at(name), "/admin/principal", &fields).await;
    assert!([200, 303].contains(&page.status), "{act:?}: {}", page.text);
    page
}

#[tokio::test]
async fn a_principal_is_added_disabled_enabled_and_removed() {
    let people = People::new().await;
    let mut visit = operator(&people).await;
    assert_eq!(visit.open("/admin").await.leads_to(), "admin/principals");
    let page = shown(&mut visit, "/admin/principals").await;
    assert_snapshot!("principals", page.content().replace(&page.token(), "[token]"));

    let fields = [("name", "bob"), ("kind", "user"), ("role", "auditor")];
    let page = visit.send_from("/admin/principals", "/admin/principals", &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let link = page.text.split_once("id=\"given\">").expect("a link").1.split('<').next().expect("an end");
    let link = link_of(link);
    assert!(!shown(&mut visit, &at("bob")).await.text.contains(&link), "shown once");
    people.enrol(&link, json!({ "password": PASSWORD })).await;
    let page = shown(&mut visit, &at("bob")).await;
    assert_snapshot!("principal", page.content().replace(&page.token(), "[token]"));
    let mut bob = Visit::logged_in(&people, "bob").await;
    assert_eq!(bob.open("/account").await.status, 200);

    assert_eq!(
        done(&mut visit, "bob", &[("act", "disable")]).await.leads_to(),
        "../admin/principal?name=principal%2Finternal%2Fuser%2Fbob&done=disabled"
    );
    assert_eq!(bob.open("/account").await.status, 303, "logged out at once");
    assert!(
        shown(&mut visit, &format!("{}&done=disabled", at("bob")))
            .await
            .text
            .contains("It is disabled, and logged out everywhere.")
    );
    done(&mut visit, "bob", &[("act", "enable")]).await;
    Visit::logged_in(&people, "bob").await;
    let page = done(&mut visit, "bob", &[("act", "link")]).await;
    assert!(page.text.contains("/enroll/") && page.text.contains("One-time link"));

    let fields = [("name", "principal/internal/user/bob"), ("act", "remove")];
    let page = visit.send_from(&at("bob"), "/admin/principal", &fields).await;
    assert_eq!(page.refusal(), (400, "not_confirmed"));
    assert_eq!(
        done(&mut visit, "bob", &[("act", "remove"), ("confirm", "yes")]).await.leads_to(),
        "../admin/principals?done=removed"
    );
    assert_eq!(visit.open(&at("bob")).await.refusal(), (404, "principal_unknown"));
}

#[tokio::test]
async fn what_cannot_be_is_told_where_it_was_typed() {
    let people = People::new().await;
    let mut visit = operator(&people).await;
    for (name, code) in [
        ("no name", "invalid_name"),
        ("", "invalid_name"),
        ("operator", "name_taken"),
        ("\"><script>alert(1)</script>", "invalid_name"),
    ] {
        let fields = [("name", name), ("kind", "user"), ("role", "member")];
        let page = visit.send_from("/admin/principals", "/admin/principals", &fields).await;
        assert_eq!(page.code(), "", "said at the field");
        assert!(page.status == if code == "name_taken" { 409 } else { 400 }, "{name}: {}", page.status);
        assert!(page.text.contains("id=\"name-error\"") && !page.text.contains("<script>"), "{}", page.text);
    }
    let fields = [("name", "principal/internal/user/operator"), ("act", "disable")];
    let page = visit.send_from(&at("operator"), "/admin/principal", &fields).await;
    assert_eq!(page.refusal(), (409, "last_operator"));
    assert!(page.text.contains("role=\"alert\"") && page.text.contains("Disable"), "{}", page.text);
    for (field, status) in [("nonsense", 400), ("", 400)] {
        let fields = [("name", "principal/internal/user/operator"), ("act", field)];
        assert_eq!(visit.send_from(&at("operator"), "/admin/principal", &fields).await.status, status);
    }
    for name in ["", "x", "%ff", "principal%2Finternal%2Fuser%2Fnobody", "%3Cscript%3E"] {
        let page = visit.open(&format!("/admin/principal?name={name}")).await;
        assert_eq!(page.refusal(), (404, "principal_unknown"), "{name}");
    }
    assert_eq!(visit.open("/admin/provider?name=nothing").await.refusal(), (404, "provider_unknown"));
}

#[tokio::test]
async fn a_list_is_searched_and_has_pages() {
    let people = People::new().await;
    for number in 0..60 {
        people.invited(&format!("user{number:02}"), "member").await;
    }
    let mut visit = operator(&people).await;
    let page = shown(&mut visit, "/admin/principals").await;
    assert!(page.text.contains("61 in all") && page.text.contains("Page 1 of 2") && !page.text.contains("user55"));
    let page = shown(&mut visit, "/admin/principals?search=&page=2").await;
    assert!(page.text.contains("user55") && !page.text.contains("user05"));
    for beyond in ["99999999999999999999", "-1", "x", "0", "18446744073709551615"] {
        shown(&mut visit, &format!("/admin/principals?page={beyond}")).await;
    }
    let page = shown(&mut visit, "/admin/principals?search=USER1").await;
    assert!(page.text.contains("10 found") && page.text.contains("user19") && !page.text.contains("user20"));
    let page = shown(&mut visit, "/admin/principals?search=%22%3E%3Cscript%3E%E2%80%AE").await;
    assert!(page.text.contains("Nobody has such a name.") && !page.text.contains("<script>"), "{}", page.text);
}

#[tokio::test]
async fn a_provider_is_made_changed_assigned_and_removed() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = operator(&people).await;
    let add = async |visit: &mut Visit<'_>, fields: &[(&str, &str)]| {
        visit.send_from("/admin/providers", "/admin/providers", fields).await
    };
    let name = "Büro <b>: zweiter Faktor";
    assert_eq!(
        add(&mut visit, &[("name", name), ("kind", "totp"), ("issuer", "A <i>")]).await.leads_to(),
        "../admin/providers?done=made"
    );
    assert_eq!(add(&mut visit, &[("name", name), ("kind", "totp")]).await.refusal(), (409, "name_taken"));
    assert_eq!(add(&mut visit, &[("name", "a/b"), ("kind", "totp")]).await.refusal(), (400, "invalid_name"));
    assert_eq!(add(&mut visit, &[("name", "x"), ("kind", "sms")]).await.refusal(), (400, "invalid_type"));
    let secret = "a secret key of forty characters, at Duo";
    let duo = [("name", "Duo"), ("kind", "duo"), ("host", "api-x.duosecurity.com"), ("secret_key", secret)];
    let page = add(&mut visit, &duo).await;
    assert_eq!(page.refusal(), (400, "invalid_option"));
    assert!(!page.text.contains(secret) && page.text.contains("api-x.duosecurity.com"), "{}", page.text);
    assert_eq!(add(&mut visit, &[&duo[..], &[("integration_key", "DIXXXXXXXXXXXXXXXXXX")]].concat()).await.status, 303);
    let page = shown(&mut visit, "/admin/providers").await;
    assert!(!page.text.contains("<b>") && !page.text.contains("<i>") && !page.text.contains(secret), "{}", page.text);
    assert_snapshot!("providers", page.content().replace(&page.token(), "[token]"));
    let page = shown(&mut visit, "/admin/provider?name=Duo").await;
    assert!(!page.text.contains(secret) && page.text.contains("IntegrationKey"));

    let at_it =
        format!("/admin/provider?name={}", url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>());
    let change = [("name", name), ("kind", "totp"), ("issuer", "B"), ("act", "update")];
    assert_eq!(visit.send_from(&at_it, "/admin/provider", &change).await.status, 303);
    assert!(shown(&mut visit, &at_it).await.text.contains("value=\"B\""));

    let page = done(&mut visit, "bob", &[("act", "assign"), ("provider", name)]).await;
    assert!(page.text.contains("class=\"qr\"") && page.text.matches("<li><code>").count() == 10, "{}", page.text);
    assert_eq!(page.text.matches("otpauth").count(), 0);
    people.invited("dora", "member").await;
    let page = done(&mut visit, "dora", &[("act", "assign"), ("provider", name)]).await;
    assert!(page.text.contains("They come at enrolment") && !page.text.contains("<li><code>"), "{}", page.text);
    assert_eq!(done(&mut visit, "dora", &[("act", "unassign"), ("confirm", "yes")]).await.status, 303);
    let remove = [("name", name), ("act", "remove"), ("confirm", "yes")];
    assert_eq!(visit.send_from(&at_it, "/admin/provider", &remove).await.refusal(), (409, "provider_assigned"));
    assert_eq!(done(&mut visit, "bob", &[("act", "unassign"), ("confirm", "yes")]).await.status, 303);
    let unconfirmed = [("name", name), ("act", "remove")];
    assert_eq!(visit.send_from(&at_it, "/admin/provider", &unconfirmed).await.refusal(), (400, "not_confirmed"));
    assert_eq!(visit.send_from(&at_it, "/admin/provider", &remove).await.leads_to(), "../admin/providers?done=removed");
}

#[tokio::test]
async fn a_team_has_members_and_an_application_a_secret() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = operator(&people).await;
    let fields = [("name", "ops"), ("kind", "group"), ("role", "operator")];
    let page = visit.send_from("/admin/principals", "/admin/principals", &fields).await;
    let place = page.leads_to().replace("..", "");
    let name = "principal/internal/group/ops";
    for (change, there) in [(("add", "bob, operator"), true), (("drop", "bob"), false)] {
        let page = visit.send_from(&place, "/admin/principal", &[("name", name), ("act", "members"), change]).await;
        assert_eq!(page.status, 303, "{}", page.text);
        assert_eq!(shown(&mut visit, &place).await.text.contains("<li>principal/internal/user/bob</li>"), there);
    }
    let wrong = [("name", name), ("act", "members"), ("add", "nobody")];
    assert_eq!(visit.send_from(&place, "/admin/principal", &wrong).await.refusal(), (404, "principal_unknown"));
    let fields = [("name", "ci"), ("kind", "application"), ("role", "member")];
    let page = visit.send_from("/admin/principals", "/admin/principals", &fields).await;
    let secret = page.text.split_once("id=\"given\">").expect("a secret").1.split('<').next().expect("an end");
    let login = people.log_in(json!({ "principal": "principal/internal/application/ci", "password": secret })).await;
    assert_eq!(login.status, 200, "{}", login.text);
}

#[tokio::test]
async fn an_auditor_sees_everything_and_finds_no_form_and_a_member_is_told_no() {
    let people = People::new().await;
    people.user("ann", "auditor").await;
    people.user("bob", "member").await;
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "totp", "Name": "T" })).await;
    let (mut auditor, mut member) = (Visit::logged_in(&people, "ann").await, Visit::logged_in(&people, "bob").await);
    let token = member.open("/account").await.token();
    for path in [
        "/admin/principals",
        &at("bob"),
        "/admin/providers",
        "/admin/provider?name=T",
        "/admin/sessions",
        "/admin/audit",
    ] {
        let page = shown(&mut auditor, path).await;
        assert!(!page.text.contains("method=\"post\""), "{path} has a form that is refused anyway");
        let page = member.open(path).await;
        assert_eq!(page.refusal(), (403, "role_forbids"), "{path}");
        assert!(page.text.contains("Your role may not do this.") && !page.text.contains("admin/"), "{}", page.text);
    }
    let auditors = auditor.open("/account").await.token();
    for path in ["/admin/principals", "/admin/principal", "/admin/providers", "/admin/provider", "/admin/sessions"] {
        assert_eq!(auditor.send(path, &[("form", &auditors)]).await.refusal(), (403, "role_forbids"), "{path}");
        assert_eq!(member.send(path, &[("form", &token)]).await.refusal(), (403, "role_forbids"), "{path}");
    }
}

#[tokio::test]
async fn an_operators_form_is_not_sent_by_anybody_elses_page() {
    let people = People::new().await;
    people.user("second", "operator").await;
    people.user("bob", "member").await;
    let (mut first, mut second) = (operator(&people).await, Visit::logged_in(&people, "second").await);
    let foreign = second.open("/admin/principals").await.token();
    let fields = [("name", "principal/internal/user/bob"), ("act", "disable"), ("form", foreign.as_str())];
    assert_eq!(first.send("/admin/principal", &fields).await.refusal(), (403, "form_refused"));
    let own = first.open("/admin/principals").await.token();
    let fields = [("name", "principal/internal/user/bob"), ("act", "disable"), ("form", own.as_str())];
    let request = first.request(Method::POST, "/admin/principal").header("sec-fetch-site", "cross-site");
    assert_eq!(first.answer(super::visit::filled(request, &fields)).await.refusal(), (403, "form_refused"));
    Visit::logged_in(&people, "bob").await;
    assert_eq!(first.send("/admin/principal", &fields).await.status, 303);
}

#[tokio::test]
async fn open_sessions_are_listed_without_names_and_ended() {
    let people = People::new().await;
    let toc = json!({ "group_id": "<b>\u{202e}", "group_size": 5, "group_threshold": 2, "note": "", "toc_id": "toc",
        "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" });
    let body = json!({ "toc_zero": toc, "reason": "a secret reason" });
    let made = send(people.stage.at(Method::POST, "/sessions").json(&body)).await;
    let id = made.json["id"].as_str().expect("an id").to_owned();
    let mut visit = operator(&people).await;
    let page = shown(&mut visit, "/admin/sessions").await;
    assert!(page.text.contains("1 of 2 joined") && page.text.contains(&format!("../s/{id}")), "{}", page.text);
    assert!(page.text.contains("&lt;b&gt;\\u{202e}") && !page.text.contains("a secret reason"), "{}", page.text);
    let end = [("name", id.as_str()), ("confirm", "yes")];
    assert_eq!(
        visit.send_from("/admin/sessions", "/admin/sessions", &end[..1]).await.refusal(),
        (400, "not_confirmed")
    );
    assert_eq!(
        visit.send_from("/admin/sessions", "/admin/sessions", &end).await.leads_to(),
        "../admin/sessions?done=ended"
    );
    let page = shown(&mut visit, "/admin/sessions").await;
    assert!(page.text.contains("No session is open."), "{}", page.text);
    let token = visit.open("/account").await.token();
    let again = [&end[..], &[("form", token.as_str())]].concat();
    assert_eq!(visit.send("/admin/sessions", &again).await.refusal(), (410, "session_cancelled"));
    let unknown = [("name", "x"), ("confirm", "yes"), ("form", token.as_str())];
    assert_eq!(visit.send("/admin/sessions", &unknown).await.refusal(), (404, "session_unknown"));
}

#[tokio::test]
async fn the_audit_page_shows_what_was_done_and_finds_it() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = operator(&people).await;
    people.log_in(json!({ "principal": "bob", "password": "wrong" })).await;
    done(&mut visit, "bob", &[("act", "disable")]).await;
    people.stage.oracle.state().audit.number_all().await.expect("numbered");
    let page = shown(&mut visit, "/admin/audit").await;
    let (newest, older) = (page.text.find("principal.disabled</code>"), page.text.find("principal.created</code>"));
    assert!(newest.is_some() && newest < older, "newest first: {}", page.text);
    assert!(page.text.contains("principal principal/internal/user/operator") && page.text.contains("127.0.0.1"));
    let note = people.stage.oracle.state().audit.newest().await.expect("read").expect("a checkpoint");
    let root = note.lines().nth(2).expect("a root");
    assert!(page.text.contains(root) && page.text.contains("href=\"../admin/audit/export\""), "{}", page.text);

    let page = shown(&mut visit, "/admin/audit?kind=login.refused&text=BOB").await;
    assert_eq!(
        (page.text.matches("<tr>").count(), page.text.matches("login.refused</code>").count()),
        (2, 1),
        "{}",
        page.text
    );
    let page = shown(&mut visit, "/admin/audit?text=%3Cscript%3E&kind=nonsense").await;
    assert!(page.text.contains("Nothing of the kind") && !page.text.contains("<script>"));
    for odd in ["before=0", "before=-9223372036854775808", "before=9223372036854775807", "before=x", "before=1"] {
        shown(&mut visit, &format!("/admin/audit?{odd}")).await;
    }
    let page = shown(&mut visit, "/admin/audit?before=3").await;
    assert!(page.text.contains(">2</th>") && page.text.contains(">1</th>") && !page.text.contains(">3</th>"));
    assert!(!page.text.contains("rel=\"next\""), "that was the first");

    let page = visit.open("/admin/audit/export").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let request = people.request(&people.ticket("operator").await, Method::GET, "/audit");
    let lines = send(request).await.text;
    assert!(page.text.starts_with(&lines) || lines.starts_with(&page.text), "the same lines as programs get");
    assert!(page.text.lines().count() > 5);
}

#[tokio::test]
async fn a_long_log_is_read_page_by_page_and_exported_whole() {
    let people = People::new().await;
    let audit = &people.stage.oracle.state().audit;
    for number in 0..1200 {
        let entry = Entry::new(Kind::OracleStarted, Who::Oracle);
        audit.record(entry.to(format!("event {number}"))).await.expect("recorded");
    }
    audit.number_all().await.expect("numbered");
    let mut visit = operator(&people).await;
    let page = shown(&mut visit, "/admin/audit?kind=oracle.started").await;
    assert_eq!(page.text.matches("oracle.started</code>").count(), 50);
    assert!(page.text.contains("event 1199") && page.text.contains("rel=\"next\""), "{}", page.text);
    let page = shown(&mut visit, "/admin/audit?text=EVENT+7&kind=oracle.started").await;
    assert!(page.text.contains("event 799") && !page.text.contains("event 699"));
    let rows = visit.open("/admin/audit/export").await.text.lines().filter(|line| line.contains("event ")).count();
    assert_eq!(rows, 1200, "more than one page of the export");
}

#[tokio::test]
async fn one_damaged_session_hides_no_other_and_can_be_ended() {
    let people = People::new().await;
    let begun = async |group: &str| {
        let toc = json!({ "group_id": group, "group_size": 5, "group_threshold": 2, "note": "", "toc_id": "toc",
            "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" });
        let made = send(people.stage.at(Method::POST, "/sessions").json(&json!({ "toc_zero": toc }))).await;
        made.json["id"].as_str().expect("an id").to_owned()
    };
    let (id, _) = (begun("AAAA2222").await, begun("BBBB2222").await);
    let database = crate::at_rest::database(&people.stage);
    let damage = "UPDATE sessions SET sealed = zeroblob(LENGTH(sealed)) WHERE id = ?1";
    assert_eq!(database.execute(damage, [&id]).expect("written"), 1);
    let mut visit = operator(&people).await;
    let page = shown(&mut visit, "/admin/sessions").await;
    assert!(page.text.contains("A session that cannot be read") && page.text.contains(&id), "{}", page.text);
    assert!(page.text.contains("BBBB2222") && !page.text.contains("AAAA2222"), "{}", page.text);
    let end = [("name", id.as_str()), ("confirm", "yes")];
    let ended = visit.send_from("/admin/sessions", "/admin/sessions", &end).await;
    assert_eq!(ended.leads_to(), "../admin/sessions?done=ended");
    let page = shown(&mut visit, "/admin/sessions").await;
    assert!(page.text.contains("BBBB2222") && !page.text.contains("cannot be read"), "{}", page.text);
}

#[tokio::test]
async fn the_audit_page_goes_on_behind_a_gap() {
    let people = People::new().await;
    let audit = &people.stage.oracle.state().audit;
    for number in 0..300 {
        let entry = Entry::new(Kind::OracleStarted, Who::Oracle);
        audit.record(entry.to(format!("event {number}"))).await.expect("recorded");
    }
    audit.number_all().await.expect("numbered");
    let database = crate::at_rest::database(&people.stage);
    let removed = database.execute("DELETE FROM audit_log WHERE number BETWEEN 150 AND 250", []).expect("written");
    assert_eq!(removed, 101, "more than a page");
    let mut visit = operator(&people).await;
    let (mut before, mut seen) = (i64::MAX, 0);
    for _ in 0..20 {
        let page = shown(&mut visit, &format!("/admin/audit?kind=oracle.started&before={before}")).await;
        seen += page.text.matches("oracle.started</code>").count();
        let Some((_, older)) = page.text.split_once("before=") else { break };
        let older: String = older.chars().take_while(char::is_ascii_digit).collect();
        let older = older.parse().expect("a number");
        assert!(older < before, "it goes back");
        before = older;
    }
    let left: usize = database
        .query_row("SELECT COUNT(*) FROM audit_log", [], |row| row.get::<_, i64>(0))
        .map(|rows| usize::try_from(rows).expect("few"))
        .expect("read");
    assert!(seen >= 199 && seen <= left, "each once: {seen} of {left}");
}
