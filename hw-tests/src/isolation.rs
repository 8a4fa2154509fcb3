//! A machine of one's own for a test: mounts, network and processes apart from those of the real one, so that tests run beside
//! each other and no real reader or card is ever in reach. It must not know cards.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set inside: the name of the test that is being run there.
const INSIDE: &str = "QUORATE_ISOLATED_TEST";
/// What it takes: programs (looked for in `PATH` and the system's folders) and files, with their Debian packages.
const NEEDED: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("ip", "iproute2"),
    ("pcscd", "pcscd"),
    ("/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "vsmartcard-vpcd"),
];

/// Runs `body` on a machine of its own: the calling test is started again inside. Where something is missing the test is left
/// out, and says so; never in CI.
pub fn isolated(body: impl FnOnce()) {
    let thread = std::thread::current();
    // A wrong name would run nothing, and succeed.
    let test = thread.name().filter(|name| *name != "main").expect("tests run on threads that have their names");
    if env::var(INSIDE).is_ok_and(|inside| inside == test) {
        set_up();
        return body();
    }
    if let Some(missing) = missing() {
        return leave_out(test, &missing);
    }
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(program).args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(INSIDE, test);
    let status = command.stdin(Stdio::null()).status().expect("unshare runs");
    assert!(status.success(), "{test} failed on its own machine: see above");
}

/// Says that a test is left out; fails where nothing may be.
#[expect(clippy::print_stderr, reason = "a test that is left out is said")]
pub fn leave_out(test: &str, why: &str) {
    assert!(!must_run_all(), "{test}: {why}; run make test");
    eprintln!("left out: {test}: {why}");
}

/// Whether a missing ground is a failure.
pub fn must_run_all() -> bool {
    env::var("CI").is_ok_and(|value| value == "true") || env::var("QUORATE_TEST_ALL").is_ok_and(|value| value == "1")
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    program.starts_with('/') && Path::new(program).exists() || folders.into_iter().any(|dir| dir.join(program).exists())
}

fn missing() -> Option<String> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    (!missing.is_empty()).then(|| format!("{} not installed", missing.join(", ")))
}

/// Whether this is root, of this machine or of one's own.
pub fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

/// Loopback, an empty `/run` for the smart-card service, and no USB, where the real machine's keys are.
fn set_up() {
    run("ip", &["link", "set", "lo", "up"]);
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    std::fs::create_dir("/run/pcscd").expect("the folder is empty");
    if Path::new("/dev/bus").exists() {
        run("mount", &["-t", "tmpfs", "tmpfs", "/dev/bus"]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("it is installed");
    assert!(status.success(), "{program} {arguments:?}");
}
