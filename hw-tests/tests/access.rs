//! Who may use tokens on a machine: the udev rules as udev itself reads them, and the polkit rule as polkit itself judges by it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_hw_tests::isolation::{is_installed, is_root, isolated, leave_out};

const LIMIT: Duration = Duration::from_secs(30);
const RULES: [&str; 2] = ["70-quorate-tokens.rules", "71-quorate-pcscd.rules"];
const POLKITD: &str = "/usr/lib/polkit-1/polkitd";
/// What pcscd asks about, as its own policy has it; Debian 12's pcscd comes without one. And something that it does not.
const ACTIONS: [&str; 3] =
    ["org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card", "org.example.something-else"];

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn rules(name: &str) -> String {
    fs::read_to_string(in_repository(&format!("udev/{name}"))).expect("it is in the repository")
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("it is installed");
    assert!(status.success(), "{program} {arguments:?}");
}

/// Puts something in the place of a file or folder of this machine, which is the test's own.
fn mount_over(from: &Path, to: &str) {
    run("mount", &["--bind", from.to_str().expect("UTF-8"), to]);
}

/// The same groups, and one more.
fn with_group(folder: &Path, line: &str) {
    let file = folder.join("group");
    fs::write(&file, fs::read_to_string("/etc/group").expect("readable") + line + "\n").expect("written");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("ours");
    mount_over(&file, "/etc/group");
}

/// Everything that udev says of a rules file when it reads its rules for a device.
fn complaints(name: &str, text: &str) -> Vec<String> {
    fs::create_dir_all("/run/udev/rules.d").expect("the machine is the test's own");
    let file = Path::new("/run/udev/rules.d").join(name);
    fs::write(&file, text).expect("written");
    let tried = Command::new("udevadm").args(["test", "--action=add", "/sys/class/mem/null"]).output();
    let tried = tried.expect("udev is installed");
    let said = String::from_utf8_lossy(&tried.stdout).into_owned() + &String::from_utf8_lossy(&tried.stderr);
    assert!(said.contains(&format!("rules.d/{name}")), "udev did not read {name}: {said}");
    fs::remove_file(file).expect("ours");
    let about = |line: &&str| line.contains(&format!("rules.d/{name}:"));
    said.lines().filter(about).map(str::to_owned).collect()
}

#[test]
fn udev_understands_every_rule() {
    if !is_installed("udevadm") {
        return leave_out("udev rules", "udev not installed");
    }
    isolated(|| {
        let folder = tempfile::tempdir().expect("a folder");
        with_group(folder.path(), "pcscd:x:987:");
        for name in RULES {
            assert_eq!(complaints(name, &rules(name)), [] as [&str; 0]);
        }
        // That it would have complained.
        let first = rules(RULES[0]);
        for (right, wrong) in [
            ("SUBSYSTEM==\"hidraw\"", "SUBSYTEM==\"hidraw\""),
            ("TAG+=\"uaccess\"", "TAG==+\"uaccess\""),
            ("LABEL=\"quorate_end\"", "LABEL=\"elsewhere\""),
            ("ENV{DEVTYPE}==\"usb_device\"", "ENV{DEVTYPE}==\"usb_device"),
        ] {
            assert!(!complaints("99-broken.rules", &first.replace(right, wrong)).is_empty(), "{wrong}");
        }
    });
}

