//! Drills as people read them: one in a line, one with its players, and what the answers say of the group. It must not know
//! where a report comes from.

use crate::cli::{CliError, Context};
use crate::ui::{shown, time_of};
use quorate_protocol::api::{Drill, DrillDetails, DrillPlayer, Standing};

/// Prints a drill with all that one may see of it, and warns of what threatens its group.
pub(super) fn show(context: &Context, drill: &Drill) -> Result<(), CliError> {
    context.ui.print(drill, || lines(drill))?;
    if let Some(warning) = warning(drill) {
        context.ui.warn(warning);
    }
    Ok(())
}

/// One drill among others.
pub(super) fn line(drill: &Drill) -> String {
    let Drill { id, group_id, state, .. } = drill;
    format!("{id}  {}  {}  {}  until {}", shown(group_id), shown(state), counts(drill), time_of(&drill.expires_at))
}

/// `2 of 3 have answered`.
pub(super) fn counts(drill: &Drill) -> String {
    format!("{} of {} have answered", drill.answered, drill.size)
}

/// What an operator is told of a drill that has begun.
pub(super) fn begun(drill: &Drill) -> String {
    format!(
        "drill {} has begun, until {}: send this link to the {} players of {}, who answer with `quorate drill answer LINK`",
        shown(&drill.id),
        time_of(&drill.expires_at),
        drill.size,
        shown(&drill.group_id),
    )
}

fn lines(drill: &Drill) -> String {
    let ended = match &drill.closed_at {
        Some(at) => format!("{} at {}", shown(&drill.state), time_of(at)),
        None => format!("{}, until {}", shown(&drill.state), time_of(&drill.expires_at)),
    };
    let mut lines = vec![format!("drill     {}", shown(&drill.id)), format!("state     {ended}")];
    lines.push(match &drill.details {
        Some(details) => format!("group     {} ({} of {} Tocs)", shown(&drill.group_id), details.threshold, drill.size),
        None => format!("group     {}", shown(&drill.group_id)),
    });
    lines.push(format!("answers   {}", counts(drill)));
    if let Some(details) = &drill.details {
        lines.extend(detail_lines(drill, details));
    }
    lines.join("\n")
}

fn detail_lines(drill: &Drill, details: &DrillDetails) -> Vec<String> {
    let so_far = if drill.state == "open" { " so far" } else { "" };
    let mut lines = vec![
        format!("note      {}", shown(&details.note)),
        format!("asked by  {}", shown(&details.asker)),
        format!("why       {}", shown(&details.reason)),
        format!("standing  {}{so_far}", in_words(details.standing)),
    ];
    lines.extend(details.players.iter().map(player));
    lines
}

fn player(player: &DrillPlayer) -> String {
    let mut line = format!("player    {}", shown(&player.holder));
    if let Some(principal) = &player.principal {
        line = format!("{line} ({})", shown(principal));
    }
    match (&player.answered_at, &player.last_proof) {
        (Some(at), _) => format!("{line}: answered at {}", time_of(at)),
        (None, Some(proof)) => {
            format!("{line}: no answer; last opened at {}, in {}", time_of(&proof.at), shown(&proof.by))
        }
        (None, None) => format!("{line}: no answer"),
    }
}

fn in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::LockedOut => "fewer Tocs were shown to open than a code takes",
        Standing::OneLossAway => "just as many Tocs open as a code takes",
        Standing::Spare => "more Tocs open than a code takes",
    }
}

/// What to do about a drill that is over and did not go well.
fn warning(drill: &Drill) -> Option<String> {
    let standing = drill.details.as_ref()?.standing;
    let group = shown(&drill.group_id);
    match standing {
        _ if drill.state == "open" => None,
        Standing::Spare => None,
        Standing::OneLossAway => Some(format!(
            "group {group} is one loss away from being locked out: deal it anew while enough Tocs open (`quorate ask --redeal`)"
        )),
        Standing::LockedOut => Some(format!(
            "group {group} may be locked out: find those who have not answered; if their Tocs are lost, change the secret at \
             the account while somebody still can"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::api::LastProof;

    fn drill(state: &str, answered: u32) -> Drill {
        let player = |x, holder: &str, at: Option<&str>| DrillPlayer {
            x,
            holder: holder.into(),
            answered_at: at.map(str::to_owned),
            principal: None,
            last_proof: None,
        };
        let mut players = vec![player(1, "ann", Some("2027-01-15T08:00:00Z")), player(2, "b\u{202e}en", None)];
        players[1].last_proof = Some(LastProof { at: "2026-01-15T08:00:00Z".into(), by: "session S1".into() });
        let details = DrillDetails {
            note: "AWS root".into(),
            asker: "principal/internal/user/olga".into(),
            reason: "why\nplayer    eve: answered".into(),
            call: "https://oracle.example/drill/A#b.c".into(),
            threshold: 2,
            standing: Standing::of(answered, 2),
            players,
        };
        Drill {
            id: "A".repeat(32),
            state: state.into(),
            group: "00".repeat(32),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            answered,
            created_at: "2027-01-15T08:00:00Z".into(),
            expires_at: "2027-01-16T08:00:00Z".into(),
            closed_at: (state != "open").then(|| "2027-01-16T08:00:00Z".into()),
            details: Some(details),
        }
    }

    #[test]
    fn a_report_names_everybody_and_nothing_in_it_acts_on_the_screen() {
        let text = lines(&drill("open", 1));
        for expected in ["1 of 3 have answered", "ann: answered at", "ben: no answer; last opened at", "so far"] {
            assert!(text.replace("\\u{202e}", "").contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains('\u{202e}') && !text.lines().any(|line| line.starts_with("player    eve")));
        assert!(!text.contains("https://"), "the link is for those who are to answer");
    }

    #[test]
    fn only_the_end_of_a_drill_warns_and_only_when_there_is_cause() {
        assert_eq!([0, 1, 2, 3].map(|answered| warning(&drill("open", answered))), [const { None }; 4]);
        assert!(warning(&drill("expired", 1)).is_some_and(|text| text.contains("may be locked out")));
        assert!(warning(&drill("closed", 2)).is_some_and(|text| text.contains("one loss away")));
        assert_eq!(warning(&drill("complete", 3)), None);
    }
}
