//! Exports of each app, good, bad and encrypted. What they look like is the apps' own documentation; the data is made here.

use super::*;
use crate::otp::Parameters;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

const SHORT: &str = "JBSWY3DPEHPK3PXP";

fn read_one(text: &str) -> Vec<Row> {
    let import = read(&[text], None, None).unwrap_or_else(|error| panic!("{error}: {text}"));
    import.rows
}

/// What rows are: place, name, and parameters or reason.
fn shown(rows: &[Row]) -> Vec<String> {
    let line = |row: &Row| match &row.found {
        Ok(found) => {
            let Parameters { algorithm, digits, period } = found.secret.parameters();
            format!("{}: {} {algorithm} {digits} {period}", row.place, row.name)
        }
        Err(reason) => format!("{}: {} ({reason})", row.place, row.name),
    };
    rows.iter().map(line).collect()
}

fn aegis_entry(kind: &str, name: &str, info: &Value) -> Value {
    json!({"type": kind, "uuid": "3ae6f1ad-2e65-4ed2-a953-1ec0dff2386d", "name": name, "issuer": "Example", "icon": null, "info": info})
}

fn aegis_contents() -> Value {
    json!({"version": 3, "entries": [
        aegis_entry("totp", "ann", &json!({"secret": KEY, "algo": "SHA256", "digits": 8, "period": 60})),
        aegis_entry("hotp", "ben", &json!({"secret": KEY, "algo": "SHA1", "digits": 6, "counter": 3})),
        aegis_entry("steam", "cho", &json!({"secret": KEY, "algo": "SHA1", "digits": 5, "period": 30})),
        aegis_entry("yandex", "dee", &json!({"secret": KEY, "algo": "SHA256", "digits": 8, "period": 30, "pin": "1"})),
        aegis_entry("totp", "eve", &json!({"algo": "SHA1", "digits": 6, "period": 30})),
        aegis_entry("totp", "fay", &json!({"secret": SHORT, "algo": "MD5", "digits": 6, "period": 30})),
    ], "groups": []})
}

fn aegis(db: &Value) -> Value {
    json!({"version": 1, "header": {"slots": null, "params": null}, "db": db})
}

const AEGIS_ROWS: [&str; 6] = [
    "entry 1: Example: ann SHA256 8 60",
    "entry 2: Example: ben (it is counter-based (HOTP), and a counter cannot be shared)",
    "entry 3: Example: cho (it is Steam's, whose letter codes are not supported)",
    "entry 4: Example: dee (its codes are of a kind that is not supported (yandex))",
    "entry 5: unnamed (it cannot be read: fields are missing, or hold something else)",
    "entry 6: Example: fay (unknown algorithm \"MD5\"; it must be SHA1, SHA256 or SHA512)",
];

#[test]
fn a_plain_vault_of_aegis_is_read_row_by_row() {
    let rows = read_one(&aegis(&aegis_contents()).to_string());
    assert_eq!(shown(&rows), AEGIS_ROWS);
    let ann = rows[0].found.as_ref().unwrap();
    assert_eq!(ann.secret.key(), OtpSecret::from_base32(KEY).unwrap().key());
    assert_eq!(ann.uuid, None, "nobody knows the account by the app's own number");
}

/// What AES-256-GCM makes of `plain`, and the tag.
fn sealed(key: &[u8; 32], nonce: [u8; 12], plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = plain.to_vec();
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&nonce.into(), b"", bytes.as_mut_slice().into())
        .expect("a short text");
    (bytes, tag.to_vec())
}

/// A slot that is cheap to open, so that tests are quick without optimisation.
fn slot(password: &str, master: &[u8; 32]) -> Value {
    let (n, r, p) = (16, 8, 1);
    let key = locked::Scrypt::new(n, r, p, vec![5; 32]).unwrap().key(password);
    let (wrapped, tag) = sealed(&key, [6; 12], master);
    json!({
        "type": 1, "uuid": "", "key": HEXLOWER.encode(&wrapped),
        "key_params": {"nonce": HEXLOWER.encode(&[6; 12]), "tag": HEXLOWER.encode(&tag)},
        "n": n, "r": r, "p": p, "salt": HEXLOWER.encode(&[5; 32]),
    })
}

fn locked_aegis(slots: &[Value], master: &[u8; 32]) -> Value {
    let (contents, tag) = sealed(master, [8; 12], aegis_contents().to_string().as_bytes());
    let params = json!({"nonce": HEXLOWER.encode(&[8; 12]), "tag": HEXLOWER.encode(&tag)});
    json!({"version": 1, "header": {"slots": slots, "params": params}, "db": BASE64.encode(&contents)})
}

