//! The transcripts of the manuals, run as they stand there.

use super::transcript::Stage;
use std::fs;

/// A picture of the QR code of alice@google.com.
const PICTURE: &[u8] = include_bytes!("../fixtures/import/uri.png");

/// The blocks of a manual behind its transcript mark, up to the next heading.
fn transcript(manual: &str) -> String {
    let (_, marked) = manual.split_once("<!-- transcript").expect("the manual marks its transcript");
    let marked = marked.split("\n## ").next().expect("it ends");
    marked.split("```console\n").skip(1).map(|block| block.split("```").next().expect("a block ends")).collect()
}

#[test]
fn the_manual_of_people_shows_what_is_printed() {
    let mut stage = Stage::new();
    let file = stage.person("ann").path("totp.json");
    fs::write(file, r#"{"Type": "totp", "Name": "TotpDemoConfig"}"#).expect("written");
    stage.plays(&transcript(include_str!("../../docs/people.md")));
}

#[test]
fn the_manual_of_passkeys_shows_what_is_printed() {
    Stage::new().plays(&transcript(include_str!("../../docs/passkeys.md")));
}

#[test]
fn the_manual_of_shared_codes_shows_what_is_printed() {
    let mut stage = Stage::new();
    fs::write(stage.person("ann").path("code.png"), PICTURE).expect("written");
    let vault = r#"{"version": 1, "header": {"slots": null, "params": null}, "db": {"version": 3, "entries": [
        {"type": "totp", "name": "root", "issuer": "AWS", "info": {"secret": "JBSWY3DPEHPK3PXP"}},
        {"type": "steam", "name": "ann", "issuer": "Games", "info": {"secret": "JBSWY3DPEHPK3PXP"}},
        {"type": "totp", "name": "again", "issuer": "AWS", "info": {"secret": "JBSWY3DPEHPK3PXP"}}]}}"#;
    fs::write(stage.person("ann").path("aegis.json"), vault).expect("written");
    let here = "ann$ quorate enroll LINK\n…\nann$ quorate login -u ann --oracle URL\n…\nann$ quorate principal add bob\n…\n\
                bob$ quorate enroll LINK\n…\nbob$ quorate login -u bob --oracle URL\n…\n";
    let recipient = stage.person("ann").recipient.clone();
    stage.plays(here);
    stage.plays(&transcript(include_str!("../../docs/apps.md")).replace("RECIPIENT", &recipient));
}
