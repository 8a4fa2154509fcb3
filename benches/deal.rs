//! The command line's heaviest work as a whole process: a deal to 255 players, threshold 128. Prints the median of some
//! runs, from exec to exit, with every Toc encrypted and on disk.
//!
//! `cargo bench -p quorate --bench deal`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of which the median is told.
const RUNS: usize = 11;
/// A test key.
const URI: &str = "otpauth://totp/Test:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Test";

fn main() {
    // Beside the build, because /tmp may be memory, where a file costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written to");
    let players = folder.path().join("players.toml");
    std::fs::write(&players, list_of(255)).expect("the folder can be written to");
    let mut times: Vec<Duration> = (0..RUNS).map(|run| deal(&players, &folder.path().join(run.to_string()))).collect();
    times.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "quorate deal, 128 of 255: {:.1} ms whole process, {:.1} at best (target: below 100)",
        millis(times[RUNS / 2]),
        millis(times[0])
    );
}

fn list_of(size: usize) -> String {
    (1..=size).fold(String::new(), |mut list, x| {
        let recipient = age::x25519::Identity::generate().to_public();
        writeln!(list, "[[player]]\nname = \"player {x}\"\nrecipients = [\"{recipient}\"]\n")
            .expect("writing to a string cannot fail");
        list
    })
}

fn deal(players: &Path, out: &Path) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_clear().args(["deal", "-t", "128", "--otpauth", "-", "-P"]).arg(players).arg("-o").arg(out);
    let begun = Instant::now();
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    process.stdin.take().expect("it was piped").write_all(URI.as_bytes()).expect("it reads");
    assert!(process.wait().expect("a child can be waited for").success());
    let took = begun.elapsed();
    let tocs = std::fs::read_dir(out).expect("the folder of Tocs").count();
    assert!(tocs >= 255, "{tocs} files");
    took
}
