//! pg_workflow: a durable workflow engine inside PostgreSQL.
//!
//! The SQL of the extension is in `/sql`, one file a subject; what decides is in the `conductor` crate. This crate is
//! the thin layer between: it loads what a decision needs and writes what was decided, set-wise.

// ErrorReport and the types of table functions are pgrx's: they are as large as they are.
#![allow(clippy::result_large_err, clippy::type_complexity)]

use pgrx::prelude::*;

mod advance;
mod claim;
mod clock;
mod control;
mod cron;
mod define;
mod diagram;
mod dispatch;
mod error;
mod family;
mod finish;
mod foreign_keys;
mod given;
mod graphs;
mod hand_over;
mod id;
mod jsonb;
mod plans;
mod queue_head;
mod queue_part;
mod random;
mod relation;
mod report;
mod rerun;
mod row_relation;
mod row_set;
mod rows;
mod run;
mod settings;
mod start;
mod task_lists;
mod ticker;
mod uncounted;
mod work;
mod workflow_actions;
mod write;

::pgrx::pg_module_magic!();

/// What a step is decided from is many small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

extension_sql_file!("../../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../../sql/statistics.sql", name = "statistics", finalize);
extension_sql_file!("../../sql/functions.sql", name = "functions", requires = ["schema"]);
extension_sql_file!("../../sql/checks.sql", name = "checks", requires = ["functions"]);
extension_sql_file!("../../sql/views.sql", name = "views", requires = ["functions"]);
extension_sql_file!("../../sql/pack.sql", name = "pack", requires = ["checks"]);
extension_sql_file!("../../sql/definition.sql", name = "definition", requires = ["checks"]);
extension_sql_file!("../../sql/action.sql", name = "action", requires = ["checks"]);
extension_sql_file!("../../sql/execution.sql", name = "execution", requires = ["checks"]);
extension_sql_file!("../../sql/workflow_execution.sql", name = "workflow_execution", requires = ["checks", "views"]);
extension_sql_file!("../../sql/task_execution.sql", name = "task_execution", requires = ["checks", "views"]);

extension_sql_file!("../../sql/define.sql", name = "define", requires = ["checks"]);
extension_sql_file!("../../sql/work.sql", name = "work", requires = ["checks"]);
extension_sql_file!("../../sql/start.sql", name = "start", requires = ["checks"]);
extension_sql_file!("../../sql/schedule.sql", name = "schedule", requires = ["start"]);
extension_sql_file!("../../sql/tick.sql", name = "tick", requires = ["control"]);
extension_sql_file!("../../sql/ticker.sql", name = "ticker", requires = ["tick"]);
extension_sql_file!("../../sql/control.sql", name = "control", requires = ["work"]);
extension_sql_file!("../../sql/signal.sql", name = "signal", requires = ["work", "status"]);
extension_sql_file!("../../sql/notify.sql", name = "notify", requires = ["work"]);
extension_sql_file!("../../sql/event.sql", name = "event", requires = ["work"]);
extension_sql_file!("../../sql/prune.sql", name = "prune", requires = ["checks"]);
extension_sql_file!("../../sql/status.sql", name = "status", requires = ["views"]);
extension_sql_file!("../../sql/wait.sql", name = "wait", requires = ["status"]);
extension_sql_file!("../../sql/grants.sql", name = "grants", requires = ["checks"]);
extension_sql_file!("../../sql/why.sql", name = "why", requires = ["status"]);
extension_sql_file!("../../sql/timeline.sql", name = "timeline", requires = ["status"]);
extension_sql_file!("../../sql/monitoring.sql", name = "monitoring", requires = ["views"]);

/// Runs once when the library is loaded: in the server's first process, where it is preloaded, or in a session's.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::register();
    ticker::register_launcher();
    relation::listen();
    workflow_actions::listen();
    conductor::interrupt::set(|| {
        pgrx::check_for_interrupts!();
    });
}
