//! Updating executions after a batch. A single execution has its own statements with plain values, because passing a
//! row as a relation costs about as much as writing it.

use super::batch::{Batch, ExecutionRow, RunRow};
use crate::error::Error;
use crate::pg::clock::after;
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, Value, value};
use crate::store::task_lists;
use conductor::engine::cause::Cause;
use conductor::view::task_lists::TaskLists;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

impl Batch {
    /// Writes the conductor's state, and the publicly visible data of executions that end.
    pub(super) fn write_runs(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        let unknown = self.runs.iter().filter(|run| run.ended && run.lists.is_none());
        let lists = task_lists::load(client, &unknown.map(|run| run.id).collect::<Vec<_>>())?;
        for rerun in [false, true] {
            let runs: Vec<_> = self.runs.iter().filter(|run| run.rerun == rerun).collect();
            if runs.is_empty() {
                continue;
            }
            match &runs[..] {
                [run] if run.keeps_running() => update_run(client, now, run),
                [run] if run.is_over() => end_run(client, now, run, &lists),
                runs => update_runs(client, now, runs, rerun, &lists),
            }?;
        }
        if self.executions.is_empty() {
            return Ok(());
        }
        match &self.executions[..] {
            [execution] => update_execution(client, now, execution),
            executions => update_executions(client, now, executions),
        }
    }
}

fn update_run(client: &SpiClient, now: TimestampWithTimeZone, run: &RunRow) -> Result<(), Error> {
    let [state, variables] = [&run.state, &run.variables].map(|text| jsonb(text).into());
    let arguments = [id::part(run.id).into(), run.id.into(), state, variables, now.into()];
    statements::run(client, include_str!("../../queries/update_run.sql"), &arguments)?;
    Ok(())
}

fn end_run(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    run: &RunRow,
    lists: &BTreeMap<i64, TaskLists>,
) -> Result<(), Error> {
    let TaskLists { current, completed, failed, skipped } =
        run.lists.as_ref().or_else(|| lists.get(&run.id)).cloned().unwrap_or_default();
    let arguments = [
        id::part(run.id).into(),
        run.id.into(),
        run.status.name().into(),
        jsonb(&run.state).into(),
        jsonb(&run.variables).into(),
        current.into(),
        completed.into(),
        failed.into(),
        skipped.into(),
        now.into(),
    ];
    statements::run(client, include_str!("../../queries/end_run.sql"), &arguments)?;
    Ok(())
}

fn update_runs(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    runs: &[&RunRow],
    rerun: bool,
    lists: &BTreeMap<i64, TaskLists>,
) -> Result<(), Error> {
    let rows = RowRelation::new(c"workflow_execution", runs, |run| {
        let lists = run.lists.as_ref().or_else(|| lists.get(&run.id));
        let list = |of: fn(&TaskLists) -> &Vec<String>| value(lists.map(|lists| of(lists).clone()));
        [
            ("id", value(run.id)),
            ("status", Value::Label(run.status.name())),
            ("due_at", value(run.time_limit.filter(|_| rerun).map(|seconds| after(now, seconds as f64)))),
            ("paused", value(run.paused)),
            ("state", value(jsonb(&run.state))),
            ("variables", value(jsonb(&run.variables))),
            ("error_message", value(run.causes.first().map(|cause| cause.message.as_str()))),
            ("errors", value(errors(run))),
            ("current_tasks", list(|lists| &lists.current)),
            ("completed_tasks", list(|lists| &lists.completed)),
            ("failed_tasks", list(|lists| &lists.failed)),
            ("skipped_tasks", list(|lists| &lists.skipped)),
        ]
    })?;
    rows.run(client, include_str!("../../queries/update_runs.sql"), &[now.into(), rerun.into()])?;
    Ok(())
}

fn update_execution(client: &SpiClient, now: TimestampWithTimeZone, execution: &ExecutionRow) -> Result<(), Error> {
    let (id, status, result) = execution;
    let arguments = [id::part(*id).into(), (*id).into(), (*status).into(), jsonb(result).into(), now.into()];
    statements::run(client, include_str!("../../queries/update_execution.sql"), &arguments)?;
    Ok(())
}

fn update_executions(client: &SpiClient, now: TimestampWithTimeZone, executions: &[ExecutionRow]) -> Result<(), Error> {
    let rows = RowRelation::new(c"execution", executions, |(id, status, result)| {
        [("id", value(*id)), ("status", Value::Label(status)), ("result", value(jsonb(result)))]
    })?;
    rows.run(client, include_str!("../../queries/update_executions.sql"), &[now.into()])?;
    Ok(())
}

/// Returns what went wrong, in the form stored in the table, except for the time.
fn errors(run: &RunRow) -> Option<Jsonb> {
    let causes: Vec<_> = run.causes.iter().map(Cause::value).collect();
    (!causes.is_empty()).then(|| Jsonb::from_text(&serde_json::Value::from(causes).to_string())).flatten()
}

fn jsonb(text: &Option<String>) -> Option<Jsonb> {
    text.as_deref().and_then(Jsonb::from_text)
}
