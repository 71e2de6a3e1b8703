//! Completed tasks whose execution is busy.
//!
//! The reports of one execution take turns, because the conductor's memory of it is one row. A report waits for its turn only if
//! its answer depends on it. That a task is completed does not: if somebody else has locked the execution, such a report ends the
//! task's row, is noted as pending, and is answered. Whoever locks the execution next takes pending reports up first, in the order
//! of completion, so what contends becomes larger batches. Nobody knows of a report that is noted until its transaction commits:
//! one that whoever holds the lock could not see is taken up by the next report, claim or tick that finds the execution free.

use crate::cache::claimed_tasks::Place;
use crate::engine::report::{Answer, Outcome, Refusal, Row, WorkerReport};
use crate::error::Error;
use crate::pg::caller;
use crate::pg::jsonb::Jsonb;
use crate::pg::skip_ri_checks;
use crate::pg::statements;
use conductor::engine::state::TaskEnd;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of pending reports that one call takes up; the next tick takes up the rest.
const MOST_TAKEN: i64 = 10_000;

/// Returns the executions of which nothing is reported but final successes: these reports can be pending.
pub fn may_be_pending(outcomes: &[Outcome], places: &BTreeMap<i64, Place>) -> BTreeSet<i64> {
    let (mut may, mut must_wait) = (BTreeSet::new(), BTreeSet::new());
    for outcome in outcomes {
        let Some(place) = outcome.task.and_then(|task| places.get(&task)) else { continue };
        // What is refused whatever its execution says need not wait either.
        if place.is_final && outcome.is_done() || outcome.is_too_much() {
            may.insert(place.run);
        } else {
            must_wait.insert(place.run);
        }
    }
    may.retain(|run| !must_wait.contains(run));
    may
}

/// Notes reports of busy executions whose tasks have been ended.
pub fn note(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    role: Oid,
    outcomes: &[Outcome],
    busy: &BTreeSet<i64>,
) -> Result<(), Error> {
    let run = |outcome: &Outcome| outcome.row.as_ref().map(|row| row.workflow_execution);
    let done = outcomes.iter().filter(|outcome| outcome.completed);
    let noted = done.filter_map(|outcome| outcome.task.zip(run(outcome))).filter(|(_, run)| busy.contains(run));
    let (tasks, runs): (Vec<i64>, Vec<i64>) = noted.unzip();
    if tasks.is_empty() {
        return Ok(());
    }
    // Nobody removes the execution of a task that this transaction has ended.
    skip_ri_checks::known_to_hold(c"pending_report", &[c"workflow_execution"], || {
        let arguments = [tasks.into(), runs.into(), now.into(), caller::name_of(role).into()];
        statements::run(client, include_str!("../../queries/insert_pending_reports.sql"), &arguments)
    })?;
    Ok(())
}

/// Removes pending reports of executions that are locked and returns them, those first that were completed first.
pub fn take(client: &SpiClient, runs: Vec<i64>) -> Result<Vec<Outcome>, Error> {
    let mut taken = Vec::new();
    if runs.is_empty() {
        return Ok(taken);
    }
    let arguments = [runs.into(), MOST_TAKEN.into()];
    let mut rows = statements::run(client, include_str!("../../queries/take_pending_reports.sql"), &arguments)?;
    while rows.next().is_some() {
        let completed = rows.get::<TimestampWithTimeZone>(16)?;
        let row = completed.map(|at| Row::read(&rows, at, "running".to_owned())).transpose()?;
        let (task, result, error) = (rows.get::<i64>(1)?, rows.get::<Jsonb>(17)?, rows.get::<Jsonb>(18)?);
        let (report, role) = (WorkerReport { task, result, error, ..WorkerReport::default() }, rows.get::<String>(19)?);
        taken.extend(row.map(|row| Outcome::pending(report, row, role)));
    }
    Ok(taken)
}

/// Returns the answer to a report of a busy execution.
pub fn answer(outcome: &Outcome) -> Answer {
    outcome.answer(match outcome.judge() {
        _ if outcome.completed => Ok(TaskEnd::Completed.name().to_owned()),
        Err(answer) => answer,
        Ok(_) => {
            let message = format!("task {} changed while it was being reported", outcome.task.unwrap_or_default());
            Err(Refusal { code: "WF616", message })
        }
    })
}
