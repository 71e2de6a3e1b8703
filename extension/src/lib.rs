//! pg_workflow: a durable workflow engine inside PostgreSQL.
//!
//! The SQL of the extension is in `/sql`, one file per subject; the decisions are made by the `conductor` crate. This
//! crate is the thin layer in between: it loads what a decision needs and writes the decisions, in sets rather than row
//! by row.

// ErrorReport and the types of table functions come from pgrx; their size is beyond our control.
#![allow(clippy::result_large_err, clippy::type_complexity)]

use pgrx::prelude::*;
use std::ffi::CStr;

mod api;
mod argument;
mod background;
mod cache;
mod caller;
mod engine;
mod error;
mod limits;
mod pg;
mod queue;
mod settings;
mod store;

// An error crosses PostgreSQL's C frames as a Rust panic that pgrx catches: aborting would take the server down.
#[cfg(not(panic = "unwind"))]
compile_error!("pg_workflow must be built with panic = \"unwind\"");

/// Version shown by PostgreSQL 18's `pg_get_loaded_modules`.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("the version contains a NUL"),
};

// Both values are given explicitly: in its short form, pgrx 0.18.1 stores the version as the name.
::pgrx::pg_module_magic!(name = c"pg_workflow", version = VERSION);

/// Decisions work on many small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

extension_sql_file!("../../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../../sql/statistics.sql", name = "statistics", requires = ["schema"]);
extension_sql_file!("../../sql/revoke.sql", name = "revoke", finalize);
extension_sql_file!("../../sql/internal_functions.sql", name = "internal_functions", requires = ["schema"]);
extension_sql_file!("../../sql/argument_checks.sql", name = "argument_checks", requires = ["internal_functions"]);
extension_sql_file!("../../sql/views.sql", name = "views", requires = ["internal_functions"]);
extension_sql_file!("../../sql/pack.sql", name = "pack", requires = ["argument_checks"]);
extension_sql_file!("../../sql/definition.sql", name = "definition", requires = ["argument_checks"]);
extension_sql_file!("../../sql/action.sql", name = "action", requires = ["argument_checks"]);
extension_sql_file!("../../sql/execution.sql", name = "execution", requires = ["argument_checks"]);
extension_sql_file!(
    "../../sql/workflow_execution.sql",
    name = "workflow_execution",
    requires = ["argument_checks", "views"]
);
extension_sql_file!("../../sql/task_execution.sql", name = "task_execution", requires = ["argument_checks", "views"]);

extension_sql_file!("../../sql/define.sql", name = "define", requires = ["argument_checks", "limits"]);
extension_sql_file!("../../sql/limits.sql", name = "limits", requires = ["argument_checks"]);
extension_sql_file!("../../sql/fairness.sql", name = "fairness", requires = ["argument_checks"]);
extension_sql_file!("../../sql/work.sql", name = "work", requires = ["argument_checks"]);
extension_sql_file!("../../sql/work_json.sql", name = "work_json", requires = ["work"]);
extension_sql_file!("../../sql/parts.sql", name = "parts", requires = ["internal_functions"]);
extension_sql_file!("../../sql/move_part.sql", name = "move_part", requires = ["parts", "schedule"]);
extension_sql_file!(
    "../../sql/replicated_definitions.sql",
    name = "replicated_definitions",
    requires = ["action", "definition", "hook", "retention"]
);
extension_sql_file!("../../sql/start.sql", name = "start", requires = ["argument_checks"]);
extension_sql_file!("../../sql/attributes.sql", name = "attributes", requires = ["argument_checks"]);
extension_sql_file!("../../sql/search.sql", name = "search", requires = ["views"]);
extension_sql_file!("../../sql/by_key.sql", name = "by_key", requires = ["control", "signal", "status"]);
extension_sql_file!("../../sql/bulk.sql", name = "bulk", requires = ["by_key", "prune"]);
extension_sql_file!("../../sql/bulk_job.sql", name = "bulk_job", requires = ["bulk", "search"]);
extension_sql_file!("../../sql/erase.sql", name = "erase", requires = ["prune"]);
extension_sql_file!("../../sql/schedule.sql", name = "schedule", requires = ["start"]);
extension_sql_file!("../../sql/hook.sql", name = "hook", requires = ["start"]);
extension_sql_file!("../../sql/tick.sql", name = "tick", requires = ["control"]);
extension_sql_file!("../../sql/ticker.sql", name = "ticker", requires = ["tick"]);
extension_sql_file!("../../sql/control.sql", name = "control", requires = ["work"]);
extension_sql_file!("../../sql/signal.sql", name = "signal", requires = ["work", "status"]);
extension_sql_file!("../../sql/notify.sql", name = "notify", requires = ["work"]);
extension_sql_file!("../../sql/event.sql", name = "event", requires = ["work"]);
extension_sql_file!("../../sql/retention.sql", name = "retention", requires = ["argument_checks"]);
extension_sql_file!("../../sql/prune.sql", name = "prune", requires = ["retention"]);
extension_sql_file!("../../sql/status.sql", name = "status", requires = ["views"]);
extension_sql_file!("../../sql/wait.sql", name = "wait", requires = ["status"]);
extension_sql_file!("../../sql/grants.sql", name = "grants", requires = ["argument_checks"]);
extension_sql_file!("../../sql/why_deadlock.sql", name = "why_deadlock", requires = ["status", "limits"]);
extension_sql_file!("../../sql/why_tasks.sql", name = "why_tasks", requires = ["why_deadlock"]);
extension_sql_file!("../../sql/why.sql", name = "why", requires = ["why_tasks"]);
extension_sql_file!("../../sql/timeline.sql", name = "timeline", requires = ["status"]);
extension_sql_file!("../../sql/monitoring.sql", name = "monitoring", requires = ["views", "retention"]);
extension_sql_file!("../../sql/execution_statistics.sql", name = "execution_statistics", requires = ["views"]);
extension_sql_file!("../../sql/metrics.sql", name = "metrics", requires = ["monitoring", "limits"]);

/// Runs once when the library is loaded: in the server's first process if it is preloaded, otherwise in a session's.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if let Err(error) = pg::preconditions::refuse_load() {
        error.report(PgLogLevel::ERROR);
    }
    settings::register();
    background::ticker::register_launcher();
    pg::relation::listen();
    pg::transaction::listen();
    pg::user_code::listen();
    cache::actions::listen();
    cache::foreign_parts::listen();
    cache::graphs::listen();
    cache::hooks::listen();
    pg::role::listen();
    cache::worker_parts::listen();
    queue::hints::listen();
    conductor::interrupt::set(|| {
        pgrx::check_for_interrupts!();
    });
}