#[test]
fn udev_verifies_the_rules_where_its_version_can() {
    let version = Command::new("udevadm").arg("--version").output();
    let Ok(version) = version else { return leave_out("udevadm verify", "udev not installed") };
    let version = String::from_utf8_lossy(&version.stdout).trim().parse::<u32>().expect("a number");
    // 254 brought the command. What older versions say is in the test above.
    if version < 254 {
        return println!("udevadm {version} has no `verify`: udevadm test reads the rules instead");
    }
    let files = RULES.map(|name| in_repository(&format!("udev/{name}")));
    let verified = Command::new("udevadm").args(["verify", "--resolve-names=never"]).args(files).output();
    let verified = verified.expect("udev is installed");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn rules_name_devices_as_the_kernel_does_and_come_before_the_seat() {
    for name in RULES {
        assert!(name < "73-seat-late.rules", "uaccess is looked at there");
        let text = rules(name);
        let rules: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(rules.first().is_some_and(|first| first.starts_with("ACTION==\"remove\", GOTO=")), "{name}");
        for part in rules.iter().flat_map(|rule| rule.split(", ")) {
            let (key, value) = part.split_once("==").or_else(|| part.split_once("+=")).unwrap_or_else(|| {
                part.split_once('=').unwrap_or_else(|| panic!("{name}: {part} is neither a match nor an assignment"))
            });
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.unwrap_or_else(|| panic!("{name}: {part} is not quoted"));
            if key.starts_with("ATTRS{id") {
                // The kernel writes four digits in lower case; anything else never matches.
                let plain =
                    |id: &str| id.len() == 4 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
                assert!(value.split('|').all(plain), "{name}: {part}");
            }
        }
    }
}

/// polkit's daemon on a bus of its own; ends when dropped.
struct Polkit(Child);

impl Polkit {
    fn start(folder: &Path) -> Self {
        let actions = folder.join("actions");
        let rules = folder.join("rules");
        for folder in [&actions, &rules] {
            fs::create_dir(folder).expect("a new folder");
            // polkit's daemon has an account of its own.
            fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("ours");
        }
        let rule = "50-quorate-pcscd.rules";
        fs::copy(in_repository("packaging").join(rule), rules.join(rule)).expect("copied");
        fs::set_permissions(rules.join(rule), Permissions::from_mode(0o644)).expect("ours");
        fs::write(actions.join("test.policy"), policy()).expect("written");
        mount_over(&actions, "/usr/share/polkit-1/actions");
        mount_over(&rules, "/etc/polkit-1/rules.d");
        with_group(folder, "quorate:x:987:games");
        fs::create_dir("/run/dbus").expect("the machine is the test's own");
        run("dbus-daemon", &["--system", "--fork", "--nopidfile"]);
        let daemon = Command::new(POLKITD).arg("--no-debug").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let polkit = Self(daemon.expect("polkit is installed"));
        let deadline = Instant::now() + LIMIT;
        // Nothing tells when it listens; root may do everything as soon as it does.
        while !may("root", ACTIONS[0]) {
            assert!(Instant::now() < deadline, "polkit does not answer");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        polkit
    }
}

impl Drop for Polkit {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn policy() -> String {
    let action = |id: &str| {
        format!(
            "<action id=\"{id}\"><description>a</description><message>a</message><defaults><allow_any>no</allow_any>\
             <allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action>"
        )
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><policyconfig>{}</policyconfig>", ACTIONS.map(action).concat())
}

/// What polkit says of a process of `user` that asks for `action`.
fn may(user: &str, action: &str) -> bool {
    let asks = format!("exec pkcheck --action-id {action} --process $$");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", "nogroup", "--init-groups", "sh", "-c", &asks]);
    command.stderr(Stdio::null()).status().expect("util-linux is installed").success()
}

#[test]
fn polkit_lets_the_group_use_cards_and_nobody_else_and_nothing_else() {
    for (program, package) in [(POLKITD, "polkitd"), ("dbus-daemon", "dbus-daemon")] {
        if !is_installed(program) {
            return leave_out("the polkit rule", &format!("{package} not installed"));
        }
    }
    // polkit's daemon changes to an account of its own, which root alone can do.
    if !is_root() {
        return println!("left out: the polkit rule: only root can start polkit");
    }
    isolated(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
        let _polkit = Polkit::start(folder.path());
        let allowed = |user| ACTIONS.map(|action| may(user, action));
        assert_eq!(allowed("games"), [true, true, false], "a member of the group");
        assert_eq!(allowed("nobody"), [false, false, false], "anybody else");
    });
}
