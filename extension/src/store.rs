//! Writing the conductor's decisions: one statement per kind of change, whatever the size of the batch.

use crate::error::Error;
use crate::limits::{self, admit::pass_up_slots};
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::numbers;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, Value, value};
use crate::queue::asking::Asking;
use crate::queue::hints;
use crate::store::reporter::Reporter;
use crate::store::run::Run;
use conductor::engine::commands::{Rest, Withdrawn};
use conductor::engine::needless;
use conductor::engine::state::TaskKey;
use conductor::engine::status::TaskEnd;
use conductor::expression::json_text;
use conductor::graph::Graph;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

mod batch;
mod branch_changes;
pub mod claimed_tasks;
mod ends;
mod events;
mod executions;
mod leases;
pub mod reporter;
pub mod run;
pub mod starts;
pub mod task_lists;
mod tasks;
mod waiting_executions;

use batch::Withdrawal;
pub use batch::{Batch, EndedRow, RetriedRow};
pub use leases::{Leases, lock_leases, reuse_leases, sort};
pub use tasks::Handed;

/// Rows of a task that were withdrawn.
pub struct WithdrawnRows {
    /// Name of the task.
    pub task_name: String,
    /// Route of the task.
    pub route: u32,
    /// Number of earlier runs of the task in a cycle.
    pub visit: u32,
    /// Number of rows.
    pub count: u32,
    /// Highest id among them.
    pub newest: i64,
}

/// Selection of rows of a task.
pub struct TaskRows {
    /// Name of the task.
    pub task_name: String,
    /// Route of the task.
    pub route: u32,
    /// Number of earlier runs in a cycle; `None` means all runs with this route.
    pub visit: Option<u32>,
    /// Whether to include running rows.
    pub running: bool,
}

impl TaskRows {
    /// Selects the rows of one run of a task.
    fn of_key(run: &Run, key: TaskKey) -> TaskRows {
        let task_name = run.graph.node(key.node).name.clone();
        TaskRows { task_name, route: key.route, visit: Some(key.visit), running: false }
    }

    /// Selects rows that are no longer needed.
    fn of_rest(run: &Run, rest: &Rest) -> TaskRows {
        let task_name = run.graph.node(rest.node).name.clone();
        TaskRows { task_name, route: rest.route, visit: rest.visit, running: rest.running }
    }
}

/// Follow-up work after a write.
#[derive(Default)]
pub struct Written {
    /// Withdrawn tasks, by execution: the conductor must be notified of them.
    pub withdrawn: BTreeMap<i64, Vec<WithdrawnRows>>,
    /// Executions that are stopping, along with their children. If the flag is true, this includes children called by
    /// tasks that close them.
    pub stopped: Vec<(i64, bool)>,
    /// Workflow executions for which workers' results no longer count. If the flag is true, this includes tasks that
    /// close them.
    pub void: Vec<(i64, bool)>,
    /// Running tasks that are no longer needed, by workflow execution.
    pub rest: Vec<(i64, TaskRows)>,
    /// Tasks that the engine itself executes and that are ready.
    pub own: Vec<i64>,
    /// Executions that have ended and that were called by others.
    pub ended: Vec<i64>,
}

impl Written {
    /// Adds further follow-up work.
    pub fn add(&mut self, more: Written) {
        self.withdrawn.extend(more.withdrawn);
        self.stopped.extend(more.stopped);
        self.void.extend(more.void);
        self.rest.extend(more.rest);
        self.own.extend(more.own);
        self.ended.extend(more.ended);
    }

    /// Whether there is no follow-up work.
    pub fn is_empty(&self) -> bool {
        self.withdrawn.is_empty()
            && self.stopped.is_empty()
            && self.void.is_empty()
            && self.rest.is_empty()
            && [&self.own, &self.ended].into_iter().all(|list| list.is_empty())
    }
}

/// Returns the error of a task that is no longer needed, as JSON.
pub fn not_needed() -> String {
    json_text(&needless::not_needed())
}

/// Returns the values of one column.
pub fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> DatumWithOid<'static>
where
    Vec<T>: Into<DatumWithOid<'static>>,
{
    rows.iter().map(value).collect::<Vec<T>>().into()
}

