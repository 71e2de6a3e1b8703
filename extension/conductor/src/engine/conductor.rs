//! The state machine: (graph, state, event) to (state, changes).
//!
//! A [`Conductor`] takes the events of one execution that arrived together, in order. It has no access to a clock,
//! random numbers or a database: times and jitter come in with the events, and what must be written comes out as
//! [`Changes`]. If a step needs a fact that was not loaded, [`Conductor::done`] says so, and the same events are
//! processed again with all facts. This is safe because the conductor is pure.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::{Changes, End, NewTask, Report, Row, Start, Withdraw, Withdrawn};
use crate::engine::facts::{EndedTasks, Facts, Missing, ONLY, Undoable};
use crate::engine::moment::Moment;
use crate::engine::published::KnownChanges;
use crate::engine::reported::Reported;
use crate::engine::state::{Context, Execution, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::engine::variables;
use crate::engine::work::{EndedTask, NextTask, Work};
use crate::expression::opaque;
use crate::expression::overlay;
use crate::expression::{self, Data};
use crate::graph::{Graph, NodeId};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Maximum number of tasks that one event may end instantly: routing tasks in a cycle must not loop forever.
const INSTANT_TASKS: u32 = 10_000;

/// The conductor of one execution.
pub struct Conductor<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) facts: &'a Facts,
    pub(crate) execution: Execution,
    pub(crate) changes: Changes,
    pub(crate) missing: Missing,
    /// The variables to which `known` applies.
    pub(crate) variables: Option<Data>,
    /// What branches have published, as far as it was loaded or is new.
    pub(crate) known: Arc<KnownChanges>,
    /// The variables that were last computed, and the context that sees them.
    pub(crate) seen: RefCell<Option<(Context, Data)>>,
    pub(crate) work: VecDeque<Work>,
    /// Tasks that ended in this batch, as expressions see them.
    pub(crate) ended: EndedTasks,
    /// Items of this batch that ended otherwise than reported, with their errors.
    pub(crate) decided: BTreeMap<(TaskKey, u32), (TaskEnd, Data)>,
    /// What was completed in this batch and can be undone.
    pub(crate) undoable: Vec<Undoable>,
    /// Number of tasks scheduled by the events before this one.
    pub(crate) scheduled_before: usize,
    /// Size in bytes of the inputs of the tasks that this event has scheduled.
    input_bytes: u64,
    /// Whether a task begins to wait for a signal.
    pub(crate) wait_begins: bool,
    instant: u32,
}

