//! Input that must be refused, with the word of the reason: made by damaging what is good. Knows no file.

use super::encrypted::{recipient_tag, recipient_yubikey, tek_identity_text};
use super::fixed::{self, NOW, ORACLE};
use super::make::{chains, five_invites, two_deals, two_plans};
use quorate_protocol::encoding::{base64, base64url};
use quorate_protocol::header::HeaderError;
use quorate_protocol::invite::{Certificate, CertifiedKind, Invite, InviteError, InvitePayload};
use quorate_protocol::plan::PlanError;
use quorate_protocol::sharing::SharingError;
use quorate_protocol::strict_json::JsonError;
use quorate_protocol::toc::TocError;
use serde_json::{Value, json};

/// Every case: what it is (`header`, `toc`, `group`, `plan`, `invite` or `call`), the input, the word and what was done to it.
pub fn cases() -> Vec<Value> {
    let mut cases = Vec::new();
    headers(&mut cases);
    tocs(&mut cases);
    groups(&mut cases);
    plans(&mut cases);
    invites(&mut cases);
    super::drill::refused(&mut cases);
    cases
}

/// One case.
pub fn case(what: &str, input: impl Into<String>, word: &str, comment: &str) -> Value {
    json!({ "what": what, "input": input.into(), "word": word, "comment": comment })
}

