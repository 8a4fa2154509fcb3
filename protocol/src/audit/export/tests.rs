//! A small log, and everything that can be done to it.

use super::*;
use crate::audit::checkpoint::Origin;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn origin() -> Origin {
    Origin::new("oracle.example/audit").expect("plain")
}

fn verifier_key() -> VerifierKey {
    VerifierKey { origin: origin(), key: key().verifying_key() }
}

fn leaf(number: i64) -> String {
    let event = format!("{{\"v\":1,\"id\":\"{number:032x}\",\"time\":{number},\"kind\":\"session.code\",");
    event + "\"who\":\"holder ann\",\"source\":\"\",\"subject\":\"\",\"result\":\"done\",\"details\":{}}"
}

/// An export with a checkpoint after each of `sizes` rows.
fn export(sizes: &[i64]) -> Vec<Line> {
    let (mut lines, mut frontier, mut previous) = (Vec::new(), Frontier::default(), 0);
    for size in sizes {
        for number in previous + 1..=*size {
            let (event, hash) = (leaf(number), leaf_hash(leaf(number).as_bytes()));
            frontier.push(hash);
            lines.push(Line::Row(Row { number, hash: hash.to_vec().into(), event: Some(event) }));
        }
        let head = Checkpoint { origin: origin(), size: frontier.size(), root: frontier.root() };
        let kept = (Some(size) == sizes.last()).then(|| frontier.to_bytes().into());
        lines.push(Line::Head(Head { checkpoint: head.sign(&key()), size: *size, previous, frontier: kept }));
        previous = *size;
    }
    lines
}

fn check(lines: &[Line], older: &[Checkpoint]) -> Report {
    let mut verifier = Verifier::new(vec![verifier_key()], older.to_vec());
    for line in lines {
        verifier.push(&serde_json::to_string(line).expect("plain data"));
    }
    verifier.finish()
}

fn head_of(lines: &[Line], size: i64) -> Checkpoint {
    let head = lines.iter().find_map(|line| match line {
        Line::Head(head) if head.size == size => Some(&head.checkpoint),
        _ => None,
    });
    Checkpoint::open(head.expect("there is one"), &verifier_key()).expect("signed")
}

fn row(lines: &mut [Line], number: i64) -> &mut Row {
    let row = lines.iter_mut().find_map(|line| match line {
        Line::Row(row) if row.number == number => Some(row),
        _ => None,
    });
    row.expect("there is one")
}

#[test]
fn what_the_oracle_wrote_is_sound() {
    for sizes in [&[1][..], &[3, 5, 6], &[1, 2, 3, 4, 5, 6, 7, 8]] {
        let lines = export(sizes);
        let older: Vec<_> = sizes.iter().map(|size| head_of(&lines, *size)).collect();
        let report = check(&lines, &older);
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.rows, sizes.last().copied().unwrap_or(0));
        assert_eq!(report.newest, older.last().cloned());
    }
}

#[test]
fn a_changed_row_is_named() {
    let mut lines = export(&[3, 5, 8]);
    row(&mut lines, 4).event = Some(leaf(40));
    row(&mut lines, 7).event = None;
    let report = check(&lines, &[]);
    assert_eq!(report.findings, [Finding::Changed { row: 4 }, Finding::Unreadable { row: 7 }]);

    let mut lines = export(&[3, 5, 8]);
    row(&mut lines, 4).hash.0[31] ^= 1;
    assert_eq!(check(&lines, &[]).findings, [Finding::Changed { row: 4 }]);
}

#[test]
fn a_row_changed_with_its_hash_is_named_with_those_of_its_checkpoint() {
    let mut lines = export(&[3, 5, 8]);
    row(&mut lines, 4).event = Some(leaf(40));
    row(&mut lines, 4).hash.0 = leaf_hash(leaf(40).as_bytes()).to_vec();
    assert_eq!(check(&lines, &[]).findings, [Finding::OneOf { first: 4, last: 5 }]);
}

#[test]
fn rows_that_change_places_are_named_with_those_of_their_checkpoint() {
    let mut lines = export(&[3, 6, 8]);
    let (four, five) = (row(&mut lines, 4).clone(), row(&mut lines, 5).clone());
    *row(&mut lines, 4) = Row { number: 4, ..five.clone() };
    let place = lines.iter().position(|line| matches!(line, Line::Row(row) if row.number == 5)).expect("there");
    lines[place] = Line::Row(Row { number: 5, ..four });
    assert_eq!(check(&lines, &[]).findings, [Finding::OneOf { first: 4, last: 6 }]);

    let mut lines = export(&[3, 6, 8]);
    lines.swap(4, 5);
    let report = check(&lines, &[]);
    assert_eq!(report.findings[..2], [Finding::Missing { first: 4, last: 4 }, Finding::Misplaced { row: 4, after: 5 }]);
}

#[test]
fn a_removed_row_is_named_wherever_it_was() {
    let whole = export(&[3, 5, 8]);
    for number in 1..=8 {
        let mut lines = whole.clone();
        lines.retain(|line| !matches!(line, Line::Row(row) if row.number == number));
        assert_eq!(check(&lines, &[]).findings, [Finding::Missing { first: number, last: number }], "{number}");
    }
}

#[test]
fn a_repeated_event_is_named() {
    let mut lines = export(&[2]);
    let Line::Row(Row { hash, event, .. }) = lines[0].clone() else { panic!("a row") };
    lines[1] = Line::Row(Row { number: 2, hash, event });
    assert!(check(&lines, &[]).findings.contains(&Finding::Repeated { row: 2, first: 1 }));
}

