//! The contract of security keys, on keys that the kernel of this machine takes for devices: `quorate-uhid-key` makes them, which root
//! alone can, so this is for a guest. Looks for connected keys as `quorate` does.

use quorate::token::fido::FidoToken;
use quorate::token::fido::ports::{self, Found};
use quorate_hw_tests::fido::contract::run;
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A case has two keys at most.
const PLUGGED: usize = 2;
/// Between two looks for a device that the kernel makes.
const LOOK: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(60);

/// A key that is plugged in until it is dropped.
struct Plugged(Child);

impl Plugged {
    /// Plugs in a new key.
    fn new(store: &str) -> Self {
        let mut command = Command::new("quorate-uhid-key");
        command.args(["ctap2", store]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut key = command.spawn().expect("it is installed");
        writeln!(key.stdin.as_mut().expect("it was piped"), "insert").expect("it reads");
        let mut told = String::new();
        BufReader::new(key.stdout.as_mut().expect("it was piped")).read_line(&mut told).expect("it answers");
        assert_eq!(told, "insert\n", "the key is in");
        Self(key)
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // Pulled out with its program, which may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connected() -> Vec<Found> {
    ports::connected().expect("the system lists its devices")
}

/// The key that is connected now, and was not before.
fn appeared(before: &BTreeSet<String>) -> Box<dyn FidoToken> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = connected().into_iter().find(|found| !before.contains(&found.place)) {
            return found.open().expect("it opens");
        }
        assert!(Instant::now() < deadline, "the kernel makes no device");
        thread::sleep(LOOK);
    }
}

#[expect(clippy::print_stdout, reason = "how many cases hold is what it is for")]
fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut plugged = VecDeque::new();
    let mut made = 0;
    let ran = run(|| {
        while plugged.len() >= PLUGGED {
            plugged.pop_front();
        }
        made += 1;
        let before = connected().into_iter().map(|found| found.place).collect();
        let store = folder.path().join(format!("{made}.store"));
        plugged.push_back(Plugged::new(store.to_str().expect("UTF-8")));
        appeared(&before)
    });
    println!("the {ran} cases of the contract hold");
}