/// `text` with the first `from` made `to`, which must change it.
pub fn edit(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

fn headers(cases: &mut Vec<Value>) {
    let [first, _] = two_deals();
    let good = std::str::from_utf8(first.group.header.bytes()).expect("JSON is text");
    let players = &first.group.header.fields().players;
    let key = |x: usize| players[x].share_key.encode();
    let identity = {
        let mut point = [0; 32];
        point[0] = 1;
        base64(&point)
    };
    let edits = [
        ("\"version\":1", "\"version\":2", "version", "a version of the future"),
        ("\"version\":1", "\"version\":1,\"version\":1", "duplicate_key", "a key stands twice"),
        ("\"holder\":", "\"holder\":\"Eve\",\"h\\u006flder\":", "duplicate_key", "a key stands twice in two spellings"),
        ("\"version\":1", "\"version\":1,\"extra\":1", "shape", "an unknown field"),
        ("\"version\":1,", "", "shape", "a field is missing"),
        ("\"version\":1", "\"version\":1.0", "shape", "an integer with a fraction"),
        ("\"size\":3", "\"size\":259", "shape", "a size that is no byte"),
        ("\"size\":3", "\"size\":4", "size", "more players are counted than named"),
        ("\"threshold\":2", "\"threshold\":1", "threshold", "one Toc would do"),
        ("\"threshold\":2", "\"threshold\":4", "threshold", "more Tocs than players"),
        ("\"Ann\"", "\"\"", "name", "a holder without a name"),
        ("\"Ann\"", "\" \"", "name", "a name of white space"),
        ("\"Ann\"", "\"An\\u001bn\"", "name", "a control character in a name"),
        ("\"Ann\"", "\"Björn\"", "repeated_player", "a holder stands twice"),
        (ORACLE, "https://oracle.example/", "oracle_url", "a trailing slash"),
        (ORACLE, "https://ann@oracle.example", "oracle_url", "credentials in the URL"),
        (ORACLE, "https://oracle.example?a=b", "oracle_url", "a query in the URL"),
        (ORACLE, "ftp://oracle.example", "oracle_url", "another scheme"),
    ];
    for (from, to, word, comment) in edits {
        cases.push(case("header", edit(good, from, to), word, comment));
    }
    let root = base64(&fixed::root().verifying_key().to_bytes());
    cases.push(case("header", edit(good, &root, &identity), "oracle_key", "a root key of small order"));
    cases.push(case("header", edit(good, &key(0), &identity), "share_key", "a share key of small order"));
    cases.push(case("header", edit(good, &key(0), &base64(&[2; 31])), "share_key", "a share key of 31 bytes"));
    cases.push(case("header", edit(good, &key(0), &key(1)), "repeated_player", "a share key stands twice"));
    cases.push(case("header", edit(good, &key(0), key(0).trim_end_matches('=')), "shape", "base64 without padding"));
    cases.push(case("header", edit(good, &players[0].toc_id, &players[1].toc_id), "repeated_player", "a Toc id twice"));
    let note = "n".repeat(1025);
    cases.push(case("header", edit(good, "AWS root", &note), "note", "a note of more than 1,024 bytes"));
    cases.push(case("header", edit(good, "Ann", &"n".repeat(65)), "name", "a holder of more than 64 bytes"));
    cases.push(case("header", format!("{good}{good}"), "shape", "something follows"));
    cases.push(case("header", "", "shape", "nothing at all"));
}

fn tocs(cases: &mut Vec<Value>) {
    let [first, _] = two_deals();
    let json = |index: usize| String::from_utf8(first.tocs[index].to_json().to_vec()).expect("JSON is text");
    let (good, second) = (json(0), json(1));
    let share = |index: usize| base64(first.tocs[index].share().as_bytes());
    let shifted = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = first.tocs[0].share().as_bytes().to_vec();
        change(&mut bytes);
        edit(&good, &share(0), &base64(&bytes))
    };
    let id = |index: usize| first.group.header.fields().players[index].toc_id.clone();
    cases.extend([
        case("toc", edit(&good, "{", "{\"note\":\"\","), "duplicate_key", "a key stands twice"),
        case("toc", shifted(&|share| share[0] = 0), "share_x", "x is 0"),
        case("toc", shifted(&|share| share[0] = 4), "share_x", "x is above the size"),
        case("toc", shifted(&|share| share[0] = 2), "share_not_dealt", "another player's x"),
        case("toc", shifted(&|share| share[32] ^= 1), "share_not_dealt", "one flipped bit in the share"),
        case("toc", shifted(&|share| share.truncate(32)), "share_length", "a share of 32 bytes"),
        case("toc", shifted(&|share| share.push(0)), "share_length", "a share of 34 bytes"),
        case("toc", edit(&good, &share(0), "!"), "share_text", "a share that is no base64"),
        case("toc", edit(&good, "\"group_size\":3", "\"group_size\":4"), "mismatch", "the size is not the header's"),
        case("toc", edit(&good, "\"group_threshold\":2", "\"group_threshold\":3"), "mismatch", "nor the threshold"),
        case("toc", edit(&good, "\"note\":\"AWS", "\"note\":\"GCP"), "mismatch", "nor the note"),
        case("toc", edit(&good, "\"group_id\":\"", "\"group_id\":\"X"), "mismatch", "nor the group id"),
        case(
            "toc",
            edit(&good, &format!("\"toc_id\":\"{}", id(0)), &format!("\"toc_id\":\"{}", id(1))),
            "mismatch",
            "nor the Toc id",
        ),
        case("toc", edit(&second, &share(1), &share(0)), "mismatch", "another player's share under this Toc's id"),
        case("toc", edit(&good, "\"sealed\":", "\"zealed\":"), "part", "no sealed secret"),
        case(
            "toc",
            edit(&good, "\"header\":", &format!("\"group\":\"{}\",\"header\":", first.group.name())),
            "part",
            "both forms at once",
        ),
        case("toc", edit(&good, "\"quorate\":{", "\"quorate\":1,\"q\":{"), "shape", "a quorate part that is no object"),
        case("toc", "[]", "shape", "no object"),
    ]);
}

fn groups(cases: &mut Vec<Value>) {
    let [first, second] = two_deals();
    let good = first.group.to_json();
    let other = second.group.name().to_string();
    let sealed = base64(&first.group.sealed);
    let mut flipped = first.group.sealed.clone();
    flipped[30] ^= 1;
    cases.extend([
        case("group", edit(&good, &first.group.name().to_string(), &other), "mismatch", "another group's name"),
        case(
            "group",
            edit(&good, &first.group.name().to_string(), &other.to_uppercase()),
            "shape",
            "a name in capitals",
        ),
        case("group", edit(&good, &sealed, &base64(&flipped)), "mismatch", "one flipped bit in the sealed secret"),
        case("group", edit(&good, "\"sealed\"", "\"Sealed\""), "shape", "no sealed secret"),
    ]);
}

