//! What operators know from Secrets Safe: every command of its manual's page on second factors, with `quorate` in the place of
//! `ssrun`, and what goes wrong with them.

use super::transcript::Stage;
use std::fs;

/// Files as that manual has them, in either letter case.
const FILES: [(&str, &str, &str); 4] = [
    ("ann", "myConfig.json", r#"{"type": "totp", "name": "TotpDemoConfig"}"#),
    ("ann", "updatedConfig.json", r#"{"Type": "totp", "Name": "TotpDemoConfig", "Options": {"Issuer": "Example"}}"#),
    (
        "ann",
        "duo.json",
        r#"{"type": "duo", "name": "My company Duo application", "options": {"IntegrationKey": "DIXXXXXXXXXXXXXXXXXX",
            "SecretKey": "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef", "Host": "api-my-company.duosecurity.com"}}"#,
    ),
    ("bob", "wrong", "a long sentence of another\n"),
];

#[test]
fn the_commands_of_secrets_safe_run_here() {
    let mut stage = Stage::new();
    for (person, name, content) in FILES {
        let path = stage.person(person).path(name);
        fs::write(path, content).expect("written");
    }
    stage.plays(include_str!("transcripts/secrets-safe.txt"));
}
