//! TOTP secrets: enrolled, checked once, locked, removed, rotated, and nobody else's.

use super::stage::{Answer, NOW, Stage, Tenant, send};
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::{Value, json};

/// A secret of a tenant's user.
pub struct Enrolled {
    pub uuid: String,
    pub secret: OtpSecret,
    json: Value,
}

impl Stage {
    pub async fn enrol(&self, tenant: &Tenant) -> Enrolled {
        let answer =
            send(self.by(tenant, Method::POST, "/totp").json(&json!({ "issuer": "Acme", "label": "joe" }))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let uuid = answer.json["uuid"].as_str().expect("a uuid").to_owned();
        let secret = OtpSecret::from_base32(answer.json["totpKey"].as_str().expect("a key")).expect("base32");
        Enrolled { uuid, secret, json: answer.json }
    }

    pub async fn validate(&self, tenant: &Tenant, enrolled: &Enrolled, code: &str) -> Answer {
        let path = format!("/totp/{}/validate", enrolled.uuid);
        send(self.by(tenant, Method::POST, &path).json(&json!({ "code": code }))).await
    }

    fn seconds(&self) -> u64 {
        u64::try_from(quorate_oracle::clock::Clock::now(&*self.clock)).expect("after 1970")
    }

    /// The code of the step that is `steps` away from now.
    pub fn code(&self, enrolled: &Enrolled, steps: i64) -> String {
        enrolled.secret.code_at(self.seconds().saturating_add_signed(steps * 30)).digits.to_string()
    }

    /// A code that is wrong now and in the steps beside.
    pub fn wrong(&self, enrolled: &Enrolled) -> String {
        let right: Vec<String> = (-1..=1).map(|steps| self.code(enrolled, steps)).collect();
        let wrong = (0..4).map(|number| format!("{number:06}")).find(|code| !right.contains(code));
        wrong.expect("three codes are right")
    }
}

const VALID: (u16, &str) = (200, r#"{"message":"Valid","status":200}"#);

#[tokio::test]
async fn a_new_secret_comes_as_key_uri_and_picture() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    assert_eq!(enrolled.secret.key().len(), 20);
    let uri = enrolled.json["otpAuthUrl"].as_str().expect("a URI");
    let named = OtpSecret::from_uri(uri).expect("an otpauth URI");
    assert_eq!((named.issuer(), named.account(), named.key()), (Some("Acme"), "joe", enrolled.secret.key()));
    assert_eq!(photographed(enrolled.json["imageUrl"].as_str().expect("a picture")), uri);
    let fields: Vec<&String> = enrolled.json.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["imageUrl", "otpAuthUrl", "totpKey", "uuid"]);
}

/// What a camera reads in a data URL of a PNG.
fn photographed(data_url: &str) -> String {
    let encoded = data_url.strip_prefix("data:image/png;base64,").expect("a PNG");
    let bytes = quorate_protocol::encoding::from_base64(encoded).expect("base64");
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes.as_slice()));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a picture");
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one QR code");
    grids[0].decode().expect("readable").1
}

#[tokio::test]
async fn names_may_be_missing_and_must_be_short() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    for body in ["", "{}", r#"{"issuer":null,"label":7}"#, r#"{"issuer":"","label":""}"#] {
        let answer = send(stage.by(&tenant, Method::POST, "/totp").body(body)).await;
        let named = OtpSecret::from_uri(answer.json["otpAuthUrl"].as_str().expect("a URI")).expect("an otpauth URI");
        assert_eq!((named.issuer(), named.account()), (None, "SecretKey"), "{body}");
    }
    let strange = json!({ "issuer": "A&B: \u{202e}ü", "label": "x".repeat(255) });
    let answer = send(stage.by(&tenant, Method::POST, "/totp").json(&strange)).await;
    let uri = answer.json["otpAuthUrl"].as_str().expect("a URI");
    assert_eq!(photographed(answer.json["imageUrl"].as_str().expect("a picture")), uri);
    let longest = json!({ "issuer": "ü".repeat(127), "label": "ü".repeat(127) });
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp").json(&longest)).await.status, 200);
    let long = json!({ "issuer": "x".repeat(256) });
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp").json(&long)).await.refusal().1, "invalid_name");
}

#[tokio::test]
async fn a_code_counts_once_and_so_do_earlier_ones() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let now = stage.code(&enrolled, 0);
    let answer = stage.validate(&tenant, &enrolled, &now).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), VALID);
    for steps in [0, -1] {
        let again = stage.validate(&tenant, &enrolled, &stage.code(&enrolled, steps)).await;
        assert_eq!(again.refusal(), (401, "code_used", "Invalid"));
    }
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 1)).await.status, 200, "the next step");
    stage.clock.advance(30_000);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.refusal().1, "code_used");
}

#[tokio::test]
async fn a_code_may_be_one_step_early_or_late() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    for (steps, status) in [(-2, 401), (-1, 200), (1, 200), (2, 401)] {
        let enrolled = stage.enrol(&tenant).await;
        let answer = stage.validate(&tenant, &enrolled, &stage.code(&enrolled, steps)).await;
        assert_eq!(answer.status, status, "{steps} steps away");
    }
}

