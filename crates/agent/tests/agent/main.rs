//! The agent with real processes, against a manager that speaks the protocol over real HTTP.
//!
//! This binary is three things: the tests, the shim of the attempts, and the agent process that the tests kill.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod full;
mod logs;
mod manager;
#[path = "../../../store-sqlite/tests/mount/mod.rs"]
mod mount;
mod orders;
mod site;
mod survival;
mod walking;

use libtest_mimic::{Arguments, Trial};
use std::{path::PathBuf, process::ExitCode, sync::Arc};
use tokio_util::sync::CancellationToken;

/// One trial per test, in a runtime of its own.
macro_rules! trials {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || {
            let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
            runtime.block_on($module::$name());
            runtime.shutdown_background();
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("shim") => return tenantry_agent::shim::main(&PathBuf::from(&args[2])),
        Some("agent") => return agent(&PathBuf::from(&args[2]), &args[3]),
        _ => {}
    }
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    }
    let mut trials = trials![
        walking::a_hook_runs_from_the_order_to_its_end_with_its_files_its_log_and_its_outputs,
        orders::an_order_that_is_delivered_twice_runs_the_hook_once,
        orders::a_kill_before_the_start_means_never_start_also_for_the_next_agent,
        orders::a_kill_reaches_the_whole_group_and_what_left_it,
        orders::a_hook_that_ends_nicely_when_asked_has_its_own_exit_code,
        orders::what_a_hook_leaves_in_the_background_ends_with_it_as_in_a_container,
        orders::templates_that_a_process_cannot_run_are_refused_with_the_reason,
        orders::a_version_that_the_region_does_not_have_is_told_as_gone,
        orders::a_template_that_changed_after_the_plan_is_run_as_it_was_planned,
        orders::the_object_store_is_a_folder_and_a_restore_reads_what_the_backup_wrote,
        orders::reports_whose_answer_got_lost_change_nothing_when_they_come_again,
        orders::commands_whose_answer_got_lost_are_asked_for_again_and_carried_out_once,
        orders::the_inventory_is_whole_at_the_beginning_of_a_session_and_says_what_cannot_be_read,
        survival::an_agent_that_is_killed_finds_its_running_hook_and_its_exit_code,
        survival::a_hook_that_ends_while_no_agent_lives_is_reported_by_the_next_one,
        survival::an_agent_that_lost_its_folder_finds_the_attempts_that_the_manager_names,
        survival::an_agent_that_lost_its_folder_takes_no_template_for_gone_before_it_has_looked,
        survival::an_attempt_that_vanished_is_told_as_unknown_never_as_over,
        survival::an_attempt_that_the_manager_lost_sight_of_is_told_again_when_it_is_found,
        survival::a_killed_shim_is_unknown_while_a_process_of_the_hook_lives_and_lost_after_that,
        survival::a_site_that_is_cut_off_finishes_what_it_started_and_reports_later,
        survival::an_agent_that_gets_sigterm_leaves_its_hooks_running,
        survival::the_timeout_is_kept_also_while_the_manager_is_out_of_reach,
        survival::log_text_over_the_limit_is_cut_oldest_first_and_facts_never,
        survival::a_second_agent_in_the_same_folder_is_refused,
        survival::an_agent_whose_credential_is_revoked_watches_on_and_goes_on_when_it_is_good_again,
        survival::two_agents_of_one_region_do_not_fight_for_ever,
        logs::a_line_of_ten_megabytes_survives,
        logs::a_runaway_hook_fills_no_disk_and_its_log_says_what_is_left_out,
        logs::binary_output_survives_byte_for_byte,
        logs::secrets_are_masked_in_the_log_and_on_no_disk,
        logs::config_maps_claims_and_scratch_folders_stand_for_the_clusters,
        logs::a_bad_output_file_is_a_failure_that_says_what_to_do,
        logs::a_thousand_short_hooks_all_end_and_leave_no_folder_behind,
    ];
    let mounts = mount::may_mount();
    let full = trials![
        full::a_hook_that_ends_on_a_full_disk_is_told_of_and_its_log_says_what_is_missing,
        full::a_template_that_comes_on_a_full_disk_is_told_of_when_there_is_room,
    ];
    trials.extend(full.into_iter().map(|trial| trial.with_ignored_flag(!mounts)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn agent(root: &std::path::Path, url: &str) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shutdown = CancellationToken::new();
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            term.recv().await;
            stop.cancel();
        });
        let executor = Arc::new(site::executor(root));
        let result = tenantry_agent::Agent::run(site::config(root, url), executor, shutdown).await;
        result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    })
}
