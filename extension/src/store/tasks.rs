//! Inserting tasks: ready for any worker, or already leased to the asking worker.

use super::batch::{Batch, FreshTask};
use crate::cache::actions;
use crate::error::Error;
use crate::limits::admit::free_slots;
use crate::limits::assign::{Limited, assign};
use crate::limits::holds::Holds;
use crate::limits::take::{LimitKey, take};
use crate::pg::clock::{after, seconds};
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::skip_ri_checks;
use crate::pg::transition_table::{RowRelation, Value, value};
use crate::queue::asking::Asking;
use crate::queue::fairness::FairPlaces;
use crate::queue::hand_over::Ahead;
use crate::queue::hints;
use conductor::engine::commands::Start;
use conductor::expression::Data;
use conductor::json::to_text;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A task handed to the asking worker, as `workflow_claim` would return it.
pub struct Handed {
    /// Id of the task.
    pub task: i64,
    /// Token that its report must carry.
    pub lease: i64,
    /// Id of its execution.
    pub execution: i64,
    /// Name of the task.
    pub task_name: String,
    /// Index of the item.
    pub task_index: Option<i32>,
    /// Action to execute.
    pub action: Option<String>,
    /// Input of the action.
    pub input: Option<Jsonb>,
    /// Number of times it has been claimed.
    pub attempt: i32,
    /// When its timeout ends this attempt.
    pub deadline: Option<TimestampWithTimeZone>,
    /// Error of the previous attempt.
    pub last_error: Option<Jsonb>,
    /// Progress of an earlier attempt.
    pub progress: Option<Jsonb>,
    /// Whether its success is final: neither a repetition nor a retry follows.
    pub is_final: bool,
    /// Trace span that started its execution.
    pub traceparent: Option<Rc<str>>,
    /// Ref of its workflow, if the execution belongs to a trace.
    pub workflow: Option<Rc<str>>,
}

/// A task with its input, about to be inserted.
struct NewRow<'t> {
    task: &'t FreshTask,
    input: Option<Jsonb>,
    /// Lease token, if the task is handed over.
    lease: Option<i64>,
}

