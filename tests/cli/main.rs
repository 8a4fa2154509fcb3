//! The command line as people meet it: transcripts of what it says and returns, and what no transcript can show. It knows
//! nothing of the insides; sessions have tests of their own, with a real oracle.

mod deal;
mod doctor;
mod home;
mod login;
mod oracle;
mod terminal;
mod toc;

/// Each transcript runs in a folder of its own, which is also the home: `./.config` and `./.local` are in it.
/// Keys that are connected to this machine are out of reach.
#[test]
fn transcripts() {
    trycmd::TestCases::new()
        .env("HOME", ".")
        .env("XDG_CONFIG_HOME", "")
        .env("XDG_DATA_HOME", "")
        .env("XDG_RUNTIME_DIR", "")
        .env("XDG_STATE_HOME", "")
        .env("PCSCLITE_CSOCK_NAME", "/nonexistent")
        .env("QUORATE_GATEWAY_KEY", "")
        .env("QUORATE_NO_SECURITY_KEYS", "1")
        .env("QUORATE_FIDO_PIN_COMMAND", "echo 260571")
        .env("QUORATE_PIN_COMMAND", "echo 493027")
        .env("QUORATE_PUK_COMMAND", "echo 81736450")
        .env("QUORATE_SOFT_TOUCH", "yes")
        .case("tests/cli/transcripts/*.trycmd");
}
