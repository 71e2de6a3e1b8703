//! What people do to an execution: pause, resume, cancel, time out, rerun.

use crate::engine::cause::Cause;
use crate::engine::commands::{Hold, Reach, RerunTask};
use crate::engine::conductor::{Conductor, Reported};
use crate::engine::facts::Outcome;
use crate::engine::items::tolerated;
use crate::engine::rest::needed;
use crate::engine::state::{Context, Progress, Staged, Status, TaskEnd, TaskKey};
use crate::engine::undo::Phase;
use crate::graph::NodeId;
use crate::language::definition::CancellationPolicy;

/// A task that a rerun runs again.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The task.
    pub key: TaskKey,
    /// The context it saw.
    pub context: Context,
    /// Total number of items, and how many of them keep their success; none: it has no items.
    pub items: Option<(u32, u32)>,
    /// Whether successful items run again too, and sub-workflows are started anew.
    pub reset_items: bool,
    /// The item that goes first; none: items go in their order.
    pub first: Option<u32>,
    /// Whether the engine ended it at once because it was skipped or had nothing to do. Such a row is no work.
    pub ended_at_once: bool,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// Whether it, or some of its items, have completed and can be undone.
    pub undoable: bool,
    /// Its place in the order in which tasks were created.
    pub order: i64,
}

impl Rerun {
    /// Whether it would run something again that has completed and can be undone, which must not be done twice.
    pub fn runs_undoable(&self) -> bool {
        self.undoable && (self.reset_items || self.items.is_none_or(|(total, kept)| total == kept))
    }
}

