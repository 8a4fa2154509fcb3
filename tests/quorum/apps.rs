//! Shared codes from the command line, against a real oracle: added, read, granted, revoked, imported, exported, by people and by
//! an application.

use super::people::Desk;
use super::support::{Ended, Key, LIMIT, Person, Program, built, oathtool};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_protocol::sealing::age_open;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Instant;

const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const OTHER_KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const UUID: &str = "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1";

/// `quorate app` of `person`, with `input` on stdin.
fn app(person: &Person, arguments: &[&str], input: &str) -> Ended {
    let arguments = [&["app"][..], arguments].concat();
    Program::start_with_input(&mut person.command(&arguments), input).end()
}

/// Adds the app of an otpauth URI, from stdin, and gives its UUID.
fn add(person: &Person, uri: &str, more: &[&str]) -> String {
    let added = app(person, &[&["--json", "add", "--otpauth", "-"][..], more].concat(), &format!("{uri}\n")).json();
    added["uuid"].as_str().expect("a UUID").to_owned()
}

fn uri(issuer: &str, account: &str, key: &str) -> String {
    format!("otpauth://totp/{issuer}:{account}?secret={key}&issuer={issuer}")
}

/// Reads a code, which has to be that of `key` at some time of the reading.
#[track_caller]
fn reads(person: &Person, arguments: &[&str], key: &str) {
    let now = || jiff::Timestamp::now().as_second();
    let before = now();
    let read = app(person, &[&["--json", "code"][..], arguments].concat(), "").json();
    let code = read["code"].as_str().expect("digits");
    assert!(read["expires"].as_u64().is_some_and(|left| left <= 30_000) && read["period"] == 30, "{read}");
    // The oracle's clock is this one; what was waited for is within.
    let steps = before / 30..=now() / 30;
    let end = |step: i64| jiff::Timestamp::from_second((step + 1) * 30).expect("in range").to_string();
    let codes: Option<Vec<String>> = steps.map(|step| oathtool(key, &end(step))).collect();
    assert!(codes.is_none_or(|codes| codes.iter().any(|each| each == code)), "another code than oathtool's");
}

/// The audit log, as soon as `text` is in it: events are numbered in batches.
fn logged(desk: &Desk, text: &str) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        let log = desk.ann.quorate(&["audit", "show", "--json", "--oracle", &desk.oracle.url]).ok();
        if log.contains(text) {
            return log;
        }
        assert!(Instant::now() < deadline, "never logged {text:?}: {log}");
    }
}

