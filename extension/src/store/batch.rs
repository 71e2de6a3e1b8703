//! Everything a batch has to write, collected from the conductor's decisions for each execution.

use super::{TaskRows, Written};
use crate::limits::concurrency::Wait;
use crate::pg::jsonb::Jsonb;
use crate::store::run::Run;
use conductor::engine::cause::Cause;
use conductor::engine::commands::{Again, Changes, Hold, NewTask, NewUndo, Start};
use conductor::engine::published::NewEntry;
use conductor::engine::state::{Execution, Phase, State, TaskKey};
use conductor::engine::status::{Reach, Status, TaskEnd};
use conductor::expression::json_text;
use conductor::view::task_lists::TaskLists;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A reported task row that has ended.
pub struct EndedRow {
    /// Id of the task.
    pub id: i64,
    /// How it ended.
    pub end: TaskEnd,
    /// Reported result.
    pub result: Option<Jsonb>,
    /// Reported error.
    pub error: Option<Jsonb>,
    /// Reported progress.
    pub progress: Option<Jsonb>,
    /// Role that reported it, if different from the role that is writing.
    pub role: Option<String>,
    /// Whether the row has already been written.
    pub written: bool,
}

/// A reported row that is retried.
pub struct RetriedRow {
    /// Id of the task.
    pub id: i64,
    /// How it runs again.
    pub again: Again,
    /// Whether its execution is paused.
    pub paused: bool,
    /// Reported result.
    pub result: Option<Jsonb>,
    /// Reported error.
    pub error: Option<Jsonb>,
    /// Reported progress.
    pub progress: Option<Jsonb>,
    /// Whether it is unknown if it has been done.
    pub unknown: bool,
}

pub(super) struct ReleasedItems {
    pub(super) run: i64,
    pub(super) task_name: String,
    pub(super) key: TaskKey,
    pub(super) count: i32,
    pub(super) paused: bool,
}

pub(super) struct RenewedTask {
    pub(super) run: i64,
    pub(super) task_name: String,
    pub(super) key: TaskKey,
    pub(super) released: i32,
    pub(super) everything: bool,
    pub(super) paused: bool,
    pub(super) first: Option<i32>,
    pub(super) keeps_child: bool,
}

/// A task to be inserted as a row.
pub struct FreshTask {
    /// Its id; 0 until it is about to be inserted.
    pub(super) id: i64,
    pub(super) run: i64,
    pub(super) task_name: String,
    /// Initial state: `ready`, `leased`, `delayed`, `held`, or a final status.
    pub start: &'static str,
    pub(super) delay: Option<f64>,
    /// Whether its execution is paused.
    pub paused: bool,
    pub(super) priority: i32,
    /// Seconds after which its wait times out unless someone extends it.
    pub(super) heartbeat: Option<i32>,
    /// Maximum number of lost leases; `None` means that the setting applies.
    pub(super) max_lost_leases: Option<i32>,
    /// Whether its success is final: neither a repetition nor a retry follows.
    pub(super) is_final: bool,
    pub(super) result: Option<String>,
    /// Whether its action is a workflow.
    pub calls: bool,
    /// Whether its execution was called by another.
    pub(super) is_called: bool,
    /// Whether its execution shares the queue by a key.
    pub(super) is_fair: bool,
    /// Hash of that key, and the task's place in the queue, not counting its priority.
    pub(super) fair_place: Option<(i64, TimestampWithTimeZone)>,
    /// Limit key that it waits for from the beginning.
    pub(super) limit_key: Option<i64>,
    /// Trace span that started its execution.
    pub(super) traceparent: Option<Rc<str>>,
    /// Ref of its workflow, if its execution belongs to a trace.
    pub(super) workflow: Option<Rc<str>>,
    /// The conductor's decision about it.
    pub task: NewTask,
}

