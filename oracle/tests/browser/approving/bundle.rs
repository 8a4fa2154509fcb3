//! What the approving page is made of: packages of others as they were published, and a bundle that is the same wherever it is
//! made, named by one hash.

use super::site::{Site, make, script};
use crate::driver::Browser;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn vendor() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../approve/vendor")
}

fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Every file below `folder` by its path from there, with its hash.
fn hashes(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_str().expect("UTF-8").to_owned();
                found.insert(name, sha256(&std::fs::read(&path).expect("a file")));
            }
        }
    }
    found
}

/// What a file in the form of sha256sum says.
fn listed(sums: &str) -> BTreeMap<String, String> {
    let lines = sums.lines().map(|line| line.split_once("  ").expect("a hash and a path"));
    lines.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn packages_of_others_are_what_their_checksums_say() {
    let sums = listed(&read(&vendor().join("SHA256SUMS")));
    let here = hashes(&vendor().join("node_modules"));
    let here: BTreeMap<_, _> = here.into_iter().map(|(path, sum)| (format!("node_modules/{path}"), sum)).collect();
    assert_eq!(here, sums);

    // Each is pinned with the hash of its archive, has its licence, and is of the version that is pinned.
    let lock: serde_json::Value = serde_json::from_str(&read(&vendor().join("package-lock.json"))).expect("JSON");
    let pinned = lock["packages"].as_object().expect("packages");
    let mut packages = 0;
    for (folder, package) in pinned.iter().filter(|(folder, _)| !folder.is_empty()) {
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{folder}");
        assert!(sums.contains_key(&format!("{folder}/LICENSE")), "{folder} has no licence");
        let own: serde_json::Value =
            serde_json::from_str(&read(&vendor().join(folder).join("package.json"))).expect("JSON");
        assert_eq!(own["version"], package["version"], "{folder}");
        packages += 1;
    }
    assert!(packages >= 6, "{pinned:?}");
    let of_none = sums.keys().find(|path| !pinned.keys().any(|folder| !folder.is_empty() && path.starts_with(folder)));
    assert_eq!(of_none, None);
}

#[test]
fn packages_of_others_are_as_they_were_published() {
    let Some(published) = std::env::var_os("QUORATE_APPROVE_PACKAGES") else {
        let all = std::env::var("CI").is_ok_and(|ci| ci == "true")
            || std::env::var("QUORATE_TEST_ALL").is_ok_and(|all| all == "1");
        assert!(!all, "the packages are missing: scripts/approve-packages.sh fetches them");
        say_skipped();
        return;
    };
    for (path, sum) in listed(&read(&vendor().join("SHA256SUMS"))) {
        let file = Path::new(&published).join(&path);
        assert_eq!(sha256(&std::fs::read(&file).unwrap_or_else(|error| panic!("{path}: {error}"))), sum, "{path}");
    }
}

#[expect(clippy::print_stdout, reason = "who runs the tests should know what was not looked at")]
fn say_skipped() {
    println!("skipped: the approving page's packages as npm has them are missing (make test fetches them)");
}

#[test]
fn the_hash_that_is_printed_is_that_of_every_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let printed = make(&one);
    assert_eq!(make(&other), printed, "made twice, it is the same");

    let sums = std::fs::read(one.join("SHA256SUMS")).expect("the list");
    assert_eq!(sha256(&sums), printed);
    let mut here = hashes(&one);
    here.remove("SHA256SUMS");
    assert_eq!(here, listed(&String::from_utf8(sums).expect("UTF-8")), "every file is listed, and no other");
    let page = read(&one.join("index.html"));
    let left = page.split('@').skip(1).find(|rest| !rest.starts_with("noble/") && !rest.starts_with("scure/"));
    assert_eq!(left, None, "a placeholder is left: names of packages alone begin so");

    // One letter in one file, and a list that is made anew, give another hash.
    let script = one.join("invite.js");
    std::fs::write(&script, read(&script).replace("now >= invite.expires", "now > invite.expires")).expect("a file");
    let mut altered = hashes(&one);
    altered.remove("SHA256SUMS");
    let list: Vec<String> = altered.iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect();
    assert_ne!(sha256(list.concat().as_bytes()), printed);
}

#[test]
fn no_folder_of_somebody_elses_is_emptied() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("letters"), "dear").expect("a file");
    let refused = std::process::Command::new(script()).arg(folder.path()).output().expect("the script runs");
    assert!(!refused.status.success());
    assert!(folder.path().join("letters").exists());
}

#[test]
fn our_modules_say_what_they_are_for_and_write_no_markup() {
    let entries =
        std::fs::read_dir(vendor().join("..")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let modules: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "js")).collect();
    assert!(modules.len() >= 15, "{modules:?}");
    for module in modules {
        let text = read(&module);
        assert!(text.starts_with("// ") && text.lines().count() <= 300, "{}", module.display());
        for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!text.contains(banned), "{} writes markup or runs text: {banned}", module.display());
        }
    }
}

#[tokio::test]
async fn what_is_served_is_compared_with_what_the_source_makes() {
    let site = Site::start().await;
    let printed = sha256(&std::fs::read(site.bundle().join("SHA256SUMS")).expect("the list"));
    let same = site.compare().await;
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
    assert_eq!(String::from_utf8_lossy(&same.stdout).trim_end(), printed);

    let module = site.bundle().join("vouch.js");
    std::fs::write(&module, read(&module).replace("throw", "return")).expect("a file");
    let other = site.compare().await;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("vouch.js is not what this clone makes"), "{said}");
    assert_eq!(other.stdout, b"", "no hash is printed that could be taken for this page's");
}

#[tokio::test]
async fn a_module_that_was_changed_on_the_way_does_not_run() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::start().await;
    browser.open(&site.origin()).await;
    browser.see(super::BEGUN).await;

    let module = site.bundle().join("signature.js");
    std::fs::write(&module, format!("{}\n// changed", read(&module))).expect("a file");
    browser.open(&site.origin()).await;
    let begun = std::time::Instant::now();
    while !browser.complaints().await.iter().any(|line| line.contains("signature.js")) {
        assert!(begun.elapsed().as_secs() < 60, "the browser takes a module that is not the one of the page");
    }
    assert_eq!(browser.run("return 'ready' in document.documentElement.dataset").await, false);
}