fn listed(person: &Person, arguments: &[&str]) -> Vec<String> {
    let list = app(person, &[&["list"][..], arguments].concat(), "").ok();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn a_member_reads_codes_from_the_grant_to_its_end() {
    let desk = Desk::new();
    let (ann, bob) = (&desk.ann, desk.bob());
    let uuid = add(ann, &uri("AWS", "root", KEY), &["--name", "production"]);
    assert_eq!(listed(ann, &[]), [format!("{uuid}  owner   AWS: root (production)")]);
    reads(ann, &["production", "--why", "rotate the keys"], KEY);

    assert_eq!(listed(&bob, &[]), [""; 0]);
    let said = app(&bob, &["code", &uuid], "").fails(1);
    assert!(said.contains("hint: `quorate app list` shows those that you may read"), "{said}");
    let said = app(ann, &["grant", "aws: root", "bob"], "").stderr;
    assert!(said.contains("bob may read codes of AWS: root (production)"), "{said}");
    assert_eq!(listed(&bob, &["prod", "AWS"]), [format!("{uuid}  code    AWS: root (production)")]);
    assert_eq!(listed(&bob, &["prod", "mail"]), [""; 0]);
    reads(&bob, &["root"], KEY);

    // Who may only read does not say who may, and takes nothing out.
    for refused in [&["grant", &uuid, "ann"][..], &["remove", &uuid, "--yes"], &["export", &uuid, "-r", &bob.recipient]]
    {
        let said = app(&bob, refused, "").fails(1);
        assert!(said.contains("hint: `quorate app show APP` shows whose it is"), "{refused:?}: {said}");
    }
    let shown = app(ann, &["--json", "show", &uuid], "").json();
    let grants = shown["grants"].as_array().expect("a list").iter();
    assert!(
        grants.clone().any(|it| it["grantee"] == "principal/internal/user/bob" && it["right"] == "code"),
        "{shown}"
    );
    assert!(app(&bob, &["--json", "show", &uuid], "").json()["grants"].is_null());

    app(&bob, &["leave", "root", "--yes"], "").ok();
    let said = app(&bob, &["code", &uuid], "").fails(1);
    assert!(said.contains("hint: `quorate app list` shows those"), "{said}");
    let said = app(ann, &["leave", &uuid, "--yes"], "").fails(1);
    assert!(said.contains("hint: remove the app"), "an owner stays: {said}");
    app(ann, &["grant", &uuid, "bob"], "").ok();
    reads(&bob, &["root"], KEY);

    app(ann, &["revoke", &uuid, "bob"], "").ok();
    let said = app(&bob, &["code", &uuid], "").fails(1);
    assert!(said.contains("hint: `quorate app list` shows those"), "{said}");
    let said = app(ann, &["revoke", &uuid, "bob"], "").fails(1);
    assert!(said.contains("hint: `quorate app show APP` shows who has one"), "{said}");

    app(ann, &["remove", &uuid, "--yes"], "").ok();
    assert!(app(ann, &["show", "production"], "").fails(1).contains("you may read no app called production"));
    // Why is in the log; the code and the secret are not.
    let log = logged(&desk, "rotate the keys");
    assert!(!log.contains(KEY), "{log}");
}

#[test]
fn what_is_no_secret_to_share_is_refused_with_the_cure() {
    let desk = Desk::new();
    let add = |input: &str| app(&desk.ann, &["add", "-"], input).fails(1);
    for (input, said) in [
        ("otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1", "counter-based"),
        ("otpauth://steam/x?secret=JBSWY3DPEHPK3PXP", "Steam"),
        ("otpauth://totp/x", "has no secret"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&period=0", "the period is 0 seconds"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=5", "digits must be 6, 7 or 8"),
        ("", "nothing was given"),
    ] {
        let refused = add(input);
        assert!(refused.contains(said) && !refused.contains("JBSW"), "{input}: {refused}");
    }
    let long = "n".repeat(300);
    let said = app(&desk.ann, &["add", "-", "--name", &long], &uri("A", "b", KEY)).fails(1);
    assert!(said.contains("the oracle refuses"), "{said}");
    assert_eq!(listed(&desk.ann, &[]), [""; 0]);
}

/// What became of each row: status, place, name.
fn outcomes(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| row[name].as_str().expect("text").to_owned();
        format!("{} {} {}", text("status"), text("place"), text("name"))
    };
    text.lines().map(line).collect()
}

