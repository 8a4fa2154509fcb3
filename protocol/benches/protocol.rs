//! What the pieces of the protocol cost on one core. Prints medians, and each as a multiple of one Ed25519 verification, a
//! unit that moves with the machine.
//!
//! `cargo bench -p quorate-protocol --bench protocol`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use age::Recipient;
use quorate_protocol::deal::{Deal, DealRequest, deal, rebuild};
use quorate_protocol::header::Header;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::proof::{Terms, create_message, sign, verify_player};
use quorate_protocol::sealing::{aead_open, aead_seal, age_open, age_seal};
use quorate_protocol::session::{Kek, Tek, new_session_id};
use quorate_protocol::sharing::Share;
use quorate_protocol::toc::Toc;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each row runs.
const ROW: Duration = Duration::from_millis(400);

struct Rows {
    unit: Option<Duration>,
}

impl Rows {
    /// Runs `work` for a while and prints the median.
    fn row<T>(&mut self, name: &str, mut work: impl FnMut() -> T) -> Duration {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < ROW || times.len() < 5 {
            let one = Instant::now();
            black_box(work());
            times.push(one.elapsed());
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        let unit = *self.unit.get_or_insert(median);
        let (micros, ratio) = (median.as_secs_f64() * 1e6, median.as_secs_f64() / unit.as_secs_f64());
        println!("{name:<44} {micros:>10.1} µs  {ratio:>8.2} verifications");
        median
    }
}

fn main() {
    let mut rng = StdRng::seed_from_u64(1);
    let secret = OtpSecret::from_uri("otpauth://totp/Test:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Test");
    let secret = secret.expect("a URI");
    let small = dealt(&secret, 3, 5, &mut rng);
    let large = dealt(&secret, 128, 255, &mut rng);
    let mut rows = Rows { unit: None };

    let terms = Terms {
        oracle: "https://oracle.test",
        purpose: "code",
        plan: b"",
        reason: "close the month",
        ttl: 0,
        max_codes: 0,
    };
    let message = create_message(small.group.name(), 1, 1_800_000_000, &terms);
    let signature = sign(&small.tocs[0].signing_key(), &message);
    let header = &small.group.header;
    rows.row("create message, verified", || verify_player(header, 1, &message, &signature).expect("genuine"));
    rows.row("create message, signed", || sign(&small.tocs[0].signing_key(), &message));
    rows.row("share checked against its header", || small.tocs[0].share().check(header).expect("genuine"));

    rows.row("header of 5 read", || Header::parse(header.bytes()).expect("sound"));
    rows.row("header of 255 read", || Header::parse(large.group.header.bytes()).expect("sound"));
    rows.row("deal 3 of 5", || dealt(&secret, 3, 5, &mut rng));
    let deal_large = rows.row("deal 128 of 255", || dealt(&secret, 128, 255, &mut rng));
    let (few, many) = (shares(&small, 3), shares(&large, 128));
    rows.row("combine 3 of 5, all shares checked", || rebuild(&small.group, &few).expect("honest"));
    let combine_large =
        rows.row("combine 128 of 255, all shares checked", || rebuild(&large.group, &many).expect("honest"));

    let toc = small.tocs[0].to_short_json();
    let (tek, kek, id) = (Tek::generate(&mut rng), Kek::generate(&mut rng), new_session_id(&mut rng));
    let public = tek.to_public();
    let seal = || age_seal(&toc, std::iter::once(&public as &dyn Recipient)).expect("sealed");
    let armored = seal();
    rows.row("Toc sealed to a TEK", seal);
    rows.row("Toc opened", || age_open(&armored, &tek).expect("opens"));
    rows.row("Toc opened by age's own identity", || age_open(&armored, tek.identity()).expect("opens"));
    rows.row("Toc of 255 read, whole", || Toc::parse(&large.tocs[0].to_json()).expect("a Toc"));
    rows.row("TEK drawn", || Tek::generate(&mut rng));
    let sealed = tek.seal(&kek, &id, &[7; 32], &mut rng);
    rows.row("TEK opened with its KEK", || Tek::open(&sealed, &kek, &id, &tek.recipient(), &[7; 32]).expect("opens"));
    let row = aead_seal(&[1; 32], b"place", armored.as_bytes(), &mut rng);
    rows.row("row opened at rest", || aead_open(&[1; 32], b"place", &row).expect("opens"));

    println!("targets: combine 128 of 255 {} ms of 10, deal {} ms", millis(combine_large), millis(deal_large));
}

fn dealt(secret: &OtpSecret, threshold: usize, size: usize, rng: &mut StdRng) -> Deal {
    let holders: Vec<String> = (1..=size).map(|x| format!("player {x}")).collect();
    let (note, dealt_at) = ("test", 1_800_000_000);
    let request = DealRequest { secret, threshold, holders: &holders, note, dealt_at, oracle: None, replaces: None };
    deal(&request, rng).expect("in range")
}

fn shares(deal: &Deal, count: usize) -> Vec<Share> {
    deal.tocs.iter().rev().take(count).map(|toc| toc.share().clone()).collect()
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
