//! Parts of forms: fields with their labels, hints and errors, notices, buttons. It must not know what is asked.

use maud::{Markup, PreEscaped, html};
use qrcode::{Color, EcLevel, QrCode};
use quorate_protocol::display::escape_controls;
use std::fmt::Write as _;

/// A field for text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id, where another field of the page has the same name.
    pub id: &'a str,
    /// What is asked for.
    pub label: &'a str,
    /// `text` when empty.
    pub kind: &'a str,
    /// What stands in it.
    pub value: &'a str,
    /// What helps to fill it in.
    pub hint: &'a str,
    /// Why what was typed cannot be.
    pub error: &'a str,
    /// The id of what says, elsewhere on the page, that it or another field is wrong.
    pub told_by: &'a str,
    /// What browsers and password managers may fill in; `off` when empty.
    pub fill: &'a str,
    /// Characters at least; 0 for as many as one likes.
    pub least: usize,
    /// Which keyboard a phone shows.
    pub keyboard: &'a str,
    /// Whether it may stay empty.
    pub optional: bool,
    /// Whether it has the focus when the page is opened.
    pub first: bool,
}

impl Field<'_> {
    /// Label, hint, error and the field itself, tied together for screen readers.
    pub fn render(&self) -> Markup {
        let id = if self.id.is_empty() { self.name } else { self.id };
        let said = [("hint", self.hint), ("error", self.error)];
        let said = said.iter().filter(|(_, text)| !text.is_empty()).map(|(kind, _)| format!("{id}-{kind}"));
        let said = said.chain((!self.told_by.is_empty()).then(|| self.told_by.to_owned()));
        let said = said.collect::<Vec<_>>().join(" ");
        let wrong = !self.error.is_empty() || !self.told_by.is_empty();
        let or = |text: &'static str, given: &str| if given.is_empty() { text.to_owned() } else { given.to_owned() };
        html! {
            div.field {
                label for=(id) { (self.label) @if self.optional && self.kind != "search" { " " small { "(may stay empty)" } } }
                @if !self.hint.is_empty() { p.quiet id={ (id) "-hint" } { (self.hint) } }
                input id=(id) name=(self.name) type=(or("text", self.kind)) value=[(!self.value.is_empty()).then_some(self.value)]
                    autocomplete=(or("off", self.fill)) autocapitalize="none" spellcheck="false" dir="auto"
                    inputmode=[(!self.keyboard.is_empty()).then_some(self.keyboard)]
                    minlength=[(self.least > 0).then_some(self.least)]
                    required[!self.optional] autofocus[self.first]
                    aria-describedby=[(!said.is_empty()).then_some(&said)]
                    aria-invalid=[wrong.then_some("true")];
                @if !self.error.is_empty() { p.error id={ (id) "-error" } { (escape_controls(self.error)) } }
            }
        }
    }
}

/// The id of a notice.
pub(crate) const NOTICE: &str = "notice";

/// What a screen reader says at once, and everybody sees above the form.
pub(crate) fn notice(sentence: &str) -> Markup {
    html! { p.error.card id=(NOTICE) role="alert" { (escape_controls(sentence)) } }
}

/// A field that nobody sees.
pub(crate) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// A box that has to be ticked before something is lost. `id` is unique on the page.
pub(crate) fn confirm(id: &str, label: &Markup) -> Markup {
    html! { p.tick { input type="checkbox" id=(id) name="confirm" value="yes" required; label for=(id) { (label) } } }
}

/// A choice of one.
pub(crate) fn select(id: &str, name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            select id=(id) name=(name) {
                @for (value, words) in options { option value=(value) selected[*value == chosen] { (words) } }
            }
        }
    }
}

/// The picture of a QR code, part of the page: what it says is never in an address. `None` when the text is too long.
pub(crate) fn qr_code(text: &str, label: &str) -> Option<Markup> {
    /// Light modules around the code, ISO/IEC 18004 §6.3.8.
    const QUIET: usize = 4;
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M).ok()?;
    let (width, mut path) = (code.width(), String::new());
    for (at, _) in code.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET)
            .expect("writing to a string cannot fail");
    }
    let side = width + 2 * QUIET;
    Some(html! {
        svg.qr role="img" aria-label=(label) viewBox=(PreEscaped(format!("0 0 {side} {side}"))) width="300" height="300" shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#ffffff" {}
            path d=(PreEscaped(path)) fill="#000000" {}
        }
    })
}

/// A value for the query of an address.
pub(crate) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A time in UTC, to the minute; where the reader is, the server does not know.
pub(crate) fn moment(milliseconds: i64) -> Markup {
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M UTC")) } }
}

/// The same of a time as RFC 3339.
pub(crate) fn time(rfc3339: &str) -> Markup {
    moment(rfc3339.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fields_words_are_tied_to_it_and_escaped() {
        let field = Field {
            name: "name",
            label: "Name",
            value: "\"><script>",
            hint: "short",
            error: "no <b>\u{202e}",
            ..Field::default()
        };
        let text = field.render().into_string();
        for part in [
            "<label for=\"name\">Name</label>",
            "aria-describedby=\"name-hint name-error\"",
            "aria-invalid=\"true\"",
            "id=\"name-error\">no &lt;b&gt;\\u{202e}</p>",
            "value=\"&quot;&gt;&lt;script&gt;\"",
            " required",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let plain = Field { name: "n", label: "N", optional: true, ..Field::default() }.render().into_string();
        assert!(!plain.contains("aria-") && !plain.contains("required") && !plain.contains("value="), "{plain}");
    }
    #[test]
    fn a_qr_code_is_a_picture_with_a_name_and_no_text() {
        let picture = qr_code("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP", "QR code").expect("short").into_string();
        assert!(picture.contains("aria-label=\"QR code\"") && !picture.contains("JBSWY"), "{picture}");
        assert!(qr_code(&"x".repeat(5000), "QR code").is_none());
    }
}
