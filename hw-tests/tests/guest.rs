//! Security keys under a kernel: the real programs in a guest, with keys that its kernel takes for devices, against transcripts in
//! `guest/`. A transcript is `$ command`, then `? 1` where it fails, then what it prints, stdout before stderr; `…` stands for any text of a
//! line, and alone for any lines. What commands there are beside programs is in `hw-tests/guest/init.sh`.

#[path = "../../tests/support/built.rs"]
mod built;
#[path = "../../tests/support/matching.rs"]
mod matching;

use built::built;
use matching::matches;
use quorate_hw_tests::guest::{Image, Kernel, Printed};
use std::fs;
use std::path::Path;

/// The programs that people have, and the oracle.
const PROGRAMS: [&str; 3] = ["quorate", "quorate-oracle", "quorate-uhid-key"];

/// A command of a transcript.
struct Step {
    transcript: String,
    command: String,
    expected: Vec<String>,
}

/// The steps of transcripts, of which later ones build upon what earlier ones have done.
fn steps(transcripts: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for name in transcripts {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guest/{name}.txt"));
        let text = fs::read_to_string(&file).expect("it is in the repository");
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { transcript: (*name).to_owned(), command: command.to_owned(), expected: Vec::new() });
            } else {
                steps.last_mut().expect("a transcript begins with a command").expected.push(line.to_owned());
            }
        }
    }
    steps
}

/// What is wrong with what a command printed.
fn judge(step: &Step, printed: &Printed) -> Option<String> {
    let failed = (printed.code != 0).then(|| format!("? {}", printed.code));
    let lines = printed.lines.iter().filter(|line| !line.trim().is_empty());
    let printed: Vec<&str> = failed.iter().chain(lines).map(String::as_str).collect();
    let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
    (!matches(&expected, &printed)).then(|| {
        let (expected, printed) = (expected.join("\n"), printed.join("\n"));
        format!("{}: $ {}\nshould print\n{expected}\nand prints\n{printed}", step.transcript, step.command)
    })
}

/// Has a guest run the commands of transcripts, and compares what they print.
#[track_caller]
#[expect(clippy::print_stdout, reason = "that a guest was there is said")]
fn play(test: &str, programs: &[&str], transcripts: &[&str]) {
    let Some(kernel) = Kernel::found(test) else { return };
    let steps = steps(transcripts);
    let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
    let mut image = Image::new(&commands).expect("an image");
    for program in programs {
        image.install(&built(program), &format!("usr/bin/{program}")).expect("it fits");
    }
    add_udev(&mut image);
    let printed = image.run(&kernel).expect("QEMU runs");
    assert_eq!(printed.len(), steps.len(), "every command has ended");
    let wrong: Vec<String> = steps.iter().zip(&printed).filter_map(|(step, printed)| judge(step, printed)).collect();
    assert!(wrong.is_empty(), "{} of {} commands:\n\n{}", wrong.len(), steps.len(), wrong.join("\n\n"));
    println!("in a guest, all {} commands of {} print what they should", steps.len(), transcripts.join(", "));
}

/// What decides on a machine who may use a key, and somebody who may not.
fn add_udev(image: &mut Image) {
    for (program, place) in [
        ("/usr/bin/udevadm", "usr/bin/udevadm"),
        // The same program, which goes by its name.
        ("/usr/bin/udevadm", "usr/lib/systemd/systemd-udevd"),
        // Debian 12 looks for it here, Debian 13 there.
        ("/usr/lib/udev/fido_id", "lib/udev/fido_id"),
        ("/usr/lib/udev/fido_id", "usr/lib/udev/fido_id"),
    ] {
        image.install(Path::new(program), place).expect("udev is installed");
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udev/70-quorate-tokens.rules");
    let rules = fs::read_to_string(rules).expect("it is in the repository");
    for (path, content) in [
        ("usr/share/quorate/70-quorate-tokens.rules", rules.as_str()),
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/tmp:/bin/sh\n"),
        ("etc/group", "root:x:0:\nbob:x:1000:\nplugdev:x:46:bob\n"),
    ] {
        image.write(path, content).expect("written");
    }
}

#[test]
fn keys_of_u2f_serve_under_a_kernel() {
    play("keys_of_u2f_serve_under_a_kernel", &PROGRAMS, &["oracle", "u2f"]);
}

#[test]
fn keys_of_ctap2_serve_under_a_kernel_with_and_without_a_pin() {
    play("keys_of_ctap2_serve_under_a_kernel_with_and_without_a_pin", &PROGRAMS, &["oracle", "ctap2", "pin"]);
}

#[test]
fn the_contract_holds_under_a_kernel() {
    play("the_contract_holds_under_a_kernel", &["quorate-fido-contract", "quorate-uhid-key"], &["contract"]);
}

#[test]
fn people_log_in_under_a_kernel_whose_keys_udev_gives_them() {
    play("people_log_in_under_a_kernel_whose_keys_udev_gives_them", &PROGRAMS, &["oracle", "people", "access"]);
}

/// A transcript that no command contradicts would prove nothing.
#[test]
fn what_a_command_should_not_print_is_noticed() {
    let step = |expected: &str| Step {
        transcript: "x".to_owned(),
        command: "x".to_owned(),
        expected: expected.lines().map(str::to_owned).collect(),
    };
    let printed = |code, text: &str| Printed { code, lines: text.lines().map(str::to_owned).collect() };
    assert_eq!(judge(&step("a…"), &printed(0, "ab\n\n")), None);
    assert_eq!(judge(&step("? 1\nerror: …"), &printed(1, "error: b")), None);
    for (expected, code, text) in [("a", 1, "a"), ("? 1\na", 0, "a"), ("? 1", 2, ""), ("", 0, "a"), ("a", 0, "a\nb")] {
        let told = judge(&step(expected), &printed(code, text)).expect("it is wrong");
        assert!(told.starts_with("x: $ x\nshould print\n"), "{told}");
    }
}