fn plans(cases: &mut Vec<Value>) {
    let [plan, _] = two_plans();
    let good = std::str::from_utf8(plan.bytes()).expect("JSON is text");
    let ann = fixed::x25519("ann").to_public().to_string();
    let spare = fixed::x25519("spare").to_public().to_string();
    let tagged = recipient_tag("chloé").to_string();
    let dora = recipient_yubikey("dora").to_string();
    cases.extend([
        case("plan", edit(good, "\"version\":1", "\"version\":0"), "version", "another version"),
        case("plan", edit(good, "\"threshold\":3", "\"threshold\":5"), "threshold", "more Tocs than players"),
        case("plan", edit(good, "\"threshold\":3", "\"threshold\":1"), "threshold", "one Toc would do"),
        case("plan", edit(good, "\"Ann\"", "\"Dora\""), "repeated_player", "a holder stands twice"),
        case("plan", edit(good, &ann, &spare), "repeated_player", "a recipient of two players"),
        case("plan", edit(good, &dora, &tagged), "repeated_player", "one key of two players in two forms"),
        case("plan", edit(good, &format!("\"{ann}\""), ""), "recipients", "a player without recipients"),
        case("plan", edit(good, &ann, &edit(&ann, "age1", "age1x")), "recipient", "a damaged recipient"),
        case("plan", edit(good, &ann, &tek_identity_text()), "recipient", "a private key"),
        case("plan", edit(good, "\"note\":\"\"", "\"note\":\"\",\"url\":\"\""), "shape", "an unknown field"),
        case("plan", edit(good, "\"group\":", "\"club\":"), "shape", "a replaced group of an unknown kind"),
    ]);
}

fn invites(cases: &mut Vec<Value>) {
    let [code, redeal, farmfa, _, login] = five_invites();
    let url = code.to_url();
    let issued = |change: &dyn Fn(&mut InvitePayload)| {
        let mut fields = code.fields().clone();
        change(&mut fields);
        Invite::issue(fields, &fixed::invite_key()).to_url()
    };
    let by_login = |invite: &Invite| {
        let applicant = login.fields().applicant.clone();
        Invite::issue(InvitePayload { applicant, ..invite.fields().clone() }, &fixed::invite_key()).to_url()
    };
    // The payload changed under the old signature.
    let forged = |invite: &Invite, from: &str, to: &str| {
        let payload = edit(std::str::from_utf8(invite.payload()).expect("JSON is text"), from, to);
        format!("{}#{}.{}", invite.page_url(), base64url(payload.as_bytes()), base64url(invite.signature()))
    };
    let certified = |root: &ed25519_dalek::SigningKey, from: i64, until: i64| {
        vec![Certificate::issue(root, CertifiedKind::InviteKey, &fixed::invite_key().verifying_key(), from, until)]
    };
    let tek = code.fields().tek.clone();
    let other = fixed::x25519("another").to_public().to_string();
    let [chain, long_chain] = chains();
    let behind = [chain.clone(), long_chain].concat();
    let plan = base64(two_plans()[1].bytes());
    cases.extend([
        case("invite", code.page_url(), "malformed", "the fragment is missing"),
        case("invite", &url[..url.len() - 1], "malformed", "the last character is cut off"),
        case("invite", edit(&url, "oracle.example", "evil.example"), "malformed", "another address before #"),
        case("invite", forged(&code, &tek, &other), "signature", "another TEK"),
        case("invite", forged(&code, "month", "mouth"), "signature", "another reason"),
        case("invite", forged(&code, "\"proved\"", "\"trusted\""), "malformed", "an unknown kind of applicant"),
        case("invite", forged(&code, "\"proved\"", "\"login\""), "malformed", "a login with the x of a Toc"),
        case("invite", forged(&login, "\"login\"", "\"named\""), "malformed", "a player without an x"),
        case("invite", by_login(&redeal), "malformed", "a redeal that a login alone asks for"),
        case("invite", by_login(&farmfa), "malformed", "a login alone for a group dealt by farMFA"),
        case(
            "invite",
            forged(&code, "\"purpose\":\"code\"", "\"purpose\":\"redeal\""),
            "malformed",
            "another purpose, no plan",
        ),
        case(
            "invite",
            forged(&redeal, &redeal.fields().plan.clone().expect("a plan").encode(), &plan),
            "malformed",
            "another plan",
        ),
        case("invite", forged(&code, "\"note\":", "\"note\":\"\",\"note\":"), "malformed", "a key stands twice"),
        case("invite", issued(&|f| f.threshold = 1), "malformed", "a threshold of 1"),
        case("invite", issued(&|f| f.session = "../admin".into()), "malformed", "a session id of another shape"),
        case("invite", issued(&|f| f.version = 2), "malformed", "another version"),
        case("invite", issued(&|f| (f.created, f.expires) = (NOW - 60, NOW)), "expired", "its last second is over"),
        case("invite", issued(&|f| f.certificates = vec![]), "signature", "no certificate"),
        case(
            "invite",
            issued(&|f| f.certificates = certified(&fixed::next_root(), NOW - 9, NOW + 9)),
            "signature",
            "certified by another root",
        ),
        case(
            "invite",
            issued(&|f| f.certificates = certified(&fixed::root(), NOW - 9, NOW)),
            "certificate_expired",
            "an expired certificate",
        ),
        case(
            "invite",
            issued(&|f| f.certificates = certified(&fixed::root(), NOW + 1, NOW + 9)),
            "certificate_expired",
            "a certificate of the future",
        ),
        case(
            "invite",
            issued(&|f| f.certificates.clone_from(&behind)),
            "malformed",
            "certificates behind that of the invite key",
        ),
        case(
            "invite",
            issued(&|f| f.certificates = vec![chain[0].clone(); 9]),
            "malformed",
            "more than 8 certificates",
        ),
    ]);
}