impl Batch {
    /// Inserts tasks, records those that the engine continues with, and hands tasks over where possible. The slots of
    /// the tasks in `stopped`, which are no longer running, are passed on to them or become free.
    pub(super) fn insert(
        &mut self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
        tasks: &mut [FreshTask],
        mut asking: Option<&mut Asking>,
        handed: &mut Vec<Handed>,
        stopped: Vec<i64>,
    ) -> Result<(), Error> {
        let ids = id::Sequence::find(c"workflow_task_execution_id_seq");
        for task in tasks.iter_mut() {
            task.id = ids.next(id::part(task.run))?;
        }
        place(client, now, tasks, asking.as_deref_mut())?;
        take_slots(client, now, tasks, asking.as_deref_mut(), stopped)?;
        if tasks.is_empty() {
            return Ok(());
        }
        let asking = asking.as_deref();
        let rows = tasks.iter().map(|task| new_row(task, asking)).collect::<Result<Vec<_>, _>>()?;
        let fresh = RowRelation::new(c"workflow_task_execution", &rows, |row| columns(row, now))?;
        // Their executions are locked, and they have no child executions yet.
        skip_ri_checks::known_to_hold(c"workflow_task_execution", &[c"workflow_execution", c"execution"], || {
            fresh.run(client, include_str!("../../queries/insert_tasks.sql"), &[])
        })?;
        for NewRow { task, input, lease } in rows {
            let id = task.id;
            if let Some(action) = task.task.action.as_deref().filter(|_| task.is_queued()) {
                hints::note(id::part(id), action);
            }
            if task.start == "ready" && task.is_own() {
                self.written.own.push(id);
            } else if let Some(lease) = lease {
                handed.push(Handed {
                    task: id,
                    lease,
                    execution: task.run,
                    task_name: task.task_name.clone(),
                    task_index: task.task.index.map(|index| index as i32),
                    action: task.task.action.clone(),
                    input,
                    attempt: 1,
                    deadline: task.task.timeout.map(|seconds| after(now, f64::from(seconds))),
                    last_error: None,
                    progress: None,
                    is_final: task.is_final,
                    traceparent: task.traceparent.clone(),
                    workflow: task.workflow.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Renders a task's input, and assigns a lease token if it is handed over.
fn new_row<'t>(task: &'t FreshTask, asking: Option<&Asking>) -> Result<NewRow<'t>, Error> {
    let part = id::part(task.run);
    let lease = match asking.filter(|_| task.start == "leased") {
        Some(asking) => Some(asking.kept_tokens.get(&part).map_or_else(|| asking.token(), |token| Ok(*token))?),
        None => None,
    };
    let input = task.task.input.as_ref().and_then(Jsonb::new);
    Ok(NewRow { task, input, lease })
}

/// Returns the columns of a task row. Each step of priority moves a task ahead in the queue by one minute: a waiting
/// task eventually overtakes others, so none starves.
fn columns(row: &NewRow, now: TimestampWithTimeZone) -> [(&'static str, Value); 46] {
    let NewRow { task: FreshTask { task, .. }, .. } = row;
    let fresh = row.task;
    let is = |start: &str| fresh.start == start;
    let status = match fresh.start {
        "ready" => "scheduled",
        "leased" => "running",
        "skipped" => "completed",
        "delayed" | "held" => "requested",
        ended => ended,
    };
    let over = matches!(task.start, Start::Ended(..));
    let place = fresh.place(now);
    let limits = &task.limits;
    let due = fresh.delay.or(task.timeout.map(f64::from).filter(|_| is("leased")));
    [
        ("part", value(id::part(fresh.id))),
        ("attempt", value(i32::from(row.lease.is_some()))),
        ("id", value(fresh.id)),
        ("workflow_execution", value(fresh.run)),
        ("route", value(task.key.route as i32)),
        ("visit", value(task.key.visit as i32)),
        ("priority", value(fresh.priority)),
        ("max_retries", value(task.max_retries)),
        ("retry_count", value(0)),
        ("lost_leases", value(0)),
        ("timed_out", value(false)),
        ("skipped", value(is("skipped"))),
        ("held", value(is("held"))),
        ("calls", value(fresh.calls)),
        ("closing", value(task.closing)),
        ("waits", value(false)),
        ("created", value(now)),
        ("task_name", value(fresh.task_name.as_str())),
        ("action_ref", value(task.action.as_deref())),
        ("lease", value(row.lease)),
        ("task_index", value(task.index.map(|index| index as i32))),
        ("task_batch", value(task.batch.map(|batch| batch as i32))),
        ("timeout_seconds", value(task.timeout)),
        ("max_lost_leases", value(fresh.max_lost_leases)),
        ("signal", value(task.signal.as_deref())),
        ("context", value((!task.context.is_empty()).then(|| numbers(&task.context)))),
        ("traceparent", value(fresh.traceparent.as_deref())),
        ("input", value(row.input)),
        ("status", Value::Label(status)),
        ("updated", value(now)),
        ("queue_at", value(fresh.is_queued().then_some(place))),
        ("due_at", value(due.map(|seconds| after(now, seconds)))),
        ("started_at", value(row.lease.map(|_| now))),
        ("completed_at", value(over.then_some(now))),
        ("duration_ms", value(over.then_some(0_i64))),
        ("result", value(fresh.result.as_deref().and_then(Jsonb::from_text))),
        ("error", value(task.error.as_ref().and_then(Jsonb::new))),
        ("repeat_count", value((!fresh.is_final).then_some(0))),
        ("undo", value(task.undo.as_ref().and_then(Jsonb::new))),
        ("undoes", value(task.undoes)),
        ("label", value(task.label.as_deref())),
        ("heartbeat_seconds", value(fresh.heartbeat)),
        ("limits", value(as_json(limits))),
        ("limit_key", value(fresh.limit_key)),
        ("limit_place", value((!limits.is_empty()).then_some(place))),
        ("fair_key", value(fresh.fair_place.map(|(key, _)| key))),
    ]
}

/// Returns the limits of a task as stored in its row.
fn as_json(limits: &[LimitKey]) -> Option<Jsonb> {
    if limits.is_empty() {
        return None;
    }
    Jsonb::from_text(&to_text(limits).ok()?)
}

fn numbers(context: &[u32]) -> Vec<i32> {
    context.iter().map(|id| *id as i32).collect()
}

/// Determines which tasks call a workflow, and chooses those that go directly to the asking worker, bypassing the
/// queue.
fn place(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &mut [FreshTask],
    asking: Option<&mut Asking>,
) -> Result<(), Error> {
    let actions: BTreeSet<&str> = tasks.iter().filter_map(|task| task.task.action.as_deref()).collect();
    if actions.is_empty() {
        return Ok(());
    }
    let facts = actions::facts(client, actions)?;
    for task in tasks.iter_mut() {
        task.calls |= task.task.action.as_ref().is_some_and(|action| facts[action].is_workflow);
    }
    assign(client, tasks, &facts)?;
    let is_fair =
        |task: &&mut FreshTask| task.is_fair && task.start == "ready" && !task.calls && task.task.action.is_some();
    let runs: BTreeSet<i64> = tasks.iter_mut().filter(is_fair).map(|task| task.run).collect();
    let mut places = FairPlaces::look(client, runs)?;
    for task in tasks.iter_mut().filter(is_fair) {
        task.fair_place = places.next(task.run, now);
    }
    let Some(asking) = asking else { return Ok(()) };
    let holds = Holds::load(client, now)?;
    let mut parts = BTreeMap::new();
    for task in tasks.iter().filter(|task| may_take(asking, &holds, task)) {
        let lowest = parts.entry(id::part(task.run)).or_insert(task.lead(now));
        *lowest = task.lead(now).min(*lowest);
    }
    let ahead = Ahead::look(client, now, asking, &parts)?;
    for task in tasks.iter_mut() {
        let passes = ahead.goes_before(id::part(task.run), task.lead(now));
        if may_take(asking, &holds, task) && (!passes || asking.past_others > 0) {
            asking.wanted -= 1;
            asking.past_others -= usize::from(passes);
            task.start = "leased";
        }
    }
    Ok(())
}

/// Takes slots for those tasks under limits that are to go to the asking worker, first those of tasks that are no
/// longer running; the rest of these become free. A task that cannot have all of its slots is inserted as waiting for
/// one of them, or queued if somebody else has locked it.
fn take_slots(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &mut [FreshTask],
    asking: Option<&mut Asking>,
    stopped: Vec<i64>,
) -> Result<(), Error> {
    let is_limited = |task: &&mut FreshTask| task.start == "leased" && !task.task.limits.is_empty();
    let mut limited: Vec<&mut FreshTask> = tasks.iter_mut().filter(is_limited).collect();
    let Some(asking) = asking.filter(|_| !limited.is_empty()) else {
        return if stopped.is_empty() { Ok(()) } else { free_slots(client, now, stopped) };
    };
    let wanted: Vec<_> = limited.iter().map(|task| (task.id, task.task.limits.clone())).collect();
    let begun = take(client, now, &wanted, &stopped, &BTreeSet::new())?;
    if begun.has_left {
        free_slots(client, now, stopped)?;
    }
    for task in limited.iter_mut() {
        let waits = begun.waiting.contains(&task.id);
        if waits || begun.busy.contains(&task.id) {
            asking.wanted += 1;
            task.start = "ready";
            task.limit_key = task.task.limits.iter().find_map(|limit| begun.full.get(limit)).copied().filter(|_| waits);
        }
    }
    Ok(())
}

impl FreshTask {
    /// Returns its place in the queue.
    fn place(&self, now: TimestampWithTimeZone) -> TimestampWithTimeZone {
        after(self.fair_place.map_or(now, |(_, place)| place), f64::from(self.priority) * -60.0)
    }

    /// Returns how many minutes ahead of now its place in the queue is, like a priority.
    fn lead(&self, now: TimestampWithTimeZone) -> i32 {
        let behind = self.fair_place.map_or(0.0, |(_, place)| seconds(now, place) / 60.0);
        self.priority.saturating_sub(behind as i32)
    }
}

impl Limited for FreshTask {
    fn run(&self) -> i64 {
        self.run
    }

    fn is_called(&self) -> bool {
        self.is_called
    }

    fn call(&self) -> Option<(&str, Option<&Data>)> {
        self.task.action.as_deref().map(|action| (action, self.task.input.as_ref()))
    }

    fn limits(&mut self) -> &mut Vec<LimitKey> {
        &mut self.task.limits
    }

    fn wait_at(&mut self, key: i64) {
        self.limit_key = Some(key);
    }

    fn is_queued(&self) -> bool {
        FreshTask::is_queued(self)
    }
}

/// Whether the worker has room for this task and can execute it.
fn may_take(asking: &Asking, holds: &Holds, task: &FreshTask) -> bool {
    let can_do = match (&asking.actions, &task.task.action) {
        (_, None) => false,
        (_, Some(action)) if holds.hold_action(action) || holds.hold_any_workflow() => false,
        (None, Some(_)) => true,
        (Some(actions), Some(action)) => actions.contains(action),
    };
    asking.wanted > 0 && task.is_queued() && can_do
}
