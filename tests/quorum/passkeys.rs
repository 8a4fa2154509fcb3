//! Players whose Tocs are for an identity that a passkey opens: from the deal to the code, with soft security keys, and what is said
//! when the key is missing, another's, or gets a wrong PIN.

use super::support::{Key, Oracle, Person, Program, SECRET, Table, Terminal, oathtool, session_of};
use std::fs;

/// `person`'s `quorate`, with a program that knows another PIN for security keys, and one that must not be asked.
fn with_wrong_pin(person: &Person, arguments: &[&str]) -> String {
    let mut command = person.command(arguments);
    command.env("QUORATE_FIDO_PIN_COMMAND", "echo 000000").env("QUORATE_PIN_COMMAND", "touch asked; echo 000000");
    Program::start(&mut command).end().fails(1)
}

#[test]
fn passkeys_approve_a_session_to_its_code() {
    let table = Table::deal(&["ann", "bob", "carol"], 2, Key::Passkey);
    for person in &table.people {
        assert!(person.recipient.starts_with("age1") && person.recipient.len() == 62, "{}", person.recipient);
    }
    let (mut asking, invite) = table.ask("ann", &["--ttl", "120"]);
    let bob_file = table.person("bob").path("config/quorate/identities/oracle.example.passkey.age");
    let bob_file = bob_file.to_str().expect("UTF-8");
    let joined = table.person("bob").quorate(&["join", &invite, "--yes"]);
    assert_eq!(joined.stderr.matches("security key for quorate.invalid: opening ").count(), 1, "{}", joined.stderr);
    let foreign = "warning: ".to_owned()
        + bob_file
        + " was made for the oracle at https://oracle.example, and this Toc is for http";
    assert!(joined.stderr.contains(&foreign), "{}", joined.stderr);
    assert!(joined.stderr.contains("your Toc has been sent: 2 of 2 needed"), "{}", joined.stderr);
    joined.ok();
    asking.says("bob has joined");
    let printed = asking.end().ok();
    assert_eq!(printed.lines().last().map(str::len), Some(6), "{printed}");
    let again = table.person("ann").quorate(&["--json", "session", "code", session_of(&invite)]).json();
    if let Some(theirs) = oathtool(SECRET, again["code_expires_at"].as_str().expect("a time")) {
        assert_eq!(again["code"], *theirs);
    }
}

#[test]
fn without_the_right_key_and_its_pin_nothing_is_sent() {
    let oracle = Oracle::start();
    let people = vec![Person::new("ann", Key::Plain), Person::new("bob", Key::Passkey)];
    let table = Table::deal_to(oracle, people, 2);
    let (asking, invite) = table.ask("ann", &[]);
    let bob = table.person("bob");
    let join = ["join", &invite, "--yes"];
    let with = |more: &[&'static str]| [&join[..], more].concat();

    // A wrong PIN costs one try, and the program that knows the one for tokens is never asked.
    let wrong = with_wrong_pin(bob, &join);
    assert!(wrong.contains("wrong PIN, tries left: 7\nhint: check whose PIN it is"), "{wrong}");
    assert!(!bob.path("asked").exists());
    let mut command = bob.command(&join);
    let refused = Program::start(command.env("QUORATE_SOFT_TOUCH", "no")).end().fails(1);
    assert!(refused.contains("the touch was refused"), "{refused}");

    // Its key is elsewhere.
    let identities = bob.path("config/quorate/identities");
    fs::rename(identities.join("security.key"), bob.path("away.key")).expect("it is there");
    let none = bob.quorate(&join).fails(1);
    assert!(
        none.contains("no security key is connected\nhint: put in the security key that it was sealed with"),
        "{none}"
    );
    // Another key in its place is not even asked for its PIN.
    bob.quorate(&["fido", "pin", "--soft", "other.key"]).ok();
    let other = with_wrong_pin(bob, &with(&["--soft", "other.key"]));
    assert!(other.contains("none of the security keys that are connected has its passkey"), "{other}");
    let tries = bob.quorate(&["--json", "fido", "list", "--soft", "other.key"]).json();
    assert_eq!(tries["pin_tries"], 8);

    // A file that somebody has changed.
    let file = identities.join("oracle.example.passkey.age");
    let whole = fs::read_to_string(&file).expect("it is there");
    let (start, end) = whole.split_at(whole.len() - 60);
    fs::write(&file, format!("{start}{}", end.replacen(|c: char| c.is_ascii_lowercase(), "A", 1))).expect("written");
    let damaged = bob.quorate(&with(&["--soft", "away.key"])).fails(1);
    assert!(damaged.contains("oracle.example.passkey.age: ") && damaged.contains("hint: take your copy"), "{damaged}");
    fs::write(&file, whole).expect("written");

    let shown = bob.quorate(&["--json", "session", "show", &invite]).json();
    assert_eq!(shown["tocs_provided"], 1, "nothing of Bob's came");
    let joined = bob.quorate(&with(&["--soft", "away.key"]));
    assert!(joined.stderr.contains("2 of 2 needed"), "{}", joined.stderr);
    joined.ok();
    asking.end().ok();
}

#[test]
fn the_pin_is_typed_and_mended_and_one_touch_serves_a_whole_command() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Passkey);
    let bob = table.person("bob");
    let mut command = bob.command(&["toc", "verify", &table.group, &table.group]);
    command.env_remove("QUORATE_FIDO_PIN_COMMAND").env_remove("QUORATE_SOFT_TOUCH");
    let mut terminal = Terminal::start(command);
    terminal.reads("security key for quorate.invalid: opening ");
    terminal.reads("PIN of soft token security");
    terminal.types("000000");
    terminal.reads("wrong PIN. PIN of soft token security");
    terminal.types("260571");
    terminal.reads("touch your key now: soft token security");
    terminal.reads("Enter is a touch, n a refusal: ");
    terminal.types("");
    let rest = terminal.ends(0);
    assert!(!rest.contains("touch your key") && !rest.contains("PIN of"), "{rest}");
}

