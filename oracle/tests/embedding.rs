//! The example of `docs/embedding.md`, started by the commands that stand there, in a real browser with keys that speak U2F
//! and CTAP2: what somebody sees who registers a key and logs in with it.

#[path = "browser/driver.rs"]
#[expect(dead_code, reason = "shared with the tests of the oracle's own pages")]
mod driver;
#[path = "../../tests/support/peers.rs"]
#[expect(dead_code, reason = "shared with tests that call peers")]
mod peers;
#[path = "browser/secure.rs"]
#[expect(dead_code, reason = "the example is on localhost; the driver tells its browser of a certificate all the same")]
mod secure;

use driver::Browser;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MANUAL: &str = include_str!("../../docs/embedding.md");

/// What the manual has people type, up to what it shows.
fn commands() -> String {
    let (_, rest) = MANUAL.split_once("```console\n").expect("there is a transcript");
    let (typed, _) = rest.split_once("listening on http://localhost:3000\n```").expect("it shows where to look");
    typed.lines().flat_map(|line| [line.strip_prefix("$ ").unwrap_or(line), "\n"]).collect()
}

/// The example as the manual starts it, and the oracle beside it; ended when dropped.
struct Example {
    shell: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Example {
    /// `None` where a missing program is no failure.
    #[expect(clippy::print_stdout, reason = "who runs the tests should know which did not run")]
    fn start() -> Option<Self> {
        for program in ["bash", "curl", "jq", "python3"] {
            if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                assert!(!peers::must_have_peers(), "{program} is missing: run make test");
                println!("skipped: {program} is missing");
                return None;
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        // All of 127/8 is this machine, so each of these has an address of its own, and the usual port is free there.
        let [a, b, c] = rand::random::<[u8; 3]>();
        let address = format!("127.{}.{b}.{}", a.max(1), c.clamp(2, 254));
        let state = folder.path().join("state").display().to_string();
        let typed = commands().replace("127.0.0.1", &address).replace("/tmp/oracle", &state);
        let programs = Path::new(env!("CARGO_BIN_EXE_quorate-oracle")).parent().expect("a folder");
        let path = std::env::var("PATH").expect("UTF-8");
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -euo pipefail\n{typed}")]).process_group(0);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root"));
        command.env("PATH", format!("{}:{path}", programs.display())).env("no_proxy", "*").env("PORT", "0");
        command.env("QUORATE_LISTEN", format!("{address}:8080")).env("QUORATE_LOG_LEVEL", "error");
        let mut shell = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("bash runs");
        let mut said = BufReader::new(shell.stdout.take().expect("it was piped")).lines();
        let url = loop {
            let line = said.next().expect("the example says where it listens").expect("UTF-8");
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.to_owned();
            }
        };
        Some(Self { shell, url, _folder: folder })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _gone_already = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _gone_already = self.shell.wait();
    }
}

async fn press(browser: &Browser, button: &str, seen: &str) {
    browser.run(&format!("document.querySelector('[value={button}]').click()")).await;
    browser.see(seen).await;
}

async fn registers_and_logs_in(protocol: &str) {
    let Some(browser) = Browser::start().await else { return };
    let Some(example) = Example::start() else { return };
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
