//! The pages of apps over HTTP: what their forms do, what they read out of pictures, whom they show what, and what strangers
//! and foreign pages can do about it.

use super::visit::{Page, Visit, filled};
use crate::people::stage::People;
use crate::stage::send;
use crate::support::Asked;
use insta::assert_snapshot;
use quorate_protocol::invite::Invite;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::json;

/// What `uri.png` shows.
const URI: &str = "otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example";
const KEY: &str = "JBSWY3DPEHPK3PXP";
const ONE: &[u8] = include_bytes!("../../../../tests/fixtures/import/uri.png");
/// Alice, Bob, and an entry with a counter.
const SEVERAL: &[u8] = include_bytes!("../../../../tests/fixtures/import/export.png");

/// Adds an app with a secret; gives its page's path.
async fn added(visit: &mut Visit<'_>, uri: &str) -> String {
    let page = visit.send_from("/apps", "/apps", &[("otpauth", uri)]).await;
    let place = page.leads_to().strip_suffix("?done=added").unwrap_or_else(|| panic!("{}", page.leads_to()));
    format!("/{place}")
}

/// A form with this file as its picture, as a browser sends it.
async fn with_picture(visit: &mut Visit<'_>, picture: &[u8]) -> Page {
    let token = visit.open("/apps").await.token();
    let mut body = Vec::new();
    for (field, content) in [("form", token.as_bytes()), ("otpauth", b""), ("group", b""), ("name", b"")] {
        body.extend_from_slice(format!("--XYZ\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    let file = "--XYZ\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n";
    body.extend_from_slice(file.as_bytes());
    body.extend_from_slice(picture);
    body.extend_from_slice(b"\r\n--XYZ--\r\n");
    let request = visit.request(Method::POST, "/apps").header("sec-fetch-site", "same-origin");
    visit.answer(request.header("content-type", "multipart/form-data; boundary=XYZ").body(body)).await
}

/// The digits on a page.
fn digits(page: &Page) -> Option<&str> {
    page.text.split_once("<output id=\"code\">")?.1.split('<').next()
}

/// A page's content without what is another one each time.
fn settled(page: &Page, path: &str) -> String {
    let uuid = path.rsplit('/').next().expect("a part");
    page.content().replace(&page.token(), "[token]").replace(uuid, "[uuid]")
}

#[tokio::test]
async fn an_app_is_added_read_granted_revoked_and_removed() {
    let people = People::new().await;
    let ticket = people.user("bob", "member").await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    let mut bob = Visit::with(&people, &ticket);
    assert!(ann.open("/apps").await.text.contains("None yet."));
    let path = added(&mut ann, URI).await;
    let page = ann.open(&format!("{path}?done=added")).await;
    assert!(page.text.contains("It was added.") && digits(&page).is_none() && !page.text.contains(KEY));
    assert_snapshot!("list", settled(&ann.open("/apps").await, &path));

    let secret = OtpSecret::from_uri(URI).expect("a URI");
    let page = ann.send_from(&path, &path, &[("act", "code"), ("why", "month’s end <b>")]).await;
    assert_eq!((page.status, digits(&page)), (200, Some(people.code(&secret, 0).as_str())));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_snapshot!("one", settled(&page, &path).replace(&people.code(&secret, 0), "[code]"));

    // Nobody else's, and not there for them.
    assert!(bob.open("/apps").await.text.contains("None yet."));
    assert_eq!(bob.open(&path).await.status, 404);
    assert_eq!(bob.send_from("/apps", &path, &[("act", "code")]).await.status, 404);

    let grant = [("act", "grant"), ("grantee", "bob"), ("right", "code")];
    assert!(ann.send_from(&path, &path, &grant).await.leads_to().ends_with("?done=granted"));
    let page = bob.open(&path).await;
    assert!(page.text.contains("Example") && !page.text.contains("Who may read it") && !page.text.contains("Remove"));
    assert_eq!(digits(&bob.send_from(&path, &path, &[("act", "code")]).await), Some(people.code(&secret, 0).as_str()));
    for act in [
        &grant[..],
        &[("act", "revoke"), ("grantee", "operator"), ("confirm", "yes")],
        &[("act", "remove"), ("confirm", "yes")],
    ] {
        let page = bob.send_from(&path, &path, act).await;
        assert!(page.status == 403 && page.text.contains("role=\"alert\""), "{act:?}: {}", page.text);
    }

    let revoke = [("act", "revoke"), ("grantee", "principal/internal/user/bob")];
    assert_eq!(ann.send_from(&path, &path, &revoke).await.refusal(), (400, "not_confirmed"));
    let revoke = [&revoke[..], &[("confirm", "yes")]].concat();
    assert!(ann.send_from(&path, &path, &revoke).await.leads_to().ends_with("?done=revoked"));
    assert_eq!(bob.send_from("/apps", &path, &[("act", "code")]).await.status, 404);
    assert!(bob.open("/apps").await.text.contains("None yet."));

    assert_eq!(ann.send_from(&path, &path, &[("act", "remove")]).await.refusal(), (400, "not_confirmed"));
    let page = ann.send_from(&path, &path, &[("act", "remove"), ("confirm", "yes")]).await;
    assert_eq!(page.leads_to(), "../apps?done=removed");
    assert_eq!(ann.open(&path).await.status, 404);
    for (act, status) in [("nonsense", 400), ("", 400)] {
        let path = added(&mut ann, URI).await;
        assert_eq!(ann.send_from(&path, &path, &[("act", act)]).await.status, status);
    }
}

#[tokio::test]
async fn pictures_are_read_at_the_oracle() {
    let people = People::new().await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    let page = with_picture(&mut ann, ONE).await;
    let path = page.leads_to().strip_suffix("?done=added").expect("added").to_owned();
    let page = ann.send_from("/apps", &format!("/{path}"), &[("act", "code")]).await;
    let secret = OtpSecret::from_uri(URI).expect("a URI");
    assert_eq!(digits(&page), Some(people.code(&secret, 0).as_str()));

    let page = with_picture(&mut ann, SEVERAL).await;
    assert!(page.status == 200 && page.text.contains("2 of 3 were added"), "{}", page.text);
    assert!(page.text.contains("counter") && page.text.contains("3 in all"), "{}", page.text);
    // What one has already is not added again.
    let page = with_picture(&mut ann, SEVERAL).await;
    assert!(page.text.contains("0 of 3 were added") && page.text.contains("makes the same codes"), "{}", page.text);
    for (picture, words) in [
        (&b"no picture"[..], "This is not a PNG or JPEG picture"),
        (&ONE[..100], "The picture is damaged"),
        (&bomb(), "The picture is too large"),
    ] {
        let page = with_picture(&mut ann, picture).await;
        assert_eq!(page.refusal(), (400, "invalid_app"));
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert_eq!(with_picture(&mut ann, &vec![0; 2 * 1024 * 1024]).await.refusal(), (413, "too_large"));
    assert!(ann.open("/apps").await.text.contains("3 in all"));
}

/// A few bytes that claim to be 60,000 by 60,000 pixels.
fn bomb() -> Vec<u8> {
    let mut header = Vec::from(*b"IHDR");
    header.extend_from_slice(&60_000_u32.to_be_bytes());
    header.extend_from_slice(&60_000_u32.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    let crc = header.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let mut file = Vec::from(*b"\x89PNG\r\n\x1a\n\0\0\0\x0d");
    file.extend_from_slice(&header);
    file.extend_from_slice(&(!crc).to_be_bytes());
    file.extend_from_slice(&ONE[33..]);
    file
}

#[tokio::test]
async fn what_cannot_be_added_is_told_above_the_form_and_no_secret_is_shown_again() {
    let people = People::new().await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    let counter = URI.replace("totp/", "hotp/");
    let nine = format!("{URI}&digits=9");
    let never = "A".repeat(64);
    for fields in [
        &[][..],
        &[("otpauth", URI), ("group", never.as_str())],
        &[("otpauth", counter.as_str())],
        &[("otpauth", nine.as_str())],
        &[("otpauth", "otpauth://totp/x?issuer=y")],
        &[("otpauth", "JBSWY3DPEHPK3PXP JBSWY3DPEHPK3PXP")],
        &[("otpauth", "nonsense, JBSWY3DPEHPK3PXP")],
        &[("group", "nonsense")],
        &[("group", never.as_str())],
        &[("otpauth", URI), ("name", &"x".repeat(256))],
    ] {
        let page = ann.send_from("/apps", "/apps", fields).await;
        assert!([400, 404].contains(&page.status) && page.text.contains("role=\"alert\""), "{fields:?}: {}", page.text);
        assert!(!page.code().is_empty() && !page.text.contains(KEY), "{fields:?}: {}", page.text);
        assert!(page.text.contains("<details class=\"card\" open>"), "{fields:?}");
    }
    let page = ann.open("/apps").await;
    assert!(page.text.contains("None yet.") && page.text.contains("<details class=\"card\">"), "{}", page.text);
}

#[tokio::test]
async fn a_list_is_searched_and_what_strangers_call_their_apps_is_escaped() {
    let people = People::new().await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    added(&mut ann, URI).await;
    let uri = "otpauth://totp/%3Cscript%3E%E2%80%AEgnp?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=a%0Ab";
    let path = added(&mut ann, uri).await;
    for path in ["/apps", path.as_str()] {
        let page = ann.open(path).await;
        assert!(page.text.contains("&lt;script&gt;\\u{202e}gnp"), "{}", page.text);
        assert!(!page.text.contains("<script>") && !page.text.contains('\u{202e}'), "{}", page.text);
    }
    for (search, found) in [("EXAMPLE", "1 found"), ("google", "1 found"), ("x%3Cscript", "None"), ("", "2 in all")] {
        let page = ann.open(&format!("/apps?search={search}")).await;
        let found = if found == "None" { "0 found" } else { found };
        assert!(page.text.contains(found), "{search}: {}", page.text);
    }
    for uuid in ["x", "%ff", "%3Cscript%3E", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(ann.open(&format!("/apps/{uuid}")).await.status, 404, "{uuid}");
    }
}

#[tokio::test]
async fn an_app_by_quorum_begins_its_session_and_shows_the_code_of_it() {
    let people = People::new().await;
    let deal = crate::support::dealt(1, 2, 3);
    people.done(Method::POST, "/groups", serde_json::from_str(&deal.group.to_json()).expect("JSON")).await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    let group = deal.group.name().to_string();
    let page = ann.send_from("/apps", "/apps", &[("group", &*group), ("name", "the root account")]).await;
    let path = format!("/{}", page.leads_to().strip_suffix("?done=added").expect("added"));
    let page = ann.open("/apps").await;
    assert!(page.text.contains("by quorum") && page.text.contains("2 of 3"), "{}", page.text);
    let page = ann.open(&path).await;
    assert!(page.text.contains(&format!("quorate ask {group}")), "{}", page.text);
    let ask = [("act", "code"), ("why", "the month’s end")];
    assert_eq!(ann.send_from(&path, &path, &ask[..1]).await.refusal(), (409, "by_quorum"), "without a reason");
    assert_eq!(ann.send_from(&path, &path, &ask).await.refusal(), (409, "by_quorum"));
    people.done(Method::POST, &format!("/groups/{group}/applicants"), json!({ "add": ["operator"] })).await;
    let page = ann.send_from(&path, &path, &ask).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let [session, kek, invite] = ["session", "kek", "invite"].map(|name| page.hidden(name).expect("a field"));
    assert!(page.text.contains(&format!("href=\"../s/{session}#")), "{}", page.text);

    // Asked for once more, in another tab or after this one was left, it says where the code is, and asks nobody anew.
    let page = ann.send_from(&path, &path, &ask).await;
    assert_eq!((page.status, page.hidden("kek")), (200, None), "{}", page.text);
    assert!(page.text.contains(&format!("quorate session code {session}")), "{}", page.text);
    let why = page.hidden("why").expect("the reason");
    let page = ann.send_from(&path, &path, &[("act", "another"), ("why", &*why)]).await;
    assert!(page.hidden("kek").is_some() && page.hidden("session").as_deref() != Some(&*session), "{}", page.text);

    let read = [("act", "quorum"), ("session", &*session), ("kek", &*kek), ("invite", &*invite)];
    let page = ann.send_from(&path, &path, &read).await;
    assert_eq!(page.refusal(), (409, "not_quorate"));
    assert_eq!(page.hidden("kek").as_deref(), Some(&*kek), "the session goes on");
    let mut shown = send(people.stage.at(Method::GET, &format!("/sessions/{session}"))).await.json;
    shown["tek"] = Invite::parse(&invite).expect("an invite").fields().tek.clone().into();
    shown["kek"] = kek.clone().into();
    shown["invite"] = invite.clone().into();
    let credentials = serde_json::from_value(shown).expect("credentials");
    let asked = Asked { credentials, invite: Invite::parse(&invite).expect("an invite") };
    for toc in &deal.tocs[..2] {
        let joined = people.stage.at(Method::POST, &asked.path("tocs")).json(&asked.approval(toc));
        assert!(send(joined).await.status.is_success());
    }
    let page = ann.send_from(&path, &path, &read).await;
    let secret = OtpSecret::from_uri(crate::support::URI).expect("a URI");
    assert_eq!((page.status, digits(&page)), (200, Some(people.code(&secret, 0).as_str())), "{}", page.text);
    let other = [("act", "quorum"), ("session", &*session), ("kek", "")];
    let page = ann.send_from(&path, &path, &other).await;
    assert!(page.status >= 400 && digits(&page).is_none(), "{}", page.text);
}

#[tokio::test]
async fn no_foreign_page_adds_an_app_or_reads_a_code() {
    let people = People::new().await;
    people.user("eve", "member").await;
    let mut ann = Visit::logged_in(&people, "operator").await;
    let mut eve = Visit::logged_in(&people, "eve").await;
    let path = added(&mut ann, URI).await;
    let (own, foreign) = (ann.open(&path).await.token(), eve.open("/apps").await.token());
    for token in ["", "x", foreign.as_str()] {
        for (path, fields) in
            [("/apps", [("otpauth", URI), ("form", token)]), (&*path, [("act", "code"), ("form", token)])]
        {
            let page = ann.send(path, &fields).await;
            assert_eq!(page.refusal(), (403, "form_refused"), "{path}");
            assert!(digits(&page).is_none());
        }
    }
    for headers in [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "https://evil.example")]] {
        for (path, fields) in
            [("/apps", [("otpauth", URI), ("form", &*own)]), (&*path, [("act", "code"), ("form", &*own)])]
        {
            let request = ann.request(Method::POST, path);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            assert_eq!(
                ann.answer(filled(request, &fields)).await.refusal(),
                (403, "form_refused"),
                "{path} {headers:?}"
            );
        }
    }
    // Neither by its address alone, nor with JSON, nor with a ticket in the header.
    assert!(digits(&ann.open(&format!("{path}?act=code&form={own}")).await).is_none());
    let request = ann.request(Method::POST, &path).header("sec-fetch-site", "same-origin");
    assert_eq!(ann.answer(request.json(&json!({ "act": "code", "form": own }))).await.status, 415);
    let mut stranger = Visit::new(&people);
    let request = stranger.request(Method::GET, "/apps").bearer_auth(&people.operator);
    assert_eq!(stranger.answer(request).await.leads_to(), "login?next=apps");
    assert!(ann.open("/apps").await.text.contains("1 in all"));
}