#[tokio::test]
async fn a_code_may_have_the_spaces_that_phones_show() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let code = stage.code(&enrolled, 0);
    let spaced = format!(" {} {}\u{a0}\n", &code[..3], &code[3..]);
    assert_eq!(stage.validate(&tenant, &enrolled, &spaced).await.status, 200);
    assert_eq!(stage.validate(&tenant, &enrolled, &code).await.refusal().1, "code_used");
}

/// A number has no leading zeros, so a client that sends one would fail one user in ten.
#[tokio::test]
async fn a_number_is_no_code_as_with_the_seed() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let code = stage.code(&enrolled, 0);
    let path = format!("/totp/{}/validate", enrolled.uuid);
    let number: u64 = code.parse().expect("digits");
    let answer = send(stage.by(&tenant, Method::POST, &path).json(&json!({ "code": number }))).await;
    assert_eq!(answer.refusal(), (400, "field_required", "code (as a string) is required"));
    assert_eq!(stage.validate(&tenant, &enrolled, &code).await.status, 200);
}

#[tokio::test]
async fn without_a_code_nothing_is_checked() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let path = format!("/totp/{}/validate", enrolled.uuid);
    for body in [
        "",
        "{}",
        r#"{"code":""}"#,
        r#"{"code":" "}"#,
        r#"{"code":null}"#,
        r#"{"code":["123456"]}"#,
        r#"{"code":true}"#,
    ] {
        let answer = send(stage.by(&tenant, Method::POST, &path).body(body)).await;
        assert_eq!(answer.refusal(), (400, "field_required", "code (as a string) is required"), "{body}");
    }
    let answer = send(stage.by(&tenant, Method::POST, &path).body("{")).await;
    assert_eq!(answer.refusal().1, "invalid_json");
}

#[tokio::test]
async fn a_wrong_code_is_invalid_whatever_it_is() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let right = |enrolled: &Enrolled| stage.code(enrolled, 0);
    let wrongs: [fn(&str) -> String; 6] = [
        |code| code[..5].to_owned(),
        |code| format!("{code}0"),
        |code| format!("-{code}"),
        |code| code.chars().map(|digit| char::from_u32(u32::from(digit) + 0x630).expect("a digit")).collect(),
        |_| "1".repeat(100_000),
        |_| "\u{0}".to_owned(),
    ];
    for wrong in wrongs {
        let enrolled = stage.enrol(&tenant).await;
        let answer = stage.validate(&tenant, &enrolled, &wrong(&right(&enrolled))).await;
        assert_eq!(answer.refusal(), (401, "wrong_code", "Invalid"));
    }
}

#[tokio::test]
async fn wrong_codes_lock_for_longer_and_longer() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let (enrolled, other) = (stage.enrol(&tenant).await, stage.enrol(&tenant).await);
    for _ in 0..5 {
        assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.refusal().1, "wrong_code");
    }
    let locked = stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await;
    assert_eq!((locked.refusal().0, locked.refusal().1, locked.retry_after), (429, "too_many_failures", Some(30)));
    assert_eq!(stage.validate(&tenant, &other, &stage.code(&other, 0)).await.status, 200, "another secret");
    stage.clock.advance(29_001);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.retry_after, Some(1));
    stage.clock.advance(999);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.status, 401);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.retry_after, Some(60));
    stage.clock.advance(60_000);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.status, 200);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.status, 401);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 1)).await.status, 200, "counted anew");
}

#[tokio::test]
async fn a_secret_is_locked_for_a_quarter_of_an_hour_at_most() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let mut waits = Vec::new();
    while waits.len() < 8 {
        let answer = stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await;
        if let Some(seconds) = answer.retry_after {
            waits.push(seconds);
            stage.clock.advance(i64::try_from(seconds).expect("short") * 1_000);
        }
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    stage.clock.advance(4 * 3_600_000);
    for _ in 0..4 {
        assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.status, 401, "long ago");
    }
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_made_at_once_are_bounded_like_guesses_in_turn() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let wrong = stage.wrong(&enrolled);
    let answers = futures_util::future::join_all((0..200).map(|_| stage.validate(&tenant, &enrolled, &wrong))).await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(looked_at, 5, "the rest must not learn whether they were right");
    // For some there may be no room to wait in: they are refused unseen.
    assert!(answers.iter().all(|answer| [401, 429, 503].contains(&answer.status.as_u16())));
}

