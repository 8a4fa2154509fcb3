//! The store's contract: every outcome of every method, conditional writes raced by many tasks at once, properties.
//!
//! The suite knows a store only by [`Store`]. [`on_every_engine!`] names the engines that it runs on; each test gets a
//! database of its own.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod api_keys;
mod applicants;
mod apps;
mod audit;
mod codes;
mod credentials;
mod dismissals;
mod drills;
mod groups;
mod imports;
mod logins;
mod nodes;
mod notices;
mod people;
#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
mod redeals;
mod rights;
mod rows;
mod sessions;
mod sweep;
mod tocs;
mod totps;

use std::{future::Future, time::Duration};

use quorate_oracle::store::{Store, StoreOptions};

/// Tasks that race for the same thing.
const RACERS: usize = 64;

/// Runs one part of the contract on an empty embedded store.
async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("quorate.db").display())).await.unwrap();
    test(store.clone()).await;
    store.shutdown().await;
}

/// A store whose bounds nobody meets: races are about who wins, on however busy a machine.
async fn patient(url: &str) -> Store {
    let (wait, statement, operation) = (Duration::from_secs(30), Duration::from_secs(30), Duration::from_secs(60));
    let options = StoreOptions { wait, statement, operation, ..StoreOptions::default() };
    Store::open_with(url, options).await.unwrap()
}

/// The same on an empty database of a real server.
async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let Some(server) = postgres::shared() else { return };
    let store = patient(&server.url(&server.database().await)).await;
    test(store.clone()).await;
    store.shutdown().await;
}

/// The same on a server's database that the next program has migrated already: it only added, as steps must while both
/// programs run.
async fn on_newer_schema<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    Store::open(&server.url(&database)).await.unwrap().shutdown().await;
    let step = "ALTER TABLE sessions ADD COLUMN colour TEXT, ADD COLUMN weight BIGINT NOT NULL DEFAULT 7;
        ALTER TABLE tocs ADD COLUMN origin BYTEA;
        CREATE TABLE favourites (session BIGINT PRIMARY KEY REFERENCES sessions (number) ON DELETE CASCADE);
        CREATE INDEX sessions_by_colour ON sessions (colour);
        INSERT INTO schema_migrations VALUES (90, 'favourites', 1, decode(repeat('00', 32), 'hex'))";
    server.run(&database, step).await;
    let store = patient(&server.url(&database)).await;
    test(store.clone()).await;
    store.shutdown().await;
}

/// Makes a test of each part of the contract, on each engine.
macro_rules! on_every_engine {
    ($($part:ident :: $test:ident),* $(,)?) => {
        mod on_newer_schema {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::on_newer_schema(super::$part::$test).await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::on_postgres(super::$part::$test).await;
                }
            )*
        }
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::on_sqlite(super::$part::$test).await;
                }
            )*
        }
    };
}

