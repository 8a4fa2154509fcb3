//! What a constituent reads before touching a key: who asks, for what, why, and what the oracle's signature does and does
//! not prove. It must not know how an invite is verified.

use crate::cli::drawer::Card;
use crate::cli::redeal::OwnKeys;
use crate::cli::{CliError, redeal};
use crate::ui::{shown, time};
use quorate_protocol::invite::{Applicant, Invite, Purpose};

/// The request in words. `card` is what is known of one's own Toc, `own` are one's own keys; `by_toc` says whether the Toc
/// itself names the oracle, if that is known before it is open.
pub(super) fn request(
    invite: &Invite,
    card: Option<&Card>,
    own: &OwnKeys,
    by_toc: Option<bool>,
) -> Result<String, CliError> {
    let fields = invite.fields();
    let asked_for = match fields.purpose {
        Purpose::Code => format!("one-time codes of {}", quoted(&fields.note)),
        Purpose::Redeal => format!("a REDEAL of {}: new Tocs, and the old ones refused", quoted(&fields.note)),
    };
    let mut lines = vec![
        format!("who asks   {}", applicant(&fields.applicant)),
        format!("for        {asked_for}"),
        format!("why        {}", quoted(&fields.reason)),
        format!("group      {} ({} of {} Tocs)", shown(&fields.group_id), fields.threshold, fields.size),
        format!("oracle     {}", shown(&fields.oracle)),
        format!("asked at   {}, until {}", time(fields.created), time(fields.expires)),
    ];
    if fields.purpose == Purpose::Code {
        lines.insert(3, format!("codes      {}", allowance(fields.ttl, fields.max_codes)));
    }
    if let Some(plan) = invite.plan()? {
        lines.push(redeal::in_words(&plan, card, Some(own)));
        lines.push("Names and keys are the applicant's words: ask each player whether the key is theirs.".to_owned());
        if let Some(holder) = card.and_then(|card| redeal::lost_place(&plan, card, own)) {
            lines.push(String::new());
            lines.push(lost_place(holder));
        }
    }
    lines.push(String::new());
    lines.push(proves(by_toc, &fields.applicant));
    Ok(lines.join("\n"))
}

/// The warning for the player `holder` whose name goes on with other keys.
pub(super) fn lost_place(holder: &str) -> String {
    format!(
        "WARNING: THE PLAN KEEPS YOUR NAME, {}, BUT NONE OF ITS KEYS IS KNOWN HERE AS YOURS.\n\
         Unless you gave that key to the one who asks, somebody is taking your place: say no.",
        shown(holder)
    )
}

/// What an approval of codes is good for.
fn allowance(ttl: u32, max_codes: Option<u32>) -> String {
    let long = if ttl.is_multiple_of(60) { format!("{} min", ttl / 60) } else { format!("{ttl} s") };
    match max_codes {
        Some(max) => format!("for {long} after the first one, {max} at most"),
        None => format!("for {long} after the first one"),
    }
}

fn applicant(applicant: &Applicant) -> String {
    match applicant {
        Applicant::Named { holder, x, principal } => {
            format!(
                "{}, as {} (proved: logged in, and signed with the key of Toc {x})",
                shown(principal),
                shown(holder)
            )
        }
        Applicant::Login { principal } => format!("{}, by login at this oracle; showed no Toc", shown(principal)),
        Applicant::Proved { holder, x } => format!("{} (proved: signed with the key of Toc {x})", shown(holder)),
        Applicant::Unverified => "unverified: nothing proves who it is".to_owned(),
    }
}