#[tokio::test]
async fn a_foreign_and_an_unknown_uuid_are_the_same() {
    let stage = Stage::new().await;
    let (owner, stranger) = (stage.tenant("app@example.com").await, stage.tenant("two@example.com").await);
    let enrolled = stage.enrol(&owner).await;
    let code = stage.code(&enrolled, 0);
    let (hex, braced) = (enrolled.uuid.replace('-', ""), format!("{{{}}}", enrolled.uuid));
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (tenant, uuid) in [
        (&stranger, enrolled.uuid.as_str()),
        (&owner, unknown),
        (&owner, "nonsense"),
        (&owner, &hex),
        (&owner, &braced),
    ] {
        let no = (404, "not_found", "No TOTP entry found with that uuid for that API Key.");
        let request = stage.by(tenant, Method::POST, &format!("/totp/{uuid}/validate"));
        assert_eq!(send(request.json(&json!({ "code": code }))).await.refusal(), no, "{uuid}");
        assert_eq!(send(stage.by(tenant, Method::DELETE, &format!("/totp/{uuid}"))).await.refusal(), no, "{uuid}");
    }
    let unreadable = send(stage.by(&owner, Method::POST, "/totp/%ff/validate").json(&json!({ "code": code }))).await;
    assert_eq!((unreadable.refusal().0, unreadable.refusal().1), (400, "invalid_path"));
    assert_eq!(stage.validate(&owner, &enrolled, &code).await.status, 200, "nothing was locked, used or removed");
    let upper = Enrolled { uuid: enrolled.uuid.to_uppercase(), ..enrolled };
    assert_eq!(stage.validate(&owner, &upper, &stage.code(&upper, 1)).await.status, 200);
}

#[tokio::test]
async fn a_removed_secret_is_gone() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let path = format!("/totp/{}", enrolled.uuid);
    let removed = send(stage.by(&tenant, Method::DELETE, &path)).await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    assert_eq!(send(stage.by(&tenant, Method::DELETE, &path)).await.refusal().0, 404);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.refusal().0, 404);
}

#[tokio::test]
async fn a_rotation_hands_over_every_secret_and_its_history() {
    let stage = Stage::new().await;
    let (old, new) = (stage.tenant("app@example.com").await, stage.tenant("app@example.com").await);
    let (used, fresh, own) = (stage.enrol(&old).await, stage.enrol(&old).await, stage.enrol(&new).await);
    let removed = stage.enrol(&old).await;
    send(stage.by(&old, Method::DELETE, &format!("/totp/{}", removed.uuid))).await;
    assert_eq!(stage.validate(&old, &used, &stage.code(&used, 0)).await.status, 200);

    assert_eq!(rotate(&stage, &old, &new).await["totpComplete"], 2);
    assert_eq!(rotate(&stage, &old, &new).await["totpComplete"], 0, "a second time there is nothing left");
    for enrolled in [&used, &fresh, &own] {
        assert_eq!(stage.validate(&old, enrolled, &stage.code(enrolled, 0)).await.refusal().0, 404);
    }
    assert_eq!(stage.validate(&new, &used, &stage.code(&used, 0)).await.refusal().1, "code_used");
    for enrolled in [&fresh, &own] {
        assert_eq!(stage.validate(&new, enrolled, &stage.code(enrolled, 0)).await.status, 200);
    }

    // Both go on: the old key anew, the new one into a third.
    let later = stage.enrol(&old).await;
    assert_eq!(stage.validate(&old, &later, &stage.code(&later, 0)).await.status, 200);
    let third = stage.tenant("app@example.com").await;
    assert_eq!(rotate(&stage, &new, &third).await["totpComplete"], 3);
    stage.clock.advance(60_000);
    for enrolled in [&used, &fresh, &own] {
        assert_eq!(stage.validate(&third, enrolled, &stage.code(enrolled, 0)).await.status, 200);
    }
    // Whoever took this for done would revoke the key that owns everything.
    let into_itself = rotation(&stage, &third, &third).await;
    assert_eq!(into_itself.refusal(), (400, "same_key", "the old key and the new key are one and the same"));
}

async fn rotate(stage: &Stage, old: &Tenant, new: &Tenant) -> Value {
    let answer = rotation(stage, old, new).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

pub async fn rotation(stage: &Stage, old: &Tenant, new: &Tenant) -> Answer {
    let body = json!({
        "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
    });
    send(stage.at(Method::POST, "/api-key/rotate").json(&body)).await
}

#[tokio::test]
async fn a_key_that_has_taken_over_too_often_takes_over_no_more() {
    let stage = Stage::new().await;
    let (old, new) = (stage.tenant("app@example.com").await, stage.tenant("app@example.com").await);
    let mut taken = 0;
    let answer = loop {
        let last = stage.enrol(&old).await;
        let answer = rotation(&stage, &old, &new).await;
        if answer.status != 200 {
            assert_eq!(stage.validate(&old, &last, &stage.code(&last, 0)).await.status, 200, "it stays where it was");
            break answer;
        }
        taken += 1;
        assert!(taken < 100, "never refused");
    };
    assert_eq!((answer.refusal().0, answer.refusal().1, taken), (409, "too_many_data_keys", 64));
    let third = stage.tenant("app@example.com").await;
    assert_eq!(rotate(&stage, &old, &third).await["totpComplete"], 1, "another key takes it");
}

#[tokio::test]
async fn the_clock_of_the_test_is_where_a_step_begins() {
    // The tests above count in steps from NOW.
    assert_eq!(NOW % 30, 0);
}
