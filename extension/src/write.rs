//! Writing what the conductor decided: every kind of change of a batch in one statement, whatever the batch's size.

use crate::error::Error;
use crate::hand_over::Front;
use crate::jsonb::Jsonb;
use crate::{plans, settings};
use conductor::changes::Withdrawn;
use conductor::expression::json_text;
use conductor::graph::Graph;
use conductor::state::TaskKey;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::collections::HashMap;

mod batch;
mod events;
mod wake;

pub use batch::Batch;
use batch::FreshTask;

/// A task handed to the worker that asked, as `workflow_claim` would give it.
pub struct Handed {
    /// Its id.
    pub task: i64,
    /// The token its report must carry.
    pub lease: i64,
    /// Its workflow execution.
    pub workflow_execution: i64,
    /// Its name.
    pub task_name: String,
    /// Which item.
    pub task_index: Option<i32>,
    /// What to do.
    pub action: Option<String>,
    /// With what.
    pub input: Option<Jsonb>,
    /// How often it was claimed.
    pub attempt: i32,
}

/// Who asks for more work while it reports.
pub struct Asking {
    /// The worker's name.
    pub worker: String,
    /// How many tasks it still takes.
    pub wanted: usize,
    /// How many of these may still be handed over where others have waited too long.
    pub past_others: usize,
    /// What it can do; none: anything.
    pub actions: Option<Vec<String>>,
    /// When its lease would end.
    pub until: TimestampWithTimeZone,
}

impl Asking {
    fn takes(&self, action: &Option<String>) -> bool {
        match (&self.actions, action) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(actions), Some(action)) => actions.contains(action),
        }
    }
}

/// What follows from what was written.
#[derive(Default)]
pub struct Written {
    /// Tasks that were withdrawn, by execution: the conductor must hear of them.
    pub withdrawn: HashMap<i64, Vec<(String, u32, u32, u32)>>,
    /// Executions that stop, and whose children stop with them.
    pub stopped: Vec<i64>,
    /// Workflow executions for which what workers do counts no more.
    pub void: Vec<i64>,
    /// Tasks that no worker does, and whose turn has come.
    pub own: Vec<i64>,
    /// Executions that ended and that others have called.
    pub ended: Vec<i64>,
    /// Executions that nobody waits for any more.
    pub left: Vec<i64>,
}

impl Written {
    /// Both.
    pub fn add(&mut self, more: Written) {
        self.withdrawn.extend(more.withdrawn);
        self.stopped.extend(more.stopped);
        self.void.extend(more.void);
        self.own.extend(more.own);
        self.ended.extend(more.ended);
        self.left.extend(more.left);
    }

    /// Nothing follows.
    pub fn is_empty(&self) -> bool {
        self.withdrawn.is_empty()
            && [&self.stopped, &self.void, &self.own, &self.ended, &self.left].into_iter().all(|list| list.is_empty())
    }
}

/// The part that an id names.
fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

/// The values of one column.
fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> DatumWithOid<'static>
where
    Vec<T>: Into<DatumWithOid<'static>>,
{
    rows.iter().map(value).collect::<Vec<T>>().into()
}

impl Batch {
    /// Writes everything; gives what follows.
    pub fn write(
        mut self,
        client: &SpiClient,
        now: &TimestampWithTimeZone,
        asking: Option<&mut Asking>,
        handed: &mut Vec<Handed>,
    ) -> Result<Written, Error> {
        let now = *now;
        let wake = wake::Wake::look(&self, client)?;
        self.write_rows(client, now)?;
        let mut withdrawn = std::mem::take(&mut self.withdrawn_tasks);
        self.insert(client, now, &mut withdrawn, None, handed)?;
        self.written.withdrawn = self.withdraw(client, now)?;
        let mut tasks = std::mem::take(&mut self.tasks);
        self.insert(client, now, &mut tasks, asking, handed)?;
        (self.withdrawn_tasks, self.tasks) = (withdrawn, tasks);
        self.write_runs(client, now)?;
        self.log(client, now)?;
        wake.map_or(Ok(()), |wake| wake.tell(client))?;
        Ok(self.written)
    }

