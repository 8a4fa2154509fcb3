//! Security keys at the command line, against a real oracle: an application's users, people who enrol and log in, and approvals of a
//! session. The keys are soft ones.

use super::api_keys;
use super::people::{log_in, password, with_password};
use super::support::{Ended, Key, Oracle, Person, Program, Table, Terminal, session_of};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

/// An application with its API key in a file.
struct Application {
    desk: api_keys::Desk,
    file: String,
}

impl Application {
    fn new() -> Self {
        let desk = api_keys::Desk::new();
        let (file, _) = desk.activated("app.key");
        Self { desk, file }
    }

    /// `quorate fido`, with the API key and the oracle named.
    fn fido(&self, arguments: &[&str]) -> Ended {
        self.fido_with(&[], arguments)
    }

    fn fido_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let application = ["--api-key", &self.file, "--oracle", &self.desk.oracle.url, "--yes"];
        let all = [&["--json", "fido"], arguments, &application].concat();
        Program::start(self.desk.operator.command(&all).envs(variables.iter().copied())).end()
    }

    fn registered(&self, arguments: &[&str]) -> Value {
        self.fido(&[&["register"], arguments].concat()).json()
    }
}

#[test]
fn an_application_registers_keys_and_asks_them() {
    let app = Application::new();
    let party = ["--rp", "example.com"];
    let made = app.registered(&[&party[..], &["--soft", "first.key", "--name", "ann"]].concat());
    let uuid = made["uuid"].as_str().expect("a uuid");
    let answer = |file: &str, more: &[&str]| app.fido(&[&["authenticate", uuid, "--soft", file][..], more].concat());
    assert_eq!(answer("first.key", &party).json(), made, "the same key, by the same name");

    // A second key, and one that is nobody's.
    let second = app.registered(&[&party[..], &["--soft", "second.key", "--user", uuid]].concat());
    assert_eq!((&second["uuid"], second["key_handle_hash"] == made["key_handle_hash"]), (&made["uuid"], false));
    assert_eq!(answer("second.key", &party).json(), second);
    app.registered(&[&party[..], &["--soft", "third.key"]].concat());
    let wrong = answer("third.key", &party).fails(1);
    assert!(wrong.contains("this security key is not registered there\nhint: try your other key"), "{wrong}");
    let again = app.fido(&["register", "--rp", "example.com", "--soft", "first.key", "--user", uuid]).fails(1);
    assert!(again.contains("this security key is registered there already\nhint: it works as it is"), "{again}");

    // What the oracle says no to, and what is never asked.
    answer("first.key", &["--rp", "example.org"]).fails(1);
    let foreign = ["--rp", "example.com", "--origin", "https://example.org"];
    app.fido(&[&["register", "--soft", "fourth.key"][..], &foreign].concat()).fails(1);
    assert!(!app.desk.operator.path("fourth.key").exists());
    let missing = answer("nowhere.key", &party).fails(1);
    assert!(missing.contains("nowhere.key: No such file"), "{missing}");
    let none = app.fido(&["authenticate", uuid, "--rp", "example.com"]).fails(1);
    assert!(none.contains("no security key is connected\nhint: put it in"), "{none}");
}