impl FreshTask {
    /// Whether it could not begin, and so has failed.
    pub(super) fn is_unstarted(&self) -> bool {
        matches!(self.task.start, Start::Ended(TaskEnd::Failed, _))
    }

    /// Whether a worker can claim it.
    pub(super) fn is_queued(&self) -> bool {
        self.start == "ready" && !self.is_own() && !self.paused && self.limit_key.is_none()
    }

    /// Whether the engine continues with it, rather than a worker.
    pub(super) fn is_own(&self) -> bool {
        self.calls || self.task.action.is_none()
    }
}

pub(super) struct RunRow {
    pub(super) id: i64,
    pub(super) status: Status,
    pub(super) paused: bool,
    pub(super) state: Option<String>,
    pub(super) variables: Option<String>,
    pub(super) causes: Vec<Cause>,
    pub(super) rerun: bool,
    /// Seconds that the workflow may take.
    pub(super) time_limit: Option<u64>,
    pub(super) ended: bool,
    /// Its tasks by their final status, if known.
    pub(super) lists: Option<TaskLists>,
    /// Whether its status has changed.
    pub(super) turned: bool,
    /// Its progress in undoing, if that has changed.
    pub(super) undoing: Option<Phase>,
}

impl RunRow {
    /// Whether it runs as before, so that only the conductor's state and variables need to be written.
    pub(super) fn keeps_running(&self) -> bool {
        self.status == Status::Running
            && !(self.turned || self.paused || self.ended || self.rerun)
            && self.causes.is_empty()
            && self.lists.is_none()
    }

    /// Whether it ends with this batch without anything having gone wrong.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !(self.paused || self.rerun) && self.causes.is_empty()
    }
}