#[test]
fn an_import_keeps_what_is_good_and_says_what_becomes_of_each_row() {
    let desk = Desk::new();
    let ann = &desk.ann;
    add(ann, &uri("Mail", "team", KEY), &[]);
    let list = [
        uri("AWS", "root", OTHER_KEY),
        "nonsense".to_owned(),
        uri("AWS", "again", OTHER_KEY),
        uri("Mail", "team", OTHER_KEY.replace('G', "H").as_str()),
        format!("{}&uuid={UUID}", uri("Shop", "till", OTHER_KEY.replace('G', "I").as_str())),
        uri("Bank", "x", OTHER_KEY).replace("totp", "hotp"),
    ];
    fs::write(ann.path("list.txt"), list.join("\n")).expect("written");
    let expected = |first: &str| {
        [
            &format!("{first} line 1 AWS: root"),
            "left_out line 2 unnamed",
            "repeated line 3 AWS: again",
            "differs line 4 Mail: team",
            &format!("{first} line 5 Shop: till"),
            "left_out line 6 Bank:x",
        ]
        .map(str::to_owned)
    };
    let import = |more: &[&str]| app(ann, &[&["--json", "import", "list.txt"][..], more].concat(), "");
    let dry = import(&["--dry-run"]);
    assert_eq!((outcomes(&dry.stdout), dry.code), (expected("to_add").to_vec(), Some(1)));
    assert!(dry.stderr.contains("2 to add, 1 repeated, 1 differs, 2 left out"), "{}", dry.stderr);
    assert_eq!(listed(ann, &[]).len(), 1, "a dry run changes nothing");

    let done = import(&[]);
    assert_eq!((outcomes(&done.stdout), done.code), (expected("added").to_vec(), Some(1)));
    assert!(done.stderr.contains("error: 3 of 6 entries failed") && !done.stderr.contains(OTHER_KEY), "{done:?}");
    assert_eq!(outcomes(&import(&[]).stdout), expected("there"), "a second time adds nothing");
    reads(ann, &["AWS: root"], OTHER_KEY);
    assert_eq!(app(ann, &["--json", "show", UUID], "").json()["label"], "till");

    // A UUID that somebody else has is theirs; their app is none of this person's business, but for that.
    let bob = desk.bob();
    let line = format!("{}&uuid={UUID}", uri("Shop", "till", KEY));
    let refused = app(&bob, &["import", "-"], &line);
    assert!(refused.stdout.starts_with("refused   line 1  Shop: till  ") && refused.code == Some(1), "{refused:?}");
    // Which a dry run knows, and it says what helps.
    let dry = app(&bob, &["import", "-n", "-"], &line);
    assert_eq!((&dry.stdout, dry.code), (&refused.stdout, Some(1)));
    let taken_over = |more: &[&str]| app(&bob, &[&["import", "--new-uuids", "-"][..], more].concat(), &line).ok();
    assert!(dry.stdout.contains("--new-uuids") && taken_over(&["-n"]).starts_with("to add    line 1  Shop: till\n"));
    assert!(taken_over(&[]).starts_with("added     line 1  Shop: till  "));
    assert!(taken_over(&[]).starts_with("there     line 1  Shop: till  "), "by its codes");
    reads(&bob, &["Shop: till"], KEY);
}

#[test]
fn an_app_of_the_same_name_with_another_secret_is_not_taken_for_what_is_imported() {
    let desk = Desk::new();
    let (ann, bob) = (&desk.ann, desk.bob());
    // What somebody else lets one read is theirs, and stands for nothing of one's own.
    let theirs = add(ann, &uri("Example", "alice", KEY), &[]);
    app(ann, &["grant", &theirs, "bob"], "").ok();
    let list = format!("{}\n", uri("Example", "alice", OTHER_KEY));
    let import = |more: &[&str]| app(&bob, &[&["--json", "import", "-"][..], more].concat(), &list);
    let added = import(&[]).json();
    assert_eq!(
        (&added["status"], &added["issuer"], &added["label"]),
        (&"added".into(), &"Example".into(), &"alice".into())
    );
    let own = added["uuid"].as_str().expect("a UUID");
    reads(&bob, &[own], OTHER_KEY);
    // Of one's own app the codes are compared, whatever it is called.
    let there = import(&[]).json();
    assert_eq!((&there["status"], &there["uuid"]), (&"there".into(), &own.into()));
    let nameless = format!("otpauth://totp/?secret={OTHER_KEY}");
    assert!(app(&bob, &["import", "-"], &nameless).ok().starts_with("there     line 1  unnamed  "));
    // The account has got a new secret: nobody is told that it is there.
    let new = uri("Example", "alice", &OTHER_KEY.replace('G', "H"));
    let differs = app(&bob, &["import", "-"], &new);
    assert!(differs.stdout.starts_with("differs   line 1  Example: alice  ") && differs.code == Some(1), "{differs:?}");
    assert!(app(&bob, &["import", "-", "--again"], &new).ok().starts_with("added     line 1"));
    reads(&bob, &[own], OTHER_KEY);
}