#[test]
fn a_vault_of_aegis_opens_with_each_of_its_passwords() {
    let master = [9; 32];
    let biometric = json!({"type": 2, "uuid": "", "key": "", "key_params": {"nonce": "", "tag": ""}});
    let slots = [biometric, slot("correct horse", &master), slot("battery", &master)];
    let vault = locked_aegis(&slots, &master).to_string();
    for password in ["correct horse", "battery"] {
        let import = read(&[&vault], None, Some(password)).unwrap();
        assert_eq!(
            (import.formats.as_slice(), shown(&import.rows)),
            (&[Format::Aegis][..], AEGIS_ROWS.map(String::from).to_vec())
        );
    }
    assert_eq!(read(&[&vault], None, None), Err(ImportError::PasswordNeeded(Format::Aegis)));
    for password in ["", "Correct horse"] {
        assert_eq!(read(&[&vault], None, Some(password)), Err(ImportError::WrongPassword(Format::Aegis)));
    }
}

#[test]
fn hostile_and_damaged_vaults_are_refused() {
    let master = [9; 32];
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut vault = locked_aegis(&[slot("x", &master)], &master);
        change(&mut vault);
        vault
    };
    let costly = |n: u64, r: u64, p: u64| {
        let mut slot = slot("x", &master);
        (slot["n"], slot["r"], slot["p"]) = (n.into(), r.into(), p.into());
        slot
    };
    let damaged = ImportError::NotThisFormat(Format::Aegis);
    let version = |found| ImportError::Version { format: Format::Aegis, found };
    for (vault, error) in [
        (locked_aegis(&[costly(1 << 30, 8, 1)], &master), ImportError::TooCostly),
        (locked_aegis(&[costly(1 << 15, 8, 1 << 20)], &master), ImportError::TooCostly),
        // What many slots cost together is known before one is tried.
        (locked_aegis(&vec![costly(1 << 18, 1, 1); 17], &master), ImportError::TooCostly),
        (locked_aegis(&[], &master), ImportError::NoPasswordSlot),
        (changed(&|vault| vault["header"]["slots"][0]["type"] = 2.into()), ImportError::NoPasswordSlot),
        (changed(&|vault| vault["version"] = 2.into()), version(2)),
        (changed(&|vault| vault["version"] = 0.into()), version(0)),
        (changed(&|vault| vault["header"]["params"] = Value::Null), damaged.clone()),
        (changed(&|vault| vault["header"]["params"]["tag"] = "00".into()), damaged.clone()),
        (changed(&|vault| vault["header"]["params"]["nonce"] = "0".repeat(24).into()), damaged.clone()),
        (changed(&|vault| vault["header"]["slots"][0]["salt"] = "zz".into()), damaged.clone()),
        (changed(&|vault| vault["header"]["slots"][0]["n"] = Value::Null), damaged.clone()),
        (changed(&|vault| vault["db"] = "AAAA".into()), damaged.clone()),
        (changed(&|vault| vault["db"] = "A".into()), damaged.clone()),
        (aegis(&json!({"version": 4, "entries": []})), version(4)),
        (aegis(&json!({"version": 3})), damaged.clone()),
        (aegis(&json!([])), damaged.clone()),
    ] {
        assert_eq!(read(&[vault.to_string()], None, Some("x")), Err(error), "{vault}");
    }
}

fn service(name: &str, otp: &Value) -> Value {
    json!({"name": name, "secret": KEY, "updatedAt": 1, "otp": otp, "order": {"position": 0}})
}

fn services() -> Value {
    json!([
        service(
            "Bank",
            &json!({"account": "ann", "issuer": "My Bank", "digits": 7, "period": 45, "algorithm": "SHA512", "tokenType": "TOTP"})
        ),
        service("Mail", &json!({"label": "ben", "account": " ", "issuer": "", "tokenType": "TOTP"})),
        service("Old", &json!({"counter": 1, "tokenType": "HOTP"})),
        service("Older", &json!({"counter": 1})),
        service("Games", &json!({"digits": 5, "tokenType": "STEAM"})),
        service("Many", &json!({"digits": 10, "account": "x"})),
        json!({"name": "Broken", "otp": {}}),
        7,
    ])
}

