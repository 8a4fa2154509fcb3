//! Invites that lie and oracles that do: refused before anything is sent, and mostly before anybody touches a key.

use super::support::{Key, Person};
use age::secrecy::ExposeSecret as _;
use ed25519_dalek::SigningKey;
use quorate_protocol::api::{Session, SessionCredentials};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::{GroupName, OraclePin};
use quorate_protocol::invite::{Applicant, Certificate, CertifiedKind, Invite, InvitePayload, Purpose};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::session::{Kek, Tek, new_session_id};
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpListener;

/// Bob, whose Toc names an oracle that only listens.
struct Scene {
    root: SigningKey,
    invite_key: SigningKey,
    listener: TcpListener,
    group: Deal,
    bob: Person,
    now: i64,
}

impl Scene {
    fn new() -> Self {
        let (root, invite_key) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let bob = Person::new("bob", Key::Plain);
        let now = jiff::Timestamp::now().as_second();
        let secret = OtpSecret::from_base32(super::support::SECRET).expect("a secret");
        let request = DealRequest {
            secret: &secret,
            threshold: 2,
            holders: &["ann".to_owned(), "bob".to_owned(), "carol".to_owned()],
            note: "AWS root",
            dealt_at: now,
            oracle: Some(OraclePin { url, root_key: root.verifying_key().to_bytes().to_vec().into() }),
            replaces: None,
        };
        let group = deal(&request, &mut rand::rng()).expect("dealt");
        let recipient: age::x25519::Recipient = bob.recipient.parse().expect("a recipient");
        let sealed = age::encrypt_and_armor(&recipient, &group.tocs[1].to_json()).expect("sealed");
        let path = bob.path("bob.toc.age");
        fs::write(&path, sealed).expect("written");
        bob.file(&path);
        Self { root, invite_key, listener, group, bob, now }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("bound"))
    }

    fn certificate(&self) -> Certificate {
        self.certify(&self.root, self.now - 60, self.now + 3600)
    }

    fn certify(&self, root: &SigningKey, from: i64, until: i64) -> Certificate {
        Certificate::issue(root, CertifiedKind::InviteKey, &self.invite_key.verifying_key(), from, until)
    }

    fn fields(&self) -> InvitePayload {
        let header = self.group.group.header.fields();
        InvitePayload {
            version: 1,
            session: new_session_id(&mut rand::rng()),
            oracle: self.url(),
            tek: Tek::generate(&mut rand::rng()).recipient(),
            group: Some(self.group.group.name()),
            group_id: header.group_id.clone(),
            size: header.size,
            threshold: header.threshold,
            note: header.note.clone(),
            purpose: Purpose::Code,
            plan_digest: None,
            plan: None,
            applicant: Applicant::Proved { holder: "ann".into(), x: 1 },
            reason: "close the month".into(),
            ttl: 60,
            max_codes: None,
            created: self.now,
            expires: self.now + 3600,
            certificates: vec![self.certificate()],
        }
    }

    fn issue(&self, fields: InvitePayload) -> Invite {
        Invite::issue(fields, &self.invite_key)
    }

    fn plan(replaces: Replaced) -> Plan {
        let key = || age::x25519::Identity::generate().to_public().to_string();
        let player = |name: &str| PlannedPlayer { holder: name.into(), recipients: vec![key()] };
        let players = vec![player("ann"), player("mallory")];
        Plan::new(PlanFields { version: 1, replaces, threshold: 2, note: "AWS root".into(), players }).expect("a plan")
    }

    /// Whether anybody has connected to the oracle that the Toc names.
    fn was_reached(&self) -> bool {
        self.listener.set_nonblocking(true).expect("set");
        match self.listener.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }
}

/// The same words with some bytes exchanged, under the old signature.
fn altered(invite: &Invite, from: &str, to: &str) -> Invite {
    let text = String::from_utf8(invite.payload().to_vec()).expect("JSON");
    assert!(text.contains(from), "{from}");
    Invite::from_parts(text.replace(from, to).into_bytes(), invite.signature().to_vec()).expect("still an invite")
}

