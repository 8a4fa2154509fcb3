//! Times as people read them, everywhere the same: in their own time zone, to the second. JSON keeps RFC 3339. It must not know
//! what happened then.

use super::shown;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Unix seconds; the number itself when no calendar has it.
pub(crate) fn time(unix: i64) -> String {
    Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), local)
}

/// A time of RFC 3339, as an oracle or a file of ours writes it; anything else as it stands, made safe to show.
pub(crate) fn time_of(text: &str) -> String {
    text.parse().map_or_else(|_| shown(text), local)
}

fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_time_read_alike_and_junk_stays_what_it_is() {
        assert_eq!(time(1_700_000_000), time_of("2023-11-14T22:13:20Z"));
        assert_eq!(time_of("2023-11-14T22:13:20.987Z"), time(1_700_000_000), "to the second");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(time_of("to\u{1b}morrow"), "to\\u{1b}morrow");
    }
}