on_every_engine! {
    api_keys::a_key_comes_back_as_it_was_put,
    api_keys::a_key_is_activated_once_whoever_races,
    api_keys::a_revoked_key_is_not_activated_and_an_active_one_not_forgotten,
    api_keys::keys_are_listed_in_pages_with_what_they_own,
    api_keys::a_rotation_moves_what_is_sealed_and_leaves_a_fresh_key,
    api_keys::a_key_that_is_not_in_use_takes_no_part_in_a_rotation,
    api_keys::a_key_owns_so_many_data_keys_and_no_more,
    api_keys::one_rotation_takes_the_records_whoever_races,
    api_keys::what_is_enrolled_during_a_rotation_is_where_its_maker_looks,
    apps::an_app_comes_back_as_it_was_put_to_who_may_read_it,
    apps::a_change_is_of_what_was_read_and_by_who_may,
    apps::of_many_changes_of_one_revision_one_is_made,
    apps::a_key_pair_is_made_once_whoever_races,
    apps::a_right_ends_with_whatever_it_rests_on,
    apps::an_export_is_told_only_while_all_of_it_is_its_owners,
    apps::what_an_api_key_may_read_moves_with_a_rotation,
    apps::an_app_ends_with_the_last_in_use_who_may_read_it_and_never_untold,
    apps::whoever_gives_up_their_own_right_needs_no_other,
    apps::operators_end_what_nobody_else_can,
    imports::an_api_key_is_imported_once,
    imports::a_batch_goes_in_as_a_whole_or_not_at_all,
    imports::a_first_use_is_one_whoever_races,
    imports::imported_records_become_ordinary_ones_once,
    imports::a_legacy_key_is_forgotten_when_nothing_needs_it,
    imports::a_rotation_makes_no_imported_user_one_with_another,
    imports::a_data_key_that_cannot_read_takes_no_more_records,
    imports::a_revoked_key_is_never_used_for_the_first_time,
    imports::records_are_looked_up_many_at_once,
    totps::a_secret_comes_back_as_it_was_put,
    totps::only_later_steps_count,
    totps::a_step_counts_once_whoever_races,
    totps::wrong_codes_lock_by_the_schedule,
    totps::guesses_are_bounded_whoever_races,
    totps::wrong_codes_are_forgotten_by_half_in_a_quiet_hour,
    sessions::a_session_comes_back_as_it_was_put,
    sessions::an_unknown_session_is_none,
    sessions::open_sessions_come_newest_first_and_in_parts,
    sessions::a_proof_of_creation_serves_once,
    sessions::a_source_has_so_many_sessions_and_no_more,
    sessions::a_full_source_does_not_use_up_the_proof,
    sessions::closing_leaves_the_stub_alone,
    sessions::events_are_numbered_without_gaps,
    sessions::watchers_hear_of_changes_after_the_commit,
    sessions::a_setting_keeps_its_first_value,
    sessions::the_store_answers_a_ping,
    tocs::a_player_replaces_their_toc_so_often_and_no_more,
    tocs::who_has_answered_is_told_however_many_events_there_are,
    sweep::a_redeal_that_nobody_fetches_takes_a_place_of_its_source_until_it_is_gone,
    tocs::proved_tocs_have_one_slot_per_player,
    tocs::the_same_toc_again_changes_nothing,
    tocs::a_copy_without_proof_does_not_keep_its_player_out,
    tocs::the_pool_of_unproved_tocs_is_bounded_and_displaces_nobody,
    tocs::a_closed_or_late_session_takes_no_tocs,
    tocs::false_tocs_are_dropped,
    tocs::a_player_says_no_once,
    codes::the_first_code_sets_the_end,
    codes::the_same_step_is_read_again_without_a_write,
    codes::an_earlier_step_is_stale,
    codes::the_allowance_ends_the_session,
    codes::one_code_per_step_whoever_races,
    codes::the_allowance_holds_whoever_races,
    codes::a_session_for_a_redeal_gives_no_code,
    codes::so_many_failures_end_the_session,
    codes::random_requests_never_exceed_the_allowance,
    redeals::a_redeal_happens_once,
    redeals::only_an_open_session_for_a_redeal_can_be_finished,
    redeals::a_threshold_of_receipts_refuses_the_old_group,
    redeals::a_receipt_counts_once_whoever_races,
    redeals::a_farmfa_group_has_nothing_to_refuse,
    sweep::what_is_past_its_time_expires,
    sweep::a_first_code_moves_the_end,
    sweep::what_is_closed_is_removed_after_its_grace,
    sweep::a_redeal_stays_until_everybody_has_received,
    sweep::proofs_are_forgotten_when_they_have_expired,
    sweep::a_round_is_bounded_and_says_that_there_is_more,
    sweep::sources_count_right_whatever_happens,
    notices::an_act_brings_its_notices_or_none,
    notices::a_notice_is_taken_once_whoever_races,
    notices::who_dies_leaves_the_notice_to_others,
    notices::the_toc_that_makes_a_quorum_tells_of_it_alone,
    notices::what_is_kept_for_expiry_comes_with_it_alone,
    notices::what_nobody_takes_is_given_up,
    drills::a_drill_comes_back_as_it_was_begun,
    drills::a_group_has_one_drill_whoever_races,
    drills::an_answer_counts_once_whoever_races,
    drills::the_last_answer_ends_the_drill_whoever_races,
    drills::nobody_answers_what_is_over,
    drills::what_is_due_is_reminded_of_and_ended_once,
    drills::proofs_outlive_drills_and_go_with_their_group,
    credentials::a_ceremony_ends_once,
    credentials::what_is_over_answers_to_nothing_that_comes_after_it,
    credentials::a_ceremony_ends_in_time,
    credentials::one_of_several_own_keys_goes_with_what_rested_on_it,
    credentials::an_own_key_is_added_while_its_login_is_one,
    credentials::once_a_login_has_ended_no_key_comes_of_it_whoever_races,
    credentials::of_many_removals_with_one_login_one_is_done,
    credentials::no_login_from_before_a_removal_outlives_it_whoever_races,
    credentials::a_counter_rises_or_there_is_none,
    credentials::wrong_signatures_lock_by_the_schedule_whoever_races,
    credentials::a_users_credentials_differ_and_are_bounded,
    credentials::the_owner_of_the_data_key_owns_the_user,
    credentials::two_users_of_one_uuid_do_not_become_one,
    credentials::under_a_data_key_that_has_moved_nothing_is_registered,
    credentials::what_is_removed_is_what_was_named,
    credentials::open_challenges_are_bounded_and_forgotten,
    audit::events_wait_in_order_until_they_are_numbered,
    audit::a_page_has_the_heads_of_its_rows,
    audit::from_one_head_one_goes_on,
    audit::an_event_is_written_with_its_act_or_not_at_all,
    audit::what_expires_is_told_once,
    people::a_principal_comes_back_as_it_was_put,
    people::a_name_is_given_once_whoever_races,
    people::a_link_enrols_once_whoever_races,
    people::a_link_serves_in_time_its_own_principal_and_until_it_is_replaced,
    people::the_last_operator_stays_whoever_races,
    people::a_team_has_so_many_members_and_no_more,
    people::a_provider_is_changed_by_who_read_it_last_and_stays_while_assigned,
    people::a_principal_has_one_factor_and_a_team_none,
    people::one_of_many_assignments_wins_whoever_races,
    people::what_is_done_is_told_with_it_or_not_at_all,
    applicants::applicants_are_changed_as_a_whole_or_not_at_all,
    applicants::every_ground_is_found_and_ends,
    applicants::members_are_changed_one_by_one_whoever_races,
    rights::who_asks_by_login_still_may_and_is_who_logged_in,
    rights::a_code_is_taken_by_who_still_may_at_that_moment,
    rights::what_was_counted_must_still_count_where_it_is_written,
    rights::once_a_right_is_gone_no_code_comes_of_it_whoever_races,
    groups::what_is_damaged_goes_as_it_was_found_and_no_further,
    groups::a_group_comes_back_as_it_was_added,
    groups::a_group_is_added_once_whoever_races,
    groups::who_stands_for_whom_is_set_at_once_or_not_at_all,
    groups::one_of_many_changes_stands_whoever_races,
    groups::a_group_that_a_redeal_has_replaced_is_said_to_be,
    groups::an_approval_is_of_who_stands_for_the_player_and_of_one_player,
    groups::who_changes_places_meanwhile_approves_once_whoever_races,
    groups::what_is_changed_is_told_with_it_or_not_at_all,
    logins::a_step_logs_in_once_whoever_races,
    logins::a_login_rests_on_what_was_read,
    logins::failures_lock_a_name_whether_anybody_has_it,
    logins::guesses_at_a_password_are_bounded_whoever_races,
    logins::a_ticket_is_its_principals_and_ends,
    logins::enabling_forgets_failures,
    logins::a_principal_has_so_many_tickets_and_the_oldest_gives_way,
    logins::logins_that_are_over_are_forgotten,
}