#[test]
fn forged_and_worn_out_invites_are_refused_and_nothing_is_sent() {
    let scene = Scene::new();
    let good = scene.issue(scene.fields());
    let own_tek = age::x25519::Identity::generate();
    assert!(!own_tek.to_string().expose_secret().is_empty());
    let other = SigningKey::from_bytes(&[9; 32]);
    let self_made = Invite::issue(
        InvitePayload {
            certificates: vec![Certificate::issue(
                &other,
                CertifiedKind::InviteKey,
                &other.verifying_key(),
                scene.now - 60,
                scene.now + 60,
            )],
            ..scene.fields()
        },
        &other,
    );
    let cases = [
        ("a TEK of the forger's", altered(&good, &good.fields().tek, &own_tek.to_public().to_string()), "not signed"),
        ("another reason", altered(&good, "close the month", "open the vault"), "not signed"),
        ("another applicant", altered(&good, "\"ann\",\"x\":1", "\"carol\",\"x\":3"), "not signed"),
        ("another oracle's key", self_made, "not signed"),
        (
            "another oracle",
            scene.issue(InvitePayload { oracle: "http://127.0.0.1:9".into(), ..scene.fields() }),
            "but your Toc is for",
        ),
        (
            "a certificate that has expired",
            scene.issue(InvitePayload {
                certificates: vec![scene.certify(&scene.root, scene.now - 99, scene.now - 9)],
                ..scene.fields()
            }),
            "certificate is not valid now",
        ),
        (
            "a certificate of the invite key itself",
            scene.issue(InvitePayload {
                certificates: vec![scene.certify(&scene.invite_key, scene.now - 99, scene.now + 9)],
                ..scene.fields()
            }),
            "not signed",
        ),
        (
            "an invite that has expired",
            scene.issue(InvitePayload { created: scene.now - 60, expires: scene.now - 1, ..scene.fields() }),
            "has expired",
        ),
        ("another note", scene.issue(InvitePayload { note: "petty cash".into(), ..scene.fields() }), "its note"),
        ("another threshold", scene.issue(InvitePayload { threshold: 3, ..scene.fields() }), "its threshold"),
        (
            "an applicant who does not play",
            scene.issue(InvitePayload {
                applicant: Applicant::Proved { holder: "mallory".into(), x: 1 },
                ..scene.fields()
            }),
            "its applicant",
        ),
    ];
    for (what, invite, expected) in cases {
        for more in [&["--yes"][..], &["--yes", "--deny"]] {
            let link = invite.to_url();
            let said = scene.bob.quorate(&[&["join", &link], more].concat()).fails(1);
            assert!(said.contains(expected), "{what}: {said}");
        }
    }
    let changed_purpose = good.payload().to_vec();
    let text = String::from_utf8(changed_purpose).expect("JSON").replace("\"code\"", "\"redeal\"");
    assert!(Invite::from_parts(text.into_bytes(), good.signature().to_vec()).is_err(), "a redeal has a plan");
    assert!(!scene.was_reached());
}

#[test]
fn invites_of_other_groups_are_refused() {
    let scene = Scene::new();
    let other = scene.issue(InvitePayload { group: Some(GroupName([7; 32])), ..scene.fields() });
    let link = other.to_url();
    assert!(scene.bob.quorate(&["join", &link, "--yes"]).fails(1).contains("no Toc of the group"));
    let said = scene.bob.quorate(&["join", &link, &scene.group.group.name().to_string(), "--yes"]).fails(1);
    assert!(said.contains("another group"), "{said}");
    // Straight from the file, with no card to check by and no trusted oracle: not even opened.
    let path = scene.bob.path("bob.toc.age");
    let said = scene.bob.quorate(&["join", &link, path.to_str().expect("UTF-8"), "--yes"]).fails(1);
    assert!(said.contains("nothing here vouches"), "{said}");
    assert!(!scene.was_reached());
}

#[test]
fn a_plan_for_another_group_is_refused() {
    let scene = Scene::new();
    for replaces in [Replaced::Group(GroupName([7; 32])), Replaced::Farmfa("7GCUCI2Y".into())] {
        let plan = Scene::plan(replaces);
        let invite = scene.issue(InvitePayload {
            purpose: Purpose::Redeal,
            plan_digest: Some(plan.digest().to_vec().into()),
            plan: Some(plan.bytes().to_vec().into()),
            ..scene.fields()
        });
        let said = scene.bob.quorate(&["join", &invite.to_url(), "--yes"]).fails(1);
        assert!(said.contains("its plan"), "{said}");
    }
    assert!(!scene.was_reached());
}

