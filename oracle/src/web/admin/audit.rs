//! The audit log: its newest events, what is looked for, and its checkpoint.

use super::select;
use crate::service::audit::{Filter, Kind, Recent};
use crate::web::form::{Field, encoded};
use maud::{Markup, html};
use quorate_protocol::audit::event::Event;
use quorate_protocol::display::escape_controls;
use serde_json::Value;

/// The page.
pub(crate) fn content(root: &str, filter: &Filter<'_>, recent: &Recent) -> Markup {
    let kinds = std::iter::once(("", "all")).chain(Kind::ALL.iter().map(|kind| (kind.as_str(), kind.as_str())));
    let kinds: Vec<(&str, &str)> = kinds.collect();
    let text = Field {
        name: "text",
        label: "Name, address or subject",
        kind: "search",
        value: filter.text,
        optional: true,
        ..Field::default()
    };
    html! {
        h1 { "Audit" }
        form.search method="get" action={ (root) "admin/audit" } role="search" {
            (select("kind", "kind", "What happened", &kinds, filter.kind))
            (text.render())
            p.actions { button.second { "Look" } }
        }
        section.card {
            h2 { "Newest first" }
            @if recent.events.is_empty() { p { "Nothing of the kind among the newest events." } } @else {
                table.stack {
                    thead { tr { th scope="col" { "Number" } th scope="col" { "When (UTC)" } th scope="col" { "What" } th scope="col" { "Who" } th scope="col" { "About" } th scope="col" { "Result" } } }
                    tbody { @for (number, event) in &recent.events { (row(*number, event.as_ref())) } }
                }
            }
            @if let Some(before) = recent.older {
                p { a rel="next" href={ (root) "admin/audit?kind=" (encoded(filter.kind)) "&text=" (encoded(filter.text)) "&before=" (before) } { "Older" } }
            }
        }
        section.card {
            h2 { "Checkpoint" }
            @match &recent.checkpoint {
                Some(note) => {
                    p { "The newest one is over " (recent.size) " events. Keep it: a log that was cut off shows only against an older checkpoint." }
                    pre tabindex="0" aria-label="Checkpoint" { code #checkpoint { @for line in note.lines() { (escape_controls(line)) "\n" } } }
                    p.actions { button.second type="button" data-copy="checkpoint" hidden { "Copy" } }
                }
                None => p { "There is none yet." },
            }
            p {
                a href={ (root) "admin/audit/export" } { "The whole log in lines of JSON" } ", which " code { "quorate audit verify" } " checks. This page checks nothing."
            }
        }
    }
}

fn row(number: i64, event: Option<&Event>) -> Markup {
    let Some(event) = event else {
        return html! { tr { th scope="row" data-label="Number" { (number) } td.error colspan="5" { "This row cannot be read." } } };
    };
    html! {
        tr {
            th scope="row" data-label="Number" { (number) }
            td data-label="When" { (when(event.time)) }
            td data-label="What" { code { (escape_controls(&event.kind)) } }
            td data-label="Who" { bdi { (escape_controls(&event.who)) } @if !event.source.is_empty() { " " small { (escape_controls(&event.source)) } } }
            td data-label="About" {
                bdi { (escape_controls(&event.subject)) }
                @for (name, value) in &event.details { " " small { (escape_controls(name)) ": " bdi { (escape_controls(&said(value))) } } }
            }
            td data-label="Result" { (escape_controls(&event.result)) }
        }
    }
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn when(milliseconds: i64) -> Markup {
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S")) } }
}
