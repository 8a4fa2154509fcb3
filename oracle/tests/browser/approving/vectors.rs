//! The approving page's reading, deriving and signing, against the protocol's test vectors, in the browser that will do it.

use super::BEGUN;
use super::site::Site;
use crate::driver::Browser;
use quorate_protocol::display::escape_controls;
use serde_json::{Value, json};
use std::path::Path;

/// The page, and a function that runs in it with its modules: `run` is the text of a function of `m` and `v`.
struct Page {
    browser: Browser,
    _site: Site,
}

impl Page {
    async fn open() -> Option<Self> {
        let browser = Browser::start().await?;
        let site = Site::start().await;
        browser.open(&site.origin()).await;
        browser.see(BEGUN).await;
        Some(Self { browser, _site: site })
    }

    async fn run(&self, run: &str, vectors: &Value) -> Value {
        let modules = "Promise.all(['bytes', 'header', 'invite', 'plan', 'proof', 'signature', 'text', 'toc'].map((name) => \
                       import(`${location.origin}/${name}.js`))).then((all) => Object.assign({}, ...all))";
        self.browser.evaluate(&format!("{modules}.then((m) => ({run})(m, {vectors}))")).await
    }
}

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Looks at each refused input; gives what had another verdict than it should.
const REFUSED: &str = "(m, { cases, now, root }) => { \
    const readers = { header: m.parseHeader, plan: m.parsePlan, toc: m.parseToc }; \
    const read = ({ what, input }) => what === 'invite' \
        ? m.verifyInvite(m.parseInvite(input), m.fromHex(root), now) : readers[what](m.utf8(input)); \
    const verdict = (one) => { try { read(one); return 'accepted'; } catch (error) { return error.word ?? error.message; } }; \
    return cases.filter((one) => one.what === 'invite' || one.what in readers) \
        .map((one) => [one.what, one.comment, one.word, verdict(one)]); }";

#[tokio::test]
async fn what_must_be_refused_is_refused_with_its_word() {
    let Some(page) = Page::open().await else { return };
    let (refused, keys) = (vectors("refused.json"), vectors("invite.json"));
    let root = keys["keys"].as_array().expect("keys").iter().find(|key| key["name"] == "root").expect("a root key");
    let input = json!({ "cases": refused["cases"], "now": refused["now"], "root": root["public"] });
    let verdicts = page.run(REFUSED, &input).await;
    let verdicts = verdicts.as_array().expect("verdicts");
    assert!(verdicts.len() > 60, "{}", verdicts.len());
    let other: Vec<&Value> = verdicts.iter().filter(|one| one[2] != one[3]).collect();
    assert!(other.is_empty(), "{other:#?}");
}

/// Every derivation of every deal; gives what differs.
const DEALS: &str = "(m, { deals }) => deals.flatMap((deal) => { \
    const header = m.fromBase64(deal.header); \
    const same = (what, is, should) => is === should ? [] : [`${what}: ${is} is not ${should}`]; \
    const toc = (given) => { \
        const toc = m.parseToc(m.utf8(given.whole)); \
        const [group, id] = [toc.header.group_id, toc.player.toc_id]; \
        return [ \
            ...same('x', toc.x, given.x), ...same('G', toc.group, deal.g), \
            ...same('info', m.hex(m.shareKeyInfo(group, id)), given.share_key_info), \
            ...same('seed', m.hex(m.shareSeed(toc.share, group, id)), given.share_key_seed), \
            ...same('key', m.hex(m.publicKey(m.shareSeed(toc.share, group, id))), given.share_key), \
            ...same('short', m.fromUtf8(m.shortToc(toc)), given.short), \
        ]; \
    }; \
    m.parseHeader(header); \
    return [ \
        ...same('H', m.hex(m.headerDigest(header)), deal.h), \
        ...same('G', m.hex(m.groupOf(header, m.fromBase64(deal.sealed))), deal.g), \
        ...deal.tocs.flatMap(toc), \
    ]; })";

#[tokio::test]
async fn tocs_and_their_keys_are_derived_as_the_protocol_does() {
    let Some(page) = Page::open().await else { return };
    let deals = vectors("deal.json");
    assert!(deals["deals"].as_array().is_some_and(|deals| deals.len() >= 2));
    assert_eq!(page.run(DEALS, &deals).await, json!([]));
}