#[test]
fn an_app_gets_other_names_and_the_accounts_new_secret_and_keeps_its_readers() {
    let desk = Desk::new();
    let (ann, bob) = (&desk.ann, desk.bob());
    let uuid = add(ann, &uri("AWS", "rot", KEY), &[]);
    app(ann, &["grant", &uuid, "bob"], "").ok();
    let said = app(ann, &["change", "AWS: rot", "--label", "root", "--name", "production"], "").ok();
    assert!(said.starts_with("app       AWS: root (production)\n"), "{said}");
    reads(&bob, &["AWS: root (production)"], KEY);
    let said = app(ann, &["change", &uuid, "--new-secret"], &format!("{OTHER_KEY}\n"));
    assert!(said.stderr.contains("its codes are of the new secret"), "{said:?}");
    reads(&bob, &["production"], OTHER_KEY);
    let said = app(&bob, &["change", &uuid, "--name", "mine"], "").fails(1);
    assert!(said.contains("hint: `quorate app show APP` shows whose it is"), "{said}");
    let said = app(ann, &["change", &uuid], "").fails(2);
    assert!(said.contains("say what changes: --name, --issuer, --label or --new-secret"), "{said}");
    // Somebody who was granted an app of that name, and has one of their own, means their own.
    add(&bob, &uri("AWS", "root", KEY), &[]);
    reads(&bob, &["AWS: root"], KEY);
}

#[test]
fn what_is_said_of_grants_names_who_and_is_json_for_programs() {
    let desk = Desk::new();
    let (ann, bob) = (&desk.ann, desk.bob());
    let uuid = add(ann, &uri("AWS", "root", KEY), &[]);
    let said = app(ann, &["grant", &uuid, "bob", "nobody"], "").fails(1);
    assert!(said.contains("bob may read codes of AWS: root") && said.contains("error: nobody: "), "{said}");
    assert!(said.contains("principal/internal/group/NAME for a team"), "{said}");
    let granted = app(ann, &["--json", "grant", "--manage", &uuid, "bob"], "").json();
    assert_eq!(granted, json!({ "uuid": uuid, "grantee": "bob", "right": "manage" }));
    let lowered = app(ann, &["grant", &uuid, "bob"], "").stderr;
    assert!(lowered.contains("bob may only read codes now"), "{lowered}");
    assert_eq!(app(ann, &["--json", "revoke", &uuid, "bob"], "").json(), json!({ "uuid": uuid, "grantee": "bob" }));
    // The same secret once more is a question, and an empty list is said to be one.
    let again = |more: &[&str]| app(ann, &[&["add", "-"][..], more].concat(), &uri("Other", "name", KEY));
    let said = again(&[]).fails(1);
    assert!(said.contains(&format!("makes the same codes: {uuid}")) && said.contains("--again"), "{said}");
    again(&["--again"]).ok();
    let none = app(&bob, &["list"], "");
    assert!(none.stdout.is_empty() && none.stderr.contains("there is no app that you may read yet"), "{none:?}");
    let said = app(ann, &["add", "GitHub"], "").fails(2);
    assert!(said.contains("names have options of their own") && !said.contains("renew it"), "{said}");
    let said = app(ann, &["remove", &uuid], "").fails(1);
    assert!(
        said.contains(
            "hint: run it from a terminal, or agree beforehand with the option that its --help has for that (--yes"
        ),
        "{said}"
    );
    assert_eq!(app(ann, &["--json", "remove", &uuid, "--yes"], "").json(), json!({ "uuid": uuid }));
}

#[test]
fn whoever_removes_somebody_is_told_before_which_apps_are_lost() {
    let desk = Desk::new();
    let (ann, bob) = (&desk.ann, desk.bob());
    let (own, shared) = (add(&bob, &uri("AWS", "root", KEY), &[]), add(&bob, &uri("Mail", "team", OTHER_KEY), &[]));
    app(&bob, &["grant", &shared, "ann"], "").ok();
    let principal = |arguments: &[&str]| {
        let mut command = ann.command(&[&["principal"][..], arguments].concat());
        Program::start_with_input(&mut command, "").end()
    };
    let shown = principal(&["show", "bob"]).ok();
    assert!(shown.contains(&format!("only its   app {own}")) && shown.contains(&shared), "{shown}");
    let told = |said: &str| {
        assert!(said.contains(&format!("goes for good the app {own}")), "{said}");
        assert!(said.contains("`quorate app grant --manage` before") && said.contains(&shared), "{said}");
    };
    told(&principal(&["remove", "bob"]).fails(1));
    let removed = principal(&["remove", "bob", "--yes"]);
    told(&removed.stderr);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(listed(ann, &[]), [format!("{shared}  code    Mail: team")]);
}