/// Publicly visible data of an execution: its id, status, and output as JSON.
pub(super) type ExecutionRow = (i64, &'static str, Option<String>);

/// Waiting tasks that must not start.
pub(super) struct Withdrawal {
    /// Their workflow execution.
    pub(super) run: i64,
    /// Task to withdraw; `None` means all tasks.
    pub(super) task: Option<TaskRows>,
    /// Whether tasks that close the execution are included.
    pub(super) everything: bool,
    /// Whether the tasks are no longer needed.
    pub(super) needless: bool,
}

/// Everything that a batch writes.
#[derive(Default)]
pub struct Batch {
    pub(super) ended: Vec<EndedRow>,
    pub(super) retried: Vec<RetriedRow>,
    /// Calls that were withdrawn before their reports, with the slots that they had taken.
    pub(super) withdrawn_calls: Vec<i64>,
    pub(super) released: Vec<ReleasedItems>,
    pub(super) renewed: Vec<RenewedTask>,
    /// Branch changes to delete, by execution, change and place. Without a change, all changes of the execution are
    /// deleted.
    pub(super) gone_changes: Vec<(i64, Option<(u32, u32)>)>,
    /// New changes published by branches, by execution.
    pub(super) published: Vec<(i64, NewEntry)>,
    /// Undos of tasks that have ended.
    pub(super) undos: Vec<NewUndo>,
    pub(super) withdraw: Vec<Withdrawal>,
    pub(super) hold: Vec<i64>,
    pub(super) unhold: Vec<i64>,
    /// New tasks that are subject to the withdrawal.
    pub(super) withdrawn_tasks: Vec<FreshTask>,
    pub(super) tasks: Vec<FreshTask>,
    pub(super) runs: Vec<RunRow>,
    pub(super) executions: Vec<ExecutionRow>,
    /// Keys by which executions that are starting share the queue.
    pub(super) fair_keys: Vec<(i64, String)>,
    /// Attributes that definitions assign to executions that are starting, by execution.
    attributes: BTreeMap<i64, Jsonb>,
    /// Executions that wait to begin.
    pub(super) waits: Vec<Wait>,
    /// Executions under a concurrency limit that had ended and now continue.
    pub(super) entering_again: Vec<i64>,
    /// Executions under a concurrency limit that stop or end.
    pub(super) leaving: Vec<i64>,
    /// Executions that end with this batch.
    pub(super) ends: BTreeSet<i64>,
    pub(super) written: Written,
}

impl Batch {
    /// Records that a reported row has ended.
    pub fn end_task(&mut self, row: EndedRow) {
        self.ended.push(row);
    }

    /// Records that a reported row is retried.
    pub fn retry_task(&mut self, row: RetriedRow) {
        self.retried.push(row);
    }

    /// Records that calls have been withdrawn, so that the slots that they had taken become free.
    pub fn leave_slots(&mut self, calls: impl Iterator<Item = i64>) {
        self.withdrawn_calls.extend(calls);
    }

    /// Returns why an execution that is starting has failed; `None` if it has not, or if it has created work for a
    /// worker, a wait or a call on a forward path.
    pub fn failed_start(&self, run: i64) -> Option<&Cause> {
        let row = self.runs.iter().find(|row| row.id == run && row.status == Status::Failed)?;
        let is_work = |task: &FreshTask| {
            task.run == run && !task.task.closing && (task.task.action.is_some() || task.task.signal.is_some())
        };
        row.causes.first().filter(|_| !self.withdrawn_tasks.iter().chain(&self.tasks).any(is_work))
    }

    /// Takes the attributes that its definition assigns to an execution that is starting.
    pub fn take_attributes(&mut self, run: i64) -> Option<Jsonb> {
        self.attributes.remove(&run)
    }

    /// Records that an execution waits to begin.
    pub fn wait_to_begin(&mut self, wait: Wait) {
        self.waits.push(wait);
    }

    /// Adds the conductor's decisions for one execution.
    pub fn take(&mut self, run: &Run, execution: &Execution, changes: Changes) {
        let name = |key: &TaskKey| run.graph.node(key.node).name.clone();
        let paused = execution.paused;
        self.attributes.extend(changes.attributes.as_ref().and_then(Jsonb::new).map(|given| (run.id, given)));
        for (key, count) in &changes.released {
            let (task_name, count) = (name(key), *count as i32);
            self.released.push(ReleasedItems { run: run.id, task_name, key: *key, count, paused });
        }
        for rerun in &changes.rerun_tasks {
            self.renewed.push(RenewedTask {
                run: run.id,
                task_name: name(&rerun.key),
                key: rerun.key,
                released: rerun.released.map_or(1, |count| count as i32),
                everything: rerun.reset_items || rerun.released.is_none(),
                paused,
                first: rerun.first.map(|index| index as i32),
                keeps_child: !rerun.reset_items,
            });
        }
        self.fair_keys.extend(changes.fair_key.iter().map(|key| (run.id, key.clone())));
        self.gone_changes.extend(changes.folded.then_some((run.id, None)));
        self.gone_changes.extend(changes.replaced.iter().map(|entry| (run.id, Some(*entry))));
        self.published.extend(changes.published.iter().map(|entry| (run.id, entry.clone())));
        self.undos.extend(changes.undos.iter().cloned());
        let items = changes.withdraw.items.iter().map(|key| (TaskRows::of_key(run, *key), false));
        let rest = changes.rest.iter().map(|rest| (TaskRows::of_rest(run, rest), true));
        self.withdraw.extend(items.chain(rest).map(|(task, needless)| Withdrawal {
            run: run.id,
            task: Some(task),
            everything: false,
            needless,
        }));
        self.written.rest.extend(changes.rest.iter().map(|rest| (run.id, TaskRows::of_rest(run, rest))));
        if changes.withdraw.tasks != Reach::Nothing {
            let everything = changes.withdraw.tasks == Reach::Everything;
            self.withdraw.push(Withdrawal { run: run.id, task: None, everything, needless: false });
        }
        match changes.hold {
            Hold::Nothing => {}
            Hold::Pause => self.hold.push(run.id),
            Hold::Resume => self.unhold.push(run.id),
        }
        if changes.void != Reach::Nothing {
            self.written.void.push((run.id, changes.void == Reach::Everything));
        }
        let (now, before) = (execution.stop(), run.before.stop());
        if now > before {
            self.written.stopped.push((run.id, now == Reach::Everything));
        }
        if changes.end.is_some() && run.depth > 0 {
            self.written.ended.push(run.id);
        }
        if run.graph.concurrency.is_some() {
            // Tasks that only close an execution, such as undos after its end, run without a slot.
            let runs_again = changes.rerun && execution.status == Status::Running;
            self.entering_again.extend(runs_again.then_some(run.id));
            let stops = execution.status != Status::Running && execution.status != run.before.status;
            self.leaving.extend((stops || changes.end.is_some()).then_some(run.id));
        }
        self.take_run(run, execution, &changes);
        let mut scheduled = changes.scheduled.into_iter().map(|task| fresh(run, paused, task));
        self.withdrawn_tasks.extend(scheduled.by_ref().take(changes.scheduled_before));
        self.tasks.extend(scheduled);
    }

    fn take_run(&mut self, run: &Run, execution: &Execution, changes: &Changes) {
        let touched = *execution != run.before || changes.variables.is_some() || !changes.causes.is_empty();
        if touched || changes.end.is_some() {
            let is_plain = execution.state == State::plain(execution.status);
            let state = (!is_plain).then(|| conductor::json::to_text(&execution.state));
            self.runs.push(RunRow {
                id: run.id,
                status: execution.status,
                paused: execution.paused,
                state: state.and_then(Result::ok),
                variables: changes.variables.as_ref().map(json_text),
                causes: changes.causes.clone(),
                rerun: changes.rerun,
                time_limit: run.graph.timeout,
                ended: changes.end.is_some() || changes.relist,
                lists: changes.end.as_ref().and_then(|end| end.lists.clone()),
                turned: execution.status != run.before.status,
                undoing: phase(execution).filter(|now| phase(&run.before) != Some(*now)),
            });
        }
        match &changes.end {
            Some(end) => {
                self.ends.insert(run.id);
                self.executions.push((run.id, end.status.name(), end.output.as_ref().map(json_text)));
            }
            None if changes.rerun || changes.reopened => self.executions.push((run.id, Status::Running.name(), None)),
            None => {}
        }
    }
}

fn phase(execution: &Execution) -> Option<Phase> {
    execution.state.undo.as_ref().map(|undo| undo.phase)
}

fn fresh(run: &Run, paused: bool, task: NewTask) -> FreshTask {
    let (start, delay, result) = match &task.start {
        Start::Ready => ("ready", None, None),
        Start::Delayed(seconds) => ("delayed", Some(*seconds), None),
        Start::Held => ("held", None, None),
        Start::Ended(end, result) => (end.name(), None, result.as_ref().map(json_text)),
    };
    let task_name = run.graph.node(task.key.node).name.clone();
    let priority = run.priority.saturating_add(task.priority);
    let max_lost_leases = run.graph.node(task.key.node).max_lost_leases.map(|count| count as i32);
    let heartbeat = run.graph.node(task.key.node).heartbeat.map(|seconds| seconds as i32);
    let is_final = !run.graph.node(task.key.node).may_run_again_after_success();
    let (calls, is_called) = (task.reopens, run.depth > 0);
    FreshTask {
        id: 0,
        run: run.id,
        task_name,
        start,
        delay,
        paused,
        priority,
        max_lost_leases,
        is_final,
        heartbeat,
        result,
        calls,
        is_called,
        is_fair: run.graph.fair_by.is_some(),
        fair_place: None,
        limit_key: None,
        traceparent: run.traceparent.clone(),
        workflow: run.traceparent.as_ref().map(|_| Rc::from(run.graph.reference.as_str())),
        task,
    }
}
