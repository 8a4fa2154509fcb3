//! Pages: their frame, their style and script, and the headers under which a browser shows them. It must not know a
//! service or a rule: handlers say what is to be shown.
//!
//! All links are relative, so the same page serves at the root, under the base path, and behind a proxy that cuts a
//! prefix off. Nothing comes from elsewhere and nothing is inline.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod apps;
pub(crate) mod drill;
pub(crate) mod enroll;
pub(crate) mod form;
pub(crate) mod home;
pub(crate) mod login;
pub(crate) mod session;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use quorate_protocol::display::escape_controls;
use quorate_protocol::encoding::sha256;
use std::sync::LazyLock;

/// What a page may load, send and be shown in. The last part keeps our own scripts from ever writing markup.
macro_rules! policy {
    ($forms:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; ",
            "base-uri 'none'; form-action ",
            $forms,
            "; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )
    };
}

const POLICY: &str = policy!("'none'");
const POLICY_WITH_FORMS: &str = policy!("'self'");

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("quorate.css", "text/css; charset=utf-8", include_str!("web/style.css")));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("session.js", "text/javascript; charset=utf-8", include_str!("web/session.js")));
static FORMS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("forms.js", "text/javascript; charset=utf-8", include_str!("web/forms.js")));
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_str!("web/icon.svg")));

/// What surrounds a page's content.
#[derive(Debug, Default)]
pub(crate) struct Frame<'a> {
    /// The window's title.
    pub title: &'a str,
    /// What the oracle calls itself.
    pub oracle: &'a str,
    /// From the page's folder to the oracle's root: empty, or with a slash at the end.
    pub root: &'a str,
    /// What goes on in the page.
    pub kind: Kind,
    /// Where somebody who is logged in can go: path from the root and label.
    pub menu: &'a [(&'static str, &'static str)],
    /// The path in the menu that the page is under.
    pub here: &'a str,
}

/// What goes on in a page: which script it has, and whether it sends forms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    #[default]
    Still,
    /// It is a session's, which its script keeps up to date.
    Live,
    /// It has forms, which all work without their script, but for security keys.
    Forms,
}

impl Frame<'_> {
    /// The answer that shows `content`.
    pub fn page(&self, status: StatusCode, content: &Markup) -> Response {
        let forms = self.kind == Kind::Forms;
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, if forms { POLICY_WITH_FORMS } else { POLICY }),
            (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            // Without any, a browser would not say where a form comes from.
            (header::REFERRER_POLICY, if forms { "same-origin" } else { "no-referrer" }),
        ];
        (status, headers, self.render(content).into_string()).into_response()
    }

    fn render(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (escape_controls(self.title)) }
                    link rel="icon" href=(ICON.link(self.root));
                    link rel="stylesheet" href=(STYLE.link(self.root));
                    @match self.kind {
                        Kind::Still => {}
                        Kind::Live => { script src=(SCRIPT.link(self.root)) {} }
                        Kind::Forms => { script src=(FORMS.link(self.root)) {} }
                    }
                }
                body {
                    header.bar {
                        // An empty link would be the page itself.
                        a href=(if self.root.is_empty() { "./" } else { self.root }) {
                            svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true" {
                                circle cx="12" cy="6.5" r="4" {}
                                circle cx="5.5" cy="17" r="4" {}
                                circle.open cx="18.5" cy="17" r="3.25" {}
                            }
                            span { (escape_controls(self.oracle)) }
                        }
                        @if !self.menu.is_empty() { (self.navigation()) }
                    }
                    main { (content) }
                }
            }
        }
    }

    fn navigation(&self) -> Markup {
        html! {
            nav aria-label="Pages" {
                ul {
                    @for (path, label) in self.menu {
                        li { a href={ (self.root) (path) } aria-current=[(*path == self.here).then_some("page")] { (label) } }
                    }
                }
            }
        }
    }
}

/// A file that pages load, part of the program.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static str,
    version: String,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, body: &'static str) -> Self {
        let digest = sha256(&[body.as_bytes()]);
        Self { name, kind, body, version: data_encoding::HEXLOWER.encode(&digest[..8]) }
    }

    /// The asset called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        [&*STYLE, &*SCRIPT, &*FORMS, &*ICON].into_iter().find(|asset| asset.name == name)
    }

    /// Its address from a page whose way to the oracle's root is `root`; another one after each change.
    fn link(&self, root: &str) -> String {
        format!("{root}assets/{}?{}", self.name, self.version)
    }

    /// The answer to a request with `headers` for this file in `version`. Asked for by its version it may be kept for
    /// good; else, or if another release is asked for (two nodes during an upgrade), it is looked up each time.
    pub fn answer(&self, version: Option<&str>, headers: &HeaderMap) -> Response {
        let keep = if version == Some(&self.version) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let tag = format!("\"{}\"", self.version);
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
        let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits are visible ASCII");
        let cache = [(header::CACHE_CONTROL, HeaderValue::from_static(keep)), (header::ETAG, tag)];
        if known {
            return (StatusCode::NOT_MODIFIED, cache).into_response();
        }
        (cache, [(header::CONTENT_TYPE, self.kind)], self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// The script escapes what the server escapes: its character class is the server's, written out.
    #[test]
    fn script_and_server_escape_the_same_characters() {
        let escaped = |c: char| escape_controls(c.encode_utf8(&mut [0; 4])) != c.to_string();
        let class = class_of(escaped);
        assert!(SCRIPT.body.contains(&format!("[{class}]|")), "the script's class should be [{class}]");
        let no_end = |c: char| c != ' ' && !escaped(c) && escape_controls(&format!(" {c} ")).ends_with("\\u{20}");
        let class = class_of(no_end);
        assert!(SCRIPT.body.contains(&format!("(?<= [{class}]*) /gu")), "between blanks there should be [{class}]");
    }

    /// The characters of which `is` holds, as a class of a script's pattern.
    fn class_of(is: impl Fn(char) -> bool) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for c in (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| is(*c)).map(u32::from) {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == c => *end = c,
                _ => ranges.push((c, c)),
            }
        }
        let mut class = String::new();
        for (start, end) in ranges {
            write!(class, "\\u{{{start:x}}}").unwrap();
            if end > start {
                write!(class, "-\\u{{{end:x}}}").unwrap();
            }
        }
        class
    }

    #[test]
    fn the_scripts_cannot_write_markup() {
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style"] {
            assert!(!SCRIPT.body.contains(sink) && !FORMS.body.contains(sink), "{sink}");
        }
    }

    #[test]
    fn titles_are_escaped_twice() {
        let frame =
            Frame { title: "<i>\u{202e}", oracle: "a\u{1b}&b", root: "../", kind: Kind::Live, ..Frame::default() };
        let page = frame.render(&html! {}).into_string();
        assert!(page.contains("&lt;i&gt;\\u{202e}</title>") && page.contains("a\\u{1b}&amp;b"), "{page}");
        assert!(page.contains("\"../assets/session.js?"), "{page}");
    }
}