    /// Runs a statement that gives tasks which the engine goes on with.
    fn go_on(&mut self, client: &SpiClient, sql: &'static str, arguments: &[DatumWithOid]) -> Result<(), Error> {
        let mut rows = plans::run(client, sql, arguments)?;
        while rows.next().is_some() {
            self.written.own.extend(rows.get::<i64>(1)?);
        }
        Ok(())
    }

    fn write_rows(&mut self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if !self.ended.is_empty() {
            let rows = &self.ended;
            let arguments = [
                column(rows, |row| row.id),
                column(rows, |row| row.end.name()),
                column(rows, |row| row.result),
                column(rows, |row| row.error),
                now.into(),
            ];
            plans::run(client, include_str!("../queries/end_tasks.sql"), &arguments)?;
        }
        if !self.retried.is_empty() {
            let rows = &self.retried;
            let arguments = [
                column(rows, |row| row.id),
                column(rows, |row| row.delay),
                column(rows, |row| row.paused),
                column(rows, |row| row.result),
                column(rows, |row| row.error),
                now.into(),
            ];
            self.go_on(client, include_str!("../queries/retry_tasks.sql"), &arguments)?;
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
            self.go_on(client, include_str!("../queries/release_items.sql"), &arguments)?;
        }
        if !self.renewed.is_empty() {
            let rows = &self.renewed;
            let arguments = [
                column(rows, |row| row.run),
                column(rows, |row| row.task_name.clone()),
                column(rows, |row| row.key.route as i32),
                column(rows, |row| row.key.visit as i32),
                column(rows, |row| row.released),
                column(rows, |row| row.delay),
                column(rows, |row| row.is_retry),
                column(rows, |row| row.everything),
                column(rows, |row| row.paused),
                now.into(),
                column(rows, |row| row.first),
                column(rows, |row| row.keeps_child),
            ];
            self.go_on(client, include_str!("../queries/renew_tasks.sql"), &arguments)?;
        }
        if !self.hold.is_empty() {
            let arguments = [self.hold.clone().into(), now.into()];
            plans::run(client, include_str!("../queries/hold_tasks.sql"), &arguments)?;
        }
        if !self.unhold.is_empty() {
            let arguments = [self.unhold.clone().into(), now.into()];
            self.go_on(client, include_str!("../queries/unhold_tasks.sql"), &arguments)?;
        }
        Ok(())
    }

    fn withdraw(
        &self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
    ) -> Result<HashMap<i64, Vec<(String, u32, u32, u32)>>, Error> {
        let mut withdrawn: HashMap<i64, Vec<_>> = HashMap::new();
        if self.withdraw.is_empty() {
            return Ok(withdrawn);
        }
        let rows = &self.withdraw;
        let part = |row: &(i64, Option<(String, TaskKey)>)| row.1.clone();
        let arguments = [
            column(rows, |row| row.0),
            column(rows, |row| part(row).map(|(name, _)| name)),
            column(rows, |row| part(row).map(|(_, key)| key.route as i32)),
            column(rows, |row| part(row).map(|(_, key)| key.visit as i32)),
            now.into(),
        ];
        for (run, _) in rows {
            withdrawn.entry(*run).or_default();
        }
        let mut gone = plans::run(client, include_str!("../queries/withdraw_tasks.sql"), &arguments)?;
        while gone.next().is_some() {
            let count = |ordinal| Ok::<u32, Error>(gone.get::<i32>(ordinal)?.unwrap_or_default() as u32);
            let task = (gone.get::<String>(2)?.unwrap_or_default(), count(3)?, count(4)?, {
                gone.get::<i64>(5)?.unwrap_or_default() as u32
            });
            withdrawn.entry(gone.get::<i64>(1)?.unwrap_or_default()).or_default().push(task);
        }
        Ok(withdrawn)
    }

