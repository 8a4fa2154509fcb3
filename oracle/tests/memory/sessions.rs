//! Sessions of every kind and end, each with secrets of its own, which are written down on the way.

use super::applications::Application;
use super::farmfa::deal_two_of;
use super::keys::Operator;
use super::process::Connection;
use super::search::Secrets;
use super::support::{Asked, plan_of, planned, signed_request};
use quorate_protocol::api::{Redeal, SessionCredentials};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::encoding::{base64, from_base64url};
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::otp::{OtpSecret, Parameters};
use quorate_protocol::plan::{Plan, PlanFields, Replaced};
use quorate_protocol::sealing::age_open;
use quorate_protocol::session::Kek;
use quorate_protocol::sharing::combine;
use quorate_protocol::toc::{Toc, WholeToc, approve_farmfa};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The two shares that farMFA's README prints; its older layout.
const README_SHARES: [&str; 2] = [
    "5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4=",
    "zxRrozuUaCMgn_u6ajZStlV7RKwhp0keT9aQoXAEruI=nfx2CPJfKiFM32zLmtxHjV94OlZOgBevV1Whrx-lslU=",
];

/// A client with a connection, and what it knows.
pub struct Client<'a> {
    pub connection: Connection,
    pub operator: Operator,
    pub secrets: &'a mut Secrets,
}

/// Session number `number`, of the kind that its number says, or what an application does in place of one.
pub fn one(client: &mut Client<'_>, application: &Application, number: u32) {
    match number % 17 {
        0..=4 => client.ours(),
        5..=7 => client.farmfa(),
        8 => client.whole_toc_as_farmfa_does(),
        9 => client.redeal(),
        10 => client.farmfa_redeal(),
        11 => client.cancelled(),
        12 => client.wrong_keys(),
        13 => client.false_tocs(),
        14 => client.refused_requests(),
        15 => client.older_farmfa(),
        _ => application.calls(client),
    }
}

