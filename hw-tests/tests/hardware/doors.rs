//! One identity, three doors: a file is opened by `quorate` on the card, by `age` through age-plugin-yubikey, and by whatever
//! plugin an identity names.

use super::peers::{PLUGIN, holder, opened_by_age, said_by};
use super::people::{Key, Person, Program};
use super::support::{Dealt, FIRMWARE, are_here, rest, with_card, write};

#[test]
fn what_age_encrypts_to_us_opens_here_and_what_we_encrypt_opens_there() {
    if !are_here(&[PLUGIN, "age", "age-keygen"]) {
        return;
    }
    with_card(FIRMWARE, |bench| {
        let (ann, shown) = holder(bench);
        let recipient = shown["recipients"][0].as_str().expect("text");
        // A Toc goes from a key in a file to the card by other people's programs alone.
        let plain = Person::new("ann", Key::Plain);
        let dealt = Dealt::to(&plain, &plain.recipient);
        let key = plain.path("config/quorate/identities/key.txt");
        let toc = said_by(&ann, "age", &["-d", "-i", key.to_str().expect("UTF-8"), &dealt.toc_name()]);
        let toc = write(&ann, "toc", &toc);
        said_by(&ann, "age", &["-a", "-r", recipient, "-o", "moved.toc.age", &toc]);
        let moved = ann.quorate(&["--json", "toc", "show", "moved.toc.age"]).json();
        assert_eq!(moved["holder"], "ann");
        // With the plugin's identity file, and without the plugin.
        let identity = write(&ann, "identity.txt", shown["identity"].as_str().expect("text"));
        let mut command = ann.command(&["--json", "toc", "show", "moved.toc.age", "-i", &identity]);
        let named = Program::start(command.env("PATH", "/nonexistent:/usr/bin:/bin")).end().json();
        assert_eq!(named, moved);
        // And age opens it with what `quorate key show` gives.
        rest(&bench.card());
        let opened = opened_by_age(&ann, &identity, "moved.toc.age");
        assert_eq!(opened, std::fs::read_to_string(toc).expect("written above"));
    });
}

#[test]
fn a_file_for_the_tag_recipient_opens_with_the_identity_of_the_plugin() {
    with_card(FIRMWARE, |bench| {
        let (ann, shown) = holder(bench);
        let dealt = Dealt::to(&ann, shown["recipients"][1].as_str().expect("text"));
        let stanza = std::fs::read_to_string(dealt.toc()).expect("written");
        assert!(stanza.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{stanza}");
        let identity = write(&ann, "identity.txt", shown["identity"].as_str().expect("text"));
        for arguments in [&["toc", "show", &dealt.toc_name()][..], &["toc", "show", &dealt.toc_name(), "-i", &identity]]
        {
            assert!(ann.quorate(arguments).ok().contains("holder     ann"));
        }
    });
}

/// A recipient and an identity of the parrot.
fn parrot(bytes: &[u8]) -> (String, String) {
    use bech32::{Bech32, Hrp};
    let encoded = |hrp: &str| bech32::encode::<Bech32>(Hrp::parse_unchecked(hrp), bytes).expect("short");
    (encoded("age1parrot"), encoded("age-plugin-parrot-").to_uppercase())
}

/// A `quorate` that finds the parrot in `PATH`.
fn with_parrot(person: &Person, arguments: &[&str]) -> std::process::Command {
    let parrot = std::path::Path::new(env!("CARGO_BIN_EXE_age-plugin-parrot"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(parrot.parent().expect("a folder").to_owned()).chain(std::env::split_paths(&path));
    let mut command = person.command(arguments);
    command.env("PATH", std::env::join_paths(folders).expect("no colon in it"));
    command
}

#[test]
fn an_identity_of_another_plugin_runs_it_from_path() {
    let ann = Person::new("ann", Key::Plain);
    let (recipient, identity) = parrot(b"polly");
    let folder = ann.path("tocs");
    let folder = folder.to_str().expect("UTF-8");
    let player = format!("pol={recipient}");
    let own = format!("ann={}", ann.recipient);
    let arguments = ["deal", "-t", "2", "-p", &player, "-p", &own, "-o", folder, "--otpauth", "-"];
    let missing = Program::start_with_input(&mut ann.command(&arguments), &super::people::otpauth()).end().fails(1);
    assert!(missing.contains("needs age-plugin-parrot") && missing.contains("install age-plugin-parrot"), "{missing}");
    Program::start_with_input(&mut with_parrot(&ann, &arguments), &super::people::otpauth()).end().ok();

    let toc = format!("{folder}/pol.toc.age");
    let polly = write(&ann, "polly.txt", &identity);
    let opening = ["--json", "toc", "show", &toc, "-i", &polly];
    // The word is a person's to say: the program that knows the PIN is not asked, though it would know the word as well.
    let alone = Program::start(&mut with_parrot(&ann, &opening)).end().fails(1);
    assert!(alone.contains("no terminal to ask for age-plugin-parrot: the word of the parrot"), "{alone}");
    for (word, end, answer) in [(super::people::PIN, 0, "pol"), ("nevermore", 1, "that is not the word")] {
        let mut terminal = super::people::Terminal::start(with_parrot(&ann, &["toc", "show", &toc, "-i", &polly]));
        terminal.reads("age-plugin-parrot: the word of the parrot: ");
        terminal.types(word);
        let said = terminal.ends(end);
        assert!(said.contains(answer), "{said}");
    }

    // Another bird's file; no plugin; a plugin that breaks.
    let stranger = write(&ann, "stranger.txt", &parrot(b"jacko").1);
    let foreign = Program::start(&mut with_parrot(&ann, &["toc", "show", &toc, "-i", &stranger])).end().fails(1);
    assert!(foreign.contains("none of the identities opens it"), "{foreign}");
    let missing = ann.quorate(&opening).fails(1);
    assert!(missing.contains("age-plugin-parrot: not found in PATH"), "{missing}");
    let broken = ann.path("bin/age-plugin-parrot");
    std::fs::create_dir(ann.path("bin")).expect("made");
    std::os::unix::fs::symlink("/bin/false", broken).expect("made");
    let mut command = ann.command(&opening);
    command.env("PATH", format!("{}:/usr/bin:/bin", ann.path("bin").display()));
    let failed = Program::start(&mut command).end().fails(1);
    assert!(failed.contains("error: ") && failed.contains("hint: "), "{failed}");
}