#[test]
fn a_cut_tail_needs_an_older_checkpoint_to_be_noticed() {
    let whole = export(&[3, 5, 8]);
    let older = head_of(&whole, 8);
    let cut = export(&[3, 5]);
    assert!(check(&cut, &[]).is_sound(), "nothing in it says that there was more");
    assert_eq!(check(&cut, &[older]).findings, [Finding::Truncated { last: 5, size: 8 }]);
    let nothing = check(&[], &[head_of(&whole, 3)]);
    assert_eq!(nothing.findings, [Finding::Truncated { last: 0, size: 3 }]);
}

#[test]
fn a_tail_without_its_checkpoint_is_noticed() {
    let mut lines = export(&[3, 5]);
    lines.pop();
    assert_eq!(check(&lines, &[]).findings, [Finding::Unsigned { first: 4, last: 5 }]);
}

#[test]
fn a_log_written_anew_is_not_the_older_checkpoints() {
    let older = Checkpoint { root: [1; 32], ..head_of(&export(&[3, 5]), 3) };
    assert_eq!(check(&export(&[3, 5]), &[older]).findings, [Finding::Other { size: 3 }]);
}

#[test]
fn checkpoints_are_compared_with_key_size_order_and_state() {
    let whole = export(&[3, 5, 8]);
    let change = |change: &dyn Fn(&mut Head)| {
        let mut lines = whole.clone();
        let head = lines.iter_mut().rev().find_map(|line| match line {
            Line::Head(head) => Some(head),
            Line::Row(_) => None,
        });
        change(head.expect("there is one"));
        check(&lines, &[]).findings
    };
    assert_eq!(
        change(&|head| head.checkpoint = head.checkpoint.replace("\n8\n", "\n9\n")),
        [Finding::HeadChanged { size: 8 }]
    );
    assert_eq!(change(&|head| head.size = 9)[0], Finding::HeadChanged { size: 9 });
    assert_eq!(change(&|head| head.previous = 4), [Finding::HeadMissing { after: 5, before: 8 }]);
    assert_eq!(change(&|head| head.frontier = Some(vec![0; 32].into())), [Finding::StateChanged { size: 8 }]);

    let mut lines = whole.clone();
    lines.retain(|line| !matches!(line, Line::Head(head) if head.size == 5));
    assert_eq!(check(&lines, &[]).findings, [Finding::HeadMissing { after: 3, before: 8 }]);

    let mut verifier = Verifier::new(
        vec![VerifierKey { key: SigningKey::from_bytes(&[8; 32]).verifying_key(), ..verifier_key() }],
        Vec::new(),
    );
    for line in &whole {
        verifier.push(&serde_json::to_string(line).expect("plain data"));
    }
    assert_eq!(verifier.finish().findings.len(), 3, "another key has signed none of them");
}

#[test]
fn what_is_no_line_is_named() {
    let mut verifier = Verifier::new(vec![verifier_key()], Vec::new());
    for line in ["", "  ", "{}", "nonsense", "{\"number\":1,\"hash\":\"AA==\",\"event\":\"\",\"more\":1}"] {
        verifier.push(line);
    }
    let report = verifier.finish();
    assert_eq!(report.findings, [3, 4, 5].map(|line| Finding::NoLine { line }));
}

#[test]
fn findings_are_counted_beyond_those_that_are_kept() {
    let mut verifier = Verifier::new(Vec::new(), Vec::new());
    for _ in 0..MAX_FINDINGS + 5 {
        verifier.push("x");
    }
    let report = verifier.finish();
    assert_eq!((report.findings.len(), report.more, report.is_sound()), (MAX_FINDINGS, 5, false));
}

proptest! {
    /// One byte of one line, whatever it is.
    #[test]
    fn no_changed_byte_stays_unnoticed(line in 0usize..11, at in 0usize..400, bit in 0u8..8) {
        let mut lines: Vec<String> =
            export(&[3, 5, 8]).iter().map(|line| serde_json::to_string(line).expect("plain data")).collect();
        let mut bytes = lines[line].clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let Ok(damaged) = String::from_utf8(bytes) else { return Ok(()) };
        // Another spelling of the same line is none the worse.
        let same = |text: &str| serde_json::from_str::<Line>(text).ok();
        prop_assume!(same(&damaged) != same(&lines[line]));
        lines[line] = damaged;
        let mut verifier = Verifier::new(vec![verifier_key()], Vec::new());
        for line in &lines {
            verifier.push(line);
        }
        prop_assert!(!verifier.finish().is_sound(), "{}", lines[line]);
    }
}

#[test]
fn nothing_is_no_log() {
    assert_eq!(check(&[], &[]).findings, [Finding::Empty]);
    let mut verifier = Verifier::new(Vec::new(), Vec::new());
    assert_eq!(verifier.push(" \n"), None);
    assert_eq!(verifier.finish().findings, [Finding::Empty]);
}

#[test]
fn heads_of_any_size_are_named_and_stop_nobody() {
    for size in [i64::MIN, -1, 0, i64::MAX - 1, i64::MAX] {
        let mut lines = export(&[2]);
        let forged = Head { checkpoint: String::new(), size, previous: 2, frontier: None };
        lines.extend([Line::Head(forged.clone()), Line::Head(forged)]);
        let report = check(&lines, &[]);
        assert!(report.findings.contains(&Finding::HeadChanged { size }), "{size}: {:?}", report.findings);
        lines.push(Line::Row(Row {
            number: 3,
            hash: leaf_hash(leaf(3).as_bytes()).to_vec().into(),
            event: Some(leaf(3)),
        }));
        assert!(check(&lines, &[]).findings.contains(&Finding::Unsigned { first: 3, last: 3 }), "{size}");
    }
}