#[test]
fn a_card_that_lies_is_found_out_by_the_toc() {
    let scene = Scene::new();
    let other = SigningKey::from_bytes(&[9; 32]);
    let group = scene.group.group.name();
    let card = scene.bob.path(format!("data/quorate/tocs/{group}/bob.toc.json"));
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&card).expect("a card")).expect("JSON");
    json["oracle"]["root_key"] = quorate_protocol::encoding::base64(other.verifying_key().as_bytes()).into();
    fs::write(&card, json.to_string()).expect("written");
    let chain = vec![scene.certify(&other, scene.now - 60, scene.now + 60)];
    let invite = scene.issue(InvitePayload { certificates: chain, ..scene.fields() });
    // What the card names is asked whether the session lives; the Toc itself then decides who gets anything.
    let joining = scene.bob.start(&["join", &invite.to_url(), "--yes"]);
    let requests = answer_once(&scene.listener, &credentials(&scene.fields(), &invite));
    let said = joining.end().fails(1);
    assert!(said.contains("not signed by the oracle that this Toc trusts"), "{said}");
    assert!(requests.len() == 1 && requests[0].starts_with("GET /sessions/"), "{requests:?}");
    assert!(!scene.was_reached());
}

#[test]
fn damaged_links_are_told_apart_from_forged_ones() {
    let scene = Scene::new();
    let link = scene.issue(scene.fields()).to_url();
    let cut = &link[..link.find('#').expect("a fragment")];
    assert!(scene.bob.quorate(&["join", cut, "--yes"]).fails(1).contains("the part behind # belongs to it"));
    let bent = link.replace("127.0.0.1", "127.0.0.2");
    assert!(scene.bob.quorate(&["join", &bent, "--yes"]).fails(1).contains("the address before #"));
    assert!(scene.bob.quorate(&["join", "https://example/s/x#%.%", "--yes"]).fails(1).contains("damaged or cut off"));
    assert!(!scene.was_reached());
}

#[test]
fn an_oracle_that_signs_other_words_is_not_believed() {
    type Change = fn(InvitePayload) -> InvitePayload;
    let changes: [(&str, Change); 6] = [
        ("its reason", |fields| InvitePayload { reason: "all is well".into(), ..fields }),
        ("its TEK", |fields| InvitePayload { tek: Tek::generate(&mut rand::rng()).recipient(), ..fields }),
        ("its threshold", |fields| InvitePayload { threshold: 3, ..fields }),
        ("its applicant", |fields| InvitePayload { applicant: Applicant::Unverified, ..fields }),
        ("its group", |fields| InvitePayload { group: Some(GroupName([7; 32])), ..fields }),
        ("its session", |fields| InvitePayload { session: new_session_id(&mut rand::rng()), ..fields }),
    ];
    for (expected, change) in changes {
        let scene = Scene::new();
        let honest = InvitePayload { applicant: Applicant::Proved { holder: "bob".into(), x: 2 }, ..scene.fields() };
        let credentials = credentials(&honest, &scene.issue(change(honest.clone())));
        let asking = scene.bob.start(&["ask", &honest.group_id, "--reason", "close the month"]);
        let requests = answer_once(&scene.listener, &credentials);
        let said = asking.end().fails(1);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(requests[0].starts_with("POST /sessions "), "{requests:?}");
        // It may be told to forget the session; it never gets a Toc.
        assert!(requests[1..].iter().all(|request| request.starts_with("DELETE ")), "{requests:?}");
        assert!(!fs::exists(scene.bob.path("run/quorate/sessions")).expect("readable"));
    }
}

fn credentials(honest: &InvitePayload, invite: &Invite) -> String {
    let time = |unix| jiff::Timestamp::from_second(unix).expect("in range").to_string();
    let session = Session {
        id: honest.session.clone(),
        toc_group_id: honest.group_id.clone(),
        created_at: time(honest.created),
        expires_at: time(honest.expires),
        ttl: 60,
        complete: false,
        tocs_in_group: 3,
        tocs_threshold: 2,
        tocs_provided: 0,
        denials: 0,
        purpose: Purpose::Code,
        state: "open".into(),
        group: honest.group,
        details: None,
    };
    let kek = Kek::generate(&mut rand::rng()).to_base64();
    let credentials = SessionCredentials { session, tek: honest.tek.clone(), kek, invite: invite.to_url() };
    serde_json::to_string(&credentials).expect("plain data")
}

/// Answers the first request with `body`, and the next one, if there is one, with 204; gives their first lines.
fn answer_once(listener: &TcpListener, body: &str) -> Vec<String> {
    let (stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream);
    let first = read_request(&mut reader).expect("a request");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    write!(reader.get_mut(), "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("answered");
    let mut lines = vec![first];
    while let Some(next) = read_request(&mut reader) {
        lines.push(next);
        write!(reader.get_mut(), "HTTP/1.1 204 No Content\r\n\r\n").expect("answered");
    }
    lines
}

fn read_request(reader: &mut BufReader<std::net::TcpStream>) -> Option<String> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(first)
}
