//! Chromium under chromedriver: starting, looking, taking pictures, ending. It must not know what the pages are about.

#[path = "authenticator.rs"]
mod authenticator;
#[path = "axe.rs"]
mod axe;

use base64::Engine as _;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing on these pages takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Widths of the pictures: a small phone, and a desk.
const WIDTHS: [(&str, u32); 2] = [("phone", 360), ("desk", 1280)];

/// A browser with one window, ended when dropped.
pub struct Browser {
    client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// A command of chromedriver that the standard does not have.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// A fresh one; `None`, saying so, where there is no Chromium and that is allowed.
    pub async fn start() -> Option<Self> {
        let [Some(chromium), Some(chromedriver)] = ["chromium", "chromedriver"].map(found) else {
            let needed = std::env::var_os("CI").is_some_and(|ci| ci == "true")
                || std::env::var_os("QUORATE_TEST_ALL").is_some_and(|all| all == "1");
            assert!(!needed, "chromium or chromedriver is missing: apt-get install chromium chromium-driver");
            say_skipped();
            return None;
        };
        let (driver, port) = start_driver(&chromedriver);
        let profile = tempfile::tempdir().expect("a folder");
        let mut flags = vec![
            format!("--user-data-dir={}", profile.path().display()),
            // Hosts that are not loopback, and so not secure over plain HTTP.
            "--host-resolver-rules=MAP oracle.test 127.0.0.1, MAP *.oracle.test 127.0.0.1".to_owned(),
            format!("--ignore-certificate-errors-spki-list={}", crate::secure::pin()),
        ];
        let fixed = "--headless=new --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --lang=en-GB";
        flags.extend(fixed.split_whitespace().map(str::to_owned));
        if geteuid().is_root() {
            flags.push("--no-sandbox".to_owned());
        }
        let capabilities = json!({
            "goog:chromeOptions": { "binary": chromium, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().expect("an object").clone());
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.expect("Chromium starts");
        Some(Self { client, driver, _profile: profile })
    }

    /// Opens `url`, from a blank page: a change of the fragment alone would not load anything.
    pub async fn open(&self, url: &str) {
        self.client.goto("about:blank").await.expect("a blank page");
        self.client.goto(url).await.expect("the page loads");
    }

    /// Waits until `text` can be read on the page.
    pub async fn see(&self, text: &str) {
        let script = "const [text, done] = arguments; \
                      const look = () => document.body?.innerText.includes(text) ? done(true) : requestAnimationFrame(look); \
                      look();";
        let begun = Instant::now();
        // A page that is loaded anew ends the script: then look at the new one.
        while self.client.execute_async(script, vec![text.into()]).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "{text:?} does not appear on:\n{}", self.text().await);
        }
    }

