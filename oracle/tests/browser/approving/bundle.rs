//! What the approving page is made of: packages of others as they were published, and a bundle that is the same wherever it is
//! made, named by one hash.

use super::site::{CURLRC, Site, Twist, make, script};
use crate::driver::Browser;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
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
    std::fs::remove_file(one.join("SHA256SUMS")).expect("it was there");
    assert_ne!(sha256(list(&one).as_bytes()), printed);
}

/// What the script says to that argument, in a folder of its own.
fn run(folder: &Path, argument: &str) -> std::process::Output {
    std::process::Command::new(script()).arg(argument).current_dir(folder).output().expect("the script runs")
}

/// The list of every file below `folder`, as sha256sum writes it.
fn list(folder: &Path) -> String {
    let lines: Vec<String> = hashes(folder).iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect();
    lines.concat()
}

#[test]
fn no_folder_of_somebody_elses_is_emptied() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = |name: &str, files: &[(&str, &str)]| {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        folder
    };
    let refused = |folder: &Path| {
        let before = hashes(folder);
        let refused = run(home.path(), folder.to_str().expect("UTF-8"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("name a new folder"), "{}: {said}", folder.display());
        assert_eq!((hashes(folder), refused.stdout), (before, Vec::new()));
    };
    refused(&folder("letters", &[("letter", "dear")]));
    // A list of checksums is no sign that the folder is ours, not even a right one.
    refused(&folder("list", &[("letter", "dear"), ("SHA256SUMS", "")]));
    let downloads = folder("downloads", &[("system.iso", "0101")]);
    std::fs::write(downloads.join("SHA256SUMS"), list(&downloads)).expect("a file");
    refused(&downloads);

    // A bundle to which somebody has done anything.
    let bundle = home.path().join("bundle");
    let printed = make(&bundle);
    std::fs::write(bundle.join("letter"), "dear").expect("a file");
    refused(&bundle);
    std::fs::remove_file(bundle.join("letter")).expect("it was there");
    assert_eq!(make(&bundle), printed, "a bundle as it was made is made anew");
    std::fs::write(bundle.join("vouch.js"), "// mine").expect("a file");
    refused(&bundle);
    make(&folder("empty", &[]));

    let before = hashes(home.path());
    for (option, fine) in [("--help", true), ("-h", true), ("--force", false), ("-f", false), ("compare", false)] {
        let said = run(home.path(), option);
        let text = [said.stdout, said.stderr].concat();
        assert_eq!(said.status.success(), fine, "{option}");
        assert!(String::from_utf8_lossy(&text).contains("usage: approve.sh"), "{option}");
    }
    assert_eq!(hashes(home.path()), before, "nothing is left beside the folders, and none is named after an option");
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
    // Served to browsers alone, and to nobody who looks otherwise. What ends another place is no other place.
    site.twist(Some(|request, answer| {
        answer.headers_mut().insert("alt-svc", HeaderValue::from_static("clear"));
        if !is_like_a_browsers(request) {
            *answer.body_mut() = Bytes::from("for your eyes").into();
        }
    }));
    let printed = sha256(&std::fs::read(site.bundle().join("SHA256SUMS")).expect("the list"));
    let same = site.compare().await;
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
    assert_eq!(String::from_utf8_lossy(&same.stdout).trim_end(), printed);
    site.twist(None);

    let module = site.bundle().join("vouch.js");
    std::fs::write(&module, read(&module).replace("throw", "return")).expect("a file");
    let other = site.compare().await;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("vouch.js is not what this clone makes"), "{said}");
    assert_eq!(other.stdout, b"", "no hash is printed that could be taken for this page's");
}

/// Whether a browser would ask so for what is asked for.
fn is_like_a_browsers(request: &Request<Incoming>) -> bool {
    let said = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (path, mode) = (request.uri().path(), said("sec-fetch-mode"));
    let (kind, mode_of_kind) = match path.rsplit('.').next() {
        Some("html" | "/") => ("document", "navigate"),
        Some("js") => ("script", "cors"),
        Some("css") => ("style", "no-cors"),
        Some("svg") => ("image", "no-cors"),
        _ => ("empty", "no-cors"),
    };
    said("user-agent").starts_with("Mozilla/5.0 (")
        && (said("sec-fetch-dest"), mode) == (kind, mode_of_kind)
        && said(CURLRC).is_empty()
}

/// The bytes of the page, answered so that a browser shows another; and what is said of each.
const ASTRAY: [(Twist, &str); 9] = [
    (
        |_, answer| {
            *answer.status_mut() = StatusCode::FOUND;
            answer.headers_mut().insert("location", HeaderValue::from_static("/other/"));
        },
        "is answered with status 302",
    ),
    (|_, answer| *answer.status_mut() = StatusCode::NON_AUTHORITATIVE_INFORMATION, "is answered with status 203"),
    (
        |_, answer| {
            answer.headers_mut().insert("refresh", HeaderValue::from_static("0;url=/other/"));
        },
        "has a header Refresh",
    ),
    (
        |request, answer| {
            if request.uri().path().ends_with("LICENSE") {
                answer.headers_mut().insert("link", HeaderValue::from_static("</other.css>;rel=stylesheet"));
            }
        },
        "has a header Link",
    ),
    (
        |_, answer| {
            answer.headers_mut().insert("alt-svc", HeaderValue::from_static("h2=\":8443\"; ma=31536000; persist=1"));
        },
        "has a header Alt-Svc",
    ),
    (
        |_, answer| {
            answer.headers_mut().remove("cross-origin-opener-policy");
        },
        "has not the header Cross-Origin-Opener-Policy",
    ),
    (
        |_, answer| {
            let weaker = HeaderValue::from_static("frame-ancestors *");
            answer.headers_mut().insert("content-security-policy", weaker);
        },
        "has not the header Content-Security-Policy",
    ),
    (
        |_, answer| {
            let name = HeaderName::from_static("strict-transport-security");
            answer.headers_mut().append(name, HeaderValue::from_static("max-age=0"));
        },
        "has not the header Strict-Transport-Security",
    ),
    (
        |_, answer| {
            let other = HeaderValue::from_static("text/html; charset=utf-16");
            answer.headers_mut().insert("content-type", other);
        },
        "is of type text/html;charset=utf-16, not text/html",
    ),
];

#[tokio::test]
async fn bytes_that_no_browser_would_show_are_not_taken_for_the_page() {
    let site = Site::start().await;
    for (twist, says) in ASTRAY {
        site.twist(Some(twist));
        let refused = site.compare().await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(says), "{says}: {said}");
        assert!(said.contains("do not use that page"), "{said}");
        assert_eq!(refused.stdout, b"", "{says}: no hash is printed");
    }
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
    browser.see("This page does not begin").await;
    super::no_barriers(&browser, "a page that does not begin").await;
}