/// Every invite: digest, view token, and under which roots it verifies; and the fingerprints of the keys.
const INVITES: &str = "(m, { invites, keys, now }) => [ \
    ...invites.map((one) => { \
        const invite = m.parseInvite(one.url); \
        const holds = (key) => { try { m.verifyInvite(invite, m.fromHex(key.public), now); return true; } catch { return false; } }; \
        return [m.hex(invite.digest), invite.viewToken, keys.filter(holds).map((key) => key.name)]; \
    }), \
    ...keys.map((key) => m.fingerprint(m.fromHex(key.public))), \
]";

#[tokio::test]
async fn invites_verify_under_the_roots_that_they_should() {
    let Some(page) = Page::open().await else { return };
    let file = vectors("invite.json");
    let (invites, keys) = (file["invites"].as_array().expect("invites"), file["keys"].as_array().expect("keys"));
    let names = |under: &Value| {
        // In the order of the keys.
        let under = under.as_array().expect("names");
        keys.iter().map(|key| key["name"].clone()).filter(|name| under.contains(name)).collect::<Vec<_>>()
    };
    let mut expected: Vec<Value> =
        invites.iter().map(|one| json!([one["digest"], one["view_token"], names(&one["verifies_under"])])).collect();
    expected.extend(keys.iter().map(|key| key["fingerprint"].clone()));
    assert_eq!(page.run(INVITES, &file).await, json!(expected));
}

/// Messages, signatures, and whether a changed signature still holds.
const PROOFS: &str = "(m, { approve, deny }) => [[approve, m.approveMessage, 'encrypted_toc'], [deny, m.denyMessage, 'reason']] \
    .map(([act, message, what]) => { \
        const made = message(m.fromHex(act.invite_digest), act.group, act.x, act[what]); \
        const signature = m.sign(m.fromHex(act.seed), made); \
        const key = m.fromHex(act.public); \
        const changed = signature.map((byte, at) => at === 40 ? byte ^ 1 : byte); \
        return [m.hex(made), m.hex(signature), m.verify(key, made, signature), m.verify(key, made, changed)]; \
    })";

#[tokio::test]
async fn approvals_and_denials_are_signed_as_the_protocol_does() {
    let Some(page) = Page::open().await else { return };
    let file = vectors("proofs.json");
    let expected = ["approve", "deny"].map(|act| json!([file[act]["message"], file[act]["signature"], true, false]));
    let input = json!({ "approve": file["approve"], "deny": file["deny"] });
    assert_eq!(page.run(PROOFS, &input).await, json!(expected));
}

#[tokio::test]
async fn plans_have_their_digests_and_weak_signatures_do_not_hold() {
    let Some(page) = Page::open().await else { return };
    let file = vectors("plan.json");
    let plans = file["plans"].as_array().expect("plans");
    let digests = "(m, { plans }) => plans.map((one) => m.hex(m.parsePlan(m.fromBase64(one.plan)).digest))";
    let expected: Vec<&Value> = plans.iter().map(|plan| &plan["digest"]).collect();
    assert_eq!(page.run(digests, &file).await, json!(expected));

    // The neutral element as key and as R, with S = 0: without a look at small orders it signs everything.
    let weak = "(m) => { const one = new Uint8Array(32); one[0] = 1; \
        const signature = m.concat(one, new Uint8Array(32)); \
        return [m.isKey(one), m.verify(one, m.utf8('anything'), signature)]; }";
    assert_eq!(page.run(weak, &json!({})).await, json!([false, false]));
}

#[tokio::test]
async fn the_page_escapes_what_the_protocol_escapes() {
    let Some(page) = Page::open().await else { return };
    let escaped = "(m) => Array.from({ length: 0x110000 }, (_, code) => code) \
        .filter((code) => (code < 0xd800 || code > 0xdfff) && m.shown(String.fromCodePoint(code)) !== String.fromCodePoint(code))";
    let expected: Vec<u32> = (0..=0x10_ffff)
        .filter_map(char::from_u32)
        .filter(|c| escape_controls(&c.to_string()) != c.to_string())
        .map(u32::from)
        .collect();
    assert_eq!(page.run(escaped, &json!({})).await, json!(expected));

    let texts = ["a   b", "one\r\ntwo\tthree", "a \u{200c} \u{fe0f}b", "می\u{200c}خواهم", "\u{202e}gnp", "\u{e0041}x"];
    let expected: Vec<String> = texts.iter().map(|text| escape_controls(text)).collect();
    assert_eq!(page.run("(m, texts) => texts.map(m.shown)", &json!(texts)).await, json!(expected));
}