/// The word of the specification for a refused header.
pub fn header_word(error: &HeaderError) -> &'static str {
    match error {
        HeaderError::Json(error) => json_word(error),
        HeaderError::Note => "note",
        HeaderError::OracleKey => "oracle_key",
        HeaderError::OracleUrl => "oracle_url",
        HeaderError::Name => "name",
        HeaderError::RepeatedPlayer => "repeated_player",
        HeaderError::ShareKey => "share_key",
        HeaderError::Size { .. } => "size",
        HeaderError::Threshold { .. } => "threshold",
        HeaderError::TooLarge => "too_large",
        HeaderError::Version(_) => "version",
        other => panic!("no word for {other:?}"),
    }
}

/// The word for a refused Toc or group file.
pub fn toc_word(error: &TocError) -> &'static str {
    match error {
        TocError::Header(error) => header_word(error),
        TocError::Json(error) => json_word(error),
        TocError::Mismatch(_) => "mismatch",
        TocError::Part => "part",
        TocError::ShareText => "share_text",
        TocError::Sharing(SharingError::Length(_)) => "share_length",
        TocError::Sharing(SharingError::NotDealt { .. }) => "share_not_dealt",
        TocError::Sharing(SharingError::X { .. }) => "share_x",
        other => panic!("no word for {other:?}"),
    }
}

/// The word for a refused plan.
pub fn plan_word(error: &PlanError) -> &'static str {
    match error {
        PlanError::Header(error) => header_word(error),
        PlanError::Json(error) => json_word(error),
        PlanError::Recipient { .. } => "recipient",
        PlanError::Recipients(_) => "recipients",
        PlanError::Repeated(_) => "repeated_player",
        PlanError::TooLarge => "too_large",
        PlanError::Version(_) => "version",
        other => panic!("no word for {other:?}"),
    }
}

/// The word for a refused invite.
pub fn invite_word(error: &InviteError) -> &'static str {
    match error {
        InviteError::Signature => "signature",
        InviteError::CertificateExpired { .. } => "certificate_expired",
        InviteError::Expired => "expired",
        InviteError::Malformed(_) => "malformed",
        InviteError::Plan(error) => plan_word(error),
        other => panic!("no word for {other:?}"),
    }
}

fn json_word(error: &JsonError) -> &'static str {
    match error {
        JsonError::DuplicateKey => "duplicate_key",
        JsonError::Shape { .. } => "shape",
    }
}
