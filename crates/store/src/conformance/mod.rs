//! What every back end must do, as cases that run on a fresh store each.
//!
//! A back end is done when the whole table passes. Its test file is a factory and one line:
//!
//! ```ignore
//! fn fresh() -> store::conformance::Fresh { … }
//! store::conformance!(crate::sqlite::fresh);
//! ```
//!
//! Time is a number that cases move by hand; nothing sleeps. After every case the store must be sound.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, in a library so that every back end can have them"
)]

pub mod admit;
pub mod agents;
pub mod books;
pub mod cache;
pub mod change;
pub mod claim;
pub mod curbs;
pub mod events;
pub mod finish;
pub mod graph;
pub mod joins;
pub mod lab;
pub mod letters;
pub mod lists;
pub mod locks;
pub mod moves;
pub mod new;
pub mod orders;
pub mod races;
pub mod replans;
pub mod retention;
pub mod runs;
pub mod time;
pub mod turns;
pub mod wide;
pub mod words;

pub use lab::{Fresh, Lab};

/// Runs one case and what must hold after each.
pub fn run<F: Future<Output = ()>>(case: fn(Lab) -> F, fresh: fn() -> Fresh) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let fresh = fresh();
        let lab = Lab::new(fresh.store.clone());
        case(lab.clone()).await;
        lab.assert_sound().await;
    });
}

