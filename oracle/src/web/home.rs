//! The oracle's own page: what it is, and how to check that it is the one you mean. It must not know any session.

use maud::{Markup, html};
use quorate_protocol::display::escape_controls;

/// What `/` shows of the oracle called `name` at `url`. `root` is the way to its root.
pub(crate) fn content(name: &str, url: &str, fingerprint: &str, root: &str) -> Markup {
    html! {
        p.eyebrow { "quorate oracle" }
        h1 { (escape_controls(name)) }
        p.lead {
            "A second factor that nobody holds alone. Enough of its players say yes with their own keys, and this oracle "
            "shows one code: never the secret."
        }
        section.card {
            h2 { "Is this the oracle you mean?" }
            p { "Compare the fingerprint with the one that its operator tells you by another way: aloud, or on paper." }
            dl {
                dt { "Fingerprint of its root key" }
                dd { code.fingerprint { (fingerprint) } }
                dt { "Address" }
                dd { code { (url) } }
            }
            p { "If they are the same, have your own programs remember it:" }
            pre tabindex="0" aria-label="Command" { code { "quorate oracle trust " (url) } }
        }
        section.card {
            h2 { "For people" }
            p { "With a name here, " a href={ (root) "login" } { "log in" } ". Whoever is new is sent a link by an operator." }
        }
        section.card {
            h2 { "For programs" }
            ul.plain {
                li { a href={ (root) "docs" } { "Interface" } ", every route and body on one page" }
                li { a href={ (root) "openapi.json" } { "openapi.json" } ", the same for generators" }
                li { a href={ (root) ".well-known/quorate" } { ".well-known/quorate" } ", address, root key and certificates" }
            }
        }
    }
}
