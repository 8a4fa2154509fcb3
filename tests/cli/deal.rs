//! What no transcript of a deal can show: where the secret must not appear, what is never overwritten, and what is left behind
//! when the disk is full.

use crate::home::{Home, SECRET, contents, text};
use age::secrecy::ExposeSecret as _;
use quorate_protocol::deal::rebuild;
use quorate_protocol::toc::{Group, Toc};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

fn uri() -> String {
    format!("otpauth://totp/AWS:root?secret={SECRET}&issuer=AWS")
}

fn deal<'a>(players: &'a [String], rest: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["deal"];
    arguments.extend(players.iter().map(String::as_str));
    arguments.extend(rest);
    arguments
}

#[test]
fn a_quorum_of_what_was_written_is_the_secret_again() {
    let home = Home::new();
    let mut players = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let identity = age::x25519::Identity::generate();
        fs::write(home.path(name), identity.to_string().expose_secret()).expect("written");
        players.extend(["-p".to_owned(), format!("{name}={}", identity.to_public())]);
    }
    home.ok(&deal(&players, &["-t", "2", "-o", "out", "--otpauth", "-"]), &uri());
    let share = |name: &str| {
        let shown = home.ok(&["toc", "show", &format!("out/{name}.toc.age"), "-i", name, "--json", "--with-share"], "");
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let bytes = quorate_protocol::encoding::from_base64(shown["share"].as_str().expect("a share")).expect("base64");
        quorate_protocol::sharing::Share::from_bytes(&bytes).expect("a share")
    };
    let group = Group::parse(&fs::read(home.path("out/group.json")).expect("read")).expect("a group");
    let secret = rebuild(&group, &[share("cid"), share("ann")]).expect("a quorum");
    assert_eq!(*secret.to_base32(), SECRET);

    let folder = fs::metadata(home.path("out")).expect("there").permissions().mode();
    let file = fs::metadata(home.path("out/ann.toc.age")).expect("there").permissions().mode();
    assert_eq!((folder & 0o777, file & 0o777), (0o700, 0o600));
}

#[test]
fn what_age_decrypts_is_a_toc() {
    let home = Home::new();
    let identity = age::x25519::Identity::generate();
    let mut players = Home::players(&["bob"]);
    players.extend(["-p".to_owned(), format!("ann={}", identity.to_public())]);
    home.ok(&deal(&players, &["-t", "2", "-o", "out", "-"]), SECRET);
    let armored = fs::read_to_string(home.path("out/ann.toc.age")).expect("read");
    let json = quorate_protocol::sealing::age_open(&armored, &identity).expect("opens");
    assert!(matches!(Toc::parse(&json).expect("a Toc"), Toc::Whole(toc) if toc.holder() == "ann"));
}

#[test]
fn the_secret_never_comes_back_in_any_failure() {
    let home = Home::new();
    let players = Home::players(&["ann", "bob"]);
    home.ok(&deal(&players, &["-q", "-t", "2", "-o", "there"]), &uri());
    let bad = [
        uri() + "&secret=twice",
        uri().replace("totp", "hotp"),
        uri().replace("issuer", "digits"),
        uri() + "&period=0",
        uri() + "&algorithm=" + SECRET,
        format!("{SECRET}1"),
        format!("{}\n{SECRET}", uri()),
        format!("otpauth-migration://offline?data={SECRET}"),
        format!("otpauth:{SECRET}"),
        SECRET[..8].to_owned(),
        SECRET.repeat(3000),
    ];
    for input in &bad {
        let said = home.fails(1, &deal(&players, &["-t", "2", "-o", "out"]), input);
        assert!(!said.contains(&SECRET[..8]), "{said}");
    }
    let uri = uri();
    for (code, rest) in [
        (2, vec!["-t", "2", "-o", "out", &uri]),
        (2, vec!["-t", "2", "-o", "out", "-", SECRET]),
        (2, vec!["-t", "2", "-o", "out", "--otpauth", SECRET]),
        (2, vec!["-t", "2", "-o", "out", "--secret", SECRET]),
        (1, vec!["-t", "2", "-o", "there"]),
        (1, vec!["-t", "3", "-o", "out"]),
        (1, vec!["-t", "2", "-o", "/proc/none"]),
    ] {
        let said = home.fails(code, &deal(&players, &rest), &uri);
        assert!(!said.contains(&SECRET[..8]), "{rest:?}: {said}");
    }
    assert!(!home.path("out").exists());
    assert!(!text(&home.run(&deal(&players, &["-t", "2", "-o", "out"]), &uri)).contains(SECRET), "nor in a success");
}

#[test]
fn whatever_is_there_stays_and_nothing_is_added() {
    let names = ["ann", "bob"];
    let players = Home::players(&names);
    for there in ["ann.toc.age", "bob.toc.age", "group.json"] {
        let home = Home::new();
        fs::create_dir(home.path("out")).expect("made");
        fs::write(home.path("out").join(there), b"somebody's").expect("written");
        let said = home.fails(1, &deal(&players, &["-t", "2", "-o", "out"]), SECRET);
        assert!(said.contains("is there already") && said.contains("hint: nothing is ever overwritten"), "{said}");
        assert_eq!(contents(&home.path("out")), [(there.to_owned(), b"somebody's".to_vec())]);
    }
}

#[test]
fn a_link_to_nowhere_is_not_followed() {
    let home = Home::new();
    fs::create_dir(home.path("out")).expect("made");
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("out/ann.toc.age")).expect("linked");
    home.fails(1, &deal(&Home::players(&["ann", "bob"]), &["-t", "2", "-o", "out"]), SECRET);
    assert!(!home.path("elsewhere").exists());
}

/// Runs in a mount of its own, with or without root. Says so where the system refuses that.
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let home = Home::new();
    fs::create_dir(home.path("small")).expect("made");
    let names: Vec<String> = (1..=60).map(|n| format!("player-{n}")).collect();
    let players = Home::players(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let script = "mount -t tmpfs -o size=64k none small || exit 77
        printf %s \"$SECRET\" | \"$@\"; code=$?
        find small -mindepth 1; exit $code";
    let quorate = home.command(&deal(&players, &["-q", "-t", "2", "-o", "small/out"]));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(quorate.get_program()).args(quorate.get_args()).current_dir(home.path(".")).env("SECRET", SECRET);
    let output = command.output().expect("unshare is part of every Linux");
    let said = text(&output);
    if output.status.code() == Some(77) || said.contains("unshare:") {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount in a namespace: {said}");
        println!("skipped: no mounts in namespaces here: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left") && said.contains("hint: make room"), "{said}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("small/"), "left behind: {said}");
}
