//! What every [`Store`](crate::Store) must do, as named checks that know only the trait.
//!
//! An implementation's tests call [`conformance_tests!`](crate::conformance_tests) with an async expression that makes
//! an empty store; each check becomes one test. It must never know which implementation it judges.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a check fails by panicking
#![allow(clippy::must_use_candidate)] // samples without a use are no mistake

pub mod audit;
pub mod catalogue;
pub mod commands;
pub mod deliveries;
pub mod leases;
pub mod letters;
pub mod lists;
pub mod moved;
pub mod outbox;
pub mod retention;
pub mod rows;
pub mod samples;
pub mod schedules;
pub mod steering;
pub mod together;
pub mod transactions;
pub mod workflows;

/// The list of checks; makes one `#[tokio::test]` of each, or what another macro (`each_as_trial`) makes of them. `$make` is called as `$make().await` and gives a store and something
/// that must live as long as it (a temporary folder), or `()`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { $make, each_as_test }
    };
    ($make:path, $then:ident) => {
        $crate::$then! { $make;
            transactions {
                what_is_not_committed_is_invisible_and_gone_after_a_drop
                a_read_transaction_sees_one_state_until_its_end
                a_cancelled_write_leaves_the_store_usable
                concurrent_writers_come_one_after_the_other
                a_commit_wakes_those_who_asked_before_it
                without_a_commit_a_sleeper_wakes_after_the_poll_interval
                a_signal_is_kept_until_somebody_waits_for_it
                the_store_answers_a_ping
            }
            together {
                writes_about_one_hook_lose_nothing_of_each_other
                writes_about_one_environment_come_one_after_the_other
                a_write_alone_waits_for_those_about_one_environment
                an_attention_is_raised_once_by_two_at_the_same_time
                a_request_is_claimed_once_by_two_at_the_same_time
            }
            leases {
                a_lease_has_one_holder_until_its_end
                a_holder_that_was_replaced_is_refused_and_writes_nothing
                a_lease_cannot_pass_on_while_a_write_shows_it
                a_lease_that_is_given_back_is_free_at_once
                due_timers_are_claimed_by_one_and_due_again_later
                timers_that_are_far_ahead_can_be_hastened
            }
            rows {
                what_was_put_reads_back_equal
                a_second_put_replaces
                raising_the_version_leaves_the_rest_of_the_environment_alone
                what_is_absent_reads_as_nothing
                a_forgotten_environment_keeps_its_row_alone
                deleting_removes_and_tells_whether_there_was_one
                a_row_of_five_megabytes_reads_back
            }
            catalogue {
                a_name_is_taken_until_its_environment_is_purged
                an_alias_is_taken_until_it_is_given_up_or_its_environment_is_purged
                a_refused_environment_changes_nothing
                an_environment_keeps_its_own_name_and_aliases_when_it_is_put_again
                a_key_is_open_once_among_attentions
                an_idempotency_key_is_kept_once_and_expires_in_bounded_bites
                audit_positions_are_taken_once_in_each_chain
            }
            lists {
                a_thousand_rows_come_exactly_once_through_pages
                a_thousand_hooks_come_in_the_order_of_their_names
                hooks_are_found_by_the_operations_that_they_concern
                operations_come_newest_first_and_unfinished_ones_oldest_first
                filters_narrow_environments
                filters_narrow_operations
                filters_narrow_attentions
                scopes_narrow_every_list_and_follow_a_moved_environment
                steps_and_attempts_come_by_hook_and_number
                timers_come_earliest_first_and_survive_a_put
                operations_running_in_a_region_have_an_open_attempt_there
            }
            steering {
                a_hold_is_open_until_it_is_lifted_and_told
                approvals_are_listed_by_state_operation_and_scope
                approvals_are_listed_by_environment
                an_original_knows_its_replays
            }
            commands {
                commands_come_in_order_and_are_leased_once
                a_lease_ends_where_its_commands_become_too_large
                a_lease_that_has_run_out_is_given_again
                breaking_leases_spares_the_new_session
                breaking_all_leases_spares_no_session_and_no_other_region
                a_later_command_waits_while_somebody_has_an_earlier_one
                an_equal_command_is_kept_once
                only_what_was_never_given_out_can_be_withdrawn
                a_finished_command_is_gone_and_only_its_region_finishes_it
                two_sessions_never_share_a_command
            }
            workflows {
                workflows_come_by_region_and_round
                workflows_whose_event_is_due_come_earliest_first
                bridges_come_by_hook
                workflows_and_bridges_go_with_their_operation
                a_steps_commands_come_in_order_and_are_leased_once
                a_regions_free_commands_are_those_that_nobody_holds
                a_step_is_read_by_its_key
                a_steps_lease_that_has_run_out_is_given_again
                a_steps_later_command_waits_while_somebody_has_an_earlier_one
                a_step_and_its_region_lease_the_same_commands
                breaking_a_steps_leases_spares_one_session_and_other_steps
                a_step_overtakes_nothing_that_is_being_given_out
                two_bridges_never_share_a_command
            }
            deliveries {
                parked_events_come_by_environment_and_apart_by_sink
                dead_letters_come_by_position_in_pages
                the_first_dead_letter_that_is_wanted_is_found
            }
            letters {
                refused_messages_come_by_id_in_pages_and_one_that_comes_twice_is_one
                of_refused_messages_the_newest_stay
            }
            moved {
                what_events_have_moved_is_put_at_once
                nothing_is_moved_without_an_environment
                several_commands_are_finished_at_once
            }
            audit {
                entries_of_all_chains_come_by_time_once_through_pages
                filters_narrow_audit_entries
                a_head_seals_chains_up_to_the_position_it_names
            }
            retention {
                what_another_row_needs_is_not_expired
                the_newest_of_each_environment_and_name_are_not_expired
                a_removed_operation_takes_its_rows_along
                old_events_and_settled_attention_go_in_bounded_bites
                templates_of_unfinished_operations_are_needed
            }
            schedules {
                a_schedule_reads_back_and_its_name_is_taken
                schedules_whose_time_has_come_are_found_earliest_first
                a_run_is_added_once_for_its_schedule_environment_and_time
                runs_are_found_by_state_operation_and_deadline
                a_schedules_runs_come_newest_first_through_pages
                deleting_a_schedule_takes_what_has_not_begun
                old_runs_are_removed_in_bounded_bites_and_open_ones_stay
            }
            outbox {
                positions_grow_in_the_order_of_commits
                a_reader_with_a_checkpoint_never_skips_an_event
                filters_narrow_events
            }
        }
    };
}

/// Each check as a test of the standard harness.
#[macro_export]
macro_rules! each_as_test {
    ($make:path; $($module:ident { $($check:ident)+ })+) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let (store, _guard) = $make().await;
            $crate::conformance::$module::$check(std::sync::Arc::new(store)).await;
        }
    )+)+};
}

/// A list of `libtest_mimic::Trial`, for a store that needs what may be missing on a machine.
#[macro_export]
macro_rules! each_as_trial {
    ($make:path; $($module:ident { $($check:ident)+ })+) => {
        vec![$($(
            ::libtest_mimic::Trial::test(stringify!($check), || {
                let mut runtime = ::tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(2).enable_all().build()?.block_on(async {
                    let (store, _guard) = $make().await;
                    $crate::conformance::$module::$check(std::sync::Arc::new(store)).await;
                });
                Ok(())
            }),
        )+)+]
    };
}
