//! The example of `docs/embedding.md` in a real browser, with keys that speak U2F and CTAP2: what somebody sees who
//! registers a key and logs in with it.

#[path = "browser/driver.rs"]
#[expect(dead_code, reason = "shared with the tests of the oracle's own pages")]
mod driver;
#[path = "mfa/stage.rs"]
#[expect(dead_code, reason = "shared with the tests of the routes")]
mod stage;

use driver::Browser;
use serde_json::json;
use stage::{Stage, Tenant};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The example, running; ended when dropped.
struct Example {
    _process: Child,
    url: String,
}

impl Example {
    async fn start(stage: &Stage, tenant: &Tenant) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/embedding/server.py");
        let python = std::env::var_os("QUORATE_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.arg("-B").arg(program).arg("0").env("QUORATE_URL", stage.oracle.url("")).env("NO_PROXY", "*");
        command.env("API_KEY", &tenant.value).env("API_SECRET", &tenant.secret);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("python runs");
        let mut said = BufReader::new(process.stdout.take().expect("it was piped")).lines();
        let line = said.next_line().await.expect("it says where").expect("a line");
        let url = line.strip_prefix("listening on ").expect("an address").to_owned();
        Self { _process: process, url }
    }
}

async fn press(browser: &Browser, button: &str, seen: &str) {
    browser.run(&format!("document.querySelector('[value={button}]').click()")).await;
    browser.see(seen).await;
}

async fn registers_and_logs_in(protocol: &str) {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::new().await;
    let tenant = stage.tenant("example@example.com").await;
    let example = Example::start(&stage, &tenant).await;
    browser.chromium("WebAuthn.enable", json!({})).await;
    let options = json!({ "protocol": protocol, "transport": "usb", "automaticPresenceSimulation": true });
    browser.chromium("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await;
    browser.open(&example.url).await;
    press(&browser, "login", "nobody of that name has a key here").await;
    press(&browser, "register", "registered key ").await;
    press(&browser, "login", "alice is logged in").await;
    // The browser knows the key from the list of those to exclude, and says so in words of its own.
    press(&browser, "register", "registered").await;
    press(&browser, "login", "alice is logged in").await;
    press(&browser, "forget", "alice is forgotten").await;
    press(&browser, "login", "nobody of that name has a key here").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_u2f_key_registers_and_logs_in() {
    registers_and_logs_in("u2f").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ctap2_key_registers_and_logs_in() {
    registers_and_logs_in("ctap2").await;
}
