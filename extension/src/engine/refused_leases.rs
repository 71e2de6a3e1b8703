//! Lease tokens that were refused: stale ones, which do no harm, and guesses, which somebody should hear of.
//!
//! The server's log is told of each call that gave one, because a caller can undo everything else by a rollback. Where a call
//! answers with refusals, rather than raising one, it leaves an event as well. Neither ever has the token.

use crate::engine::report::Answer;
use crate::error::Error;
use crate::pg::caller;
use crate::pg::clock;
use crate::pg::id;
use crate::pg::statements;
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// How many tasks are named.
const MOST_NAMED: usize = 10;

/// The code of a refused token.
pub const CODE: &str = "WF615";

/// Tells the server's log that this call gave lease tokens that are not those of these tasks.
pub fn log(role: Oid, tasks: &[i64]) {
    let (role, count) = (caller::name_of(role), tasks.len());
    let message = match count {
        1 => format!("{CODE}: role {role} gave a wrong or stale lease token"),
        _ => format!("{CODE}: role {role} gave {count} wrong or stale lease tokens"),
    };
    let named = names(tasks).join(", ");
    let more = if count > MOST_NAMED { ", …" } else { "" };
    let report = ErrorReport::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, message, "");
    report.set_detail(format!("tasks: {named}{more}")).report(PgLogLevel::LOG_SERVER_ONLY);
}

/// Tells of the tokens that these answers refuse: in the server's log, and as one event of the first task's execution.
pub fn tell_answers(role: Oid, answers: &[Answer], worker: Option<&str>) -> Result<(), Error> {
    let is_refused = |answer: &&Answer| answer.refusal.as_ref().is_some_and(|refusal| refusal.code == CODE);
    let tasks: Vec<i64> = answers.iter().filter(is_refused).filter_map(|answer| answer.task).collect();
    tell(role, &tasks, worker)
}

/// Tells of refused tokens of these tasks: in the server's log, and as one event of the first task's execution.
pub fn tell(role: Oid, tasks: &[i64], worker: Option<&str>) -> Result<(), Error> {
    let Some(first) = tasks.first() else { return Ok(()) };
    log(role, tasks);
    let arguments = [
        id::part(*first).into(),
        (*first).into(),
        (tasks.len() as i32).into(),
        names(tasks).into(),
        worker.into(),
        caller::name_of(role).into(),
        clock::now()?.into(),
    ];
    Spi::connect(|client| {
        statements::run(client, include_str!("../../queries/log_refused.sql"), &arguments).map(|_| ())
    })
}

/// Returns the first few tasks, each once.
fn names(tasks: &[i64]) -> Vec<String> {
    let mut named: Vec<i64> = Vec::new();
    for task in tasks {
        if named.len() < MOST_NAMED && !named.contains(task) {
            named.push(*task);
        }
    }
    named.iter().map(i64::to_string).collect()
}
