//! A player's answer: what is asked is verified and shown before anybody touches a key, and verified again under the Toc's own
//! word before anything is sent. The share stays here.

use super::Named;
use crate::cli::drawer::{Card, Drawer};
use crate::cli::error::{AnswerError, SessionError};
use crate::cli::network::LoggedInAt;
use crate::cli::opening;
use crate::cli::session::vouch::{Vouched, oracle_of};
use crate::cli::{CliError, Context};
use crate::client::Client;
use crate::ui::{shown, time};
use clap::Args;
use quorate_protocol::api::{Drill, DrillAnswer};
use quorate_protocol::drill::Call;
use quorate_protocol::toc::Toc;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The drill's link, the whole one, in quotes; or its id, for whoever has logged in and stands for a holder
    #[arg(value_name = "LINK|ID")]
    drill: String,
    /// Your Toc: a file, or a group whose Toc is filed; found by the link when left out
    #[arg(value_name = "TOC")]
    toc: Option<String>,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Serialize)]
struct Sent<'a> {
    drill: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<u32>,
    size: u8,
}

pub(super) fn run(context: &Context, args: &AnswerArgs) -> Result<(), CliError> {
    let call = call_of(context, args)?;
    let (path, card) = own_toc(context, &call, args.toc.as_deref())?;
    // First by what is known without a key: nobody is asked to touch one for a drill that fails.
    if let Some(card) = &card {
        same_group(&call, card)?;
    }
    let vouched = vouch(context, &call, card.as_ref(), context.now())?;
    let client = Client::new(&vouched.pin.url, &args.at.network().options())?;
    still_open(&client.drill(&call.fields().drill, Some(&call.view_token()))?)?;
    let identities = context.load_identities()?;
    opening::check(&identities, &path)?;
    confirm(context, args, &request(&call, card.is_some().then_some(vouched.by_toc)))?;

    let own = opening::open(context, &identities, &path)?;
    // Then by the Toc itself, which a card only notes down.
    let Toc::Whole(whole) = &own.toc else { return Err(AnswerError::Farmfa.into()) };
    let true_card = Card::of(&own.toc).ok_or(AnswerError::Farmfa)?;
    same_group(&call, &true_card)?;
    let vouched = vouch(context, &call, Some(&true_card), context.now())?;
    if vouched.pin.url != client.url() {
        return Err(AnswerError::Wrong("oracle").into());
    }
    let signature = call.question().answer(whole, context.now())?.into();
    client.answer_drill(&call.fields().drill, &DrillAnswer { x: whole.share().x(), signature })?;
    drop(own);
    said(context, &call, &client)
}

/// Verifies the call of a drill that may be over, as of its last second, by what is filed here of its group, or by the trust
/// store.
pub(super) fn vouch_by_group(context: &Context, call: &Call) -> Result<Vouched, CliError> {
    let filed = Drawer::new(&context.paths()?).of_group(call.fields().group)?;
    let card = filed.into_iter().next().map(|filed| filed.card);
    vouch(context, call, card.as_ref(), context.now().min(call.fields().expires - 1))
}

/// The link, or what the oracle at which this person is logged in shows as the link of that id.
fn call_of(context: &Context, args: &AnswerArgs) -> Result<Call, CliError> {
    match Named::parse(&args.drill)? {
        Named::Link(call) => Ok(*call),
        Named::Id(id) => {
            let drill = args.at.client(context)?.drill(&id, None)?;
            let details = drill.details.ok_or_else(|| AnswerError::NoLink(id.clone()))?;
            let call = Call::parse(&details.call)?;
            if call.fields().drill == id { Ok(call) } else { Err(AnswerError::Wrong("id").into()) }
        }
    }
}

/// The file of the Toc, and what is known of it without opening it.
fn own_toc(context: &Context, call: &Call, wanted: Option<&str>) -> Result<(PathBuf, Option<Card>), CliError> {
    let drawer = Drawer::new(&context.paths()?);
    if let Some(wanted) = wanted {
        return drawer.path_of(wanted);
    }
    let mut filed = drawer.of_group(call.fields().group)?;
    match (filed.pop(), filed.len()) {
        (Some(only), 0) => Ok((only.path, Some(only.card))),
        (None, _) => Err(AnswerError::NotFiled(call.fields().group_id.clone()).into()),
        (Some(_), _) => Err(AnswerError::Ambiguous(call.fields().group_id.clone()).into()),
    }
}

/// Compares what a call says of the group with what is known of one's own Toc.
fn same_group(call: &Call, card: &Card) -> Result<(), AnswerError> {
    let fields = call.fields();
    let checks = [
        ("group", card.group == Some(fields.group)),
        ("group id", fields.group_id == card.group_id),
        ("number of players", fields.size == card.size),
        ("threshold", fields.threshold == card.threshold),
        ("note", fields.note == card.note),
    ];
    match checks.iter().find(|(_, same)| !same) {
        _ if card.group.is_none() => Err(AnswerError::Farmfa),
        Some((what, _)) => Err(AnswerError::Wrong(what)),
        None => Ok(()),
    }
}

/// The oracle that may be spoken to, if what the call says is its word at `at` (Unix seconds).
fn vouch(context: &Context, call: &Call, card: Option<&Card>, at: i64) -> Result<Vouched, CliError> {
    let pin = card.and_then(|card| card.oracle.as_ref());
    let vouched = oracle_of(context, &call.fields().oracle, pin)?;
    call.verify(&vouched.pin.key()?, at)?;
    Ok(vouched)
}