impl Conductor<'_> {
    /// Stops new claims; running tasks may finish. Idempotent. What closes an execution waits, too.
    pub fn pause(&mut self) {
        if !self.execution.has_ended() && !self.execution.paused {
            self.execution.paused = true;
            self.changes.hold = Hold::Pause;
        }
    }

    /// Allows claims again, and ends the execution if nothing is left to do.
    pub fn resume(&mut self) {
        if self.execution.paused {
            self.execution.paused = false;
            self.changes.hold = Hold::Resume;
            self.run();
        }
    }

    /// Lets nothing new start on the ways forward; the execution is cancelled once nothing is running and everything that
    /// closes it has ended. One that has stopped already stays as it is.
    pub fn cancel(&mut self) {
        if self.execution.status != Status::Running {
            return;
        }
        if std::mem::take(&mut self.execution.paused) {
            self.changes.hold = Hold::Resume;
        }
        self.begin_cancel();
        if self.graph.cancellation_policy == CancellationPolicy::CancelRunning {
            self.changes.void = Reach::Forward;
        }
        self.run();
    }

    /// Cancels the execution because what has called it is cancelled, which ends its pause, too.
    pub fn cancel_called(&mut self) {
        match self.execution.status {
            Status::Running => self.cancel(),
            _ => self.resume(),
        }
    }

    /// Ends the execution at once: whatever waits or runs is cancelled, including what would close it.
    pub fn force_cancel(&mut self) {
        if self.execution.has_ended() || self.execution.state.forced {
            return;
        }
        self.execution.state.forced = true;
        self.execution.paused = false;
        self.begin_cancel();
        self.changes.withdraw.tasks = Reach::Everything;
        self.changes.void = Reach::Everything;
        self.run();
    }

    fn begin_cancel(&mut self) {
        if self.execution.status == Status::Running && self.execution.state.verdict.is_some() {
            self.execution.state.verdict = Some(Status::Cancelled);
        }
        self.stop(Status::Canceling);
    }

    /// Withdraws what waits in an execution that has stopped, if somebody was claiming it at that moment.
    pub fn withdraw_again(&mut self) {
        if self.execution.status != Status::Running && !self.execution.has_ended() {
            self.changes.withdraw.tasks = if self.execution.state.forced { Reach::Everything } else { Reach::Forward };
        }
    }

    /// Stops the workflow because its timeout has passed. The `finally` task of one that has done its work goes on.
    pub fn time_out(&mut self) {
        if self.execution.status == Status::Running && self.execution.state.verdict.is_none() {
            let message = "the workflow took longer than its timeout".to_owned();
            self.changes.causes.push(Cause::rule("WF610", None, message));
            self.stop(Status::Timeout);
            self.run();
        }
    }

    /// Runs tasks of a finished execution again, along with what would have started when it stopped.
    pub fn rerun(&mut self, tasks: &[Rerun]) -> Result<(), String> {
        match self.execution.state.undo.as_ref().map(|undo| undo.phase) {
            Some(Phase::Done) => return Err("what it had completed has been undone".to_owned()),
            _ if self.execution.undoes_on() => return self.rerun_undos(tasks),
            _ => self.execution.state.undo = None,
        }
        let staged = std::mem::take(&mut self.execution.state.staged);
        let resolved = std::mem::take(&mut self.execution.state.resolved);
        if tasks.is_empty() && staged.is_empty() && !resolved {
            return Err("none of its tasks failed".to_owned());
        }
        // The `finally` task runs at this end too, with what follows from it, however it went last time.
        let is_last = |node: NodeId| self.graph.node(node).follows_finally;
        let state = &mut self.execution.state;
        state.failures.retain(|key| !is_last(key.node));
        state.joins.retain(|join| !is_last(join.node));
        (state.verdict, state.canceling_since, state.forced) = (None, None, false);
        state.live = 0;
        state.reruns += 1;
        state.ended = state.ended.take().filter(|seen| !seen.is_empty());
        self.execution.status = Status::Running;
        self.changes.rerun = true;
        for task in tasks.iter().filter(|task| !is_last(task.key.node)) {
            self.rerun_task(task);
        }
        for Staged { node, route, context } in staged.into_iter().filter(|staged| !is_last(staged.node)) {
            self.execution.state.live += 1;
            self.make_ready(node, route, context, false);
        }
        self.run();
        Ok(())
    }

    /// Lets a task that has failed unhandled, in an execution that has not ended, count as done. Returns what goes wrong
    /// with that.
    pub fn resolve(&mut self, reported: &Reported, outcome: Outcome) -> Option<Cause> {
        let (causes, key) = (self.changes.causes.len(), reported.key);
        self.execution.state.failures.retain(|failed| *failed != key);
        self.execution.state.resolved = true;
        self.execution.state.live += 1;
        self.note_undo(reported, &outcome);
        self.end_task(key, reported.context, outcome, reported.closing, reported.order);
        self.run();
        self.changes.causes.get(causes).cloned()
    }

    fn rerun_task(&mut self, task: &Rerun) {
        let (concurrency, tolerated, needed) = self.item_bounds(task);
        let state = &mut self.execution.state;
        state.failures.retain(|key| *key != task.key);
        state.live += 1;
        if task.ended_at_once {
            let (node, route, context) = (task.key.node, task.key.route, task.context.clone());
            return self.make_ready(node, route, context, false);
        }
        if task.items.is_some_and(|(total, kept)| kept == total && !task.reset_items) {
            // All of its items keep their success: only what follows them is left to do.
            let outcome = self.item_outcome(task.key).unwrap_or_else(|| Outcome::of_unread_items(TaskEnd::Completed));
            return self.end_task(task.key, &task.context, outcome, task.closing, task.order);
        }
        let released = task.items.map(|(total, kept)| {
            let kept = if task.reset_items { 0 } else { kept };
            let open = total - kept;
            let released = if concurrency == 0 { open } else { concurrency.min(open) };
            state.items.push(Progress {
                key: task.key,
                context: task.context.clone(),
                total,
                released: kept + released,
                ended: kept,
                failed: 0,
                cancelled: 0,
                withdrawn: 0,
                concurrency,
                tolerated,
                retries: 0,
                needed,
                stopped: false,
                closing: task.closing,
                uncounted: false,
            });
            released
        });
        let Rerun { key, reset_items, first, .. } = *task;
        self.changes.rerun_tasks.push(RerunTask { key, reset_items, first, released });
    }

    /// Returns the concurrency, the tolerated failures and the needed successes.
    fn item_bounds(&self, task: &Rerun) -> (u32, Option<u32>, Option<u32>) {
        let node = self.graph.node(task.key.node);
        match (&node.items, task.items) {
            (Some(items), Some((total, _))) => {
                let vars = self.branch(&task.context);
                let concurrency = self.count(node, "concurrency", &items.concurrency, vars).ok().flatten();
                (concurrency.unwrap_or(0), tolerated(items, total), needed(items, total))
            }
            _ => (0, None, None),
        }
    }
}
