//! The same races between two nodes: two stores on one database, each with its own lanes, connections and writer.

use std::future::Future;

use quorate_oracle::store::Store;

use crate::{api_keys, audit, groups, logins, people, postgres, totps};

/// Runs `test` on two stores on one database, of each engine.
async fn on_two_nodes<F: Future<Output = ()>>(test: impl Fn([Store; 2]) -> F) {
    let folder = tempfile::tempdir().unwrap();
    run(&format!("sqlite:{}", folder.path().join("quorate.db").display()), &test).await;
    let Some(server) = postgres::shared() else { return };
    run(&server.url(&server.database().await), &test).await;
}

async fn run<F: Future<Output = ()>>(url: &str, test: impl Fn([Store; 2]) -> F) {
    let nodes = [Store::open(url).await.unwrap(), Store::open(url).await.unwrap()];
    test(nodes.clone()).await;
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_activated_once() {
    on_two_nodes(async |nodes| api_keys::one_activation_wins(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rotation_takes_the_records() {
    on_two_nodes(async |nodes| api_keys::one_rotation_wins(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_enrolled_during_a_rotation_is_where_its_maker_looks() {
    on_two_nodes(async |nodes| api_keys::enrolments_meet_a_rotation(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_counts_once() {
    on_two_nodes(async |nodes| totps::one_copy_of_a_code_counts(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_numbers_the_audit_log() {
    on_two_nodes(async |nodes| audit::one_numbering_wins(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_bounded() {
    on_two_nodes(async |nodes| totps::guesses_are_bounded(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_enrols_once() {
    on_two_nodes(async |nodes| people::one_enrolment_wins(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_logs_in_once() {
    on_two_nodes(async |nodes| logins::one_copy_of_a_passcode_logs_in(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_a_password_are_bounded() {
    on_two_nodes(async |nodes| logins::password_guesses_are_bounded(&nodes).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_places_meanwhile_approves_once() {
    on_two_nodes(async |nodes| groups::one_approval_of_each(&nodes).await).await;
}
