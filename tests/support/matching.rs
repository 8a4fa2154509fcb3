//! How what a program prints is compared with what it should print. It must not know programs.

/// Whether a program printed what it should: `…` stands for any text of a line, and alone for any lines.
pub fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, more)| line_matches(line, first) && matches(rest, more))
        }
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((before, rest)) = expected.split_once('…') else { return printed.trim_end() == expected };
    let Some(printed) = printed.strip_prefix(before) else { return false };
    let ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
    ends.into_iter().any(|at| line_matches(rest, &printed[at..]))
}