#[test]
fn a_touch_and_a_pin_are_told_in_a_line_each() {
    let app = Application::new();
    let register = ["register", "--rp", "example.com", "--soft", "ann.key"];
    for (touch, said) in [
        ("timeout", "nobody touched the security key in time\nhint: try again, and touch the key when it blinks"),
        ("no", "error: the touch was refused"),
    ] {
        let told = app.fido_with(&[("QUORATE_SOFT_TOUCH", touch)], &register).fails(1);
        assert!(told.contains(said), "{told}");
    }
    let application = ["--api-key", &app.file, "--oracle", &app.desk.oracle.url];
    let mut terminal = app.desk.operator.on_terminal(&[&["fido"], &register[..], &application, &["--yes"]].concat());
    terminal.reads("touch your key now: soft token ann");
    let (file, away) = (app.desk.operator.path("ann.key"), app.desk.operator.path("away"));
    fs::rename(&file, &away).expect("it is there");
    terminal.types("");
    assert!(terminal.ends(1).contains("the security key was pulled out"));
    fs::rename(&away, &file).expect("it is back");
    let key = ["fido", "pin", "--soft", "ann.key"];
    let set = app.desk.operator.quorate(&key);
    assert!(set.stderr.contains("the PIN of soft token ann (serial ") && set.stderr.contains(") is set"), "{set:?}");
    let made = app.fido(&register).json();
    let uuid = made["uuid"].as_str().expect("a uuid");
    // The program that knows the PIN for Tocs is never asked for this one, not even when nobody else knows it.
    let asked = [&["fido"], &register[..], &application, &["--yes"]].concat();
    let mut command = app.desk.operator.command(&asked);
    command.env_remove("QUORATE_FIDO_PIN_COMMAND").env("QUORATE_PIN_COMMAND", "touch asked; echo 000000");
    let mut terminal = Terminal::start(command);
    terminal.reads("PIN of soft token ann");
    terminal.types("260571");
    terminal.ends(0);
    assert!(!app.desk.operator.path("asked").exists());
    let wrong = [("QUORATE_FIDO_PIN_COMMAND", "echo 000000")];
    let left = app.fido_with(&wrong, &register).fails(1);
    assert!(left.contains("error: wrong PIN, tries left: 7\nhint: check whose PIN it is"), "{left}");
    // To have somebody there is enough for a second factor.
    app.fido_with(&wrong, &["authenticate", uuid, "--rp", "example.com", "--soft", "ann.key"]).ok();
    for tries_left in (1..7).rev() {
        let left = app.fido_with(&wrong, &register).fails(1);
        assert!(left.contains(&format!("tries left: {tries_left}")), "{left}");
    }
    let last = app.fido_with(&wrong, &register).fails(1);
    assert!(last.contains("only one try is left for the PIN, and a program does not get it"), "{last}");
    let listed = app.desk.operator.quorate(&["--json", "fido", "list", "--soft", "ann.key"]).json();
    assert_eq!((&listed["pin_set"], &listed["pin_tries"], &listed["u2f"]), (&true.into(), &1.into(), &true.into()));
    let mut terminal = app.desk.operator.on_terminal(&key);
    terminal.reads("(the last try)");
    terminal.types("000000");
    for _ in 0..2 {
        terminal.reads("new PIN (at least 4 characters)");
        terminal.types("815815");
    }
    assert!(terminal.ends(1).contains("the PIN of the security key is blocked"));
}

#[test]
fn a_u2f_key_signs_and_goes_on_by_webauthn() {
    let app = Application::new();
    let u2f = ["--app-id", "https://example.com"];
    let made = app.registered(&[&u2f[..], &["--soft", "ann.key"]].concat());
    let uuid = made["uuid"].as_str().expect("a uuid");
    let answer = |file: &str, party: &[&str]| app.fido(&[&["authenticate", uuid, "--soft", file][..], party].concat());
    assert_eq!(answer("ann.key", &u2f).json(), made);
    app.registered(&[&u2f[..], &["--soft", "other.key"]].concat());
    let wrong = answer("other.key", &u2f).fails(1);
    assert!(wrong.contains("this security key is not registered there"), "{wrong}");
    let foreign = answer("ann.key", &["--app-id", "https://example.org"]).fails(1);
    assert!(
        foreign.contains("asks for the security keys of https://example.com, and https://example.org was named"),
        "{foreign}"
    );
    // The extension for keys from the time of U2F.
    let unsaid = answer("ann.key", &["--rp", "example.com"]).fails(1);
    assert!(unsaid.contains("for the security keys of https://example.com, and example.com was named"), "{unsaid}");
    let used = answer("ann.key", &[&["--rp", "example.com"], &u2f[..]].concat()).json();
    assert_eq!(used["uuid"], made["uuid"]);
    assert!(used["key_handle_hash"].is_string());
}

#[test]
fn what_is_signed_for_whom_is_said_and_agreed_to_before_the_touch() {
    let app = Application::new();
    let made = app.registered(&["--rp", "example.com", "--soft", "ann.key"]);
    let uuid = made["uuid"].as_str().expect("a uuid");
    let url = &app.desk.oracle.url;
    let ask = ["fido", "authenticate", uuid, "--rp", "example.com", "--soft", "ann.key", "--api-key", &app.file];
    let ask = [&ask[..], &["--oracle", url]].concat();
    let question =
        format!("The key would sign as https://example.com, where the answer is good, and the oracle at {url}");
    let mut terminal = app.desk.operator.on_terminal(&ask);
    terminal.reads(&question);
    terminal.types("n");
    let declined = terminal.ends(1);
    assert!(declined.contains("nothing was signed as https://example.com"), "{declined}");
    assert!(!declined.contains("touch"), "{declined}");
    let mut terminal = app.desk.operator.on_terminal(&ask);
    terminal.reads(&question);
    terminal.types("y");
    terminal
        .reads(&format!("security key for example.com: a signature as https://example.com, for the oracle at {url}"));
    terminal.reads("touch your key now: soft token ann");
    terminal.types("");
    terminal.ends(0);
    let u2f = ["fido", "register", "--app-id", "https://example.com", "--soft", "ann.key", "--api-key", &app.file];
    let mut terminal = app.desk.operator.on_terminal(&[&u2f[..], &["--oracle", url]].concat());
    terminal.reads(&question);
    terminal.types("");
    assert!(terminal.ends(1).contains("nothing was signed"));
}

