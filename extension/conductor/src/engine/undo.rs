//! Undoing what was completed, once the workflow has failed, timed out or been cancelled.
//!
//! When a task with an undo completes, the call that undoes it is rendered, numbered and stored with its row. Once
//! nothing is left to do but `finally`, these calls become tasks, highest number first: one after the other, or all at
//! once. Each step processes a limited number of them, so that neither a step nor the state grows with what was
//! completed.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::{NewTask, NewUndo, RerunTask, Start};
use crate::engine::conductor::Conductor;
use crate::engine::facts::{Item, Undoable};
use crate::engine::outcome::{ItemOutcomes, TaskOutcome};
use crate::engine::published;
use crate::engine::reported::Reported;
use crate::engine::rerun::Rerun;
use crate::engine::state::{Phase, TaskKey, Undoing};
use crate::engine::status::{Status, TaskEnd};
use crate::engine::work::EndedTask;
use crate::expression::Data;
use crate::graph::Graph;
use crate::graph::Node;
use crate::graph::node::UndoCall;
use crate::language::definition::UndoOn;
use crate::language::definition::{UndoOrder, WhenUnknown};
use std::collections::BTreeMap;

/// Maximum number of tasks that one step undoes.
pub const AT_ONCE: usize = 100;

/// What an undo is rendered from.
struct Undone<'a> {
    key: TaskKey,
    context: &'a [u32],
    input: Option<&'a Data>,
    stored: Option<&'a Data>,
    outcome: &'a TaskOutcome,
}

fn nothing() -> Data {
    Data::from(BTreeMap::<String, Data>::new())
}

