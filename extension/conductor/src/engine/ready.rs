//! Making a task ready: its condition, its input, its items, its start time.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::{NewTask, Start};
use crate::engine::conductor::Conductor;
use crate::engine::facts::Item;
use crate::engine::items::SHOWN;
use crate::engine::outcome::{ItemOutcomes, TaskOutcome, Times};
use crate::engine::state::{Context, Staged, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::engine::work::{EndedTask, NextTask, Work};
use crate::expression::{Data, ExpressionError, Rendering};
use crate::finding::shorten;
use crate::graph::Node;
use crate::language::parse::duration;
use minijinja::value::ValueKind;

/// Place of the first task without a row in the order in which tasks are created.
const NEW: i64 = i64::MAX / 2;

/// Maximum length of a limit's key, in bytes.
const MAX_KEY_BYTES: usize = 500;

/// Returns the key of a limit as text, or what is wrong with it.
pub fn limit_key(key: &Data) -> Result<String, String> {
    let is_scalar = matches!(key.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool);
    match key.to_string() {
        _ if !is_scalar => Err(format!(
            "must be text, a number or a boolean, not {}",
            shorten(&crate::expression::json_text(key), SHOWN)
        )),
        text if text.is_empty() => Err("must not be empty".to_owned()),
        text if text.len() > MAX_KEY_BYTES => {
            Err(format!("has {} bytes, but at most {MAX_KEY_BYTES} are allowed", text.len()))
        }
        text => Ok(text),
    }
}

/// Maximum number of characters of an item's label.
const MAX_LABEL_CHARS: usize = 200;

impl Conductor<'_> {
    /// Makes a task ready. It already counts as live.
    pub(crate) fn ready(&mut self, next: NextTask) {
        let compiled = self.graph.node(next.node);
        let closing = compiled.closing || next.beside_fail;
        if self.is_needless(next.node, next.route) {
            return self.stop_here(&next.context);
        }
        if !self.starts(&next) {
            return self.stage(next);
        }
        // Outside of cycles, a task runs once per route. After a rerun it may run again, even twice: once because it
        // had been about to start, and once because a task that leads to it runs again.
        let visit = match (compiled.repeats, self.execution.state.reruns) {
            (false, 0) => 0,
            (false, reruns) => self.execution.state.visit(next.node, reruns),
            (true, _) => self.execution.state.visit(next.node, 0),
        };
        if compiled.repeats && visit >= self.graph.max_visits {
            let message = format!("task {} already ran {visit} times, the limit set by max_visits", compiled.name);
            let cause = Cause::rule(Code::TOO_MANY_VISITS, Some(&compiled.name), message);
            self.stage(next);
            return self.fail(cause);
        }
        let key = TaskKey { node: next.node, route: next.route, visit };
        let vars = self.branch(&next.context);
        match self.prepare(compiled, key, &next.context, vars, closing) {
            Ok(()) => {}
            // Tasks that close an execution must not disappear without a trace: record a task that has failed.
            Err(cause) if self.has_stopped() => self.end_unstarted(key, &next.context, cause),
            // A rerun tries again.
            Err(cause) => {
                self.stage(next);
                self.fail(cause);
            }
        }
    }

    /// Whether a task starts now. Whatever is reported by the last tasks of a cancelled execution starts nothing new.
    pub(crate) fn starts(&self, next: &NextTask) -> bool {
        let is_refused = self.execution.status == Status::Canceling && !next.after_closing;
        !is_refused && self.may_start(self.graph.node(next.node).closing || next.beside_fail)
    }

    /// Whether tasks start, or run again: those on the forward paths while the execution is running, and those that
    /// close it until its end.
    pub(crate) fn may_start(&self, closing: bool) -> bool {
        !self.execution.state.forced && (closing || !self.has_stopped())
    }

    /// Whether nothing starts on the forward paths any longer.
    pub(crate) fn has_stopped(&self) -> bool {
        self.execution.has_stopped()
    }

    /// Keeps a task that does not start now for a rerun.
    pub(crate) fn stage(&mut self, next: NextTask) {
        self.execution.state.live -= 1;
        let NextTask { node, route, context, .. } = next;
        self.execution.state.staged.push(Staged { node, route, context });
    }

    fn prepare(
        &mut self,
        node: &Node,
        key: TaskKey,
        context: &Context,
        vars: Option<Data>,
        closing: bool,
    ) -> Result<(), Cause> {
        let name = Some(node.name.as_str());
        let failed = |code, what: &str, error: ExpressionError| Cause::evaluating(code, what, name, &error);
        if let Some(when) = node.when {
            let holds = self
                .holds(when, vars.clone(), None)
                .map_err(|error| failed(Code::CONDITION_NOT_EVALUATED, "condition", error))?;
            if !holds {
                self.end_at_once(key, context, TaskEnd::Skipped, None, closing);
                return Ok(());
            }
        }
        let delay =
            self.seconds(&node.delay, vars.clone()).map_err(|error| failed(Code::TASK_NOT_RENDERED, "delay", error))?;
        if node.items.is_some() {
            return self.prepare_items(node, key, context, vars, (delay, closing));
        }
        if node.is_routing() && delay.is_none() {
            self.end_at_once(key, context, TaskEnd::Completed, None, closing);
            return Ok(());
        }
        let start = delay.map_or(Start::Ready, Start::Delayed);
        let task = self.new_task(node, key, context, vars, None, (start, closing))?;
        self.changes.scheduled.push(task);
        Ok(())
    }

    pub(crate) fn new_task(
        &mut self,
        node: &Node,
        key: TaskKey,
        context: &Context,
        vars: Option<Data>,
        item: Option<&Item>,
        (start, closing): (Start, bool),
    ) -> Result<NewTask, Cause> {
        let failed = |what: &str, error: ExpressionError| {
            Cause::evaluating(Code::TASK_NOT_RENDERED, what, Some(&node.name), &error)
        };
        let rendered = |what: &str, rendering: &Option<Rendering>| match rendering {
            None => Ok(None),
            Some(rendering) => {
                self.render(rendering, vars.clone(), None, item).map(Some).map_err(|error| failed(what, error))
            }
        };
        let text = |what: &str, rendering: &Option<Rendering>| match rendered(what, rendering)? {
            None => Ok(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| {
                let value = value.to_string();
                let message = format!("{what} of task {} must be text, not {}", node.name, shorten(&value, SHOWN));
                Cause::rule(Code::TASK_NOT_RENDERED, Some(&node.name), message)
            }),
        };
        let action = text("action", &node.action)?;
        let signal = text("signal", &node.signal)?;
        let input = match &node.input {
            // There is no result before the first repetition.
            Some(input) if node.renders_each_input => {
                let (end, nothing) = (TaskEnd::Completed, Some(Data::from(())));
                let outcome = self.outcome_without_work(key, end, nothing.clone(), nothing);
                let task = Some((node.name.as_str(), &outcome));
                Some(self.render(input, vars.clone(), task, None).map_err(|error| failed("input", error))?)
            }
            input => rendered("input", input)?,
        };
        let timeout = self.seconds(&node.timeout, vars.clone()).map_err(|error| failed("timeout", error))?;
        let max_retries = self.max_retries(node, vars.clone(), item)?;
        let task = NewTask {
            key,
            index: item.map(|item| item.index),
            batch: item.and_then(|item| item.batch),
            label: self.item_label(node, vars.clone(), item)?,
            start,
            action,
            signal,
            input,
            context: context.clone(),
            timeout: timeout.map(|seconds| seconds.ceil().clamp(1.0, f64::from(i32::MAX)) as i32),
            max_retries,
            priority: node.priority,
            limits: self.limits(node, vars.clone(), item)?,
            closing,
            error: None,
            undo: self.stored_for_undo(node, item),
            undoes: None,
            reopens: false,
        };
        self.wait_begins |= task.signal.is_some() && task.start == Start::Ready;
        self.count_input(&task)?;
        Ok(task)
    }

    /// Returns a key that is rendered at the start, given the name of the workflow's field.
    pub(crate) fn start_key(&self, field: &str, key: &Rendering) -> Result<String, Cause> {
        let value = self.render(key, None, None, None);
        let value = value.map_err(|error| Cause::evaluating(Code::TASK_NOT_RENDERED, field, None, &error))?;
        limit_key(&value).map_err(|problem| Cause::rule(Code::TASK_NOT_RENDERED, None, format!("{field} {problem}")))
    }

    /// Returns the limits that a task is under, with their keys.
    fn limits(&self, node: &Node, vars: Option<Data>, item: Option<&Item>) -> Result<Vec<(String, String)>, Cause> {
        let mut limits = Vec::new();
        for (name, key) in &node.limits {
            let key = match key {
                None => String::new(),
                Some(key) => {
                    let what = format!("key of limit {name}");
                    let key = self.render(key, vars.clone(), None, item);
                    let key = key
                        .map_err(|error| Cause::evaluating(Code::TASK_NOT_RENDERED, &what, Some(&node.name), &error))?;
                    limit_key(&key).map_err(|problem| {
                        let message = format!("{what} of task {} {problem}", node.name);
                        Cause::rule(Code::TASK_NOT_RENDERED, Some(&node.name), message)
                    })?
                }
            };
            limits.push((name.clone(), key));
        }
        limits.sort();
        limits.dedup();
        Ok(limits)
    }

    /// Returns the label of an item, for display, if its task defines one.
    fn item_label(&self, node: &Node, vars: Option<Data>, item: Option<&Item>) -> Result<Option<String>, Cause> {
        let Some(label) = node.items.as_ref().and_then(|items| items.label.as_ref()) else { return Ok(None) };
        let label = self.render(label, vars, None, item);
        let label =
            label.map_err(|error| Cause::evaluating(Code::ITEMS_NOT_RENDERED, "label", Some(&node.name), &error))?;
        Ok(Some(label.to_string().chars().take(MAX_LABEL_CHARS).collect()))
    }

    pub(crate) fn max_retries(&self, node: &Node, vars: Option<Data>, item: Option<&Item>) -> Result<i32, Cause> {
        let Some(retry) = &node.retry else { return Ok(0) };
        let count = self.render(&retry.count, vars, None, item);
        let count = count
            .map_err(|error| Cause::evaluating(Code::TASK_NOT_RENDERED, "retry count", Some(&node.name), &error))?;
        Ok(count.as_i64().unwrap_or(0).clamp(0, i32::MAX.into()) as i32)
    }

    /// Lets the engine itself end a task, whose row was never claimable.
    pub(crate) fn end_at_once(
        &mut self,
        key: TaskKey,
        context: &Context,
        end: TaskEnd,
        result: Option<Data>,
        closing: bool,
    ) {
        let outcome = self.outcome_without_work(key, end, result, None);
        self.end_without_work(EndedTask {
            key,
            context: context.clone(),
            outcome,
            end,
            closing,
            refusal: None,
            order: 0,
        });
    }

    /// Ends as failed a task that could not begin.
    fn end_unstarted(&mut self, key: TaskKey, context: &Context, cause: Cause) {
        let end = TaskEnd::Failed;
        let outcome = self.outcome_without_work(key, end, None, Some(cause.as_error()));
        let refusal = Some(cause);
        self.end_without_work(EndedTask {
            key,
            context: context.clone(),
            outcome,
            end,
            closing: true,
            refusal,
            order: 0,
        });
    }

    fn outcome_without_work(
        &self,
        key: TaskKey,
        end: TaskEnd,
        result: Option<Data>,
        error: Option<Data>,
    ) -> TaskOutcome {
        let times = Some(Times { completed: Some(self.facts.now), ..Times::default() });
        let items = ItemOutcomes::of_no_rows(self.graph.node(key.node).items.as_ref());
        TaskOutcome { end, result, error, times, items }
    }

    /// Records a task that ended without any work. It is newer than all tasks with rows, and than those scheduled
    /// before it.
    pub(crate) fn end_without_work(&mut self, mut ended: EndedTask) {
        ended.order = NEW + self.changes.scheduled.len() as i64;
        self.changes.scheduled.push(NewTask {
            start: Start::Ended(ended.end, ended.outcome.result.clone()),
            closing: ended.closing,
            error: ended.outcome.error.clone(),
            ..NewTask::closing(ended.key, ended.context.clone())
        });
        let nothing = Data::from(());
        ended.outcome.result.get_or_insert(nothing.clone());
        ended.outcome.error.get_or_insert(nothing);
        self.work.push_back(Work::Ended(Box::new(ended)));
    }

    /// Returns seconds from a number or a template, at most as many as a definition may specify; zero or less counts as
    /// none.
    pub(crate) fn seconds(
        &self,
        rendering: &Option<Rendering>,
        vars: Option<Data>,
    ) -> Result<Option<f64>, ExpressionError> {
        let Some(rendering) = rendering else { return Ok(None) };
        let value = self.render(rendering, vars, None, None)?;
        let of_text = |text: &str| text.parse().ok().or_else(|| duration::seconds(text).map(|seconds| seconds as f64));
        let seconds = f64::try_from(value.clone()).ok().or_else(|| value.as_str().and_then(of_text));
        match seconds {
            Some(seconds) if seconds.is_finite() => {
                Ok((seconds > 0.0).then_some(seconds.min(duration::MAX_SECONDS as f64)))
            }
            _ if value.is_none() => Ok(None),
            _ => {
                let expression = shorten(&value.to_string(), SHOWN).into_owned();
                Err(ExpressionError { expression, message: "expected a duration".to_owned() })
            }
        }
    }

    /// Takes back a task that was scheduled in this batch and has not been written yet.
    pub(crate) fn unschedule(&mut self, task: NewTask) {
        let key = task.key;
        let first = match self.execution.state.items.iter().position(|progress| progress.key == key) {
            Some(position) => {
                self.execution.state.items.remove(position);
                true
            }
            None => task.index.is_none(),
        };
        if first {
            self.execution.state.live -= 1;
            self.execution.state.staged.push(Staged { node: key.node, route: key.route, context: task.context });
        }
    }
}
