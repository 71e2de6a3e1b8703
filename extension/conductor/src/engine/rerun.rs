//! Rerunning tasks of an execution that has ended unsuccessfully.

use crate::engine::cause::Cause;
use crate::engine::commands::RerunTask;
use crate::engine::conductor::Conductor;
use crate::engine::outcome::TaskOutcome;
use crate::engine::published;

use crate::engine::state::{Context, Phase, Progress, Staged, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::graph::NodeId;
use crate::interrupt;
use std::collections::{BTreeSet, HashSet};

/// A task that a rerun runs again.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The task.
    pub key: TaskKey,
    /// The context it saw.
    pub context: Context,
    /// Total number of items, and how many of them keep their success; `None` if it has no items.
    pub items: Option<(u32, u32)>,
    /// Whether successful items run again, too, and sub-workflows are started from scratch.
    pub reset_items: bool,
    /// The item that goes first; `None` if items go in their order.
    pub first: Option<u32>,
    /// Whether the engine ended it at once because it was skipped or had nothing to do. Such a row involved no work.
    pub ended_at_once: bool,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// Whether it, or some of its items, have completed and can be undone.
    pub undoable: bool,
    /// Its place in the order in which tasks were created.
    pub order: i64,
}

impl Rerun {
    /// Whether it would repeat something that has completed and can be undone: that must not be done twice.
    pub fn runs_undoable(&self) -> bool {
        self.undoable && (self.reset_items || self.items.is_none_or(|(total, kept)| total == kept))
    }
}

impl Conductor<'_> {
    /// Reruns tasks of an execution that has ended, along with those that would have started when it stopped.
    pub fn rerun(&mut self, tasks: &[Rerun]) -> Result<(), String> {
        match self.execution.state.undo.as_ref().map(|undo| undo.phase) {
            Some(Phase::Done) => return Err("its completed tasks have been undone".to_owned()),
            _ if self.execution.resumes_undo() => return self.rerun_undos(tasks),
            _ => self.execution.state.undo = None,
        }
        let staged = std::mem::take(&mut self.execution.state.staged);
        let resolved = std::mem::take(&mut self.execution.state.resolved);
        if tasks.is_empty() && staged.is_empty() && !resolved {
            return Err("none of its tasks failed".to_owned());
        }
        // The `finally` task runs at this end, too, with what follows from it, regardless of how it ended last time.
        let is_last = |node: NodeId| self.graph.node(node).follows_finally;
        let state = &mut self.execution.state;
        state.failures.retain(|key| !is_last(key.node));
        state.joins.retain(|join| !is_last(join.node));
        (state.verdict, state.canceling_since, state.forced) = (None, None, false);
        state.live = 0;
        state.reruns += 1;
        state.ended = state.ended.take().map(|seen| published::shared(&seen)).filter(|seen| !seen.is_empty());
        state.shared = state.published;
        self.execution.status = Status::Running;
        self.changes.rerun = true;
        let named: Vec<&Rerun> = tasks.iter().filter(|task| !is_last(task.key.node)).collect();
        self.forget_failures_after(&named, &staged);
        for task in named {
            self.rerun_task(task);
        }
        for Staged { node, route, context } in staged.into_iter().filter(|staged| !is_last(staged.node)) {
            self.execution.state.live += 1;
            self.make_ready(node, route, context, false);
        }
        self.run();
        Ok(())
    }

    /// Forgets the failures of tasks that can be reached from those that run again: their new outcomes count. Paths end
    /// at joins that have fired, because these do not fire again.
    fn forget_failures_after(&mut self, tasks: &[&Rerun], staged: &[Staged]) {
        let (graph, state) = (self.graph, &mut self.execution.state);
        if state.failures.is_empty() {
            return;
        }
        let mut open: Vec<(NodeId, Option<u32>)> =
            tasks.iter().map(|task| (task.key.node, Some(task.key.route))).collect();
        open.extend(staged.iter().map(|next| (next.node, Some(next.route))));
        let mut seen = HashSet::new();
        while let Some((from, route)) = open.pop() {
            for to in interrupt::checked(graph.node(from).successors()) {
                let has_fired = graph.node(to).join.is_some() && route.is_some_and(|route| state.has_fired(to, route));
                // A way into a task reached by several transitions opens a route, whose number is not known yet.
                let next = (to, route.filter(|_| !graph.node(to).split));
                if !has_fired && seen.insert(next) {
                    open.push(next);
                }
            }
        }
        let is_after = |key: &TaskKey| seen.contains(&(key.node, None)) || seen.contains(&(key.node, Some(key.route)));
        state.failures.retain(|key| !is_after(key));
    }

    /// Fails the workflow because of failures that a rerun of other tasks did not change.
    pub(crate) fn fail_again(&mut self) {
        let names: BTreeSet<&str> =
            self.execution.state.failures.iter().map(|key| self.graph.node(key.node).name.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("the rerun left other failed tasks as they were: {names}");
        self.changes.causes.push(Cause { message, ..Cause::default() });
        self.execution.status = Status::Failed;
    }

    fn rerun_task(&mut self, task: &Rerun) {
        let (concurrency, tolerated, needed) = self.item_bounds(task);
        let state = &mut self.execution.state;
        state.failures.retain(|key| *key != task.key);
        state.live += 1;
        if task.ended_at_once {
            let (node, route, context) = (task.key.node, task.key.route, published::shared(&task.context));
            return self.make_ready(node, route, context, false);
        }
        if task.items.is_some_and(|(total, kept)| kept == total && !task.reset_items) {
            // All of its items keep their success: only what follows them is left to do.
            let outcome =
                self.item_outcome(task.key).unwrap_or_else(|| TaskOutcome::of_unread_items(TaskEnd::Completed));
            return self.end_task(task.key, &published::shared(&task.context), outcome, task.closing, task.order);
        }
        let released = task.items.map(|(total, kept)| {
            let kept = if task.reset_items { 0 } else { kept };
            let open = total - kept;
            let released = if concurrency == 0 { open } else { concurrency.min(open) };
            state.items.push(Progress {
                key: task.key,
                context: published::shared(&task.context),
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
                (concurrency.unwrap_or(0), items.tolerated(total), items.needed(total))
            }
            _ => (0, None, None),
        }
    }
}