impl Conductor<'_> {
    /// Renders and numbers the undo of a task or item that has ended, if it has one and may have to be undone. Tasks
    /// that close the execution are never undone.
    pub(crate) fn note_undo(&mut self, reported: &Reported, outcome: &TaskOutcome) {
        let graph = self.graph;
        let Some(undo) = &graph.node(reported.key.node).undo else { return };
        let forced = self.execution.state.forced;
        let waits = graph.node(reported.key.node).signal.is_some();
        let needless = self.is_needless(reported.key.node, reported.key.route);
        let is_known = match (outcome.end, reported.undoable) {
            (TaskEnd::Completed, _) => true,
            // A called execution has undone itself, unless only its `finally` failed, or it could not.
            (end, Some(undoable)) if (end.is_failure() || needless) && undoable => false,
            (_, Some(_)) => return,
            (TaskEnd::Timeout | TaskEnd::Abandoned, None) if !waits => false,
            // It was cancelled by force: its worker did not report whether it was done.
            (TaskEnd::Cancelled, None) if forced => false,
            _ => return,
        };
        if reported.closing && self.has_stopped() {
            return;
        }
        match &undo.call {
            None if reported.undoable == Some(true) => self.number_undo(reported, nothing()),
            None => {}
            Some(call) if !is_known && call.when_unknown == WhenUnknown::Skip => {}
            Some(call) => {
                let unknown = TaskOutcome { result: Some(Data::from(())), ..outcome.clone() };
                let outcome = if is_known { outcome } else { &unknown };
                let (input, stored) = (reported.input.as_ref(), reported.undo.as_ref());
                let (key, context) = (reported.key, reported.context);
                let rendered = self.render_undo(call, &Undone { key, context, input, stored, outcome });
                match rendered {
                    Ok(call) => self.number_undo(reported, call),
                    Err(cause) => {
                        self.number_undo(reported, Data::from_pairs([("error", Data::from(cause.message.clone()))]));
                        self.fail(Cause { item: reported.index, ..cause });
                    }
                }
            }
        }
    }

    /// Whether a task has an undo and it is unknown whether the task was done.
    pub(crate) fn is_unknown(&self, reported: &Reported) -> bool {
        let node = self.graph.node(reported.key.node);
        let outcome_is_unknown = matches!(reported.end, TaskEnd::Timeout | TaskEnd::Abandoned);
        outcome_is_unknown && node.has_undo() && node.signal.is_none() && reported.undoable.is_none()
    }

    fn number_undo(&mut self, reported: &Reported, call: Data) {
        let Some(node) = self.graph.node(reported.key.node).undo.as_ref().map(|undo| undo.node) else { return };
        self.execution.state.undos += 1;
        let (row, number, context) = (reported.order, self.execution.state.undos, published::shared(reported.context));
        self.changes.undos.push(NewUndo { row, number, call: call.clone() });
        // What was voided by force is numbered only now.
        if let Some(undo) = self.execution.state.undo.as_mut().filter(|undo| undo.phase == Phase::Stopped) {
            undo.below = number + 1;
        }
        let undoable = Undoable { row, action: None, node, number, context, call, unrendered: None };
        if self.is_undoing() {
            // A failure was resolved by hand. The end of that task is yet to be processed.
            let waits = self.graph.undo_order == UndoOrder::Reverse && self.execution.state.live > 1;
            self.begin_undo(&undoable, waits);
        }
        self.undoable.push(undoable);
    }

    fn render_undo(&self, call: &UndoCall, undone: &Undone) -> Result<Data, Cause> {
        let name = self.graph.node(undone.key.node).name.as_str();
        let vars = self.branch(undone.context);
        let stored =
            |name: &str| undone.stored.and_then(|stored| stored.get_attr(name).ok()).filter(|v| !v.is_undefined());
        let item = stored("item").map(|item| Item {
            item,
            index: stored("index").and_then(|index| u32::try_from(index).ok()).unwrap_or_default(),
            batch: stored("batch").and_then(|batch| u32::try_from(batch).ok()),
        });
        let render = |what: &str, rendering| {
            self.render_ended(rendering, vars.clone(), (name, undone.outcome), item.as_ref(), undone.input).map_err(
                |error| Cause::evaluating(Code::TASK_NOT_RENDERED, &format!("undo {what}"), Some(name), &error),
            )
        };
        let mut parts = vec![("action", render("action", &call.action)?)];
        if parts[0].1.as_str().is_none() {
            let message = format!("undo action of task {name} must be text, not {}", parts[0].1.kind());
            return Err(Cause::rule(Code::TASK_NOT_RENDERED, Some(name), message));
        }
        for (what, rendering) in [("input", &call.input), ("timeout", &call.timeout), ("retries", &call.retries)] {
            if let Some(rendering) = rendering {
                parts.push((what, render(what, rendering)?));
            }
        }
        let kept = ["item", "index", "batch"].into_iter().filter_map(|name| Some((name, stored(name)?)));
        let call = Data::from_pairs(parts.into_iter().chain(kept));
        let bytes = crate::engine::variables::bytes(&call);
        self.bound_output(bytes, || format!("the undo of task {name} takes"))?;
        Ok(call)
    }

    /// Whether completed tasks must be undone at this verdict.
    fn undoes_at(&self, verdict: Status) -> bool {
        self.execution.state.undos > 0 && self.graph.undoes_at(verdict)
    }

    /// Whether undoing has begun and has not ended.
    pub(crate) fn is_undoing(&self) -> bool {
        self.execution.state.undo.as_ref().is_some_and(|undo| undo.phase == Phase::Running)
    }

    /// Schedules what is to be undone next at this verdict. Returns whether there was anything.
    pub(crate) fn undo_next(&mut self, verdict: Status) -> bool {
        let state = &self.execution.state;
        let is_due = match state.undo.as_ref().map(|undo| undo.phase) {
            None => self.undoes_at(verdict),
            Some(phase) => matches!(phase, Phase::Pending | Phase::Running),
        };
        if state.forced || !is_due {
            return false;
        }
        let all = state.undos + 1;
        let below = state.undo.as_ref().filter(|undo| undo.phase == Phase::Running).map_or(all, |undo| undo.below);
        let Some(known) = &self.facts.undoable else {
            self.missing.note();
            return false;
        };
        let mut left: Vec<Undoable> =
            known.iter().chain(&self.undoable).filter(|undoable| undoable.number < below).cloned().collect();
        left.sort_by_key(|undoable| std::cmp::Reverse(undoable.number));
        left.truncate(AT_ONCE);
        let undo = self.execution.state.undo.get_or_insert_default();
        (undo.phase, undo.below) = (Phase::Running, left.last().map_or(below, |last| last.number));
        if left.is_empty() {
            let failed = self.execution.state.failures.iter().any(|key| self.graph.node(key.node).undoes.is_some());
            undo.phase = if failed { Phase::Failed } else { Phase::Done };
            return false;
        }
        let mut is_first = true;
        for undoable in left {
            let waits = !is_first && self.graph.undo_order == UndoOrder::Reverse;
            is_first &= !self.begin_undo(&undoable, waits);
        }
        true
    }

    /// Schedules the task that undoes another one. Returns whether it could begin.
    fn begin_undo(&mut self, undoable: &Undoable, waits: bool) -> bool {
        let node = self.graph.node(undoable.node);
        let key = TaskKey { node: undoable.node, route: 0, visit: undoable.number };
        let part = |name: &str| undoable.call.get_attr(name).ok().filter(|value| !value.is_undefined());
        let text = |name: &str| part(name).and_then(|value| value.as_str().map(str::to_owned));
        self.execution.state.live += 1;
        if let Some(message) = text("error") {
            let cause = Cause {
                task: Some(node.name.clone()),
                code: Some(Code::TASK_NOT_RENDERED),
                message,
                ..Cause::default()
            };
            self.end_undo_unstarted(key, undoable, cause);
            return false;
        }
        let action = text("action");
        if waits && let Some(undo) = &mut self.execution.state.undo {
            undo.waiting.push(key);
        }
        let number = |name: &str| part(name).and_then(|value| f64::try_from(value).ok());
        self.changes.scheduled.push(NewTask {
            start: if waits { Start::Held } else { Start::Ready },
            reopens: action.is_none(),
            action: action.or_else(|| undoable.action.clone()),
            input: part("input"),
            timeout: number("timeout").filter(|s| *s > 0.0).map(|s| s.ceil().clamp(1.0, f64::from(i32::MAX)) as i32),
            max_retries: number("retries").map_or(0, |count| count.clamp(0.0, f64::from(i32::MAX)) as i32),
            priority: node.priority,
            undoes: Some(undoable.row),
            ..NewTask::closing(key, published::shared(&undoable.context))
        });
        true
    }

    fn end_undo_unstarted(&mut self, key: TaskKey, undoable: &Undoable, cause: Cause) {
        let (end, error) = (TaskEnd::Failed, Some(cause.as_error()));
        let outcome = TaskOutcome { end, result: None, error, times: None, items: ItemOutcomes::None };
        let (context, refusal) = (published::shared(&undoable.context), Some(cause));
        let place = self.changes.scheduled.len();
        self.end_without_work(EndedTask { key, context, outcome, end, closing: true, refusal, order: 0 });
        self.changes.scheduled[place].undoes = Some(undoable.row);
    }

    /// Lets the next undo begin after one has ended.
    pub(crate) fn release_undo(&mut self, ended: &EndedTask) {
        if self.graph.node(ended.key.node).undoes.is_none() {
            return;
        }
        // Otherwise another one is still running.
        let live = self.execution.state.live as usize;
        let is_next = |undo: &&mut Undoing| !undo.waiting.is_empty() && undo.waiting.len() == live;
        if let Some(undo) = self.execution.state.undo.as_mut().filter(is_next) {
            self.changes.released.push((undo.waiting.remove(0), 1));
        }
    }

    /// Notes that completed tasks will be undone, or that their undoing was stopped by force.
    pub(crate) fn note_undoing(&mut self) {
        let state = &self.execution.state;
        // A failure or timeout in `finally`, after a success, undoes nothing.
        let is_late = state.verdict.is_some() && self.execution.status != Status::Canceling;
        let has_ended = self.changes.end.is_some() && !state.forced;
        if has_ended || !self.is_undoing() && (is_late || !self.undoes_at(self.execution.status)) {
            return;
        }
        let (forced, all) = (state.forced, state.undos + 1);
        match &mut self.execution.state.undo {
            None if forced => {
                self.execution.state.undo = Some(Undoing { phase: Phase::Stopped, below: all, waiting: Vec::new() });
            }
            undo @ None => *undo = Some(Undoing { below: all, ..Undoing::default() }),
            Some(undo) if forced && matches!(undo.phase, Phase::Pending | Phase::Running) => {
                let below = if undo.phase == Phase::Pending { all } else { undo.below };
                *undo = Undoing { phase: Phase::Stopped, below, waiting: Vec::new() };
            }
            Some(_) => {}
        }
    }

    /// Undoes an execution that has ended without undoing anything, because its caller is being undone. Returns whether
    /// there is anything to undo.
    pub fn undo(&mut self) -> bool {
        let state = &self.execution.state;
        if self.execution.status == Status::Running || state.live > 0 || state.undos == 0 || state.undo.is_some() {
            return false;
        }
        let below = self.execution.state.undos + 1;
        self.execution.status = Status::Canceling;
        self.execution.state.canceling_since = Some(self.facts.now);
        self.execution.state.verdict = None;
        self.execution.state.undo = Some(Undoing { phase: Phase::Running, below, waiting: Vec::new() });
        self.changes.reopened = true;
        self.run();
        true
    }

    /// Continues with undos that failed or were stopped. Failures before them stay as they are.
    pub(crate) fn rerun_undos(&mut self, tasks: &[Rerun]) -> Result<(), String> {
        let graph = self.graph;
        let failures = &self.execution.state.failures;
        let is_open = |task: &&Rerun| graph.node(task.key.node).undoes.is_some() && failures.contains(&task.key);
        if let Some(other) = tasks.iter().find(|task| !is_open(task)) {
            let name = &graph.node(other.key.node).name;
            return Err(format!("it is undoing its completed tasks, and {name} is not an undo that has failed"));
        }
        let mut open: Vec<&Rerun> = tasks.iter().collect();
        open.sort_by_key(|task| std::cmp::Reverse(task.key.visit));
        let state = &mut self.execution.state;
        (state.verdict, state.forced, state.live) = (None, false, 0);
        state.reruns += 1;
        state.failures.retain(|key| !open.iter().any(|task| task.key == *key) && !graph.node(key.node).follows_finally);
        if let Some(undo) = &mut state.undo {
            (undo.phase, undo.waiting) = (Phase::Running, Vec::new());
        }
        if self.execution.status == Status::Cancelled {
            self.execution.status = Status::Canceling;
        }
        self.changes.reopened = true;
        let mut is_first = true;
        for task in open {
            let waits = !is_first && graph.undo_order == UndoOrder::Reverse;
            is_first &= !match task.ended_at_once {
                true => self.render_again(task, waits),
                false => self.rerun_undo(task.key, waits),
            };
        }
        self.run();
        Ok(())
    }

    fn rerun_undo(&mut self, key: TaskKey, waits: bool) -> bool {
        self.execution.state.live += 1;
        if waits && let Some(undo) = &mut self.execution.state.undo {
            undo.waiting.push(key);
        }
        let released = Some(u32::from(!waits));
        self.changes.rerun_tasks.push(RerunTask { key, reset_items: false, first: None, released });
        true
    }

    /// Renders an undo again, under a new number.
    fn render_again(&mut self, task: &Rerun, waits: bool) -> bool {
        let Some(known) = &self.facts.undoable else {
            self.missing.note();
            return false;
        };
        let found = known.iter().find(|undoable| undoable.number == task.key.visit).cloned();
        let (Some(undone), Some(mut undoable)) = (self.graph.node(task.key.node).undoes, found) else { return false };
        let (Some(call), Some(from)) =
            (self.graph.node(undone).undo.as_ref().and_then(|undo| undo.call.as_ref()), undoable.unrendered.take())
        else {
            return false;
        };
        let key = TaskKey { node: undone, ..TaskKey::default() };
        let rendered = self.render_undo(
            call,
            &Undone {
                key,
                context: &undoable.context,
                input: Some(&from.input),
                stored: Some(&undoable.call),
                outcome: &from.outcome,
            },
        );
        self.execution.state.undos += 1;
        undoable.number = self.execution.state.undos;
        undoable.call = rendered.unwrap_or_else(|cause| Data::from_pairs([("error", Data::from(cause.message))]));
        let (row, number, call) = (undoable.row, undoable.number, undoable.call.clone());
        self.changes.undos.push(NewUndo { row, number, call });
        self.begin_undo(&undoable, waits)
    }

    /// Counts a failed undo of an execution that has ended as done. Returns whether it had failed.
    pub fn resolve_undo(&mut self, key: TaskKey) -> bool {
        let graph = self.graph;
        let failures = &mut self.execution.state.failures;
        let before = failures.len();
        failures.retain(|failed| *failed != key);
        let (found, left) = (failures.len() < before, failures.iter().any(|key| graph.node(key.node).undoes.is_some()));
        if let Some(undo) = self.execution.state.undo.as_mut().filter(|undo| undo.phase == Phase::Failed && !left) {
            undo.phase = Phase::Done;
        }
        self.changes.relist = found;
        found
    }

    /// Returns what is stored with the row of a task that has an undo, before it completes, or `None` if it has no
    /// undo.
    pub(crate) fn stored_for_undo(&self, node: &Node, item: Option<&Item>) -> Option<Data> {
        let call = node.undo.as_ref()?.call.as_ref()?;
        let item = item.filter(|_| call.reads_item);
        let batch = item.and_then(|item| item.batch).map(|batch| ("batch", Data::from(batch)));
        let item = item.map(|item| [("item", item.item.clone()), ("index", Data::from(item.index))]);
        Some(Data::from_pairs(item.into_iter().flatten().chain(batch)))
    }
}

impl Graph {
    /// Whether completed tasks are undone if the workflow ends like this.
    pub fn undoes_at(&self, verdict: Status) -> bool {
        self.undo_on.iter().any(|end| match end {
            UndoOn::Failed => verdict == Status::Failed,
            UndoOn::Timeout => verdict == Status::Timeout,
            UndoOn::Cancelled => matches!(verdict, Status::Canceling | Status::Cancelled),
        })
    }
}
