//! The architecture, as tests: which package may link what, which module may name what, how large a file may be.
//! It reads sources, the dependency graph and the built oracle; it must not know what any of them does.

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SOURCES: [&str; 7] = ["src", "protocol", "oracle", "hw-tests", "tests", "benches", "fuzz"];
const MAX_LINES: usize = 600;

#[test]
fn the_oracle_links_no_reader_and_no_command_line() {
    let names = linked_by("quorate-oracle");
    assert!(names.contains(&"quorate-protocol".to_owned()), "the listing is not what it should be: {names:?}");
    for banned in ["quorate", "pcsc", "pcsc-sys", "yubikey", "hidapi", "ctap-hid-fido2", "openssl-sys", "native-tls"] {
        assert!(!names.iter().any(|name| name == banned), "quorate-oracle must not link {banned}");
    }
}

#[test]
fn the_protocol_links_no_network_no_store_and_no_reader() {
    let names = linked_by("quorate-protocol");
    assert!(names.contains(&"age".to_owned()), "the listing is not what it should be: {names:?}");
    for banned in ["tokio", "reqwest", "hyper", "axum", "rusqlite", "tokio-postgres", "pcsc", "hidapi", "clap"] {
        assert!(!names.iter().any(|name| name == banned), "quorate-protocol must not link {banned}");
    }
}

#[test]
fn dependencies_between_packages_point_one_way() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("cargo metadata prints JSON");
    let allowed = [
        ("quorate-protocol", &[][..]),
        ("quorate", &["quorate-protocol"]),
        ("quorate-oracle", &["quorate-protocol"]),
        ("quorate-hw-tests", &["quorate-protocol", "quorate", "quorate-oracle"]),
    ];
    let packages = metadata["packages"].as_array().expect("packages is a list");
    assert_eq!(packages.len(), allowed.len(), "a new package needs its place in this table");
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let (_, may_use) = allowed.iter().find(|(known, _)| *known == name).expect("every package is in the table");
        for dependency in package["dependencies"].as_array().expect("dependencies is a list") {
            let target = dependency["name"].as_str().expect("a dependency has a name");
            assert_ne!(target, "quorate-hw-tests", "{name} depends on the hardware tests");
            if target.starts_with("quorate") && dependency["kind"].is_null() {
                assert!(may_use.contains(&target), "{name} must not depend on {target}");
            }
        }
    }
}

#[test]
fn the_built_oracle_loads_no_reader_and_no_system_tls() {
    let oracle = Path::new(env!("CARGO_BIN_EXE_quorate")).with_file_name("quorate-oracle");
    assert!(oracle.exists(), "{} is not built: run make test", oracle.display());
    let output = Command::new("ldd").arg(&oracle).output().expect("ldd runs");
    let libraries = String::from_utf8(output.stdout).expect("ldd prints text");
    assert!(libraries.contains("libc.so"), "ldd said nothing of use: {libraries}");
    for banned in ["libpcsclite", "libudev", "hidapi", "libusb", "libssl", "libcrypto"] {
        assert!(!libraries.contains(banned), "the oracle loads {banned}:\n{libraries}");
    }
}

#[test]
fn the_protocol_reads_no_file_socket_or_clock_and_prints_nothing() {
    nowhere(
        &code_files("protocol/src"),
        &[
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "println!",
            "eprintln!",
        ],
    );
}

#[test]
fn the_store_knows_no_http_and_handlers_know_no_sql() {
    let mut store = code_files("oracle/src/store");
    store.extend(existing("oracle/src/store.rs"));
    nowhere(&store, &["axum", "hyper", "http::", "StatusCode"]);

    let mut handlers = code_files("oracle/src/handlers");
    handlers.extend(existing("oracle/src/handlers.rs"));
    nowhere(
        &handlers,
        &[
            "rusqlite",
            "tokio_postgres",
            "SELECT ",
            "INSERT ",
            "UPDATE ",
            "DELETE FROM",
            "CREATE TABLE",
            "BEGIN IMMEDIATE",
        ],
    );
}

#[test]
fn back_ends_are_named_by_the_store_alone() {
    let elsewhere: Vec<_> = code_files("oracle/src")
        .into_iter()
        .filter(|file| !file.starts_with(in_root("oracle/src/store")) && *file != in_root("oracle/src/store.rs"))
        .collect();
    let back_ends =
        ["rusqlite", "tokio_postgres", "deadpool", "store::sqlite", "store::postgres", "SqliteStore", "PostgresStore"];
    nowhere(&elsewhere, &back_ends);

    // Within the store, siblings of the back ends speak through the trait.
    let siblings: Vec<_> = code_files("oracle/src/store")
        .into_iter()
        .filter(|file| !file.components().any(|part| part.as_os_str().to_string_lossy().contains("sqlite")))
        .filter(|file| !file.components().any(|part| part.as_os_str().to_string_lossy().contains("postgres")))
        .collect();
    nowhere(&siblings, &["rusqlite::", "tokio_postgres::"]);
}

