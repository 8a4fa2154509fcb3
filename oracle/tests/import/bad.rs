//! What is no export, or not all of one, or at odds with what is here: the line is named, and nothing is changed.

use crate::export::{Exports, Old, lines};
use crate::stage::Stage;
use crate::{import, listed};
use quorate_oracle::service::api_keys::Listed;
use quorate_oracle::service::import::{Import, Tally};
use quorate_oracle::store::MAX_IMPORTED_DATA_KEYS;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::slice::from_ref;

const TOTP: &str = "7d1aa2b0-0e5b-4dc6-9c40-24d5a1c64f6e";
const OTHER: &str = "0b9d2c4e-6a3f-4b43-8f3c-f1f6f6d2ab10";

/// Nothing is imported of the files, because of that line.
async fn refused(stage: &Stage, files: &[PathBuf], at: (&PathBuf, u64), why: &str) {
    refused_for(stage, files, &format!("{} line {}: {why}", at.0.display(), at.1)).await;
}

/// The same because of several lines.
async fn refused_for(stage: &Stage, files: &[PathBuf], lines: &str) {
    let before = listed(stage).await;
    for _ in 0..2 {
        let error = import(stage, files).await.expect_err(lines).to_string();
        assert_eq!(error, format!("{lines}: nothing was imported"));
        let checked = Import::new(stage.oracle.state(), files.to_vec()).check().await;
        assert_eq!(checked.expect_err("the same").to_string(), error);
        assert_eq!(listed(stage).await, before);
    }
}

#[tokio::test]
async fn nothing_is_imported_of_what_is_no_export() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let keys = exports.file("keys", &[old.api_key()]);
    let totp = |uuid: &str| old.totp(uuid);
    let whole = lines(&[totp(TOTP), totp(OTHER)]);

    let cut = exports.raw("cut", &whole.as_bytes()[..whole.len() - 20]);
    refused(&stage, &[keys.clone(), cut.clone()], (&cut, 2), "is not JSON, or not all of it").await;
    let many: Vec<Value> = (0..200).map(|number| totp(&format!("7d1aa2b0-0e5b-4dc6-9c40-{number:012}"))).collect();
    let gzip = std::fs::read(exports.gzip("whole.gz", &many)).expect("read");
    let cut = exports.raw("cut.gz", &gzip[..gzip.len() / 2]);
    let error = import(&stage, &[keys.clone(), cut.clone()]).await.expect_err("cut off").to_string();
    assert!(error.starts_with(&format!("{} line ", cut.display())) && error.contains("cannot be read"), "{error}");

    let foreign = exports.file("foreign", &[totp(TOTP), json!({ "pk": { "S": "user#1" }, "name": { "S": "Ann" } })]);
    refused(&stage, &[foreign.clone(), keys.clone()], (&foreign, 2), "is no record of serverless-mfa-api").await;
    let mut wrong = totp(OTHER);
    wrong["encryptedTotpKey"] = json!({ "S": "AAAA" });
    let middle = exports.file("middle", &[totp(TOTP), wrong, totp(OTHER)]);
    refused(&stage, &[keys.clone(), middle.clone()], (&middle, 2), "has a wrong encryptedTotpKey").await;
    let long = exports.raw("long", format!("{whole}{{\"Item\":\"{}\"}}\n", "a".repeat(1 << 20)).as_bytes());
    refused(&stage, &[keys.clone(), long.clone()], (&long, 3), "is longer than any record (1 MiB)").await;
    let missing = exports.path("missing");
    let error = import(&stage, &[keys.clone(), missing]).await.expect_err("missing").to_string();
    assert!(error.contains("missing line 0: cannot be read: No such file"), "{error}");

    assert!(listed(&stage).await.is_empty());
    let good = exports.file("good", &[totp(TOTP), totp(OTHER)]);
    let summary = import(&stage, &[good, keys]).await.expect("imported");
    assert_eq!((summary.api_keys.new, summary.totp.new), (1, 2), "nothing was left behind");
}

#[tokio::test]
async fn a_name_that_comes_twice_is_told_with_both_lines() {
    let (stage, exports, old, other) = (Stage::new().await, Exports::new(), Old::new("old"), Old::new("other"));
    let keys = exports.file("keys", &[old.api_key(), other.api_key()]);
    let one = exports.file("one", &[old.totp(OTHER), old.totp(TOTP)]);
    let two = exports.file("two", &[other.totp(TOTP)]);
    let why = format!("has the name of {} line 2", one.display());
    refused(&stage, &[keys.clone(), one, two.clone()], (&two, 1), &why).await;
    let twice = exports.file("twice", &[old.api_key(), other.api_key(), old.inactive()]);
    let why = format!("has the name of {} line 1", twice.display());
    refused(&stage, from_ref(&twice), (&twice, 3), &why).await;
}

#[tokio::test]
async fn a_record_needs_an_api_key_with_a_secret() {
    let (stage, exports, old, other) = (Stage::new().await, Exports::new(), Old::new("old"), Old::new("other"));
    let why = "belongs to an API key that is not among the activated ones: give the files of all tables at once";
    let records = exports.file("records", &[old.totp(TOTP), other.totp(OTHER)]);
    let keys = exports.file("keys", &[old.api_key()]);
    refused(&stage, &[records.clone(), keys.clone()], (&records, 2), why).await;
    let inactive = exports.file("inactive", &[other.inactive()]);
    refused(&stage, &[keys.clone(), inactive, records.clone()], (&records, 2), why).await;
    let name = records.display();
    refused_for(&stage, from_ref(&records), &format!("{name} line 1: {why}\n{name} line 2: {why}")).await;

    // One that was imported before will do.
    import(&stage, &[keys]).await.expect("imported");
    let own = exports.file("own", &[old.totp(TOTP)]);
    assert_eq!(import(&stage, &[own]).await.expect("imported").totp, Tally { new: 1, known: 0 });
    assert_eq!(listed(&stage).await[0].legacy.totp, 1);
}

