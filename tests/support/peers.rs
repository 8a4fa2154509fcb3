//! Other people's programs to compare with: installed by `make test`, and left out loudly where they are missing.

use std::process::Command;

/// Whether a peer program that is missing is a failure rather than a reason to leave a check out.
pub fn must_have_peers() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
        || std::env::var("QUORATE_TEST_ALL").is_ok_and(|value| value == "1")
}

/// What Debian's `oathtool` says the code of `secret` is, just before `expires_at` (RFC 3339).
#[expect(clippy::print_stderr, reason = "a check that is left out is said")]
pub fn oathtool(secret: &str, expires_at: &str) -> Option<String> {
    let end: jiff::Timestamp = expires_at.parse().expect("RFC 3339");
    let at = jiff::Timestamp::from_second(end.as_second() - 1)
        .expect("in range")
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string();
    let output = Command::new("oathtool").args(["--totp", "-b", secret, "--now", &at]).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8(output.stdout).expect("digits").trim().to_owned())
        }
        _ if must_have_peers() => panic!("oathtool is missing: run make test"),
        _ => {
            eprintln!("left out: the comparison with oathtool, which is not installed");
            None
        }
    }
}