/// Keys of CTAP 2.0 have one secret, with the PIN and without.
#[test]
fn nothing_is_sealed_to_a_key_that_its_pin_does_not_guard() {
    let bob = Person::new("bob", Key::Plain);
    bob.quorate(&["fido", "pin", "--soft", "old.key"]).ok();
    let file = fs::read_to_string(bob.path("old.key")).expect("it was made");
    let old = file.replacen("\n[pin", "\none_secret = true\n\n[pin", 1);
    assert_ne!(old, file);
    fs::write(bob.path("old.key"), old).expect("written");
    let seal = ["key", "passkey", "--oracle", "https://oracle.example", "--soft", "old.key", "-o", "bob.age"];
    let refused = bob.quorate(&seal).fails(1);
    assert!(refused.contains("gives the same secret without its PIN: nothing is sealed to it\nhint: "), "{refused}");
    assert!(!bob.path("bob.age").exists());
    fs::write(bob.path("old.key"), file).expect("written");
    bob.quorate(&seal).ok();
}

/// What lies there and cannot be read is said, and keeps nobody from their other keys.
#[test]
fn a_damaged_sealed_identity_stops_no_other_key() {
    let people = vec![Person::new("ann", Key::Plain), Person::new("bob", Key::Plain)];
    let table = Table::deal_to(Oracle::start(), people, 2);
    let bob = table.person("bob");
    let damaged = include_str!("../cli/transcripts/passkey.in/damaged.age");
    fs::write(bob.path("config/quorate/identities/a-damaged.age"), damaged).expect("written");
    let verified = bob.quorate(&["toc", "verify", &table.group]);
    assert!(verified.stderr.contains("warning: ") && verified.stderr.contains("a-damaged.age"), "{}", verified.stderr);
    verified.ok();
    fs::remove_file(bob.path("config/quorate/identities/key.txt")).expect("it is there");
    let refused = bob.quorate(&["toc", "verify", &table.group]).fails(1);
    assert!(refused.contains("a-damaged.age: damaged: malformed"), "{refused}");
}

#[test]
fn the_right_one_of_several_keys_opens_the_right_one_of_several_files() {
    let bob = Person::new("bob", Key::Passkey);
    let oracle = ["--oracle", "https://other.example"];
    bob.quorate(&["fido", "pin", "--soft", "spare.key"]).ok();
    let spare = [&["--json", "key", "passkey", "--soft", "spare.key", "-o", "spare.age"], &oracle[..]].concat();
    let spare = bob.quorate(&spare).json();
    assert_eq!((&spare["oracle"], &spare["identity"]), (&"https://other.example".into(), &"spare.age".into()));
    let table = Table::deal_to(Oracle::start(), vec![Person::new("ann", Key::Plain), bob], 2);
    let bob = table.person("bob");
    let (_asking, invite) = table.ask("ann", &[]);
    // Named with -i, in the worse order: the first file's key is not there, so nobody touches anything for it.
    let own = bob.path("config/quorate/identities/oracle.example.passkey.age");
    let key = bob.path("config/quorate/identities/security.key");
    let [own, key] = [&own, &key].map(|path| path.to_str().expect("UTF-8"));
    let joined = bob.quorate(&["join", &invite, "--yes", "-i", "spare.age", "-i", own, "-i", key]);
    assert_eq!(joined.stderr.matches("security key for").count(), 1, "{}", joined.stderr);
    joined.ok();
}
