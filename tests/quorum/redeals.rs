//! A redeal after a loss: the plan is shown and approved, the new player fetches, the old group ends.

use super::support::{Key, Person, SECRET, oathtool};
use super::{Table, session_of};
use std::fs;

fn plan(people: &[&Person], threshold: u8) -> String {
    let player = |person: &&Person| {
        let (name, recipient) = (&person.name, &person.recipient);
        format!("\n[[player]]\nname = \"{name}\"\nrecipients = [\"{recipient}\"]\n")
    };
    format!("threshold = {threshold}\n{}", people.iter().map(player).collect::<String>())
}

#[test]
fn after_a_loss_a_fourth_player_takes_the_place_and_the_old_group_ends() {
    let table = Table::deal(&["ann", "bob", "carol"], 2, Key::Soft);
    let (ann, bob) = (table.person("ann"), table.person("bob"));
    let dan = Person::new("dan", Key::Soft);
    fs::write(ann.path("plan.toml"), plan(&[ann, bob, &dan], 2)).expect("written");

    let mut asking = ann.start(&[
        "ask",
        &table.group,
        "--reason",
        "carol lost her key",
        "--redeal",
        "-P",
        "plan.toml",
        "-o",
        "group.json",
    ]);
    let invite = asking.line();
    assert!(asking.says("removed").contains("carol"));
    let id = session_of(&invite);
    assert!(ann.quorate(&["session", "code", id]).fails(1).contains("for a redeal"));
    let joined = bob.quorate(&["join", &invite, "--yes"]);
    for expected in ["REDEAL", "removed  carol", dan.recipient.as_str(), "your key", "2 of 3 players (now 2 of 3)"] {
        assert!(joined.stderr.contains(expected), "{expected}: {}", joined.stderr);
    }
    assert!(joined.stderr.lines().any(|line| line.contains("dan") && line.ends_with("NEW")), "{}", joined.stderr);
    joined.ok();
    let redealt = asking.end();
    assert!(redealt.stderr.contains("can still rebuild the secret"), "{}", redealt.stderr);
    let new_group = redealt.stdout.lines().last().expect("a name").to_owned();
    assert_ne!(new_group, table.group);
    redealt.ok();
    let public = fs::read_to_string(ann.path("group.json")).expect("written");
    assert!(public.contains(&new_group));

    // Nobody vouches for this oracle at dan's until he has compared the fingerprint.
    assert!(dan.quorate(&["session", "fetch", &invite]).fails(1).contains("oracle trust"));
    dan.trust(&table.oracle);
    let fetched = dan.quorate(&["--json", "session", "fetch", &invite]).json();
    assert_eq!((&fetched["group"], &fetched["holder"]), (&new_group.as_str().into(), &"dan".into()));
    assert!(dan.quorate(&["session", "fetch", &invite]).fails(1).contains("still to be fetched"));
    // One receipt of two: the old group still serves.
    table.ask("bob", &["--no-wait"]).0.end().ok();
    ann.quorate(&["session", "fetch", &invite]).ok();
    let refused = bob.quorate(&["ask", &table.group, "--reason", "habit"]).fails(1);
    assert!(refused.contains("replaced by a redeal"), "{refused}");

    let mut asking = dan.start(&["--json", "ask", &new_group, "--reason", "first code"]);
    let asked: serde_json::Value = serde_json::from_str(&asking.line()).expect("JSON");
    let invite = asked["invite"].as_str().expect("a link");
    assert!(
        bob.quorate(&["join", invite, "--yes"]).fails(1).contains("no Toc of the group"),
        "bob has not fetched yet"
    );
    ann.quorate(&["join", invite, "--yes"]).ok();
    let code = asking.end().json();
    if let Some(theirs) = oathtool(SECRET, code["code_expires_at"].as_str().expect("a time")) {
        assert_eq!(code["code"], *theirs);
    }
}

#[test]
fn an_interrupted_redeal_goes_on_and_runs_once() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (ann, bob) = (table.person("ann"), table.person("bob"));
    fs::write(ann.path("plan.toml"), plan(&[ann, bob], 2)).expect("written");
    let asking = ann.start(&["ask", &table.group, "--reason", "r", "--redeal", "-P", "plan.toml", "--no-wait"]);
    let ended = asking.end();
    assert!(ended.stderr.contains("quorate session redeal --wait"), "{}", ended.stderr);
    let invite = ended.ok().lines().next().expect("an invite").to_owned();
    let id = session_of(&invite);
    ann.quorate(&["session", "redeal", id]).fails(3);
    bob.quorate(&["join", &invite, "--yes"]).ok();
    let first = ann.quorate(&["session", "redeal", id]).ok();
    assert_eq!(ann.quorate(&["session", "redeal", id]).ok(), first, "what was dealt is read again, not dealt again");
}

#[test]
fn plans_that_cannot_be_are_refused_before_anybody_is_asked() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (ann, bob) = (table.person("ann"), table.person("bob"));
    let twice = plan(&[ann, ann], 2);
    let bad = [
        ("threshold = 1", plan(&[ann, bob], 1), "threshold"),
        ("a player twice", twice, "ann"),
        ("an unknown word", format!("colour = 1\n{}", plan(&[ann, bob], 2)), "colour"),
        ("a plugin's recipient", plan(&[ann, bob], 2).replace(&bob.recipient, "age1nosuchplugin1qqqq"), "bob"),
        ("no TOML", "{".to_owned(), "no plan"),
    ];
    for (what, text, expected) in bad {
        fs::write(ann.path("plan.toml"), text).expect("written");
        let said = ann.quorate(&["ask", &table.group, "--reason", "r", "--redeal", "-P", "plan.toml"]).fails(1);
        assert!(said.contains(expected), "{what}: {said}");
    }
    assert!(!fs::exists(ann.path("run/quorate/sessions")).expect("readable"), "no session was started");
    ann.quorate(&["ask", &table.group, "--reason", "r", "--redeal"]).fails(2);
    ann.quorate(&["ask", &table.group, "--reason", ""]).fails(2);
}

#[test]
fn a_plan_that_gives_a_players_name_to_another_key_is_refused_unless_that_player_agrees() {
    let table = Table::deal(&["ann", "ben", "cho"], 2, Key::Soft);
    let (ann, ben) = (table.person("ann"), table.person("ben"));
    let puppet = Person::new("ben", Key::Soft);
    fs::write(ann.path("plan.toml"), plan(&[ann, &puppet, table.person("cho")], 2)).expect("written");
    let mut asking =
        ann.start(&["ask", &table.group, "--reason", "tidying", "--redeal", "-P", "plan.toml", "--no-wait"]);
    let invite = asking.line();
    asking.end().ok();
    let refused = ben.quorate(&["join", &invite, "--yes"]).fails(1);
    assert!(refused.contains("none of its keys is known here as yours"), "{refused}");
    assert!(refused.contains("nothing was sent"), "{refused}");
    // Whose key is in the plan as it was is not stopped, and no is always possible.
    table.person("cho").quorate(&["join", &invite, "--yes"]).ok();
    let denied = ben.quorate(&["join", &invite, "--deny", "--yes"]);
    assert!(denied.stderr.contains("NOT YOUR KEY") && denied.stderr.contains("WARNING"), "{}", denied.stderr);
    denied.ok();
}
