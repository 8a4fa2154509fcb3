//! A session's page. Rendered here is what anybody with the id may see, and empty places for what the script fetches for
//! holders of the invite. It must not know the rules of a session.
//!
//! Elements with `data-when` show in the states of the script that they name: `none` (no invite in the address, or no
//! JavaScript), `reading`, `confirmed` (the oracle knows this invite), `mismatch`, `damaged`, `insecure`.

use maud::{Markup, html};
use quorate_protocol::api::Session;
use quorate_protocol::display::escape_controls;
use quorate_protocol::invite::Purpose;

/// Why there is no session to follow, as its page tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Cancelled,
    Exhausted,
    Expired,
    Redealt,
    Unknown,
    /// Nothing is known about the session: the oracle is in trouble.
    Trouble,
}

impl Ending {
    /// The ending behind an error's stable word.
    pub fn named(code: &str) -> Self {
        match code {
            "session_cancelled" => Self::Cancelled,
            "session_exhausted" => Self::Exhausted,
            "session_expired" => Self::Expired,
            "session_redealt" => Self::Redealt,
            "session_unknown" => Self::Unknown,
            _ => Self::Trouble,
        }
    }

    /// Whether there was a session, so that its events can still be read for a while.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Unknown | Self::Trouble)
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Cancelled => "This request was cancelled",
            Self::Exhausted => "This request is used up",
            Self::Expired => "This request has ended",
            Self::Redealt => "The redeal is done",
            Self::Unknown => "There is no such request",
            Self::Trouble => "The oracle cannot answer now",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::Cancelled => "Whoever started it ended it. Nobody can join it and it gives no code.",
            Self::Exhausted => "It has given all the codes, or seen all the false Tocs, that one request may.",
            Self::Expired => "Its time ran out. Nobody can join it any more and it gives no further code.",
            Self::Redealt => "New Tocs are made and wait here, encrypted, for the new players to fetch them.",
            Self::Unknown => "It may be long over, or the link is cut off or from another oracle.",
            Self::Trouble => "Nothing is lost. Try again in a moment.",
        }
    }

    fn advice(self) -> Markup {
        match self {
            Self::Redealt => html! {
                p { "Each new player fetches their own, which checks it and signs receipt:" }
                pre tabindex="0" aria-label="Command" { code #command { "quorate session fetch '<the whole link>'" } }
                p.actions data-when="confirmed" { button type="button" data-copy="command" { "Copy command" } }
                p.quiet {
                    "Once enough have signed receipt, this oracle refuses the old Tocs. Offline, enough of them together can still "
                    "rebuild the secret: when somebody has left, change the secret at the account."
                }
            },
            Self::Trouble => html! { p { a href="" { "Try again" } } },
            Self::Unknown => html! { p { "Ask whoever sent you the link to send it again, all of it." } },
            Self::Cancelled | Self::Exhausted | Self::Expired => html! {
                p { "If it is still needed, whoever asked starts a new one with " code { "quorate ask" } "." }
            },
        }
    }
}