/// Whatever it is asked first, this is what it answers.
fn answering(answer: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = answer.to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            write!(stream, "{head} {}\r\n\r\n{answer}", answer.len()).expect("it listens");
        }
    });
    url
}

/// `login.example.com` may ask for the keys of its parent; whoever named `login.example.com` has not agreed to that.
#[test]
fn an_oracle_that_asks_for_the_keys_of_another_party_than_named_gets_nothing() {
    let ann = Person::new("ann", Key::Plain);
    fs::write(ann.path("app.key"), "0123456789abcdef:0123456789abcdef0123456789abcdef").expect("written");
    let uuid = "0191e3a8-7b5c-7c3a-9d58-7f1c9b3a2e10";
    let ask = |url: &str, arguments: &[&str]| {
        let more = ["--rp", "login.example.com", "--soft", "ann.key", "--api-key", "app.key", "--yes", "--oracle", url];
        ann.quorate(&[&["fido"], arguments, &more].concat()).fails(1)
    };
    let refused =
        "the oracle asks for the security keys of example.com, and login.example.com was named: nothing was signed";
    let begun = serde_json::json!({ "uuid": uuid, "publicKey": {
        "rp": { "id": "example.com", "name": "Example" },
        "user": { "id": "dXNlcg", "name": "ann", "displayName": "Ann" },
        "challenge": "Y2hhbGxlbmdl",
        "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
    } });
    let said = ask(&answering(&begun), &["register"]);
    assert!(said.contains(refused) && !ann.path("ann.key").exists(), "{said}");
    ann.quorate(&["fido", "pin", "--soft", "ann.key"]).ok();
    let asked = serde_json::json!({ "publicKey": {
        "rpId": "example.com",
        "challenge": "Y2hhbGxlbmdl",
        "allowCredentials": [{ "type": "public-key", "id": "aWQ" }],
    } });
    let said = ask(&answering(&asked), &["authenticate", uuid]);
    assert!(said.contains(refused), "{said}");
    // The other party as an app ID, for which a key signs as well.
    let asked = serde_json::json!({ "publicKey": {
        "rpId": "login.example.com",
        "challenge": "Y2hhbGxlbmdl",
        "allowCredentials": [{ "type": "public-key", "id": "aWQ" }],
        "extensions": { "appid": "https://vpn.example.com/u2f" },
    } });
    let said = ask(&answering(&asked), &["authenticate", uuid]);
    let refused =
        "for the security keys of https://vpn.example.com/u2f, and login.example.com was named: nothing was signed";
    assert!(said.contains(refused), "{said}");
    let said = ask(&answering(&asked), &["authenticate", uuid, "--app-id", "https://login.example.com"]);
    assert!(said.contains("and https://login.example.com was named"), "{said}");
}

