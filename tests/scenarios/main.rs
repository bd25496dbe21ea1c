//! The scenarios: one test binary, with one file for each thing that happens.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by panicking, prints that it is skipped, and has no user outside"
)]

mod agent_fails;
mod aider_end_to_end;
mod attack_by_excess;
mod attack_by_text;
mod attack_on_the_machine;
mod attack_over_the_network;
mod attack_through_git;
mod aws_side_is_applied;
mod aws_side_is_planned;
mod branch_is_in_the_way;
mod change_is_taken_over;
mod change_is_tested;
mod checks_decide;
mod day_of_an_operator;
mod dead_letters_are_redriven;
mod demo_and_tools;
mod disk_is_full;
mod disk_is_slow;
mod doctor_answers;
mod draft_becomes_ready;
mod everything_on_one_laptop;
mod exit_codes;
mod few_programs_are_started;
mod forge_fails;
mod forge_has_an_outage;
mod hours_pass;
mod issue_becomes_pull_request;
mod issue_is_labelled_again;
mod issue_is_queued;
mod it_is_set_up;
mod it_speaks_japanese;
mod journal_is_only_read;
mod lease_is_lost;
mod linters_find_nothing;
mod locks_are_left;
mod log_lines_name_their_run;
mod machine_sleeps;
mod machine_stays_awake;
mod message_is_refused;
mod older_data_is_opened;
mod programs_are_left_running;
mod programs_flood;
mod queue_is_killed;
mod queue_is_served;
mod queue_misbehaves;
mod real_aider;
mod red_work_stays_apart;
mod repository_is_renamed;
mod runs_are_explained;
mod sandbox_is_asked_for;
mod secrets_are_redacted;
mod sentences_are_true;
mod state_has_a_place;
mod storm;
mod task_is_called_off;
mod tasks_are_shared;
mod worker_is_killed;
mod worker_is_stopped;
mod worker_tells_how_it_is;
mod world;
mod world_is_left_clean;
