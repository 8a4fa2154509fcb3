//! Makes text from strangers safe to show: notes, reasons and names reach terminals, logs and pages only
//! through here. It knows nothing of terminals or HTML; quoting for those is the caller's.

use std::fmt::Write as _;

/// Copies `text`, writing every character that could move the cursor, colour a terminal, reverse the reading
/// order or hide, as `\n`, `\r`, `\t` or `\u{…}`.
///
/// Escaped are the control characters (C0, DEL, C1), the line and paragraph separators, the bidirectional marks,
/// embeddings, overrides and isolates (Unicode Standard Annex 9), and the invisible characters that make two
/// different names look alike. The joiners U+200C and U+200D stay: Persian and emoji need them. Blanks other than
/// U+0020 are escaped too, and of several U+0020 in a row all but the first, as `\u{20}`: a row of them fills a line up
/// and lets what follows pass for a line of ours. The result is for eyes, not for parsing back: a backslash in `text`
/// is left alone.
pub fn escape_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut after_blank = false;
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            ' ' if after_blank => shown.push_str("\\u{20}"),
            c if deceives(c) => write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("writing to a string cannot fail"),
            c => shown.push(c),
        }
        after_blank = c == ' ' || (after_blank && is_joined(c));
    }
    shown
}

/// JSON text with the same characters as `\uXXXX`, blanks in a row left alone. Beyond ASCII, JSON has them in strings only,
/// where that means the same.
pub fn escape_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Line feeds and the like stand between the parts of a JSON text.
        if deceives(c) && (!c.is_ascii() || c == '\u{7f}') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether `c` acts on what is around it, or cannot be seen.
fn deceives(c: char) -> bool {
    c.is_control() || is_bidirectional(c) || is_invisible(c) || is_blank(c)
}

/// What looks like a space and is none: the rest of Unicode's space separators (Zs), and the braille cell without dots.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}')
}

/// The joiners and variation selectors: allowed, of no width, and so no end to a row of blanks.
fn is_joined(c: char) -> bool {
    matches!(
        c,
        '\u{180b}'..='\u{180d}'
            | '\u{180f}'
            | '\u{200c}'..='\u{200d}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// The explicit directional formatting characters of Unicode Standard Annex 9.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Separators, zero-width characters, blank letters, annotation marks and tags.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_of_any_script_is_untouched() {
        for text in ["AWS root", "Zoë", "日本語", "مرحبا", "👩‍👩‍👧", "C:\\root", "a\u{301}", "می\u{200c}خواهم"]
        {
            assert_eq!(escape_controls(text), text);
        }
    }

    #[test]
    fn terminal_sequences_lose_their_escape() {
        assert_eq!(escape_controls("\u{1b}[2Jgone"), "\\u{1b}[2Jgone");
        assert_eq!(escape_controls("a\u{9b}31mb"), "a\\u{9b}31mb");
        assert_eq!(escape_controls("one\r\ntwo\tthree\0\u{7f}"), "one\\r\\ntwo\\tthree\\u{0}\\u{7f}");
    }

    #[test]
    fn reading_order_cannot_be_turned() {
        assert_eq!(escape_controls("pay\u{202e}gnp.exe"), "pay\\u{202e}gnp.exe");
        assert_eq!(escape_controls("\u{2066}x\u{2069}\u{200f}\u{61c}"), "\\u{2066}x\\u{2069}\\u{200f}\\u{61c}");
    }

    #[test]
    fn names_that_look_alike_are_told_apart() {
        assert_eq!(escape_controls("bo\u{200b}b"), "bo\\u{200b}b");
        assert_eq!(escape_controls("b\u{ad}ob\u{2028}\u{e0041}"), "b\\u{ad}ob\\u{2028}\\u{e0041}");
    }

    #[test]
    fn blanks_cannot_fill_a_line_up() {
        assert_eq!(escape_controls("one two"), "one two");
        assert_eq!(escape_controls("a   b"), "a \\u{20}\\u{20}b");
        assert_eq!(escape_controls("a \u{200c} \u{fe0f}b"), "a \u{200c}\\u{20}\u{fe0f}b");
        for blank in ['\u{a0}', '\u{1680}', '\u{2000}', '\u{200a}', '\u{202f}', '\u{205f}', '\u{2800}', '\u{3000}'] {
            assert_eq!(escape_controls(&format!("a{blank}b")), format!("a\\u{{{:x}}}b", u32::from(blank)));
        }
    }

    proptest! {
        #[test]
        fn no_row_of_blanks_is_left(text in "[ \u{200c}\u{fe0f}\u{2003}\ta]{0,40}") {
            let bare: String = escape_controls(&text).chars().filter(|c| !is_joined(*c)).collect();
            prop_assert!(!bare.contains("  ") && !bare.contains('\u{2003}'), "{bare:?}");
        }

        #[test]
        fn nothing_that_deceives_is_left(text in any::<String>()) {
            prop_assert!(!escape_controls(&text).chars().any(deceives));
        }
    }
}