fn proves(by_toc: Option<bool>, applicant: &Applicant) -> String {
    let oracle = match by_toc {
        Some(true) => "The oracle that your Toc names signed exactly this request.",
        Some(false) => "An oracle that you trust signed exactly this request; your Toc itself names none.",
        None => "An oracle that you trust signed exactly this request.",
    };
    let words = match applicant {
        Applicant::Named { .. } => {
            "That proves which Toc asks, that the oracle saw that login, and that the key to encrypt to is the oracle's. It does \
             not prove that the reason is true: when in doubt, call."
        }
        Applicant::Login { .. } => {
            "That proves that the oracle saw that login, and that the key to encrypt to is the oracle's. No Toc vouches for who \
             asks, and nothing for the reason: when in doubt, call."
        }
        Applicant::Proved { .. } => {
            "That proves which Toc asks and that the key to encrypt to is the oracle's. It does not prove that the reason is \
             true, or who sits at that keyboard: when in doubt, call."
        }
        Applicant::Unverified => {
            "That proves that the key to encrypt to is the oracle's. It proves neither who asks nor that the reason is true: \
             call them before you agree."
        }
    };
    format!("{oracle}\n{words}")
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "(nothing said)".to_owned() } else { format!("\"{}\"", shown(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::encoding::base64;
    use serde_json::json;

    fn invite(applicant: &serde_json::Value, reason: &str, plan: Option<&str>) -> Invite {
        let mut payload = json!({
            "version": 1, "session": "A".repeat(32), "oracle": "https://oracle.example", "tek": "age1x",
            "group_id": "7GCUCI2Y", "size": 3, "threshold": 2, "note": "AWS root", "purpose": "code",
            "applicant": applicant, "reason": reason, "created": 1_700_000_000, "expires": 1_700_003_600, "ttl": 60, "certificates": []
        });
        if let Some(plan) = plan {
            let parsed = quorate_protocol::plan::Plan::parse(plan.as_bytes()).expect("a plan");
            payload["purpose"] = json!("redeal");
            payload["plan"] = json!(base64(plan.as_bytes()));
            payload["plan_digest"] = json!(base64(&parsed.digest()));
        }
        Invite::from_parts(payload.to_string().into_bytes(), vec![0; 64]).expect("an invite")
    }

    #[test]
    fn a_proved_applicant_is_named_and_the_reason_is_not_vouched_for() {
        let proved = json!({"status": "proved", "holder": "ann", "x": 1});
        let text =
            request(&invite(&proved, "close the month", None), None, &OwnKeys::default(), Some(true)).expect("shown");
        assert!(text.contains("ann (proved") && text.contains("\"close the month\""), "{text}");
        assert!(text.contains("your Toc names signed") && text.contains("does not prove that the reason is"), "{text}");
    }

    #[test]
    fn a_login_is_said_to_be_one_and_no_more() {
        let says = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut payload: serde_json::Value =
                serde_json::from_slice(invite(&json!({"status": "unverified"}), "r", None).payload()).expect("JSON");
            payload["group"] = json!("11".repeat(32));
            payload["applicant"] = json!({"status": "login", "principal": "principal/internal/user/bob\u{202e}"});
            change(&mut payload);
            Invite::from_parts(payload.to_string().into_bytes(), vec![0; 64])
        };
        let invite = says(&|_| ()).expect("an invite");
        let text = request(&invite, None, &OwnKeys::default(), Some(true)).expect("shown");
        assert!(text.contains("user/bob\\u{202e}, by login at this oracle; showed no Toc"), "{text}");
        assert!(text.contains("No Toc vouches for who asks") && !text.contains("proves which Toc"), "{text}");
        assert!(says(&|payload| payload["applicant"]["x"] = json!(1)).is_err(), "with the x of a Toc");
    }

    #[test]
    fn an_unverified_applicant_is_said_to_be_one() {
        let text = request(&invite(&json!({"status": "unverified"}), "", None), None, &OwnKeys::default(), Some(false))
            .expect("shown");
        assert!(
            text.contains("unverified")
                && text.contains("(nothing said)")
                && text.contains("your Toc itself names none")
        );
    }

    #[test]
    fn what_the_applicant_wrote_cannot_rewrite_the_screen() {
        let evil = json!({"status": "proved", "holder": "a\u{202e}nn", "x": 1});
        let text = request(&invite(&evil, "\u{1b}[2K\rwho asks   root\n", None), None, &OwnKeys::default(), Some(true))
            .expect("shown");
        assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains('\u{202e}'));
        assert_eq!(text.lines().filter(|line| line.starts_with("who asks")).count(), 1);
    }

    #[test]
    fn blanks_cannot_draw_a_line_of_their_own() {
        let reason = format!("x{}oracle     https://other.example", " ".repeat(70));
        let text =
            request(&invite(&json!({"status": "unverified"}), &reason, None), None, &OwnKeys::default(), Some(true));
        let text = text.expect("shown");
        assert!(text.contains("x \\u{20}") && !text.contains("oracle     https://other"), "{text}");
    }

    #[test]
    fn a_redeal_shows_its_whole_plan_and_what_changes() {
        let key = || age::x25519::Identity::generate().to_public().to_string();
        let (ann, dan) = (key(), key());
        let plan = json!({
            "version": 1, "replaces": {"farmfa": "7GCUCI2Y"}, "threshold": 2, "note": "AWS root",
            "players": [{"holder": "ann", "recipients": [ann]}, {"holder": "dan", "recipients": [dan]}]
        });
        let card = Card {
            version: 1,
            group: None,
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "AWS root".into(),
            toc_id: "1".into(),
            holder: None,
            players: vec!["ann".into(), "bob".into()],
            oracle: None,
            dealt_at: None,
            replaces: None,
        };
        let invite = invite(&json!({"status": "unverified"}), "bob left", Some(&plan.to_string()));
        let text = request(&invite, Some(&card), &OwnKeys::default(), Some(true)).expect("shown");
        for expected in
            ["REDEAL", "2 of 2 players (now 2 of 3)", ann.as_str(), &dan, "FEWER PLAYERS", "removed  bob", "NEW"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(text.lines().any(|line| line.contains("dan") && line.contains("NEW")), "{text}");
        let bare = request(&invite, None, &OwnKeys::default(), Some(true)).expect("shown");
        assert!(bare.contains("player   dan") && !bare.contains("NEW"), "{bare}");
    }

    #[test]
    fn a_player_whose_name_goes_on_with_another_key_is_warned() {
        let key = || age::x25519::Identity::generate().to_public().to_string();
        let (mine, theirs) = (key(), key());
        let plan = json!({
            "version": 1, "replaces": {"farmfa": "7GCUCI2Y"}, "threshold": 2, "note": "AWS root",
            "players": [{"holder": "ann", "recipients": [key()]}, {"holder": "ben", "recipients": [theirs]}]
        });
        let invite = invite(&json!({"status": "unverified"}), "spring cleaning", Some(&plan.to_string()));
        let mut card = Card {
            version: 1,
            group: None,
            group_id: "7GCUCI2Y".into(),
            size: 2,
            threshold: 2,
            note: "AWS root".into(),
            toc_id: "1".into(),
            holder: Some("ben".into()),
            players: vec!["ann".into(), "ben".into()],
            oracle: None,
            dealt_at: None,
            replaces: None,
        };
        let plan = invite.plan().expect("a plan").expect("of a redeal");
        let own: OwnKeys = [mine].into_iter().collect();
        let text = request(&invite, Some(&card), &own, Some(true)).expect("shown");
        assert_eq!(redeal::lost_place(&plan, &card, &own), Some("ben"));
        assert!(
            text.contains(&format!("{theirs}  NOT YOUR KEY")) && text.contains("WARNING: THE PLAN KEEPS"),
            "{text}"
        );
        assert_eq!(text.matches("NOT YOUR KEY").count(), 1, "other players' keys are not judged: {text}");
        assert!(!text.contains("FEWER"), "{text}");

        let own: OwnKeys = [theirs.clone()].into_iter().collect();
        let text = request(&invite, Some(&card), &own, Some(true)).expect("shown");
        assert!(redeal::lost_place(&plan, &card, &own).is_none());
        assert!(text.contains(&format!("{theirs}  your key")) && !text.contains("WARNING"), "{text}");

        card.holder = Some("cho".into());
        assert!(redeal::lost_place(&plan, &card, &OwnKeys::default()).is_none(), "who is removed is shown as removed");
    }
}