const SERVICE_ROWS: [&str; 8] = [
    "entry 1: My Bank: ann SHA512 7 45",
    "entry 2: Mail: ben SHA1 6 30",
    "entry 3: Old (it is counter-based (HOTP), and a counter cannot be shared)",
    "entry 4: Older (it is counter-based (HOTP), and a counter cannot be shared)",
    "entry 5: Games (it is Steam's, whose letter codes are not supported)",
    "entry 6: Many: x (codes of 10 digits are not supported; digits must be 6, 7 or 8)",
    "entry 7: unnamed (it cannot be read: fields are missing, or hold something else)",
    "entry 8: unnamed (it cannot be read: fields are missing, or hold something else)",
];

#[test]
fn backups_of_2fas_are_read_plain_and_under_a_password() {
    let plain = json!({"schemaVersion": 4, "services": services(), "groups": [], "appVersionName": "5.1.0"});
    assert_eq!(shown(&read_one(&plain.to_string())), SERVICE_ROWS);

    let (salt, nonce) = ([3; 256], [4; 12]);
    let key = locked::pbkdf2("hunter2", &salt, 10_000).unwrap();
    let (mut bytes, tag) = sealed(&key, nonce, services().to_string().as_bytes());
    bytes.extend(tag);
    let parts = [bytes, salt.to_vec(), nonce.to_vec()].map(|part| BASE64.encode(&part));
    let backup = |encrypted: &str, version: u64| {
        json!({"schemaVersion": version, "services": [], "servicesEncrypted": encrypted, "reference": ""}).to_string()
    };
    let good = backup(&parts.join(":"), 4);
    assert_eq!(shown(&read(&[&good], None, Some("hunter2")).unwrap().rows), SERVICE_ROWS);
    assert_eq!(read(&[&good], None, None), Err(ImportError::PasswordNeeded(Format::TwoFas)));
    assert_eq!(read(&[&good], None, Some("hunter3")), Err(ImportError::WrongPassword(Format::TwoFas)));
    let version = ImportError::Version { format: Format::TwoFas, found: 5 };
    assert_eq!(read(&[backup(&parts.join(":"), 5)], None, Some("hunter2")), Err(version));
    let long = BASE64.encode(&[0; 1025]);
    assert_eq!(
        read(&[backup(&[&parts[0], &long, &parts[2]].map(String::as_str).join(":"), 4)], None, Some("x")),
        Err(ImportError::TooCostly)
    );
    for damaged in ["A", "AAAA", "AAAA:AAAA", "AAAA:AAAA:AAAA", "::", "AAAA:AAAA:AAAA:AAAA"] {
        let error = read(&[backup(damaged, 4)], None, Some("x")).unwrap_err();
        assert_eq!(error, ImportError::NotThisFormat(Format::TwoFas), "{damaged}");
    }
}

#[test]
fn plain_backups_of_andotp_are_read() {
    let entry = |kind: &str, period: Value| {
        json!({"secret": format!("{SHORT}======"), "issuer": "Example", "label": "ann", "digits": 6, "type": kind,
               "algorithm": "SHA1", "thumbnail": "Default", "last_used": 1, "period": period, "tags": []})
    };
    let backup =
        json!([entry("TOTP", 20.into()), entry("HOTP", Value::Null), entry("STEAM", Value::Null), {"type": "TOTP"}]);
    assert_eq!(
        shown(&read_one(&backup.to_string())),
        [
            "entry 1: Example: ann SHA1 6 20",
            "entry 2: Example: ann (it is counter-based (HOTP), and a counter cannot be shared)",
            "entry 3: Example: ann (it is Steam's, whose letter codes are not supported)",
            "entry 4: unnamed (it cannot be read: fields are missing, or hold something else)",
        ]
    );
    // Period 0 and what is negative or no number are told apart.
    let backup = json!([entry("TOTP", 0.into()), entry("TOTP", (-30).into()), entry("TOTP", 1_000_000_000.into())]);
    assert_eq!(
        shown(&read_one(&backup.to_string())),
        [
            "entry 1: Example: ann (the period is 0 seconds; it must be at least 1, and is usually 30)",
            "entry 2: unnamed (it cannot be read: fields are missing, or hold something else)",
            "entry 3: Example: ann (the period of 1000000000 seconds is too long; it is usually 30)",
        ]
    );
}