/// An oracle that has a name, and its operator, logged in, who has made the configuration `keys`.
fn by_name(settings: &[(&str, &str)]) -> (Oracle, Person) {
    let (oracle, link) = Oracle::start_with("olga", settings);
    let oracle = oracle.by_name(settings);
    let (_, path) = link.split_once("/enroll/").expect("a link");
    let olga = Person::new("olga", Key::Plain);
    with_password(&olga, &["enroll", &format!("{}/enroll/{path}", oracle.url)]).ok();
    log_in(&olga, &oracle, &[]).ok();
    fs::write(olga.path("keys.json"), r#"{"Type": "webauthn", "Name": "keys"}"#).expect("written");
    olga.quorate(&["mfa", "create", "-f", "keys.json"]).ok();
    (oracle, olga)
}

/// Makes a user who has to have a security key; gives the link.
fn add(olga: &Person, name: &str) -> String {
    let link = olga.quorate(&["principal", "add", name]).ok();
    let assigned = olga.quorate(&["mfa", "assign-principal", "-p", name, "-c", "keys"]);
    assert!(assigned.stderr.contains("recovery codes come at enrolment"), "{}", assigned.stderr);
    assert!(!assigned.ok().contains("recovery"), "nobody's are shown to an operator");
    link.trim().to_owned()
}

#[test]
fn people_enrol_and_log_in_with_their_keys() {
    let (oracle, olga) = by_name(&[]);
    let link = add(&olga, "bob");
    let bob = Person::new("bob", Key::Plain);
    let none = with_password(&bob, &["enroll", &link]).fails(1);
    assert!(none.contains("no security key is connected"), "{none}");
    let enrolled = with_password(&bob, &["enroll", &link, "--soft", "first.key"]);
    assert!(enrolled.stderr.contains("first.key is a new soft security key"), "{}", enrolled.stderr);
    let purpose = "security key for localhost: the enrolment of principal/internal/user/bob at http://localhost:";
    assert!(enrolled.stderr.contains(purpose), "{}", enrolled.stderr);
    assert_eq!(enrolled.ok().lines().count(), 10, "recovery codes");
    let again = with_password(&bob, &["enroll", &link, "--soft", "first.key"]).fails(1);
    assert!(again.contains("hint: a link serves once"), "{again}");

    let key = |file: &'static str| ["-m", "key", "--soft", file];
    let said = log_in(&bob, &oracle, &key("first.key"));
    let purpose = format!("security key for localhost: a login as bob at {}", oracle.url);
    assert!(said.stderr.contains(&purpose), "{}", said.stderr);
    let said = said.ok();
    assert!(said.contains("principal  principal/internal/user/bob"), "{said}");
    bob.quorate(&["whoami"]).ok();
    let timeout = ["login", "-u", "bob", "-m", "key", "--soft", "first.key", "--oracle", &oracle.url];
    let mut command = bob.command(&timeout);
    let told = Program::start_with_input(command.env("QUORATE_SOFT_TOUCH", "timeout"), &password("bob")).end().fails(1);
    assert!(told.contains("nobody touched the security key in time"), "{told}");

    // A second key, by a second link; the first stays.
    let link = olga.quorate(&["principal", "link", "bob"]).ok();
    let excluded = with_password(&bob, &["enroll", link.trim(), "--soft", "first.key"]).fails(1);
    assert!(excluded.contains("this security key is registered there already"), "{excluded}");
    let long = "x".repeat(65);
    let refused = with_password(&bob, &["enroll", link.trim(), "--soft", "second.key", "--key-name", &long]).fails(2);
    assert!(refused.contains("1 to 64 bytes"), "{refused}");
    let codes = with_password(&bob, &["enroll", link.trim(), "--soft", "second.key", "--key-name", "blue"]).ok();
    let shown = olga.quorate(&["principal", "show", "bob"]).ok();
    assert!(
        shown.contains("\nkeys       2\nkey        Key 1, added ") && shown.contains("\nkey        blue, added "),
        "{shown}"
    );
    assert!(shown.contains(", not used yet, in the audit log ") && shown.contains(", last used "), "{shown}");
    log_in(&bob, &oracle, &key("second.key")).ok();
    log_in(&bob, &oracle, &key("first.key")).ok();

    // Another's.
    let eve = Person::new("eve", Key::Plain);
    with_password(&eve, &["enroll", &add(&olga, "eve"), "--soft", "eve.key"]).ok();
    let other = eve.path("eve.key");
    let other = other.to_str().expect("UTF-8");
    let wrong = log_in(&bob, &oracle, &["-m", "key", "--soft", other]).fails(1);
    assert!(wrong.contains("this security key is not registered there"), "{wrong}");
    // In the place of a lost key.
    let code = codes.lines().next().expect("a code");
    log_in(&bob, &oracle, &["-m", code]).ok();
    let instead = log_in(&bob, &oracle, &["-m", "123456"]).fails(1);
    assert!(instead.contains("hint: ") && !instead.contains("touch"), "{instead}");
}

#[test]
fn keys_approve_a_session() {
    let settings = [("QUORATE_SESSIONS_REQUIRE_LOGIN", "true"), ("QUORATE_SESSIONS_APPROVE_WITH", "webauthn")];
    let (oracle, olga) = by_name(&settings);
    let players = ["ann", "bob", "carol"];
    let table = Table::deal_at(oracle, &players, 2, Key::Plain);
    for player in &table.people {
        with_password(player, &["enroll", &add(&olga, &player.name), "--soft", "my.key"]).ok();
        log_in(player, &table.oracle, &["-m", "key", "--soft", "my.key"]).ok();
    }
    fs::write(olga.path("group.json"), &table.group_file).expect("written");
    let members = players.map(|name| format!("{name}={name}"));
    let [ann, bob, carol] = members.each_ref().map(String::as_str);
    olga.quorate(&["group", "add", "group.json", "-m", ann, "-m", bob, "-m", carol]).ok();

    let (asking, invite) = table.ask("ann", &["--soft", "my.key"]);
    let bob = table.person("bob");
    let none = bob.quorate(&["join", &invite, "--yes"]).fails(1);
    assert!(none.contains("no security key is connected"), "{none}");
    bob.quorate(&["fido", "pin", "--soft", "other.key"]).ok();
    let wrong = bob.quorate(&["join", &invite, "--yes", "--soft", "other.key"]).fails(1);
    assert!(wrong.contains("this security key is not registered there"), "{wrong}");
    let joined = bob.quorate(&["join", &invite, "--yes", "--soft", "my.key"]);
    let purpose = format!("security key for localhost: the approval of session {}", session_of(&invite));
    assert!(joined.stderr.contains(&purpose), "{}", joined.stderr);
    assert!(joined.stderr.contains("your Toc has been sent: 2 of 2 needed"), "{}", joined.stderr);
    joined.ok();
    assert!(!asking.end().ok().trim().is_empty(), "a code");
}
