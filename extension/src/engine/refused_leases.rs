//! Refused lease tokens: stale ones, which are harmless, and guesses, which should be brought to someone's attention.
//!
//! Each call that passes such a token is reported in the server's log, because the caller can undo everything else with
//! a rollback. If the call answers with refusals rather than raising an error, it also leaves an event. Neither ever
//! contains the token.

use crate::engine::task_report::Answer;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::id;
use crate::pg::role;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Maximum number of tasks named.
const MAX_NAMED: usize = 10;

/// Reports in the server's log that this call passed lease tokens that do not belong to these tasks.
pub fn log(role: Oid, tasks: &[i64]) {
    let (code, role, count) = (Code::STALE_LEASE, role::name_of(role), tasks.len());
    let message = match count {
        1 => format!("{code}: role {role} used a wrong or stale lease token"),
        _ => format!("{code}: role {role} used {count} wrong or stale lease tokens"),
    };
    let named = names(tasks).join(", ");
    let more = if count > MAX_NAMED { ", …" } else { "" };
    let report = ErrorReport::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, message, "");
    report.set_detail(format!("tasks: {named}{more}")).report(PgLogLevel::LOG_SERVER_ONLY);
}

/// Reports the tokens that these answers refuse, in the server's log and as one event on the first task's execution.
pub fn record_refusals(role: Oid, answers: &[Answer], worker: Option<&str>) -> Result<(), Error> {
    let is_refused =
        |answer: &&Answer| answer.refusal.as_ref().is_some_and(|refusal| refusal.code == Code::STALE_LEASE);
    let tasks: Vec<i64> = answers.iter().filter(is_refused).filter_map(|answer| answer.task).collect();
    report(role, &tasks, worker)
}

/// Reports refused tokens for these tasks, in the server's log and as one event on the first task's execution.
pub fn report(role: Oid, tasks: &[i64], worker: Option<&str>) -> Result<(), Error> {
    let Some(first) = tasks.first() else { return Ok(()) };
    log(role, tasks);
    let arguments = [
        id::part(*first).into(),
        (*first).into(),
        (tasks.len() as i32).into(),
        names(tasks).into(),
        worker.into(),
        role::name_of(role).into(),
        clock::now()?.into(),
    ];
    Spi::connect(|client| {
        statements::run(client, include_str!("../../queries/log_refused.sql"), &arguments).map(|_| ())
    })
}

/// Returns the first few tasks without duplicates.
fn names(tasks: &[i64]) -> Vec<String> {
    let mut named: Vec<i64> = Vec::new();
    for task in tasks {
        if named.len() < MAX_NAMED && !named.contains(task) {
            named.push(*task);
        }
    }
    named.iter().map(i64::to_string).collect()
}