#[test]
fn exports_of_bitwarden_count_where_logins_have_codes() {
    let item = |name: &str, totp: Value| json!({"id": "", "type": 1, "name": name, "login": {"username": "ann", "password": "x", "totp": totp}});
    let export = json!({"encrypted": false, "folders": [], "items": [
        {"type": 2, "name": "a note", "secureNote": {"type": 0}},
        item("no code", Value::Null),
        item("empty", " ".into()),
        item("Shop", "jbsw y3dp ehpk 3pxp".into()),
        item("Named", URI.into()),
        item("Nameless", format!("otpauth://totp/?secret={SHORT}&digits=8").into()),
        item("Games", format!("steam://{SHORT}").into()),
        item("Counter", format!("otpauth://hotp/x?secret={SHORT}&counter=1").into()),
        item("Wrong", "hunter-0".into()),
        "nonsense",
    ]});
    assert_eq!(
        shown(&read_one(&export.to_string())),
        [
            "entry 4: Shop: ann SHA1 6 30",
            "entry 5: Example: alice@google.com SHA1 6 30",
            "entry 6: Nameless: ann SHA1 8 30",
            "entry 7: Games: ann (it is Steam's, whose letter codes are not supported)",
            "entry 8: Counter: ann (it is counter-based (HOTP), and a counter cannot be shared)",
            "entry 9: Wrong: ann (the secret is not base32: it may hold only the letters A to Z and the digits 2 to 7; check for 0, 1 and 8 typed for O, I and B)",
            "entry 10: unnamed (it cannot be read: fields are missing, or hold something else)",
        ]
    );
    for encrypted in [
        json!({"encrypted": true, "passwordProtected": true, "salt": "", "kdfType": 0, "data": "2.x"}),
        json!({"encrypted": true, "encKeyValidation_DO_NOT_EDIT": "2.x", "items": []}),
    ] {
        let error = read(&[encrypted.to_string()], None, Some("x")).unwrap_err();
        assert_eq!(error, ImportError::Encrypted(Format::Bitwarden));
    }
}

const ONE: &str = "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1";
const TWO: &str = "5F0C8D10-1F0E-4A35-8D21-0C2E4AD3C1A2";
const THREE: &str = "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a3";

#[test]
fn sharedmfas_table_and_key_vault_are_joined_and_their_uuids_kept() {
    let row = |uuid: &str, issuer: &str, custom: &str| json!({"PartitionKey": "mfaseed", "RowKey": uuid, "AccountName": issuer, "CustomName": custom, "Timestamp": "x"});
    let secret = |uuid: &str, key: &str| json!({"id": format!("https://vault.example/secrets/{uuid}/0123"), "name": uuid, "value": key, "attributes": {}});
    let mut unnamed = secret(THREE, KEY);
    unnamed.as_object_mut().unwrap().remove("name");
    let mut other = row(ONE, "another table", "x");
    other["PartitionKey"] = "else".into();
    let rows = [
        row(ONE, "AWS", "root of prod"),
        row(TWO, "GitHub", ""),
        other,
        row("no-uuid", "Bad", "b"),
        row(THREE, "Gone", "g"),
    ];
    let secrets = [
        secret(ONE, SHORT),
        secret(&TWO.to_lowercase(), KEY),
        secret("database-password", "hunter2"),
        json!({"id": 5}),
    ];
    let expected = [
        "entry 4: unnamed (it cannot be read: fields are missing, or hold something else)",
        "entry 1: AWS SHA1 6 30",
        "entry 2: GitHub SHA1 6 30",
        "entry 4: Bad: b (what should be its UUID is none)",
        "entry 5: Gone: g (its secret is in none of the files: add what `az keyvault secret show` prints for it)",
    ];
    let lines = secrets.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    for table in [json!(rows), json!({"items": rows, "nextMarker": {}}), json!({"value": rows})] {
        for secrets in [json!(secrets).to_string(), lines.clone()] {
            let import = read(&[table.to_string(), secrets], None, None).unwrap();
            assert_eq!(shown(&import.rows), expected);
            let one = import.rows[1].found.as_ref().unwrap();
            assert_eq!((one.uuid.as_deref(), one.label.as_deref()), (Some(ONE), Some("root of prod")));
            let two = import.rows[2].found.as_ref().unwrap();
            assert_eq!((two.uuid.clone(), two.label.as_deref()), (Some(TWO.to_lowercase()), None));
        }
    }
    // Both in one, and a secret that the table has lost: clients may still ask for its UUID.
    let both = json!({"apps": [row(ONE, "AWS", "a")], "secrets": [secret(ONE, SHORT), unnamed]}).to_string();
    let rows = read_one(&both);
    assert_eq!(shown(&rows), ["entry 1: AWS SHA1 6 30", "entry 3: unnamed SHA1 6 30"]);
    assert_eq!(rows[1].found.as_ref().unwrap().uuid.as_deref(), Some(THREE));
}