    /// What can be read on the page.
    pub async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().expect("a text").to_owned()
    }

    /// The value of a script's `return`.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.expect("the script runs")
    }

    /// The value with which an asynchronous script calls its last argument.
    pub async fn wait_for(&self, script: &str) -> Value {
        self.client.execute_async(script, vec![]).await.expect("the script ends")
    }

    /// The value of an expression, or of what it promises, whatever the page's policy says of scripts.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut said = self.chromium("Runtime.evaluate", asked).await;
        assert!(said["exceptionDetails"].is_null(), "{}", said["exceptionDetails"]);
        said["result"]["value"].take()
    }

    /// Presses the key with this WebDriver code point, as somebody without a mouse does.
    pub async fn press(&self, key: fantoccini::key::Key) {
        use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
        let key = char::from(key);
        let stroke = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(stroke).await.expect("a key is pressed");
    }

    /// Types `text` into the field of that id, in place of what stands in it.
    pub async fn fill(&self, id: &str, text: &str) {
        let field = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        let field = field.unwrap_or_else(|_| panic!("there is no field {id}"));
        field.clear().await.expect("the field can be emptied");
        field.send_keys(text).await.expect("the field takes text");
    }

    /// Chooses a file in the field of that id.
    pub async fn choose(&self, id: &str, file: &Path) {
        let field = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        let field = field.unwrap_or_else(|_| panic!("there is no field {id}"));
        let file = file.canonicalize().expect("the file is there");
        field.send_keys(file.to_str().expect("UTF-8")).await.expect("the field takes a file");
    }

    /// Clicks the button (`button`) or link (`a`) with these words.
    pub async fn click(&self, kind: &str, words: &str) {
        let path = format!("//{kind}[normalize-space() = '{words}']");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        let found = found.unwrap_or_else(|_| panic!("there is no {kind} {words:?}"));
        found.click().await.unwrap_or_else(|error| panic!("{kind} {words:?}: {error}"));
    }

    /// Waits until a text stands on the page, without a script of the page's own.
    pub async fn find(&self, text: &str) {
        let path = format!("//main//*[contains(normalize-space(), '{text}')]");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        assert!(found.is_ok(), "{text:?} does not appear on:\n{}", self.client.source().await.unwrap_or_default());
    }

    /// Waits until an element of this kind has the focus: browsers give it when they draw the page.
    pub async fn focus(&self, kind: &str) {
        let selector = format!("{kind}:focus");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(&selector)).await;
        assert!(found.is_ok(), "no {kind} has the focus");
    }

    /// From here on no page runs a script.
    pub async fn without_scripts(&self) {
        self.chromium("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Plugs in a security key that whoever is asked touches at once; gives its id.
    pub async fn security_key(&self) -> Value {
        self.plug_in("ctap2").await
    }

    /// Pulls it out.
    pub async fn pull_out(&self, key: &Value) {
        self.chromium("WebAuthn.removeVirtualAuthenticator", json!({ "authenticatorId": key })).await;
    }

    /// One of Chromium's own commands.
    pub async fn chromium(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await.expect("Chromium obeys")
    }

    /// Pictures of the whole page in `target/screens`: on a phone and a desk, light and dark. Nothing may stick out, and
    /// axe-core may find nothing that keeps somebody out.
    pub async fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screens");
        std::fs::create_dir_all(&folder).expect("a folder");
        for scheme in ["light", "dark"] {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            self.chromium("Emulation.setEmulatedMedia", json!({ "features": features })).await;
            for (device, width) in WIDTHS {
                self.width(width).await;
                let wide = self.run("return document.documentElement.scrollWidth").await;
                assert!(wide.as_u64() <= Some(width.into()), "{name} is {wide} wide on a {device}");
                let barriers = self.barriers().await;
                assert!(barriers.is_empty(), "{name} on a {device}, {scheme}:\n{}", barriers.join("\n"));
                let how = json!({ "captureBeyondViewport": true, "format": "png" });
                let taken = self.chromium("Page.captureScreenshot", how).await;
                let png = base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().expect("a picture"));
                let path = folder.join(format!("{name}-{device}-{scheme}.png"));
                std::fs::write(path, png.expect("base64")).expect("a file");
            }
        }
    }

    /// What keeps somebody out of the page, as it is shown now.
    pub async fn barriers(&self) -> Vec<String> {
        axe::barriers(self).await
    }

    /// A window of this width, as high as its page.
    async fn width(&self, width: u32) {
        let metrics =
            |height: &Value| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.chromium("Emulation.setDeviceMetricsOverride", metrics(&json!(700))).await;
        let height = self.run("return document.documentElement.scrollHeight").await;
        self.chromium("Emulation.setDeviceMetricsOverride", metrics(&height)).await;
    }

    /// What the browser complained of, without answers that are no success: those are part of a session's life.
    pub async fn complaints(&self) -> Vec<String> {
        let log = Vendor { path: "se/log", body: json!({ "type": "browser" }) };
        let log = self.client.issue_cmd(log).await.expect("a log");
        let entries = log.as_array().expect("a list").iter();
        entries
            .filter(|entry| entry["source"] != "network")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The group: chromedriver and every process of its browser.
        let group = Pid::from_child(&self.driver);
        let _gone_already = kill_process_group(group, Signal::KILL);
        let _gone_already = self.driver.wait();
    }
}

#[expect(clippy::print_stdout, reason = "who runs the tests should know which did not run")]
fn say_skipped() {
    println!("skipped: chromium or chromedriver is missing (apt-get install chromium chromium-driver)");
}

/// Starts chromedriver on a port of its choice, in a process group of its own.
fn start_driver(program: &Path) -> (Child, u16) {
    let mut command = Command::new(program);
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut driver = command.spawn().expect("chromedriver starts");
    let mut said = BufReader::new(driver.stdout.take().expect("it was piped")).lines();
    let port = loop {
        let line = said.next().expect("chromedriver says its port").expect("UTF-8");
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            break port.trim_end_matches('.').parse().expect("a port");
        }
    };
    // What it says later is read, so that it never blocks on a full pipe.
    std::thread::spawn(move || said.for_each(drop));
    (driver, port)
}

fn found(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}
