//! Quorum sessions over HTTP: the honest path, and everything dishonest that a stranger, an applicant, a constituent or a
//! dealer can send. Every refusal is checked by its status and stable word. All of it on each engine of the store.

mod approving;
mod audit;
mod codes;
mod false_tocs;
mod floods;
mod redeals;
mod requests;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that kill the database's server")]
mod support;

/// Makes a test of each part of the suite, on each engine.
macro_rules! on_every_engine {
    ($($part:ident :: $test:ident),* $(,)?) => {
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    let Some(server) = super::support::postgres::shared() else { return };
                    super::support::SERVER.scope(server, super::$part::$test()).await;
                }
            )*
        }
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$part::$test().await;
                }
            )*
        }
    };
}

on_every_engine! {
    audit::every_step_of_a_session_is_told_with_its_name,
    audit::no_secret_is_in_the_log,
    audit::strangers_have_a_budget_and_the_rest_is_counted,
    audit::what_was_refused_is_no_event,
    audit::no_byte_of_the_tables_is_changed_unnoticed,
    audit::a_cut_tail_shows_against_an_older_checkpoint,
    audit::what_was_altered_is_neither_believed_nor_signed,
    audit::a_log_that_was_set_back_is_not_gone_on_with,
    audit::a_row_in_the_way_of_the_next_one_is_told_and_ends,
    audit::two_nodes_number_at_once,
    audit::checkpoints_are_posted_where_they_may_go_until_they_are_taken,
    audit::checkpoints_are_published_and_never_taken_back,
    codes::a_quorum_gets_the_code_and_nobody_less,
    codes::a_farmfa_client_works_with_our_tocs_too,
    codes::the_same_toc_twice_counts_once,
    codes::sessions_end_in_each_of_their_ways,
    codes::an_allowance_of_codes_is_kept,
    codes::sixty_four_clients_start_sessions_at_once,
    codes::events_are_told_in_order_and_resumed,
    codes::no_event_comes_with_counts_from_before_it,
    codes::a_no_is_signed_and_seen,
    codes::who_follows_is_let_go_when_the_oracle_stops,
    codes::who_follows_hears_of_an_end_by_time,
    false_tocs::one_false_toc_never_blocks_a_session,
    false_tocs::armored_text_that_is_no_toc_and_tocs_for_others_are_refused_or_dropped,
    false_tocs::a_dishonest_deal_gives_no_code,
    false_tocs::a_rewritten_header_gives_no_code,
    false_tocs::a_forged_toc_zero_cannot_probe_an_honest_share,
    false_tocs::junk_ends_no_session_of_ours_and_sixteen_failures_end_a_farmfa_one,
    false_tocs::a_stranger_cannot_bring_a_secret_of_their_own_into_a_farmfa_session,
    false_tocs::a_toc_for_many_recipients_is_refused,
    floods::a_session_that_is_flooded_disturbs_no_other,
    redeals::a_redeal_moves_the_secret_and_ends_the_old_group,
    redeals::a_redeal_happens_only_as_approved,
    requests::junk_bodies_are_refused,
    requests::duplicate_keys_are_refused_wherever_they_stand,
    requests::a_proof_serves_for_its_session_purpose_player_and_label_only,
    requests::who_asks_must_prove_it_freshly_and_once,
    requests::a_wrong_or_short_kek_opens_nothing,
    requests::a_stranger_with_junk_does_not_keep_an_honest_quorum_out,
}