/// The page of a session that is over, or never was.
pub(crate) fn ended(ending: Ending, id: &str) -> Markup {
    html! {
        article.ended data-session=[ending.is_over().then_some(id)] data-state={ @if ending == Ending::Redealt { "redealt" } @else { "over" } } {
            p.eyebrow { "Request" @if ending.is_over() { " · " span.id { (id) } } }
            h1 { (ending.title()) }
            p.lead { (ending.explanation()) }
            (ending.advice())
            @if ending == Ending::Redealt {
                section.card.hollow data-when="confirmed" {
                    h2 { "New Tocs" }
                    p #receipts {}
                    ul #new-tocs .people {}
                }
            }
            @if ending.is_over() { (events()) p #said .apart role="status" {} }
        }
    }
}

/// The page of the open `session`, at `now_ms` since 1970.
///
/// `approving` is the origin of a page elsewhere where those approve whose Tocs are held by a passkey.
pub(crate) fn open(session: &Session, now_ms: i64, approving: Option<&str>) -> Markup {
    let asks = match session.purpose {
        Purpose::Code => "Somebody asks for a code",
        Purpose::Redeal => "Somebody asks for a redeal",
    };
    html! {
        article.session data-session=(session.id) data-state="open" data-purpose=(session.purpose.as_str()) {
            header.ask {
                p.eyebrow {
                    @match session.purpose { Purpose::Code => "Request for a code", Purpose::Redeal => "Request for a redeal" }
                    " · group " (escape_controls(&session.toc_group_id))
                }
                h1 #asks { (asks) }
                figure.reason data-when="confirmed" {
                    figcaption { "Why, in the applicant’s words" }
                    blockquote #reason dir="auto" {}
                }
            }
            (progress(session, now_ms))
            div.notices { (notices()) }
            section.card.who data-when="confirmed" {
                h2 { "Players" }
                ul #people .people {}
            }
            @if session.purpose == Purpose::Redeal { (plan()) }
            (join(session.purpose, approving))
            (events())
            p #said .apart role="status" {}
        }
    }
}

/// How far it is, and for how long it goes on.
fn progress(session: &Session, now_ms: i64) -> Markup {
    let ends = milliseconds(&session.expires_at);
    let left = (ends - now_ms).max(0);
    let whole = (ends - milliseconds(&session.created_at)).max(1);
    let missing = session.tocs_threshold.saturating_sub(session.tocs_provided);
    html! {
        section.card.progress aria-labelledby="count" {
            div.ring {
                svg viewBox="0 0 120 120" aria-hidden="true" {
                    circle.track cx="60" cy="60" r="54" {}
                    circle #ring .hand cx="60" cy="60" r="54" pathLength="100" stroke-dasharray="100"
                        stroke-dashoffset=(100 - 100 * left.min(whole) / whole) transform="rotate(-90 60 60)" {}
                }
                p { span #left role="timer" { (countdown(left)) } " " small { "left" } }
            }
            div.standing {
                p #count .count { strong #joined { (session.tocs_provided) } " of " (session.tocs_threshold) " joined" }
                progress #bar max=(session.tocs_threshold) value=(session.tocs_provided.min(session.tocs_threshold)) aria-labelledby="count" {}
                p #verdict {
                    @if missing == 0 { "Enough have joined." } @else if missing == 1 { "1 more is needed." } @else { (missing) " more are needed." }
                }
                p.quiet {
                    (session.tocs_in_group) " players hold a Toc; any " (session.tocs_threshold) " are enough. "
                    span #denials { @if session.denials == 1 { "1 said no." } @else if session.denials > 1 { (session.denials) " said no." } }
                }
                p.quiet {
                    "Ends " time #ends datetime=(session.expires_at) { (minute(&session.expires_at)) } ". "
                    span #connection {}
                    noscript { "Without JavaScript this page stands still: " a href="" { "look again" } "." }
                }
            }
        }
    }
}

/// What stands in place of the names when they cannot be shown.
fn notices() -> Markup {
    html! {
        section.card.notice data-when="none" {
            h2 { "Names need the whole link" }
            p {
                "Who asks, why, and who has joined is only for people with the invite: the link with the long part behind "
                code { "#" } ". That part never reaches the oracle; your browser reads it here, with JavaScript."
            }
        }
        section.card.notice.warn data-when="mismatch" {
            h2 { "This link is not this session’s invite" }
            p {
                "The part behind " code { "#" } " is not what this oracle issued for the session: it was changed or cut off on the way. "
                strong { "Do not join with it." } " Ask for the link again, and by another way."
            }
        }
        section.card.notice.warn data-when="damaged" {
            h2 { "The link is damaged" }
            p { "The part behind " code { "#" } " cannot be read. Copy the whole link, to its very end." }
        }
        section.card.notice data-when="insecure" {
            h2 { "Names need a secure connection" }
            p {
                "This page came over plain HTTP, where browsers leave out the cryptography that it takes to ask for names. "
                "Open it with https. " code { "quorate join" } " works all the same."
            }
        }
    }
}

/// The next players, of a redeal.
fn plan() -> Markup {
    html! {
        section.card.plan data-when="confirmed" {
            h2 { "The plan" }
            p #plan-rule {}
            table {
                thead { tr { th scope="col" { "Player" } th scope="col" { "Keys" } th scope="col" { span.apart { "Change" } } } }
                tbody #plan-players {}
            }
            p #plan-leaving .quiet {}
        }
    }
}

/// How to join.
fn join(purpose: Purpose, approving: Option<&str>) -> Markup {
    html! {
        section.card.join data-when="none reading confirmed damaged insecure" {
            h2 { "Join" }
            p { "On the machine with your key and your Toc:" }
            pre tabindex="0" aria-label="Command" { code #command { "quorate join '<the whole link>'" } }
            p.actions data-when="confirmed" {
                button type="button" data-copy="command" { "Copy command" }
                button.second type="button" data-copy="link" { "Copy link" }
            }
            p.quiet {
                "This page does not verify the invite. " code { "quorate join" } " does, against the key in your own Toc, and says "
                @match purpose { Purpose::Code => "who asks for what", Purpose::Redeal => "who asks for which plan" }
                " before you touch your key. Believe it, not a page. To say no, add " code { "--deny" } "."
            }
            @if let Some(origin) = approving {
                p.actions data-when="confirmed" {
                    a #passkey .button.second href=(origin) data-origin=(origin) rel="noreferrer" { "Approve with a passkey" }
                }
                p.quiet data-when="confirmed" {
                    "That is for Tocs that a passkey holds, and leads to a page that is no part of this oracle: see that its address is "
                    "the one where you made your key."
                }
            }
            figure.code data-when="confirmed" {
                button.bare type="button" data-large aria-label="Show the QR code large" {
                    img #picture width="300" height="300" alt="QR code of the invite";
                }
                figcaption #picture-says { "The invite, for a camera. Press it to make it large." }
            }
            dialog #large aria-label="QR code of the invite" {
                img #large-picture width="300" height="300" alt="QR code of the invite";
                button type="button" data-close { "Close" }
            }
        }
    }
}

fn events() -> Markup {
    html! {
        section.card.happened #happened hidden {
            h2 { "What happened" }
            ol #events .timeline {}
        }
    }
}

fn milliseconds(rfc3339: &str) -> i64 {
    rfc3339.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// To the minute, in UTC: where the reader is, the server does not know.
fn minute(rfc3339: &str) -> String {
    rfc3339
        .parse::<jiff::Timestamp>()
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// As the script writes it: 59:59, or 1:00:00.
fn countdown(ms: i64) -> String {
    let seconds = (ms + 999) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_to_the_second() {
        assert_eq!([0, 1, 59_001, 3_599_000, 3_600_000].map(countdown), ["0:00", "0:01", "1:00", "59:59", "1:00:00"]);
        assert_eq!(minute("2027-01-15T08:59:59.5Z"), "2027-01-15 08:59 UTC");
    }

    #[test]
    fn every_ending_has_its_page_and_only_sessions_are_followed() {
        for code in ["cancelled", "exhausted", "expired", "redealt", "unknown"] {
            let ending = Ending::named(&format!("session_{code}"));
            let page = ended(ending, "ABC").into_string();
            assert!(page.contains(ending.title()) && ending != Ending::Trouble, "{code}");
            assert_eq!(page.contains("data-session"), code != "unknown", "{code}");
        }
        assert_eq!(Ending::named("unavailable"), Ending::Trouble);
    }
}