    fn insert(
        &mut self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
        tasks: &mut [FreshTask],
        asking: Option<&mut Asking>,
        handed: &mut Vec<Handed>,
    ) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let (worker, until) = match asking {
            None => (None, None),
            Some(asking) => {
                hand_over(client, now, tasks, asking)?;
                (Some(asking.worker.clone()), Some(asking.until))
            }
        };
        let rows = &*tasks;
        let arguments = [
            column(rows, |row| row.run),
            column(rows, |row| row.task_name.clone()),
            column(rows, |row| row.task.action.clone()),
            column(rows, |row| row.task.key.route as i32),
            column(rows, |row| row.task.key.visit as i32),
            column(rows, |row| row.task.index.map(|index| index as i32)),
            column(rows, |row| row.task.batch.map(|batch| batch as i32)),
            column(rows, |row| row.start),
            column(rows, |row| row.delay),
            column(rows, |row| row.priority),
            column(rows, |row| row.task.max_retries),
            column(rows, |row| row.task.timeout),
            column(rows, |row| context_text(&row.task.context)),
            column(rows, |row| row.task.input.as_ref().map(json_text)),
            column(rows, |row| row.result.clone()),
            column(rows, |row| row.paused),
            worker.into(),
            until.into(),
            (i64::from(settings::node()) << 40).into(),
            now.into(),
            column(rows, |row| row.task.signal.clone()),
        ];
        let mut rows = plans::run(client, include_str!("../queries/insert_tasks.sql"), &arguments)?;
        while rows.next().is_some() {
            let task = rows.get::<i64>(1)?.unwrap_or_default();
            let Some(lease) = rows.get::<i64>(2)? else {
                self.written.own.push(task);
                continue;
            };
            handed.push(Handed {
                task,
                lease,
                workflow_execution: rows.get::<i64>(3)?.unwrap_or_default(),
                task_name: rows.get::<String>(4)?.unwrap_or_default(),
                task_index: rows.get::<i32>(5)?,
                action: rows.get::<String>(6)?,
                input: rows.get::<Jsonb>(7)?,
                attempt: rows.get::<i32>(8)?.unwrap_or_default(),
            });
        }
        Ok(())
    }

    fn write_runs(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if !self.runs.is_empty() {
            let rows = &self.runs;
            let arguments = [
                column(rows, |row| row.id),
                column(rows, |row| row.status.name()),
                column(rows, |row| row.paused),
                column(rows, |row| row.state.clone()),
                column(rows, |row| row.variables.clone()),
                column(rows, |row| row.error.clone()),
                column(rows, |row| row.rerun),
                column(rows, |row| row.ended),
                now.into(),
            ];
            plans::run(client, include_str!("../queries/update_runs.sql"), &arguments)?;
        }
        if !self.executions.is_empty() {
            let rows = &self.executions;
            let arguments =
                [column(rows, |row| row.0), column(rows, |row| row.1), column(rows, |row| row.2.clone()), now.into()];
            plans::run(client, include_str!("../queries/update_executions.sql"), &arguments)?;
        }
        Ok(())
    }
}

/// Chooses what goes to the worker that asks without passing through the queue.
fn hand_over(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &mut [FreshTask],
    asking: &mut Asking,
) -> Result<(), Error> {
    let takes = |task: &FreshTask| task.start == "ready" && !task.paused && asking.takes(&task.task.action);
    let ready: Vec<&mut FreshTask> = tasks.iter_mut().filter(|task| takes(task)).collect();
    if asking.wanted == 0 || ready.is_empty() {
        return Ok(());
    }
    let parts = ready.iter().map(|task| part(task.run)).collect();
    let front = Front::look(client, now, asking.actions.as_deref(), parts)?;
    for task in ready {
        let passes = front.goes_before(part(task.run), task.priority);
        if asking.wanted > 0 && (!passes || asking.past_others > 0) {
            asking.wanted -= 1;
            asking.past_others -= usize::from(passes);
            task.start = "leased";
        }
    }
    Ok(())
}

/// As an array literal; none for the one branch there is.
fn context_text(context: &[u32]) -> Option<String> {
    let ids: Vec<String> = context.iter().map(u32::to_string).collect();
    (!ids.is_empty()).then(|| format!("{{{}}}", ids.join(",")))
}

/// What was withdrawn, as the conductor takes it.
pub fn withdrawn(graph: &Graph, tasks: &[(String, u32, u32, u32)]) -> Vec<Withdrawn> {
    let known = tasks.iter().filter_map(|(name, route, visit, count)| {
        let key = TaskKey { node: graph.find(name)?, route: *route, visit: *visit };
        Some(Withdrawn { key, count: *count })
    });
    known.collect()
}
