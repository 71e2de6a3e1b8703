//! Completed tasks whose execution is busy.
//!
//! Reports on one execution are serialized, because the conductor's state is a single row. A report waits for its turn
//! only if its answer depends on that state. A completion does not: if someone else has locked the execution, the
//! report ends the task's row, is recorded as pending, and is answered. Whoever locks the execution next processes
//! pending reports first, in the order of completion, so contention results in larger batches. A pending report is not
//! visible until its transaction commits: one that the current lock holder could not see is processed by the next
//! report, claim or tick that finds the execution free.

use crate::engine::task_report::{Answer, Row, TaskReport, WorkerReport};
use crate::error::{Error, Refusal};
use crate::pg::jsonb::Jsonb;
use crate::pg::role;
use crate::pg::skip_ri_checks;
use crate::pg::statements;
use crate::store::claimed_tasks::Place;
use conductor::code::Code;
use conductor::engine::status::TaskEnd;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of pending reports that one call processes; the next tick processes the rest.
const MAX_TAKEN: i64 = 10_000;

/// Returns the executions for which only final successes are reported: these reports can be pending.
pub fn may_be_pending(outcomes: &[TaskReport], places: &BTreeMap<i64, Place>) -> BTreeSet<i64> {
    let (mut may, mut must_wait) = (BTreeSet::new(), BTreeSet::new());
    for outcome in outcomes {
        let Some(place) = outcome.task.and_then(|task| places.get(&task)) else { continue };
        // A report that is refused regardless of its execution's state need not wait either.
        if place.is_final && outcome.is_done() || outcome.exceeds_bounds() {
            may.insert(place.run);
        } else {
            must_wait.insert(place.run);
        }
    }
    may.retain(|run| !must_wait.contains(run));
    may
}

/// Records reports on busy executions whose tasks have been ended.
pub fn note(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    role: Oid,
    outcomes: &[TaskReport],
    busy: &BTreeSet<i64>,
) -> Result<(), Error> {
    let run = |outcome: &TaskReport| outcome.row.as_ref().map(|row| row.workflow_execution);
    let done = outcomes.iter().filter(|outcome| outcome.completed);
    let noted = done.filter_map(|outcome| outcome.task.zip(run(outcome))).filter(|(_, run)| busy.contains(run));
    let (tasks, runs): (Vec<i64>, Vec<i64>) = noted.unzip();
    if tasks.is_empty() {
        return Ok(());
    }
    // Nobody can delete the execution of a task that this transaction has ended.
    skip_ri_checks::known_to_hold(c"pending_report", &[c"workflow_execution"], || {
        let arguments = [tasks.into(), runs.into(), now.into(), role::name_of(role).into()];
        statements::run(client, include_str!("../../queries/insert_pending_reports.sql"), &arguments)
    })?;
    Ok(())
}

/// Removes pending reports of locked executions and returns them in the order of completion.
pub fn take(client: &SpiClient, runs: Vec<i64>) -> Result<Vec<TaskReport>, Error> {
    let mut taken = Vec::new();
    if runs.is_empty() {
        return Ok(taken);
    }
    let arguments = [runs.into(), MAX_TAKEN.into()];
    let mut rows = statements::run(client, include_str!("../../queries/take_pending_reports.sql"), &arguments)?;
    while rows.next().is_some() {
        let completed = rows.get::<TimestampWithTimeZone>(16)?;
        let row = completed.map(|at| Row::read(&rows, at, "running".to_owned())).transpose()?;
        let (task, result, error) = (rows.get::<i64>(1)?, rows.get::<Jsonb>(17)?, rows.get::<Jsonb>(18)?);
        let (report, role) = (WorkerReport { task, result, error, ..WorkerReport::default() }, rows.get::<String>(19)?);
        taken.extend(row.map(|row| TaskReport::pending(report, row, role)));
    }
    Ok(taken)
}

/// Returns the answer to a report on a busy execution.
pub fn answer(outcome: &TaskReport) -> Answer {
    outcome.answer(match outcome.judge() {
        _ if outcome.completed => Ok(TaskEnd::Completed.name().to_owned()),
        Err(answer) => answer,
        Ok(_) => {
            let message = format!("task {} changed while it was being reported", outcome.task.unwrap_or_default());
            Err(Refusal { code: Code::NOT_FOUND, message })
        }
    })
}
