//! axe-core, a program of others that finds what keeps people out of a page: what a screen reader cannot say, what cannot be
//! told from its ground, what a finger cannot hit. `scripts/axe.sh` fetches it, and it runs inside Chromium.

use super::Browser;
use std::env::{var, var_os};
use std::sync::OnceLock;

/// Ends with what was found, each as a line. Its rules for every level are on, and what it holds to be good manners.
const RUN: &str = "axe.run(document, { iframes: false, preload: false, resultTypes: ['violations'], \
        rules: { 'target-size': { enabled: true } } }) \
    .then((found) => found.violations.flatMap((rule) => rule.nodes.map((node) => \
        `${rule.id}: ${rule.help}: ${node.target.join(' ')}: ${node.failureSummary}: ${node.html}`)))";

/// What axe-core finds on the page as it is shown now.
pub async fn barriers(browser: &Browser) -> Vec<String> {
    let Some(axe) = program() else { return Vec::new() };
    if browser.evaluate("typeof axe").await == "undefined" {
        browser.evaluate(&format!("{axe}; null")).await;
    }
    let found = browser.evaluate(RUN).await;
    let found = found.as_array().unwrap_or_else(|| panic!("axe-core said {found}"));
    found.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
}

/// Its text; `None`, saying so, where it is missing and that is allowed.
fn program() -> Option<&'static str> {
    static PROGRAM: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let Some(path) = var_os("QUORATE_AXE") else {
            let all = var("CI").is_ok_and(|ci| ci == "true") || var("QUORATE_TEST_ALL").is_ok_and(|all| all == "1");
            assert!(!all, "axe-core is missing: scripts/axe.sh fetches it and sets QUORATE_AXE");
            say_skipped();
            return None;
        };
        Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    PROGRAM.get_or_init(read).as_deref()
}

#[expect(clippy::print_stdout, reason = "who runs the tests should know what was not looked at")]
fn say_skipped() {
    println!("skipped: axe-core is missing (make test fetches it)");
}
