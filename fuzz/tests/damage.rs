//! The targets without libFuzzer, on any stable Rust: good inputs, then a bounded number of damaged ones. No coverage feedback:
//! this finds what is near real input, `make fuzz` with cargo-fuzz finds the rest. `QUORATE_FUZZ_CASES` sets how many.

use quorate_fuzz::{TARGETS, seeds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashSet;

/// Bytes that mean something in one of the formats.
const TELLING: &[u8] = b"\"{}[]:,.0123456789-eE\\\0\n #/?=&%+";

#[test]
fn good_input_is_understood() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for (number, seed) in seeds.iter().enumerate() {
            assert!(target(seed), "{name}: seed {number} is refused, so damage to it would test nothing");
        }
    }
}

#[test]
fn every_target_has_a_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let programs: HashSet<String> = std::fs::read_dir(folder)
        .expect("the folder of targets can be read")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(programs, TARGETS.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn damaged_input_breaks_nothing() {
    let cases = std::env::var("QUORATE_FUZZ_CASES").map_or(2_000, |cases| cases.parse().expect("a number of cases"));
    let seed = std::env::var("QUORATE_FUZZ_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut understood = 0;
        for case in 0..cases {
            let input = damaged(&seeds, &mut rng);
            let accepted = std::panic::catch_unwind(|| target(&input))
                .unwrap_or_else(|_| panic!("{name}, seed {seed}, case {case}: {}", input.escape_ascii()));
            understood += u32::from(accepted);
        }
        println!("{name}: {cases} damaged inputs, {understood} still understood");
    }
}

/// One of the seeds with one to four damages.
fn damaged(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 64));
        match rng.random_range(0..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.insert(at, rng.random()),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            4 if at < bytes.len() => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                bytes.splice(at..end, other[from..other.len().min(from + 64)].iter().copied());
            }
            _ => bytes.extend((0..rng.random_range(0..16)).map(|_| rng.random::<u8>())),
        }
    }
    bytes
}