#[test]
fn what_sharedmfas_files_leave_open_is_said_and_not_guessed() {
    let row = |uuid: &str, custom: &str| json!({"RowKey": uuid, "AccountName": "AWS", "CustomName": custom});
    let version = |version: &str, key: &str| json!({"id": format!("https://v/secrets/{ONE}/{version}"), "value": key});
    let table =
        json!({"items": [row(ONE, "a"), row(ONE, "b")], "nextMarker": {"nextpartitionkey": "1!8!"}}).to_string();
    let read = |secrets: &[Value]| {
        let import = read(&[table.clone(), json!(secrets).to_string()], None, None).unwrap();
        shown(&import.rows)
    };
    let more =
        "entry 3: unnamed (this is not all: the rest is fetched with `--marker`, and imported together with this)";
    let second = "entry 2: AWS: b (its UUID is that of entry 1)";
    // The same value twice is no question.
    assert_eq!(read(&[version("1", KEY), version("1", KEY)]), [more, "entry 1: AWS SHA1 6 30", second]);
    let differ = "entry 1: AWS: a (several secrets are given for its UUID: keep the file with the one that counts)";
    assert_eq!(read(&[version("1", KEY), version("2", SHORT)]), [more, differ, second]);
    let names = json!([{"id": format!("https://v/secrets/{ONE}"), "name": ONE, "attributes": {"enabled": true}}]);
    let said = shown(&read_one(&names.to_string())).join("");
    assert!(said.starts_with("entry 1: unnamed (its value is not there"), "{said}");
}

#[test]
fn a_format_that_is_named_wants_what_it_always_has() {
    for text in ["{}", r#"{"schemaVersion":4}"#, r#"{"version":1,"header":{},"db":{}}"#] {
        let wrong = read(&[text], Some(Format::TwoFas), None);
        assert_eq!(wrong, Err(ImportError::NotThisFormat(Format::TwoFas)), "{text}");
    }
    assert_eq!(read(&[r#"{"schemaVersion":4,"services":[]}"#], None, None).unwrap().rows, []);
}

#[test]
fn our_own_exports_are_read_with_uuids_and_names() {
    let record = |uuid: &str, otpauth: &str| json!({"uuid": uuid, "otpauth": otpauth, "name": "prod"}).to_string();
    let text =
        [record(ONE, URI), String::new(), record("x", URI), record(TWO, "otpauth://hotp/x?secret=A"), "{".into()];
    let rows = read(&[text.join("\n")], Some(Format::Quorate), None).unwrap().rows;
    assert_eq!(
        shown(&rows),
        [
            "line 1: Example: alice@google.com SHA1 6 30".to_owned(),
            "line 3: x (what should be its UUID is none)".to_owned(),
            format!("line 4: {TWO} (it is counter-based (HOTP), and a counter cannot be shared)"),
            "line 5: unnamed (it cannot be read: fields are missing, or hold something else)".to_owned(),
        ]
    );
    let first = rows[0].found.as_ref().unwrap();
    assert_eq!((first.uuid.as_deref(), first.label.as_deref()), (Some(ONE), Some("prod")));
    assert_eq!(read_one(&text[0]), rows[..1]);
}

#[test]
fn whoever_wants_one_secret_may_give_an_export_too() {
    let imported = parse_any(&aegis(&aegis_contents()).to_string()).unwrap();
    assert_eq!(only_one(imported).unwrap().display_name(), "Example: ann");
    let vault = locked_aegis(&[slot("x", &[9; 32])], &[9; 32]).to_string();
    assert_eq!(parse_any(&vault), Err(ImportError::PasswordNeeded(Format::Aegis)));
    assert_eq!(parse_any("{}"), Err(ImportError::UnknownFormat));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_to_an_export_makes_a_reader_panic(
        which in 0..6usize,
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<char>()), 1..6),
    ) {
        let master = [9; 32];
        let texts = [
            aegis(&aegis_contents()).to_string(),
            locked_aegis(&[slot("x", &master)], &master).to_string(),
            json!({"schemaVersion": 4, "services": services()}).to_string(),
            json!({"encrypted": false, "items": [{"login": {"totp": URI}}]}).to_string(),
            json!([{"RowKey": ONE}, {"id": "https://v/secrets/x", "value": KEY}]).to_string(),
            json!({"uuid": ONE, "otpauth": URI}).to_string(),
        ];
        let mut text: Vec<char> = texts[which].chars().collect();
        for (place, value) in &places {
            let place = place.index(text.len());
            text[place] = *value;
        }
        let text: String = text.into_iter().collect();
        for format in [None].into_iter().chain(Format::ALL.map(Some)) {
            let _ = read(&[&text], format, Some("x"));
        }
    }
}