#[test]
fn a_file_that_cannot_be_imported_is_named() {
    let desk = Desk::new();
    fs::write(desk.ann.path("good.txt"), uri("AWS", "root", KEY)).expect("written");
    fs::write(desk.ann.path("cut.json"), r#"{"version":1,"header":{},"db":{"entr"#).expect("written");
    fs::write(desk.ann.path("apps.age"), "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n").expect("written");
    let said = |files: &[&str]| app(&desk.ann, &[&["import", "-n"][..], files].concat(), "").fails(1);
    let cut = said(&["good.txt", "cut.json"]);
    assert!(cut.contains("error: cut.json: this begins as an export does, and is not whole"), "{cut}");
    let age = said(&["good.txt", "apps.age"]);
    assert!(
        age.contains("error: apps.age: this is encrypted with age") && age.contains("hint: `age -d -i KEY"),
        "{age}"
    );
    let empty = said(&["cut.json", "--format", "2fas"]);
    assert!(empty.contains("cut.json: this is no export of 2FAS"), "{empty}");
}

#[test]
fn sharedmfas_table_and_secrets_move_with_their_uuids() {
    let desk = Desk::new();
    let ann = &desk.ann;
    let row = json!({"PartitionKey": "mfaseed", "RowKey": UUID, "AccountName": "AWS", "CustomName": "production"});
    let secret = json!({"id": format!("https://vault.example/secrets/{UUID}/1"), "name": UUID, "value": KEY});
    fs::write(ann.path("table.json"), json!({"items": [row]}).to_string()).expect("written");
    fs::write(ann.path("secrets.json"), secret.to_string()).expect("written");
    let said = app(ann, &["import", "table.json", "secrets.json"], "").ok();
    assert_eq!(said, format!("added     table.json, entry 1  AWS (production)  {UUID}\n"));
    assert_eq!(listed(ann, &[]), [format!("{UUID}  owner   AWS (production)")]);
    reads(ann, &[UUID], KEY);
}

#[test]
fn an_export_is_read_by_its_recipients_alone_and_imported_again() {
    let desk = Desk::new();
    let ann = &desk.ann;
    let one = add(ann, &uri("AWS", "root", KEY), &["--name", "production"]);
    let two = add(ann, &uri("Mail", "team", OTHER_KEY), &[]);
    let summary = app(ann, &["--json", "export", "-r", &ann.recipient, "-o", "apps.age"], "").json();
    assert_eq!(summary["uuids"].as_array().map(Vec::len), Some(2), "{summary}");
    let said = app(ann, &["export", "-r", &ann.recipient, "-o", "apps.age"], "").fails(1);
    assert!(said.contains("apps.age is there already"), "{said}");
    let file = fs::read_to_string(ann.path("apps.age")).expect("written");
    let identity = fs::read_to_string(ann.path("config/quorate/identities/key.txt")).expect("ours");
    let identity: age::x25519::Identity = identity.trim().parse().expect("an identity");
    let opened = age_open(&file, &identity).expect("it is for ann");
    assert!(age_open(&file, &age::x25519::Identity::generate()).is_err());
    assert!(!file.contains(KEY) && String::from_utf8_lossy(&opened).contains(KEY));

    for uuid in [&one, &two] {
        app(ann, &["remove", uuid, "--yes"], "").ok();
    }
    fs::write(ann.path("apps.json"), &*opened).expect("written");
    let said = app(ann, &["import", "apps.json"], "");
    assert!(said.stderr.contains("apps.json: quorate") && said.stderr.contains("2 added"), "{said:?}");
    let mut expected = [format!("{one}  owner   AWS: root (production)"), format!("{two}  owner   Mail: team")];
    let mut found = listed(ann, &[]);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // One of them, printed.
    let printed = app(ann, &["export", "Mail: team", "-r", &ann.recipient], "").ok();
    let opened = age_open(&printed, &identity).expect("it is for ann");
    assert!(String::from_utf8_lossy(&opened).contains(OTHER_KEY) && !String::from_utf8_lossy(&opened).contains(KEY));
}

#[test]
fn an_application_acts_with_its_api_key() {
    let desk = Desk::new();
    let (ann, url) = (&desk.ann, &desk.oracle.url);
    let gateway = desk.oracle.state().join("gateway.key");
    let gateway = ["--gateway-key-file", gateway.to_str().expect("UTF-8"), "--oracle", url];
    ann.quorate(&[&["api-key", "create", "app@example.com"][..], &gateway].concat()).ok();
    let mut command = Command::new(built("quorate-oracle"));
    command.args(["api-keys", "list", "--json", "--state"]).arg(desk.oracle.state());
    let value = Program::start(&mut command).end().json()[0]["value"].as_str().expect("a value").to_owned();
    let line = ann.quorate(&[&["api-key", "activate", "app@example.com", &value][..], &gateway].concat()).ok();
    let ci = Person::new("ci", Key::Plain);
    fs::write(ci.path("key"), &line).expect("written");
    let at = ["--api-key", "key", "--oracle", url.as_str()];

    assert_eq!(listed(&ci, &at), [""; 0]);
    let uuid = add(ann, &uri("AWS", "root", KEY), &[]);
    app(ann, &["grant", &uuid, &format!("api-key/{value}")], "").ok();
    reads(&ci, &[&["AWS"][..], &at].concat(), KEY);
    add(&ci, &uri("Mail", "team", OTHER_KEY), &at);
    assert_eq!(listed(&ci, &at).len(), 2);
    assert_eq!(listed(ann, &[]).len(), 1, "what an application adds is its own");
    fs::write(ci.path("key"), line.trim().replace(':', ":x")).expect("written");
    let said = app(&ci, &[&["list"][..], &at].concat(), "").fails(1);
    assert!(!said.contains(line.trim()), "{said}");
}

#[test]
fn a_code_goes_into_the_clipboard_and_out_of_it_when_it_ends() {
    let desk = Desk::new();
    let short = format!("{}&period=10", uri("AWS", "root", KEY));
    add(&desk.ann, &short, &[]);
    let mut terminal = desk.ann.on_terminal(&["app", "code", "AWS", "--copy"]);
    let before = terminal.reads("\u{1b}]52;c;");
    let copied = STANDARD.decode(terminal.reads("\u{7}")).expect("base64");
    let code = before.lines().map(str::trim).rfind(|line| line.len() == 6).expect("the code is shown, too");
    assert_eq!(code.as_bytes(), copied);
    let rest = terminal.ends(0);
    let blank = format!("\u{1b}]52;c;{}\u{7}", STANDARD.encode(" "));
    assert!(rest.contains(&blank) && rest.contains("that code has ended"), "{rest:?}");

    // Ctrl-C empties it, too; without a terminal there is none.
    let said = app(&desk.ann, &["code", "AWS", "--copy"], "");
    assert!(said.code == Some(1) && said.stderr.contains("there is no terminal"), "{said:?}");
}

#[test]
fn a_vault_under_a_password_is_opened_by_whoever_types_it() {
    let vault = include_str!("../fixtures/import/aegis-locked.json");
    let desk = Desk::new();
    fs::write(desk.ann.path("vault.json"), vault).expect("written");
    let mut terminal = desk.ann.on_terminal(&["app", "import", "vault.json"]);
    terminal.reads("password of the export of Aegis:");
    terminal.types("x");
    let rest = terminal.ends(0);
    assert!(rest.contains("added     entry 1  Example: ann"), "{rest}");
    let said = app(&desk.ann, &["import", "vault.json"], "y\n").fails(1);
    assert!(said.contains("hint: it is the password that was chosen for the export"), "{said}");
    let said = app(&desk.ann, &["import", "vault.json"], "x\n").ok();
    assert!(said.starts_with("there     entry 1  Example: ann  "), "{said}");
}