fn still_open(drill: &Drill) -> Result<(), AnswerError> {
    if drill.state == "open" { Ok(()) } else { Err(AnswerError::Over(drill.state.clone())) }
}

fn confirm(context: &Context, args: &AnswerArgs, request: &str) -> Result<(), CliError> {
    if args.yes {
        context.ui.say(request);
        return Ok(());
    }
    // On the terminal itself, with the question: neither a pipe nor --quiet can part the two.
    let agreed = context.ui.confirm(&format!("{request}\n\nOpen your Toc and answer?"))?;
    if agreed { Ok(()) } else { Err(SessionError::Declined.into()) }
}

/// The question in words; `by_toc` says whether the Toc itself names the oracle, if that is known before it is open.
fn request(call: &Call, by_toc: Option<bool>) -> String {
    let fields = call.fields();
    let quoted = |text: &str| {
        if text.is_empty() { "(nothing said)".to_owned() } else { format!("\"{}\"", shown(text)) }
    };
    let oracle = match by_toc {
        Some(true) => "The oracle that your Toc names signed exactly this question.",
        Some(false) => "An oracle that you trust signed exactly this question; your Toc itself names none.",
        None => "An oracle that you trust signed exactly this question.",
    };
    [
        format!("who asks   {} (says the oracle)", shown(&fields.asker)),
        format!("for        proof that your Toc of {} opens", quoted(&fields.note)),
        format!("why        {}", quoted(&fields.reason)),
        format!("group      {} ({} of {} Tocs)", shown(&fields.group_id), fields.threshold, fields.size),
        format!("oracle     {}", shown(&fields.oracle)),
        format!("asked at   {}, until {}", time(fields.created), time(fields.expires)),
        String::new(),
        oracle.to_owned(),
        "Your Toc is opened here, with your key, and stays here. What is sent is a signature, which shows that you have it and\n\
         serves for nothing else. No code is made."
            .to_owned(),
    ]
    .join("\n")
}

fn said(context: &Context, call: &Call, client: &Client) -> Result<(), CliError> {
    let fields = call.fields();
    // The answer has arrived; that the counts cannot be read is no failure of it.
    let drill = client.drill(&fields.drill, Some(&call.view_token())).ok();
    match &drill {
        Some(drill) => context.ui.say(format_args!("your answer has been sent: {}", super::report::counts(drill))),
        None => context.ui.say("your answer has been sent"),
    }
    if context.ui.json() {
        let answered = drill.map(|drill| drill.answered);
        context.ui.json_data(&Sent { drill: &fields.drill, answered, size: fields.size })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use quorate_protocol::drill::CallPayload;
    use quorate_protocol::header::GroupName;

    fn payload() -> CallPayload {
        CallPayload {
            version: 1,
            drill: "A".repeat(32),
            oracle: "https://oracle.example".into(),
            root_key: vec![1; 32].into(),
            group: GroupName([1; 32]),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "AWS root".into(),
            asker: "principal/internal/user/olga".into(),
            reason: "once a quarter".into(),
            challenge: vec![2; 32].into(),
            created: 1_800_000_000,
            expires: 1_800_000_060,
            certificates: Vec::new(),
        }
    }

    fn call(change: impl FnOnce(&mut CallPayload)) -> Call {
        let mut fields = payload();
        change(&mut fields);
        Call::issue(&fields, &SigningKey::from_bytes(&[1; 32])).expect("can be")
    }

    fn card() -> Card {
        Card {
            version: 1,
            group: Some(GroupName([1; 32])),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "AWS root".into(),
            toc_id: "dG9j".into(),
            holder: Some("ben".into()),
            players: vec!["ann".into(), "ben".into(), "cho".into()],
            oracle: None,
            dealt_at: None,
            replaces: None,
        }
    }

    #[test]
    fn every_difference_from_ones_own_toc_is_refused() {
        assert!(same_group(&call(|_| {}), &card()).is_ok());
        let wrong = |change: fn(&mut CallPayload)| match same_group(&call(change), &card()) {
            Err(AnswerError::Wrong(what)) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(|fields| fields.group = GroupName([2; 32])), "group");
        assert_eq!(wrong(|fields| fields.group_id = "OTHER".into()), "group id");
        assert_eq!(wrong(|fields| fields.size = 4), "number of players");
        assert_eq!(wrong(|fields| fields.threshold = 3), "threshold");
        assert_eq!(wrong(|fields| fields.note = "petty cash".into()), "note");
        let farmfa = Card { group: None, ..card() };
        assert!(matches!(same_group(&call(|_| {}), &farmfa), Err(AnswerError::Farmfa)));
    }

    #[test]
    fn the_question_says_that_no_code_is_made_and_cannot_rewrite_the_screen() {
        let text = request(&call(|fields| fields.reason = "\u{1b}[2K\rwho asks   root\n\u{202e}".into()), Some(true));
        assert!(text.contains("No code is made") && text.contains("stays here"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains('\u{202e}'));
        assert_eq!(text.lines().filter(|line| line.starts_with("who asks")).count(), 1);
        let unpinned = request(&call(|fields| fields.reason.clear()), Some(false));
        assert!(unpinned.contains("your Toc itself names none") && unpinned.contains("(nothing said)"), "{unpinned}");
        assert!(!request(&call(|_| {}), None).contains("names none"), "nobody has looked into it yet");
    }
}
