//! Tocs that a transcript cannot make: farMFA's, damaged ones, one per plugin; and the pages that are made from the definition.

use crate::home::{Home, SECRET};
use age::secrecy::ExposeSecret as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// One of the two shares that farMFA's README prints.
const FARMFA: &str = r#"{"group_id":"7GCUCI2Y","group_size":3,"group_threshold":2,"note":"a note\u001b[2J","toc_id":"KVQX",
    "share":"5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4="}"#;

/// A home with an identity in `my.key` and `plain` encrypted to it in `toc.age`.
fn with_toc(plain: &str) -> Home {
    let home = Home::new();
    let identity = age::x25519::Identity::generate();
    let armored = quorate_protocol::sealing::age_seal(
        plain.as_bytes(),
        std::iter::once(&identity.to_public() as &dyn age::Recipient),
    )
    .expect("sealed");
    fs::write(home.path("my.key"), identity.to_string().expose_secret()).expect("written");
    fs::write(home.path("toc.age"), armored).expect("written");
    home
}

#[test]
fn a_toc_of_farmfa_is_shown_filed_and_listed() {
    let home = with_toc(FARMFA);
    let shown = home.ok(&["toc", "show", "toc.age", "-i", "my.key"], "");
    assert!(shown.contains("dealt by   farMFA") && shown.contains("threshold  2 of 3"), "{shown}");
    assert!(shown.contains("a note\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
    assert!(!shown.contains("5Ovpu"), "not the share");
    let with_share = home.ok(&["toc", "show", "toc.age", "-i", "my.key", "--with-share"], "");
    assert!(with_share.contains("share      5Ovpu-PKEeYX"), "{with_share}");
    home.ok(&["toc", "add", "toc.age", "-i", "my.key"], "");
    let listed = home.ok(&["toc", "list"], "");
    assert!(listed.contains("farMFA") && listed.contains("7GCUCI2Y") && !listed.contains('\u{1b}'), "{listed}");
    assert!(home.ok(&["toc", "show", "7gcuci2y", "-i", "my.key"], "").contains("KVQX"), "found by its group");
    assert!(home.run(&["toc", "verify", "-i", "my.key"], "").status.success());
}

#[test]
fn the_name_of_a_file_does_nothing_to_a_terminal() {
    let home = with_toc(FARMFA);
    let hostile = "\u{1b}[2J\u{202e}toc.age";
    fs::rename(home.path("toc.age"), home.path(hostile)).expect("moved");
    fs::set_permissions(home.path(hostile), fs::Permissions::from_mode(0o644)).expect("ours");
    let output = home.run(&["toc", "verify", hostile, "-i", "my.key"], "");
    let said = crate::home::text(&output);
    assert!(output.status.success() && said.contains("ok ") && said.contains("can be read by others"), "{said:?}");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let said = home.fails(1, &["doctor", "-i", hostile], "");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let made = home.run(&["key", "generate", "--soft", "\u{202e}nekot", "--label", "x"], "");
    assert!(!crate::home::text(&made).contains('\u{202e}'));
}

#[test]
fn what_is_no_toc_is_refused_without_repeating_it() {
    for plain in [
        String::new(),
        format!("otpauth://totp/x?secret={SECRET}"),
        format!(r#"{{"share":"{SECRET}"}}"#),
        FARMFA.replace(r#""toc_id":"KVQX""#, r#""toc_id":"KVQX","toc_id":"KVQX""#),
        FARMFA.replace(r#""group_threshold":2"#, r#""group_threshold":4"#),
        FARMFA.replace("5Ovpu", "*****"),
    ] {
        let home = with_toc(&plain);
        for command in [vec!["show", "toc.age"], vec!["add", "toc.age"], vec!["verify", "toc.age"]] {
            let arguments = [&["toc"], command.as_slice(), &["-i", "my.key"]].concat();
            let said = home.fails(1, &arguments, "");
            assert!(said.contains("hint: ask the dealer"), "{said}");
            assert!(!said.contains(SECRET) && !said.contains("urkBkVXr"), "{said}");
        }
        assert!(!home.path(".local").exists());
    }
}

#[test]
fn a_filed_toc_that_is_not_what_its_card_says_is_found_out() {
    let home = with_toc(FARMFA);
    home.ok(&["toc", "add", "toc.age", "-i", "my.key"], "");
    let card = home.path(".local/share/quorate/tocs/farmfa-7GCUCI2Y/KVQX.toc.json");
    let text = fs::read_to_string(&card).expect("read");
    fs::write(&card, text.replace("\"threshold\": 2", "\"threshold\": 3")).expect("written");
    let said = home.fails(1, &["toc", "verify", "-i", "my.key"], "");
    assert!(said.contains("does not describe the Toc beside it") && said.contains("hint: `quorate toc add"), "{said}");
    home.ok(&["toc", "add", "toc.age", "-i", "my.key"], "");
    home.ok(&["toc", "verify", "-i", "my.key"], "");
}

/// A plugin that wraps nothing and names itself: enough to see that it was asked.
const PLUGIN: &str = "#!/bin/sh
while read -r line && [ \"$line\" != '-> done' ]; do :; done
read -r _
printf -- '-> recipient-stanza 0 fake\\nAAAA\\n'
read -r _ && read -r _
printf -- '-> done\\n\\n'
";

#[test]
fn a_plugin_on_the_path_is_asked() {
    let home = Home::new();
    fs::write(home.path("age-plugin-fake"), PLUGIN).expect("written");
    fs::set_permissions(home.path("age-plugin-fake"), fs::Permissions::from_mode(0o755)).expect("changed");
    let recipient = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age1fake").expect("an hrp"), &[1, 2, 3]);
    let mut players = Home::players(&["ann"]);
    players.extend(["-p".to_owned(), format!("bob={}", recipient.expect("encoded"))]);
    let mut arguments = vec!["deal", "-t", "2", "-o", "out", "--otpauth", "-"];
    arguments.extend(players.iter().map(String::as_str));
    assert!(home.fails(1, &arguments, SECRET).contains("hint: install age-plugin-fake"));
    assert!(!home.path("out").exists());

    fs::write(home.path("secret"), SECRET).expect("written");
    let path = format!("{}:{}", home.path(".").display(), std::env::var("PATH").expect("a path"));
    let mut command = home.command(&arguments);
    command.env("PATH", path).stdin(fs::File::open(home.path("secret")).expect("there"));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", crate::home::text(&output));
    let armored = fs::read(home.path("out/bob.toc.age")).expect("read");
    let mut header = Vec::new();
    std::io::Read::read_to_end(&mut age::armor::ArmoredReader::new(armored.as_slice()), &mut header).expect("armor");
    assert!(String::from_utf8_lossy(&header).contains("\n-> fake\n"));
}

#[test]
fn pages_and_completions_name_every_command() {
    let home = Home::new();
    home.ok(&["man", "pages"], "");
    for page in [
        "quorate.1",
        "quorate-deal.1",
        "quorate-toc-verify.1",
        "quorate-key-generate.1",
        "quorate-login.1",
        "quorate-mfa-assign-principal.1",
    ] {
        assert!(fs::read_to_string(home.path("pages").join(page)).expect(page).contains(".TH"));
    }
    assert!(home.ok(&["man"], "").contains("quorate\\-deal(1)"));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.ok(&["completions", shell], "");
        assert!(script.contains("with-share") && script.contains("assign-principal"), "{shell}");
    }
}