impl Client<'_> {
    /// 3 of 5 with proofs, one code, and the same again.
    fn ours(&mut self) {
        let deal = self.deal(3, 5);
        let asked = self.ask(&deal, Purpose::Code, None);
        for x in [4, 1, 3] {
            self.join(&asked, &deal.tocs[x]);
        }
        for _ in 0..2 {
            self.code(&asked, 200);
        }
    }

    /// farMFA's client with farMFA's Tocs: the first goes in the clear.
    fn farmfa(&mut self) {
        let (shares, id) = self.farmfa_deal();
        let asked = self.create(&json!({ "toc_zero": farmfa_toc(&id, &shares[0]), "reason": "month" }));
        let second = Asked::unproved(asked.encrypt(farmfa_toc(&id, &shares[2]).to_string().as_bytes()));
        self.post(&asked.path("tocs"), &second, 200);
        self.code(&asked, 200);
    }

    fn older_farmfa(&mut self) {
        for share in README_SHARES {
            for number in share.split_inclusive('=') {
                self.secrets.text("a share", number);
                self.secrets.bytes("a share", &from_base64url(number.trim_end_matches('=')).expect("base64url"));
            }
        }
        let asked = self.create(&json!({ "toc_zero": farmfa_toc("README", README_SHARES[0]) }));
        let second = Asked::unproved(asked.encrypt(farmfa_toc("README", README_SHARES[1]).to_string().as_bytes()));
        self.post(&asked.path("tocs"), &second, 200);
        self.code(&asked, 200);
    }

    fn whole_toc_as_farmfa_does(&mut self) {
        let deal = self.deal(2, 3);
        let zero: Value = serde_json::from_slice(&deal.tocs[0].to_json()).expect("JSON");
        let asked = self.create(&json!({ "toc_zero": zero }));
        let second = Asked::unproved(asked.encrypt(&deal.tocs[2].to_json()));
        self.post(&asked.path("tocs"), &second, 200);
        self.code(&asked, 200);
    }

    fn redeal(&mut self) {
        let deal = self.deal(2, 3);
        let keys = [(); 3].map(|()| age::x25519::Identity::generate());
        let players = keys.iter().zip(["ann", "ben", "cleo"]).map(|(key, name)| planned(name, key)).collect();
        let plan = plan_of(deal.group.name(), 2, players);
        let asked = self.ask(&deal, Purpose::Redeal, Some(&plan));
        self.join(&asked, &deal.tocs[0]);
        self.join(&asked, &deal.tocs[2]);
        let answer = self.post(&asked.path("redeal"), &kek(&asked), 200);
        self.note_redeal(&answer, &keys);
    }

    fn farmfa_redeal(&mut self) {
        let (shares, id) = self.farmfa_deal();
        let keys = [(); 2].map(|()| age::x25519::Identity::generate());
        let players = keys.iter().zip(["ann", "ben"]).map(|(key, name)| planned(name, key)).collect();
        let replaces = Replaced::Farmfa(id.clone());
        let plan = Plan::new(PlanFields { version: 1, replaces, threshold: 2, note: "month".to_owned(), players });
        let plan = base64(plan.expect("a plan").bytes());
        let asked = self.create(&json!({ "toc_zero": farmfa_toc(&id, &shares[0]), "purpose": "redeal", "plan": plan }));
        let toc = farmfa_toc(&id, &shares[1]).to_string();
        let approved = approve_farmfa(toc.as_bytes(), &asked.invite.digest()).expect("a Toc");
        self.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(&approved)), 200);
        let answer = self.post(&asked.path("redeal"), &kek(&asked), 200);
        self.note_redeal(&answer, &keys);
    }

    fn cancelled(&mut self) {
        let deal = self.deal(2, 3);
        let asked = self.ask(&deal, Purpose::Code, None);
        self.join(&asked, &deal.tocs[1]);
        self.code(&asked, 409);
        self.join(&asked, &deal.tocs[2]);
        self.code(&asked, 200);
        let token = Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
        self.secrets.text("a bearer token", &token);
        let headers = format!("Authorization: Bearer {}\r\n", *token);
        let answer = self.connection.request("DELETE", &format!("/sessions/{}", asked.id()), &headers, b"");
        assert_eq!(answer.status, 204, "{}", answer.body);
        self.code(&asked, 410);
    }

    /// KEKs of other sessions, and texts that are none; then the code after all.
    fn wrong_keys(&mut self) {
        let deal = self.deal(2, 3);
        let asked = self.ask(&deal, Purpose::Code, None);
        self.join(&asked, &deal.tocs[0]);
        self.join(&asked, &deal.tocs[1]);
        let other: [u8; 32] = rand::random();
        self.secrets.bytes("a KEK of another session", &other);
        let path = asked.path("totp");
        self.post(&path, &json!({ "kek": base64(&other) }), 401);
        self.post(&path, &json!({ "kek": base64(&other[..31]) }), 401);
        self.post(&path, &json!({ "kek": [base64(&other)] }), 400);
        self.post(&path, &json!({ "kek": base64(&other), "more": base64(&other), "and": null }), 401);
        let unfinished = format!("{{\"kek\":\"{}", base64(&other));
        assert_eq!(self.connection.request("POST", &path, "", unfinished.as_bytes()).status, 400);
        let elsewhere = format!("/sessions/{}/totp", "A".repeat(32));
        self.post(&elsewhere, &json!({ "kek": base64(&other) }), 404);
        self.post(&asked.path("redeal"), &kek(&asked), 409);
        self.code(&asked, 200);
    }

    /// Junk, another player's share, a share with a flipped bit; then a good one.
    fn false_tocs(&mut self) {
        let (deal, foreign) = (self.deal(2, 3), self.deal(2, 3));
        let asked = self.ask(&deal, Purpose::Code, None);
        self.join(&asked, &deal.tocs[0]);
        let junk: [u8; 48] = rand::random();
        self.secrets.bytes("junk in the place of a Toc", &junk);
        let mut flipped: Value = serde_json::from_slice(&deal.tocs[1].to_short_json()).expect("JSON");
        let mut share = *deal.tocs[1].share().as_bytes();
        share[32] ^= 1;
        flipped["share"] = base64(&share).into();
        for lie in [junk.to_vec(), foreign.tocs[1].to_json().to_vec(), flipped.to_string().into_bytes()] {
            let proved = asked.proved(&deal.tocs[1], asked.encrypt(&lie));
            self.post(&asked.path("tocs"), &proved, 200);
            self.code(&asked, 409);
        }
        self.join(&asked, &deal.tocs[2]);
        self.code(&asked, 200);
    }

    /// Clear Tocs in requests that start nothing.
    fn refused_requests(&mut self) {
        let deal = self.deal(2, 3);
        let toc: Value = serde_json::from_slice(&deal.tocs[0].to_json()).expect("JSON");
        let mut lowered = toc.clone();
        lowered["group_threshold"] = 1.into();
        let short: Value = serde_json::from_slice(&deal.tocs[1].to_short_json()).expect("JSON");
        for (body, status) in [
            (json!({ "toc_zero": lowered }), 400),
            (json!({ "toc_zero": short }), 400),
            (json!({ "toc_zero": toc, "ttl": 1 }), 400),
            (json!({ "toc_zero": toc.to_string() }), 400),
            (json!({ "toc_zero": toc, "ttl": "soon" }), 400),
        ] {
            self.post("/sessions", &body, status);
        }
        let text = json!({ "toc_zero": toc }).to_string();
        let cut = &text.as_bytes()[..text.len() - 3];
        assert_eq!(self.connection.request("POST", "/sessions", "", cut).status, 400);
        let answer = self.connection.request("POST", "/nowhere", "", text.as_bytes());
        assert_eq!(answer.status, 404);
        // A body that is more than is read.
        let padded = format!("{}{}", text, " ".repeat(140 * 1024));
        assert_eq!(self.connection.request("POST", "/sessions", "", padded.as_bytes()).status, 413);
    }

    /// A deal of a secret of its own.
    fn deal(&mut self, threshold: usize, size: usize) -> Deal {
        let key: [u8; 20] = rand::random();
        let secret = OtpSecret::new(&key, Parameters::default()).expect("a secret");
        let holders: Vec<String> = (1..=size).map(|x| format!("player {x}")).collect();
        let request = DealRequest {
            secret: &secret,
            threshold,
            holders: &holders,
            note: "month",
            dealt_at: 1_800_000_000,
            oracle: None,
            replaces: None,
        };
        let deal = deal(&request, &mut rand::rng()).expect("dealt");
        self.note_secret(&secret);
        self.note_deal(&deal.tocs);
        deal
    }

    fn farmfa_deal(&mut self) -> (Vec<String>, String) {
        let key: [u8; 20] = rand::random();
        let secret = OtpSecret::new(&key, Parameters::default()).expect("a secret");
        self.note_secret(&secret);
        let shares = deal_two_of(3, secret.to_base32().as_bytes());
        for share in &shares {
            self.secrets.bytes("a share", &share[..share.len() - 1]);
        }
        let id: [u8; 5] = rand::random();
        (shares.iter().map(|share| base64(share)).collect(), data_encoding::BASE32_NOPAD.encode(&id))
    }

    pub fn note_secret(&mut self, secret: &OtpSecret) {
        self.secrets.bytes("an otpauth secret", secret.key());
        self.secrets.text("an otpauth secret in base32", &secret.to_base32());
        self.secrets.bytes("an otpauth secret in base32", secret.to_base32().as_bytes());
    }

    fn note_deal(&mut self, tocs: &[WholeToc]) {
        let header = tocs[0].header();
        let some: Vec<_> =
            tocs[..usize::from(header.fields().threshold)].iter().map(|toc| toc.share().clone()).collect();
        self.secrets.bytes("a group key", combine(&some, header).expect("an honest deal").as_slice());
        for toc in tocs {
            self.secrets.bytes("a share", &toc.share().as_bytes()[1..]);
            self.secrets.bytes("a share's signing key", toc.signing_key().as_bytes());
        }
    }

    fn note_redeal(&mut self, answer: &str, keys: &[age::x25519::Identity]) {
        let redeal: Redeal = serde_json::from_str(answer).expect("a redeal");
        let open = |(toc, key): (&quorate_protocol::api::RedealToc, &age::x25519::Identity)| {
            let json = age_open(toc.encrypted_toc.as_ref().expect("not received yet"), key).expect("opens");
            match Toc::parse(&json).expect("a Toc") {
                Toc::Whole(toc) => toc,
                other => panic!("{other:?}"),
            }
        };
        let tocs: Vec<WholeToc> = redeal.tocs.iter().zip(keys).map(open).collect();
        assert_eq!(tocs.len(), keys.len());
        self.note_deal(&tocs);
    }

    fn ask(&mut self, deal: &Deal, purpose: Purpose, plan: Option<&Plan>) -> Asked {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let now = i64::try_from(now).expect("this century");
        self.create(&signed_request(super::URL, &deal.tocs[1], purpose, plan, "close the month", now))
    }

    /// A new session; its keys are written down at once, for closing empties its row.
    fn create(&mut self, request: &impl serde::Serialize) -> Asked {
        let answer = self.post("/sessions", request, 200);
        let credentials: SessionCredentials = serde_json::from_str(&answer).expect("credentials");
        let invite = Invite::parse(&credentials.invite).expect("an invite");
        let bytes = quorate_protocol::encoding::from_base64(&credentials.kek).expect("base64");
        self.secrets.bytes("a KEK", &bytes);
        let (raw, written) = self.operator.tek(&invite, &credentials.kek);
        self.secrets.bytes("a TEK", &raw);
        self.secrets.bytes("a TEK as age writes it", &written.as_bytes()["AGE-SECRET-KEY-1".len()..]);
        Asked { credentials, invite }
    }

    fn join(&mut self, asked: &Asked, toc: &WholeToc) {
        self.post(&asked.path("tocs"), &asked.approval(toc), 200);
    }

    fn code(&mut self, asked: &Asked, status: u16) {
        self.post(&asked.path("totp"), &kek(asked), status);
    }

    fn post(&mut self, path: &str, body: &impl serde::Serialize, status: u16) -> String {
        let answer = self.connection.post(path, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        answer.body
    }
}

fn kek(asked: &Asked) -> Value {
    json!({ "kek": asked.credentials.kek.as_str() })
}

fn farmfa_toc(id: &str, share: &str) -> Value {
    json!({ "group_id": id, "group_size": 3, "group_threshold": 2, "note": "month", "toc_id": "toc", "share": share })
}
