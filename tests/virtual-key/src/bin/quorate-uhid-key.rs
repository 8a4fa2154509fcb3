//! A security key that the kernel takes for a device, through `/dev/uhid`, which root may open: `quorate-uhid-key KIND FILE`. KIND
//! is `u2f`, `ctap2`, or `strict`, which does nothing without its PIN. FILE holds what is on the key. Its input says what happens, and each line is repeated once it has: `insert`, `pull`,
//! and what whoever holds it does when it blinks: `touch` (at first), `look on`, `pull when it blinks`.

use quorate_virtual_key::Failure;
use quorate_virtual_key::device::{self, Event, Kind, Model};
use quorate_virtual_key::hand::{Habit, Hand};
use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

const USAGE: &str = "usage: quorate-uhid-key u2f|ctap2|strict FILE";

/// A key that was put in.
struct Inserted {
    tell: Sender<Event>,
    running: JoinHandle<Result<(), Failure>>,
}

impl Inserted {
    fn new(kind: Kind, store: PathBuf, hand: Arc<Hand>) -> Self {
        let (tell, events) = channel();
        let teller = tell.clone();
        let running = thread::spawn(move || {
            let told = device::run(Model { kind, store: &store }, &hand, &teller, &events);
            if let Err(error) = &told {
                eprintln!("quorate-uhid-key: {error}");
            }
            told
        });
        Self { tell, running }
    }

    /// Pulls it out, if it is still in.
    fn pull(self) -> Result<(), Failure> {
        // It is out when nobody listens.
        let _ = self.tell.send(Event::Out);
        self.running.join().map_err(|_| "the key panicked")?
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, store] = arguments.as_slice() else { return Err(USAGE.into()) };
    let kind = match kind.as_str() {
        "u2f" => Kind::U2f,
        "ctap2" => Kind::Ctap2,
        "strict" => Kind::Strict,
        _ => return Err(USAGE.into()),
    };
    let hand = Arc::new(Hand::new(Habit::Touches));
    let mut key: Option<Inserted> = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.as_str() {
            "insert" => {
                if let Some(former) = key.take() {
                    former.pull()?;
                }
                key = Some(Inserted::new(kind, store.into(), Arc::clone(&hand)));
            }
            "pull" => {
                if let Some(key) = key.take() {
                    key.pull()?;
                }
            }
            "touch" => hand.change(Habit::Touches),
            "look on" => hand.change(Habit::LooksOn),
            "pull when it blinks" => hand.change(Habit::PullsOut),
            other => return Err(format!("nobody knows how to {other}").into()),
        }
        writeln!(std::io::stdout().lock(), "{line}")?;
    }
    key.map_or(Ok(()), Inserted::pull)
}