#[test]
fn card_types_stay_in_their_module() {
    let outside: Vec<_> = ["src", "hw-tests/src", "oracle/src", "protocol/src"]
        .into_iter()
        .flat_map(code_files)
        .filter(|file| *file != in_root("src/token/yubikey.rs") && !file.starts_with(in_root("src/token/yubikey")))
        .collect();
    nowhere(&outside, &["pcsc::", "yubikey::"]);
}

#[test]
fn usb_stays_in_its_module() {
    let outside: Vec<_> = ["src", "hw-tests/src", "oracle/src", "protocol/src"]
        .into_iter()
        .flat_map(code_files)
        .filter(|file| *file != in_root("src/token/fido/hid.rs"))
        .collect();
    nowhere(&outside, &["hidapi::"]);
    let ctap2 = in_root("src/token/fido/ctap2");
    let outside: Vec<_> =
        outside.into_iter().filter(|file| !file.starts_with(&ctap2) && *file != ctap2.with_extension("rs")).collect();
    nowhere(&outside, &["ctap_hid_fido2::"]);
}

#[test]
fn file_names_are_escaped_before_they_are_printed() {
    // What an error says is escaped where it is reported.
    let printed = |line: &&str| line.contains(".display()") && !line.trim_start().starts_with("#[error(");
    for file in ["src/cli", "src/ui"].into_iter().flat_map(code_files).chain(existing("src/ui.rs")) {
        let text = read(&file);
        let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        let offences: Vec<&str> = code.filter(printed).collect();
        assert!(offences.is_empty(), "{}: use shown_path: {offences:?}", file.display());
    }
}

#[test]
fn programs_that_have_secrets_overwrite_what_they_free() {
    for program in ["src/main.rs", "oracle/src/main.rs"] {
        let text = read(&in_root(program));
        assert!(text.lines().any(|line| line == "#[global_allocator]"), "{program} has the system's allocator");
    }
}

#[test]
fn every_source_file_opens_with_its_purpose_and_stays_small() {
    for file in SOURCES.into_iter().flat_map(rust_files) {
        let text = read(&file);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{} must open with what it is for", file.display());
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines: split it", file.display());
    }
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let files: Vec<_> = SOURCES.into_iter().flat_map(rust_files).collect();
    // Spelled apart, or this file would be an offender.
    nowhere(&files, &[concat!("#[", "allow("), concat!("#![", "allow(")]);
}

#[test]
fn the_search_finds_names_and_respects_comments_paths_and_tests() {
    let text = "//! axum is not for us\nuse pcsc::Card; // why\nlet x = crate::yubikey::open();\nlet y = \"SELECT 1\";\n\
                #[cfg(test)]\nmod tests { use std::fs; }\n";
    let found = |needle| mentions(text, needle);
    assert_eq!(found("pcsc::"), [2]);
    assert_eq!(found("SELECT "), [4]);
    assert_eq!(found("axum"), [] as [usize; 0], "a comment names nothing");
    assert_eq!(found("yubikey::"), [] as [usize; 0], "a module of ours may share a crate's name");
    assert_eq!(found("std::fs"), [] as [usize; 0], "tests may read files");
    assert_eq!(mentions("let pool = deadpool_postgres::Pool;", "deadpool"), [1], "a needle may start a longer name");
    assert_eq!(mentions("type A = MySqliteStore;", "SqliteStore"), [] as [usize; 0]);
}

/// Packages that a build of `package` with all its features links, itself included.
fn linked_by(package: &str) -> Vec<String> {
    let arguments =
        ["tree", "-p", package, "-e", "normal", "--all-features", "--prefix", "none", "--offline", "--locked"];
    let tree = cargo(&arguments);
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(ROOT).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// Fails with every line of `files` whose code names one of `needles`.
fn nowhere(files: &[PathBuf], needles: &[&str]) {
    let mut offences = Vec::new();
    for file in files {
        let text = read(file);
        for needle in needles {
            let lines = mentions(&text, needle);
            offences.extend(lines.iter().map(|line| format!("{}:{line}: {needle}", file.display())));
        }
    }
    assert!(offences.is_empty(), "named where it must not be:\n{}", offences.join("\n"));
}

/// Numbers of the lines that name `needle` as the start of a path or word, outside comments and unit tests (which close a file).
fn mentions(text: &str, needle: &str) -> Vec<usize> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    let names = |line: &str| {
        line.match_indices(needle).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    };
    code.filter(|(_, line)| names(line.split("//").next().unwrap_or_default())).map(|(index, _)| index + 1).collect()
}

fn in_root(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

fn existing(path: &str) -> Option<PathBuf> {
    Some(in_root(path)).filter(|file| file.exists())
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What [`rust_files`] finds, without files of unit tests, which may reach for what the code beside them must not.
fn code_files(folder: &str) -> Vec<PathBuf> {
    let unit_test = |file: &PathBuf| {
        let inside = file.strip_prefix(ROOT).expect("it was found there");
        inside.components().any(|part| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name))
    };
    let mut files = rust_files(folder);
    files.retain(|file| !unit_test(file));
    files
}

/// Every Rust file under `folder` of the repository, build output left out.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![in_root(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder of the repository can be read").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