impl Batch {
    /// Writes everything and returns the follow-up work.
    pub fn write(
        mut self,
        client: &SpiClient,
        now: &TimestampWithTimeZone,
        reporter: Reporter,
        asking: Option<&mut Asking>,
        handed: &mut Vec<Handed>,
    ) -> Result<Written, Error> {
        let now = *now;
        let worker = asking.as_deref().map(|asking| asking.worker.clone());
        self.keep_first_tasks(client, now)?;
        self.write_rows(client, now)?;
        self.write_changes(client)?;
        let mut withdrawn = std::mem::take(&mut self.withdrawn_tasks);
        self.insert(client, now, &mut withdrawn, None, handed, Vec::new())?;
        self.written.withdrawn = self.withdraw(client, now)?;
        let mut tasks = std::mem::take(&mut self.tasks);
        let stopped = self.stopped_tasks();
        self.insert(client, now, &mut tasks, asking, handed, stopped)?;
        (self.withdrawn_tasks, self.tasks) = (withdrawn, tasks);
        self.write_runs(client, now)?;
        self.postpone_stopped(client, now)?;
        self.write_waits(client, now)?;
        self.log(client, now, reporter, worker)?;
        self.announce_ends(client, now)?;
        Ok(self.written)
    }

    /// Returns the tasks that may have held slots and are no longer running.
    fn stopped_tasks(&self) -> Vec<i64> {
        let tasks = self.ended.iter().map(|row| row.id).chain(self.retried.iter().map(|row| row.id));
        let tasks = tasks.chain(self.withdrawn_calls.iter().copied());
        if limits::are_in_use() { tasks.collect() } else { Vec::new() }
    }

    /// Runs a statement that returns the tasks that the engine continues with, as well as tasks that the statement has
    /// queued, with their actions.
    fn continue_tasks(
        &mut self,
        client: &SpiClient,
        sql: &'static str,
        arguments: &[DatumWithOid],
    ) -> Result<(), Error> {
        let mut rows = statements::run(client, sql, arguments)?;
        while rows.next().is_some() {
            let task = rows.get::<i64>(1)?;
            match rows.get::<String>(2)? {
                Some(action) => hints::note(id::part(task.unwrap_or_default()), &action),
                None => self.written.own.extend(task),
            }
        }
        Ok(())
    }

    fn write_rows(&mut self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if !self.fair_keys.is_empty() {
            let (runs, keys): (Vec<i64>, Vec<String>) = std::mem::take(&mut self.fair_keys).into_iter().unzip();
            statements::run(client, include_str!("../queries/set_fair_keys.sql"), &[runs.into(), keys.into()])?;
        }
        let ended: Vec<_> = self.ended.iter().filter(|row| !row.written).collect();
        if !ended.is_empty() {
            let ends = RowRelation::new(c"outcome", &ended, |row| {
                let is_skipped = row.end == TaskEnd::Skipped;
                [
                    ("task", value(row.id)),
                    ("status", Value::Label(if is_skipped { TaskEnd::Completed.name() } else { row.end.name() })),
                    ("result", value(row.result)),
                    ("error", value(row.error)),
                    ("progress", value(row.progress)),
                ]
            })?;
            ends.run(client, include_str!("../queries/end_tasks.sql"), &[now.into()])?;
            let skipped: Vec<i64> = ended.iter().filter(|row| row.end == TaskEnd::Skipped).map(|row| row.id).collect();
            if !skipped.is_empty() {
                statements::run(client, include_str!("../queries/mark_skipped.sql"), &[skipped.into()])?;
            }
        }
        if !self.retried.is_empty() {
            let rows = &self.retried;
            let arguments = [
                column(rows, |row| row.id),
                column(rows, |row| row.again.delay),
                column(rows, |row| row.paused),
                column(rows, |row| row.result),
                column(rows, |row| row.error),
                now.into(),
                column(rows, |row| row.progress),
                column(rows, |row| row.again.repeats),
                column(rows, |row| row.unknown),
                column(rows, |row| row.again.input.as_ref().and_then(Jsonb::new)),
            ];
            self.continue_tasks(client, include_str!("../queries/retry_tasks.sql"), &arguments)?;
        }
        if !self.undos.is_empty() {
            let rows = &self.undos;
            let arguments = [
                column(rows, |undo| undo.row),
                column(rows, |undo| undo.number as i32),
                column(rows, |undo| Jsonb::new(&undo.call)),
            ];
            statements::run(client, include_str!("../queries/store_undos.sql"), &arguments)?;
        }
        if !self.released.is_empty() {
            let rows = &self.released;
            let arguments = [
                column(rows, |row| row.run),
                column(rows, |row| row.task_name.clone()),
                column(rows, |row| row.key.route as i32),
                column(rows, |row| row.key.visit as i32),
                column(rows, |row| row.count),
                column(rows, |row| row.paused),
                now.into(),
            ];
            self.continue_tasks(client, include_str!("../queries/release_items.sql"), &arguments)?;
        }
        if !self.renewed.is_empty() {
            let rows = &self.renewed;
            let arguments = [
                column(rows, |row| row.run),
                column(rows, |row| row.task_name.clone()),
                column(rows, |row| row.key.route as i32),
                column(rows, |row| row.key.visit as i32),
                column(rows, |row| row.released),
                column(rows, |row| row.everything),
                now.into(),
                column(rows, |row| row.paused),
                column(rows, |row| row.first),
                column(rows, |row| row.keeps_child),
            ];
            self.continue_tasks(client, include_str!("../queries/renew_tasks.sql"), &arguments)?;
        }
        if !self.hold.is_empty() {
            let arguments = [self.hold.clone().into(), now.into()];
            let limited = statements::run(client, include_str!("../queries/pause_tasks.sql"), &arguments)?;
            pass_up_slots(client, numbers(limited, 1)?)?;
        }
        if !self.unhold.is_empty() {
            let arguments = [self.unhold.clone().into(), now.into()];
            self.continue_tasks(client, include_str!("../queries/resume_tasks.sql"), &arguments)?;
        }
        Ok(())
    }