impl<'a> Conductor<'a> {
    /// Begins to conduct an execution.
    pub fn new(graph: &'a Graph, facts: &'a Facts, execution: Execution) -> Conductor<'a> {
        Conductor {
            graph,
            facts,
            execution,
            changes: Changes::default(),
            missing: Missing::default(),
            variables: facts.variables.clone(),
            known: facts.changes.clone(),
            seen: RefCell::default(),
            work: VecDeque::new(),
            ended: Arc::default(),
            decided: BTreeMap::new(),
            undoable: Vec::new(),
            scheduled_before: 0,
            input_bytes: 0,
            wait_begins: false,
            instant: 0,
        }
    }

    /// Whether all existing facts were loaded.
    pub fn knows_all(&self) -> bool {
        self.facts.all_tasks
    }

    /// Returns the new state and the changes to write, or `None` if facts were missing and the whole result must be
    /// discarded.
    pub fn done(self) -> Option<(Execution, Changes)> {
        (!self.missing.any()).then_some((self.execution, self.changes))
    }

    /// Starts the execution, given its scheduled time, if there is one. Its parameters come from the facts; its first
    /// tasks can be claimed after `delay` seconds.
    pub fn start(&mut self, scheduled_for: Option<Moment>, delay: f64) {
        self.execution = Execution::new();
        self.execution.state.scheduled_for = scheduled_for;
        self.execution.state.live = 0;
        let mut vars = variables::Changes::new();
        let mut bytes = 0;
        let nothing = variables::empty();
        for (name, value) in &self.graph.vars {
            let seen = overlay::seen_through(&nothing, &vars);
            let value = self.render(value, Some(seen), None, None).map_err(|error| {
                Cause::evaluating(Code::VARIABLE_NOT_EVALUATED, &format!("variable {name}"), None, &error)
            });
            let bounded = value.and_then(|value| {
                bytes += variables::size_of(name, &value);
                self.bound(bytes, None, name).map(|()| value)
            });
            match bounded {
                Ok(value) => drop(vars.insert(name.clone(), value)),
                Err(cause) => {
                    self.fail(cause);
                    break;
                }
            }
        }
        self.execution.state.bytes = variables::size(&vars);
        let vars = variables::overlaid(&nothing, &vars);
        self.variables = Some(vars.clone());
        if !self.graph.vars.is_empty() {
            self.changes.variables = Some(vars);
        }
        if let Some(key) = &self.graph.fair_by {
            match self.start_key("fair_by", key) {
                Ok(key) => self.changes.fair_key = Some(key),
                Err(cause) => self.fail(cause),
            }
        }
        if let Some(concurrency) = &self.graph.concurrency {
            match concurrency.key.as_ref().map(|key| self.start_key("concurrency.key", key)).transpose() {
                Ok(key) => self.changes.concurrency_key = Some(key.unwrap_or_default()),
                Err(cause) => self.fail(cause),
            }
        }
        self.set_attributes();
        if self.execution.status == Status::Running {
            for node in &self.graph.starts {
                self.make_ready(*node, 0, Vec::new(), false);
            }
            // Count all start tasks before looking at the first, so that none of them ever seems to be the only branch.
            self.execution.state.live = self.graph.starts.len() as u32;
        }
        self.run();
        for task in self.changes.scheduled.iter_mut().filter(|_| delay > 0.0) {
            match &mut task.start {
                start @ Start::Ready => *start = Start::Delayed(delay),
                Start::Delayed(own) => *own = own.max(delay),
                _ => {}
            }
        }
    }

    /// Whether the changes must be written before the next report. Withdrawals, and the consequences of a stored
    /// signal, take effect before whatever is reported next.
    pub fn must_settle(&self) -> bool {
        !self.changes.withdraw.is_nothing() || !self.changes.rest.is_empty() || self.wait_begins
    }

    /// Processes the report of a row. No other may follow while [`Conductor::must_settle`] holds; otherwise the outcome
    /// would depend on which reports arrive together.
    pub fn finish(&mut self, reported: &Reported) -> Report {
        (self.scheduled_before, self.input_bytes) = (self.changes.scheduled.len(), 0);
        let is_straight = self.execution == Execution::new();
        let report = match reported.index {
            Some(_) => self.finish_item(reported),
            None => self.finish_task(reported),
        };
        self.run();
        if let (Some(end), Row::Ended(last)) = (&mut self.changes.end, &report.row)
            && is_straight
            && reported.index.is_none()
            && self.changes.scheduled.is_empty()
        {
            end.lists = self.graph.lists_at_end(reported.key, *last);
        }
        report
    }

    /// Processes the withdrawal of waiting tasks that the changes asked for.
    pub fn withdrawn(&mut self, withdrawn: &[Withdrawn]) {
        self.changes.withdraw = Withdraw::default();
        self.changes.rest.clear();
        // In order of creation, so that variables and failures do not depend on the host.
        let mut withdrawn: Vec<&Withdrawn> = withdrawn.iter().collect();
        withdrawn.sort_by_key(|task| task.order);
        for task in withdrawn {
            self.withdrawn_task(task);
        }
        self.run();
    }

    /// Processes what an event led to, and ends the execution when nothing is left.
    pub(crate) fn run(&mut self) {
        loop {
            while let Some(work) = self.work.pop_front() {
                self.instant += 1;
                match work {
                    _ if self.instant > INSTANT_TASKS => self.break_loop(work),
                    Work::Ready(next) => self.ready(next),
                    Work::Ended(ended) => {
                        self.note_ended(&ended);
                        self.follow_transitions(&ended);
                        self.release_undo(&ended);
                    }
                }
            }
            if self.execution.state.live > 0 {
                break;
            }
            // Nothing is left that could be withdrawn.
            self.changes.withdraw = Withdraw::default();
            if !self.continue_at_end() {
                break;
            }
        }
        self.note_undoing();
    }

    /// Fails the workflow because its routing tasks form an endless loop. What they led to last is dropped.
    fn break_loop(&mut self, work: Work) {
        if self.instant == INSTANT_TASKS + 1 {
            let message = format!("more than {INSTANT_TASKS} tasks in a row ended without any work");
            self.fail(Cause::rule(Code::TOO_MANY_VISITS, None, message));
        }
        match work {
            Work::Ready(next) => self.stage(next),
            Work::Ended(ended) => self.stop_here(&ended.context),
        }
    }

    /// Makes a task ready, once what came before it has been processed.
    pub(crate) fn make_ready(&mut self, node: NodeId, route: u32, context: Context, after_closing: bool) {
        self.work.push_back(Work::Ready(NextTask { node, route, context, beside_fail: false, after_closing }));
    }

    fn note_ended(&mut self, ended: &EndedTask) {
        if self.graph.reads_tasks {
            let node = self.graph.node(ended.key.node);
            let name = node.name.clone();
            let state = &self.execution.state;
            let is_only = !node.repeats && state.routes == 0 && state.reruns == 0;
            let task = (if is_only { ONLY } else { ended.order }, ended.outcome.value(&self.missing));
            let noted = Arc::make_mut(&mut self.ended).entry(name).or_insert_with(|| task.clone());
            if noted.0 <= task.0 {
                *noted = task;
            }
        }
    }

    /// Continues with what comes last, once nothing is ready or running: undos, `finally`, the end. Returns whether
    /// there is more to do.
    fn continue_at_end(&mut self) -> bool {
        let state = &self.execution.state;
        if let Some(verdict) = state.verdict {
            // A `finally` that fails after a success undoes nothing; a cancel while it runs does.
            let undoes = self.is_undoing() || self.execution.status == Status::Canceling;
            return undoes && self.undo_next(verdict) || self.end(verdict);
        }
        if self.execution.status == Status::Running && self.execution.paused {
            return false;
        }
        if !state.forced {
            self.check_joins();
        }
        if self.execution.status == Status::Running && !self.execution.state.failures.is_empty() {
            self.fail_again();
        }
        let verdict = match self.execution.status {
            Status::Running => Status::Completed,
            Status::Canceling => Status::Cancelled,
            ended => ended,
        };
        if self.undo_next(verdict) {
            return true;
        }
        match self.graph.finally.filter(|_| !self.execution.state.forced) {
            None => self.end(verdict),
            Some(node) => {
                self.execution.state.verdict = Some(verdict);
                self.execution.state.live = 1;
                let context = self.seen_at_end();
                self.make_ready(node, 0, context, true);
                true
            }
        }
    }

    /// Ends the execution. Returns whether there is more to do because its output failed, so that it undoes what it had
    /// completed.
    fn end(&mut self, mut status: Status) -> bool {
        let context = self.execution.state.ended.clone().unwrap_or_default();
        let vars = self.branch(&context);
        let mut output = variables::Changes::new();
        let mut bytes = 0;
        for (name, value) in &self.graph.output {
            // As in every list of assignments, each entry sees those before it.
            let seen = vars.as_ref().map(|vars| overlay::seen_through(vars, &output));
            let rendered = self
                .render(value, seen, None, None)
                .map_err(|error| Cause::evaluating(Code::OUTPUT_NOT_RENDERED, &format!("output {name}"), None, &error));
            let bounded = rendered.and_then(|value| {
                bytes += variables::size_of(name, &value);
                self.bound_output(bytes, || format!("with output {name}, the output takes")).map(|()| value)
            });
            match bounded {
                Ok(value) => drop(output.insert(name.clone(), value)),
                // Keep what was rendered so far: it may be needed to see why rendering failed. After a failure, an
                // output may well lack what it needs.
                Err(cause) => {
                    if status == Status::Completed {
                        status = Status::Failed;
                        self.changes.causes.push(cause);
                    }
                    break;
                }
            }
        }
        let output = (!output.is_empty()).then(|| Data::from_pairs(output));
        if let (Status::Completed, Some(cause)) = (status, self.rejected(&output)) {
            status = Status::Failed;
            self.changes.causes.push(cause);
        }
        let has_failed = status == Status::Failed && self.execution.status == Status::Running;
        self.execution.status = status;
        if has_failed && self.undo_next(status) {
            self.execution.state.verdict = Some(status);
            return true;
        }
        self.execution.paused = false;
        self.changes.end = Some(End { status, output, lists: None });
        false
    }

    /// Checks the size of rendered values against the limit. Each template has its own limit, but many of them together
    /// must not take unlimited memory.
    pub(crate) fn bound_output(&self, bytes: u64, what: impl Fn() -> String) -> Result<(), Cause> {
        let most = self.graph.bounds.output_bytes;
        if bytes <= most as u64 {
            return Ok(());
        }
        Err(Cause::rule(
            Code::LIMIT_EXCEEDED,
            None,
            format!("{} {bytes} bytes, but at most {most} are allowed", what()),
        ))
    }

    /// Counts the input of a task that this event schedules. All tasks that one event schedules are written at once.
    pub(crate) fn count_input(&mut self, task: &NewTask) -> Result<(), Cause> {
        let texts = [&task.action, &task.signal].into_iter().flatten().map(|text| text.len() as u64);
        let bytes = |input: &Data| match opaque::any_source(input) {
            Some(source) => source.bytes() as u64,
            None => variables::bytes(input),
        };
        self.input_bytes += task.input.as_ref().map_or(0, bytes) + texts.sum::<u64>();
        let name = &self.graph.node(task.key.node).name;
        self.bound_output(self.input_bytes, || {
            format!("with task {name}, the inputs of tasks that start together take")
        })
    }

    /// Returns why the output's schema rejects the output.
    fn rejected(&self, output: &Option<Data>) -> Option<Cause> {
        let schema = self.graph.output_schema.as_ref()?;
        let output = output.as_ref().map(expression::json).unwrap_or_default();
        let output = if output.is_null() { serde_json::json!({}) } else { output };
        let violations = schema.violations(&output);
        let first = violations.list.first()?;
        let place = if first.path.is_empty() { "output" } else { first.path.as_str() };
        let message = format!("the output violates its schema: {} at {place}", first.message);
        Some(Cause::rule(Code::INVALID_OUTPUT, None, message))
    }
}