#[tokio::test]
async fn an_api_key_takes_only_so_many_imports() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    import(&stage, &[exports.file("keys", &[old.api_key()])]).await.expect("imported");
    for number in 1..MAX_IMPORTED_DATA_KEYS {
        let one = exports.file(&number.to_string(), &[old.totp(&format!("7d1aa2b0-0e5b-4dc6-9c40-{number:012}"))]);
        assert_eq!(import(&stage, &[one]).await.expect("imported").totp.new, 1);
    }
    let more = exports.file("more", &[old.totp(OTHER)]);
    let why = "belongs to an API key that has taken over, or imported, too often";
    refused(&stage, from_ref(&more), (&more, 1), why).await;
}

#[tokio::test]
async fn the_same_again_changes_nothing_and_another_is_a_conflict() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let mut changed = old.totp(OTHER);
    let (key, totp) = (old.api_key(), old.totp(TOTP));
    let first = exports.file("first", &[totp.clone(), key.clone()]);
    import(&stage, &[first]).await.expect("imported");
    // An import that was interrupted is run again: what is there is known, what is not is new.
    let all = exports.gzip("all", &[key.clone(), changed.clone(), totp.clone()]);
    let (new, known) = (Tally { new: 1, known: 1 }, Tally { new: 0, known: 1 });
    let dry = Import::new(stage.oracle.state(), vec![all.clone()]).check().await.expect("checked");
    assert_eq!(listed(&stage).await[0].records.totp, 1, "a dry run writes nothing");
    let summary = import(&stage, from_ref(&all)).await.expect("imported");
    assert_eq!((summary.totp, summary.api_keys, summary), (new, known, dry));
    let again = import(&stage, &[all]).await.expect("imported");
    assert_eq!((again.totp, again.api_keys), (Tally { new: 0, known: 2 }, known));

    let why = "is here already, and not the same";
    changed["encryptedTotpKey"] = json!({ "S": old.text("MFRGGZDFMZTWQ2LK") });
    let conflict = exports.file("conflict", &[key.clone(), old.totp(&TOTP.replace('7', "8")), changed]);
    refused(&stage, from_ref(&conflict), (&conflict, 3), why).await;
    let mut other_email = key;
    other_email["email"] = json!({ "S": "other@example.com" });
    let conflict = exports.file("conflicting", &[totp, other_email]);
    refused(&stage, from_ref(&conflict), (&conflict, 2), why).await;
}

#[tokio::test]
async fn what_cannot_be_imported_is_told_at_once_and_can_be_left_out() {
    let (stage, exports) = (Stage::new().await, Exports::new());
    let [old, other, activated, unknown] = ["old", "other", "activated", "unknown"].map(Old::new);
    let first = [old.api_key(), old.totp(TOTP), activated.inactive()];
    import(&stage, &[exports.file("first", &first)]).await.expect("imported");
    let uuid = |number: u8| format!("7d1aa2b0-0e5b-4dc6-9c40-{number:012}");
    let mut wrong = other.totp(&uuid(1));
    wrong["encryptedTotpKey"] = json!({ "S": "AAAA" });
    let items = [
        old.api_key(),
        // Encrypted once more, so not the same.
        old.totp(TOTP),
        old.totp(OTHER),
        wrong,
        other.api_key(),
        other.totp(&uuid(2)),
        // Whoever had it activated there meanwhile may have another secret here.
        activated.api_key(),
        activated.totp(&uuid(3)),
        activated.totp(&uuid(4)),
        unknown.totp(&uuid(5)),
    ];
    let all = exports.file("all", &items);
    let line = |number: u64, why: &str| format!("{} line {number}: {why}", all.display());
    let told = [
        line(2, "is here already, and not the same"),
        line(4, "has a wrong encryptedTotpKey"),
        line(7, "is here already, and not the same"),
        line(8, "belongs to an API key that is here already, and not the same"),
        line(10, "belongs to an API key that is not among the activated ones: give the files of all tables at once"),
    ]
    .join("\n");
    refused_for(&stage, from_ref(&all), &told).await;

    let leaving_out = || Import::new(stage.oracle.state(), vec![all.clone()]).leaving_out(true);
    let dry = leaving_out().check().await.expect("checked");
    assert_eq!(listed(&stage).await.len(), 2, "a dry run writes nothing");
    let summary = leaving_out().run().await.expect("imported");
    assert_eq!((summary.api_keys, summary.totp), (Tally { new: 1, known: 1 }, Tally { new: 2, known: 0 }));
    assert_eq!((summary.refused.records(), summary.refused.to_string()), (6, told));
    assert_eq!(summary, dry);
    let records =
        |value: &str, keys: &[Listed]| keys.iter().find(|key| key.value == value).expect("listed").records.totp;
    let keys = listed(&stage).await;
    assert_eq!([&old, &other, &activated].map(|owner| records(&owner.value, &keys)), [2, 1, 0]);
    let again = leaving_out().run().await.expect("imported");
    assert_eq!((again.totp, again.refused), (Tally { new: 0, known: 2 }, summary.refused));

    // What is no export, or not all of one, is never left out.
    let whole = lines(&items);
    let cut = exports.raw("cut", &whole.as_bytes()[..whole.len() - 20]);
    let error =
        Import::new(stage.oracle.state(), vec![cut.clone()]).leaving_out(true).run().await.expect_err("cut off");
    let why = "is not JSON, or not all of it: nothing was imported";
    assert_eq!(error.to_string(), format!("{} line 10: {why}", cut.display()));
}