    /// Leaves to the next tick the tasks that could not be withdrawn because someone is claiming them.
    fn postpone_stopped(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        let stopped: Vec<&Withdrawal> = self.withdraw.iter().filter(|row| row.task.is_none()).collect();
        if !stopped.is_empty() {
            let arguments = [column(&stopped, |row| row.run), column(&stopped, |row| row.everything), now.into()];
            statements::run(client, include_str!("../queries/postpone_stopped.sql"), &arguments)?;
        }
        Ok(())
    }

    fn withdraw(
        &self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
    ) -> Result<BTreeMap<i64, Vec<WithdrawnRows>>, Error> {
        let mut withdrawn: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        if self.withdraw.is_empty() {
            return Ok(withdrawn);
        }
        let rows = &self.withdraw;
        let arguments = [
            column(rows, |row| row.run),
            column(rows, |row| row.task.as_ref().map(|task| task.task_name.clone())),
            column(rows, |row| row.task.as_ref().map(|task| task.route as i32)),
            column(rows, |row| row.task.as_ref().and_then(|task| task.visit).map(|visit| visit as i32)),
            now.into(),
            column(rows, |row| row.everything),
            column(rows, |row| row.needless.then(not_needed)),
        ];
        for row in rows {
            withdrawn.entry(row.run).or_default();
        }
        let mut gone = statements::run(client, include_str!("../queries/withdraw_tasks.sql"), &arguments)?;
        let mut limited = Vec::new();
        while gone.next().is_some() {
            let small = |ordinal| Ok::<u32, Error>(gone.get::<i32>(ordinal)?.unwrap_or_default() as u32);
            let rows = WithdrawnRows {
                task_name: gone.get::<String>(2)?.unwrap_or_default(),
                route: small(3)?,
                visit: small(4)?,
                count: gone.get::<i64>(5)?.unwrap_or_default() as u32,
                newest: gone.get::<i64>(6)?.unwrap_or_default(),
            };
            withdrawn.entry(gone.get::<i64>(1)?.unwrap_or_default()).or_default().push(rows);
            limited.extend(gone.get::<Vec<i64>>(7)?.into_iter().flatten());
        }
        pass_up_slots(client, limited)?;
        Ok(withdrawn)
    }
}

/// Returns the withdrawn tasks in the form that the conductor takes.
pub fn withdrawn(graph: &Graph, tasks: &[WithdrawnRows]) -> Vec<Withdrawn> {
    let known = tasks.iter().filter_map(|rows| {
        let key = TaskKey { node: graph.find(&rows.task_name)?, route: rows.route, visit: rows.visit };
        Some(Withdrawn { key, count: rows.count, order: rows.newest })
    });
    known.collect()
}