/// Makes a `#[test]` of every case. The argument is the absolute path of a `fn() -> Fresh`.
#[macro_export]
macro_rules! conformance {
    ($fresh:path) => {
        $crate::conformance!(@table tests $fresh);
    };
    // The one list of all cases: whoever adds one names it here.
    (@table $what:ident $($with:path)?) => {
        $crate::conformance! { @$what $($with)?;
            admit:
                a_task_without_prerequisites_is_ready
                a_task_with_open_prerequisites_is_blocked
                met_prerequisites_do_not_block
                beside_met_prerequisites_the_open_ones_count
                a_cycle_is_refused_with_its_path
                a_batch_may_name_its_own_tasks_by_id
                a_self_edge_is_refused
                missing_prerequisites_are_listed
                a_failed_prerequisite_is_refused
                a_failed_prerequisite_is_accepted_by_those_that_can_go_on
                an_id_is_given_once
                score_and_depth_are_set
                new_dependents_raise_the_score
                equal_edges_collapse
                contradicting_edges_are_refused
                limits_hold
                a_refused_batch_leaves_nothing
                what_was_admitted_comes_back
                a_repeated_admission_answers_as_the_first
                projects_are_apart;
            claim:
                the_highest_score_goes_first
                equal_scores_go_by_time_and_number
                an_empty_line_is_an_empty_answer
                blocked_tasks_are_not_found
                a_claim_may_start_or_only_assign
                a_start_may_be_told_later
                a_claim_may_hold_some_ahead
                nothing_is_held_ahead_that_others_count_on
                no_more_than_asked_for
                deadlines_press
                people_go_before_agents
                needs_are_all_needed
                a_pinned_task_waits_for_its_agent
                kinds_and_executors_are_chosen
                a_claim_of_a_run_takes_nothing_else
                a_task_is_claimed_by_name
                a_stale_token_opens_nothing
                an_expired_lease_is_refused_at_once
                renewing_keeps_the_lease
                a_token_fits_its_task_only
                releasing_costs_no_attempt
                a_dead_worker_loses_what_it_had_and_nothing_else
                the_third_lost_lease_is_the_last;
            change:
                a_key_is_for_one_request
                an_unknown_task_is_named
                cancelling_is_idempotent
                an_ended_task_is_not_cancelled
                suspending_is_idempotent
                a_suspended_attempt_keeps_its_lease
                a_suspended_task_without_an_attempt_returns_where_it_belongs
                the_death_of_a_suspended_attempt_is_no_fault
                refusals_name_the_way
                requests_of_one_call_see_each_other
                a_refused_request_does_not_stop_the_others
                breakpoints_are_answered
                an_unanswered_breakpoint_answers_itself
                a_task_is_given_to_an_agent
                a_new_priority_is_a_new_place
                progress_is_shown;
            finish:
                completing_keeps_the_result
                completing_without_starting_starts
                a_second_completion_is_refused
                a_repeated_completion_answers_as_the_first
                failing_keeps_the_message
                a_failure_is_tried_again
                hopeless_failures_are_not_tried_again
                the_holder_may_forbid_another_try
                a_dropped_letter_stays_failed
                retrying_gives_a_fresh_budget;
            graph:
                a_line
                a_fan_out_and_in
                a_diamond_waits_for_both_sides
                only_the_newly_unblocked_are_told
                a_failure_cascades_to_the_end
                a_failure_in_the_middle_leaves_the_beginning
                one_side_of_a_diamond_fails
                a_layered_graph_runs_through
                the_roots_of_a_thousand
                an_alert_follows_a_failure
                an_alert_that_is_not_needed_is_skipped
                a_cleanup_follows_any_end
                a_user_cancel_is_told_apart
                a_blocked_dependent_waits_for_the_retry
                a_dependent_may_go_on_regardless
                a_retry_revives_what_fell
                what_gets_another_go_waits_for_what_got_one_too
                what_is_asked_for_by_name_does_not_wait_for_a_dead_edge
                a_retry_tells_what_is_not_needed_after_all
                a_retry_blocks_what_was_unblocked
                a_suspended_dependent_keeps_count
                a_mixed_graph_of_six;
            joins:
                a_parent_completes_with_its_children
                a_parent_goes_on_after_its_children
                a_parent_need_not_wait
                a_failed_child_fails_the_join
                a_subtask_that_was_not_needed_is_no_loss
                who_waits_for_subtasks_is_cancelled_with_them
                many_subtasks_are_cancelled_with_their_parent
                a_join_without_children_is_over
                subtasks_are_bounded
                a_join_that_waits_for_itself_is_refused
                subtasks_see_what_ends_in_the_same_call;
            replans:
                a_fragment_takes_the_place_of_what_failed
                the_third_replanning_is_the_last
                what_is_no_fragment_changes_nothing
                a_fragment_goes_in_once
                a_failed_planner_fails_its_task
                nobody_plans_for_what_is_over
                an_agent_plans_no_commands;
            locks:
                exclusive_locks_exclude
                shared_locks_share
                paths_exclude_what_is_above_and_below
                all_or_none
                a_cancelled_attempt_holds_until_it_confirms
                a_cancelled_attempt_holds_until_its_lease_ends
                a_suspended_attempt_holds
                a_waiter_that_leaves_wakes_the_next
                limits_count
                waiters_go_by_their_place
                everybody_gets_through
                a_broken_lock_waits_for_its_holder_to_stop
                a_broken_lock_is_free_when_its_lease_ends
                a_lock_may_be_broken_at_once
                held_names_are_listed;
            orders:
                one_order_holds_for_all
                a_new_order_is_for_those_in_line_too
                a_new_priority_counts_by_the_order
                more_are_in_line_than_a_tick_scores
                waiting_lifts
                an_order_that_makes_no_sense_is_refused
                tries_that_a_task_does_not_name;
            runs:
                counts_follow_the_tasks
                a_run_finishes_once
                failures_and_skips_are_told_apart
                a_failed_run_may_be_cancelled_and_a_good_one_not
                a_run_without_tasks_has_succeeded
                a_cancelled_run_stays_cancelled
                a_retry_resumes_the_run
                superseded_tasks_no_longer_count
                what_waits_for_a_superseded_task_learns_it
                runs_are_listed_newest_first
                of_two_submissions_at_once_one_looks_again
                keys_lead_to_the_newest_run
                subtasks_take_no_name_of_a_planned_task
                subtasks_join_the_run_of_their_parent;
            events:
                every_move_is_an_event
                numbers_have_no_gaps
                a_history_is_a_thread_of_the_log
                refusals_leave_no_trace
                events_name_what_they_are_about;
            turns:
                keys_take_turns
                a_full_key_holds_up_nobody
                a_turn_is_passed_on
                a_key_has_a_rate
                who_is_overtaken_reserves
                who_stands_before_is_not_held_back
                the_order_of_the_line_is_no_overtaking
                a_reservation_has_an_end
                who_waits_for_a_slot_reserves_nothing
                an_idle_reservation_is_given_up
                a_reservation_goes_with_its_task
                who_needs_much_is_kept_room_for;
            time:
                a_task_waits_for_its_time
                a_try_waits_for_its_back_off
                scores_rise_with_the_clock
                leases_ignore_the_wall_clock
                the_next_moment_is_told
                a_suspended_wait_is_not_woken
                a_retry_may_be_later
                a_deadline_counts_what_such_work_usually_takes;
            lists:
                pages_follow_each_other
                who_is_asked_for_twice_is_shown_twice
                filters_choose
                neighbours_are_shown
                edges_among_some
                results_are_collected
                places_in_line_are_counted
                leases_are_listed
                the_status_adds_up
                an_empty_project_reads_as_empty;
            cache:
                a_result_is_found_until_it_expires
                the_least_recently_used_goes
                a_new_result_replaces_the_old;
            wide:
                more_dependents_than_one_transaction_settles
                a_newcomer_during_settling_is_counted_once
                a_deep_chain_fails_without_recursion
                a_deep_chain_is_cancelled_and_revived
                a_wide_join;
            letters:
                equal_causes_are_counted_together
                letters_leave_their_count
                a_letter_calls_for_help
                what_falls_with_a_letter_is_counted
                so_many_causes_are_told_apart;
            curbs:
                a_breaker_holds_tasks_and_lets_probes_through
                breakers_follow_what_they_are_for
                what_holds_an_agent_back_holds_for_all_that_it_takes
                a_breaker_is_closed_by_hand
                so_many_at_once
                so_many_in_a_time
                resources_are_not_given_twice
                what_an_attempt_may_use_is_reserved
                a_used_up_budget_asks_once
                a_soft_limit_asks_somebody
                an_attempt_that_goes_over_its_cap_waits
                settings_that_make_no_sense_are_refused;
            agents:
                an_agent_is_found_what_it_can_do
                an_agent_holds_no_more_than_its_capacity
                what_an_agent_gives_up_is_for_anybody
                work_is_routed_to_who_has_room
                an_agent_that_comes_late_has_what_it_has
                a_lock_is_handed_on_past_an_agent
                work_for_a_team_is_done_by_its_members
                who_was_chosen_need_not_be_fit
                teams_that_make_no_sense_are_refused
                profiles_that_make_no_sense_are_refused;
            books:
                entries_are_kept_in_order_of_their_keys
                what_is_due_is_found
                an_edit_goes_by_what_it_expects
                one_leads_at_a_time;
            moves:
                a_live_project_moves_and_goes_on
                an_interrupted_move_goes_on
                an_aborted_move_can_be_made_again
                a_target_of_its_own_is_left_alone;
            retention:
                what_ended_long_ago_goes
                what_is_still_needed_stays
                a_large_run_goes_piece_by_piece
                a_family_goes
                the_log_begins_later
                answers_are_forgotten
                numbers_are_given_once
                one_project_at_a_time
                a_pruned_project_moves;
            races:
                a_task_is_given_once
                completions_at_once
                admissions_at_once
                one_completion_wins
                a_change_wakes_who_waits
                dropped_callers_do_not_matter;
        }
    };
    (@tests $fresh:path; $($group:ident: $($case:ident)*;)*) => {
        $(mod $group {
            $(
                #[test]
                fn $case() {
                    $crate::conformance::run($crate::conformance::$group::$case, $fresh);
                }
            )*
        })*
    };
    (@names; $($group:ident: $($case:ident)*;)*) => {
        &[$((stringify!($group), &[$(stringify!($case)),*])),*]
    };
}

/// Every group with its cases.
pub const TABLE: &[(&str, &[&str])] = conformance!(@table names);
