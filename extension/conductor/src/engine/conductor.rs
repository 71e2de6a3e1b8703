//! The state machine: (graph, state, event) to (state, changes).
//!
//! A [`Conductor`] takes the events of one execution that arrived together, in order. It has no access to a clock,
//! random numbers or a database: times and jitter come in with the events, and what must be written comes out as
//! [`Changes`]. If a step needs a fact that was not loaded, [`Conductor::done`] says so, and the same events are
//! processed again with all facts. This is safe because the conductor is pure.

use crate::engine::commands::{Changes, End, NewTask, Report, Row, Start, Withdraw, Withdrawn};
use crate::engine::facts::{Facts, Item, Missing, Outcome, Scope};
use crate::engine::state::{Context, Execution, Status, TaskEnd, TaskKey};
use crate::engine::variables;
use crate::expression::opaque;
use crate::expression::{self, Data, ExpressionError, ProgramId, Rendering};
use crate::graph::{Graph, NodeId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Maximum number of tasks that one event may end instantly: routing tasks in a cycle must not loop forever.
const INSTANT_TASKS: u32 = 10_000;

/// A reported row.
#[derive(Debug, Clone)]
pub struct Reported<'a> {
    /// The task.
    pub key: TaskKey,
    /// The item's index.
    pub index: Option<u32>,
    /// The context it saw.
    pub context: &'a [u32],
    /// Number of retries dispatched so far.
    pub retries: u32,
    /// Number of retries allowed.
    pub max_retries: u32,
    /// Seconds since it was first scheduled.
    pub elapsed: f64,
    /// How it ended.
    pub end: TaskEnd,
    /// The reported result; none: not loaded.
    pub result: Option<Data>,
    /// The reported error; none: not loaded.
    pub error: Option<Data>,
    /// Where in its range the jitter of a retry falls, from 0 to 1.
    pub jitter: f64,
    /// The worker's advice on a retry, which comes before any rule.
    pub advice: Advice,
}

/// A worker's advice on a retry.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Advice {
    /// No advice: the task's rule decides.
    #[default]
    None,
    /// Do not retry.
    Never,
    /// Retry after this many seconds, if the rule allows a retry.
    After(f64),
}

/// Why a workflow fails: code, task, and what was being done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub message: String,
}

impl Trouble {
    pub fn evaluating(code: &str, what: &str, task: Option<&str>, error: &ExpressionError) -> Trouble {
        let place = task.map(|task| format!(" of task {task}")).unwrap_or_default();
        Trouble { message: format!("{code}: {what}{place} failed to evaluate: {error}") }
    }
}

/// A task to make ready, or a task that has ended. The consequences of an event are processed one by one.
pub(crate) enum Work {
    Ready { node: NodeId, route: u32, context: Context },
    Ended { key: TaskKey, context: Context, outcome: Outcome, end: TaskEnd },
}

/// Conducts one execution.
pub struct Conductor<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) facts: &'a Facts,
    pub(crate) execution: Execution,
    pub(crate) changes: Changes,
    pub(crate) missing: Missing,
    pub(crate) variables: Option<Data>,
    pub(crate) work: VecDeque<Work>,
    /// Tasks that ended in this batch, as expressions see them.
    pub(crate) ended: Arc<BTreeMap<String, Data>>,
    /// Number of tasks scheduled by the events before this one.
    scheduled_before: usize,
    /// Bytes of input given to the tasks that this event has scheduled.
    input_bytes: u64,
    /// Whether a task begins to wait for a signal.
    pub(crate) wait_begins: bool,
    instant: u32,
}

impl<'a> Conductor<'a> {
    /// Takes up an execution.
    pub fn new(graph: &'a Graph, facts: &'a Facts, execution: Execution) -> Conductor<'a> {
        Conductor {
            graph,
            facts,
            execution,
            changes: Changes::default(),
            missing: Missing::default(),
            variables: facts.variables.clone(),
            work: VecDeque::new(),
            ended: Arc::default(),
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

    /// Returns the new state and the changes to write; none: facts were missing, and the whole result must be
    /// discarded.
    pub fn done(self) -> Option<(Execution, Changes)> {
        (!self.missing.any()).then_some((self.execution, self.changes))
    }

    /// Starts the execution. Its parameters come from the facts; its first tasks can be claimed after `delay` seconds.
    pub fn start(&mut self, delay: f64) {
        self.execution = Execution::new();
        self.execution.state.live = 0;
        let mut vars = variables::Changes::new();
        let mut bytes = 0;
        let nothing = variables::empty();
        for (name, value) in &self.graph.vars {
            let seen = variables::seen_through(&nothing, &vars);
            let value = self
                .render(value, Some(seen), None, None)
                .map_err(|error| Trouble::evaluating("WF605", &format!("variable {name}"), None, &error));
            let bounded = value.and_then(|value| {
                bytes += variables::size_of(name, &value);
                self.bound(bytes, None, name).map(|()| value)
            });
            match bounded {
                Ok(value) => drop(vars.insert(name.clone(), value)),
                Err(trouble) => {
                    self.fail(trouble);
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
        if self.execution.status == Status::Running {
            for node in &self.graph.starts {
                self.work.push_back(Work::Ready { node: *node, route: 0, context: Vec::new() });
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
        self.changes.withdraw != Withdraw::Nothing || self.wait_begins
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

    /// Processes the withdrawal of waiting tasks that the changes had asked for.
    pub fn withdrawn(&mut self, withdrawn: &[Withdrawn]) {
        self.changes.withdraw = Withdraw::Nothing;
        for task in withdrawn {
            self.withdrawn_task(task);
        }
        self.run();
    }

    /// Processes what an event led to, and ends the execution when nothing is left.
    pub(crate) fn run(&mut self) {
        while let Some(work) = self.work.pop_front() {
            self.instant += 1;
            if self.instant > INSTANT_TASKS {
                self.work.clear();
                self.fail(Trouble {
                    message: format!("WF609: more than {INSTANT_TASKS} tasks in a row ended without any work"),
                });
                break;
            }
            match work {
                Work::Ready { node, route, context } => self.ready(node, route, context),
                Work::Ended { key, context, outcome, end } => {
                    self.note_ended(key, &outcome);
                    self.go_on(key, &context, &outcome, end);
                }
            }
        }
        if self.execution.state.live == 0 {
            // Nothing is left that could be withdrawn.
            self.changes.withdraw = Withdraw::Nothing;
            self.finale();
        }
    }

    fn note_ended(&mut self, key: TaskKey, outcome: &Outcome) {
        if self.graph.reads_tasks {
            let name = self.graph.node(key.node).name.clone();
            Arc::make_mut(&mut self.ended).insert(name, outcome.value(&self.missing));
        }
    }

    /// Decides whether the execution has ended, given that nothing is ready or running.
    fn finale(&mut self) {
        let status = match self.execution.status {
            Status::Running if self.execution.paused => return,
            Status::Running => match self.execution.state.waiting_join() {
                None => Status::Completed,
                Some(join) => {
                    let name = self.graph.node(join.node).name.clone();
                    let arrived: Vec<_> = join.tasks.iter().map(|task| self.graph.node(task).name.as_str()).collect();
                    let message = format!(
                        "WF608: join {name} can no longer fire: only {} of {} inbound tasks arrived ({})",
                        arrived.len(),
                        self.graph.node(join.node).join.unwrap_or(0),
                        arrived.join(", ")
                    );
                    // What would have run next is the join itself: rerunning the missing tasks brings it back.
                    self.execution.status = Status::Failed;
                    self.changes.error_message.get_or_insert(message);
                    Status::Failed
                }
            },
            Status::Canceling => Status::Cancelled,
            ended => ended,
        };
        match (self.graph.finally, self.execution.state.verdict) {
            (Some(node), None) => {
                self.execution.state.verdict = Some(status);
                self.execution.state.live = 1;
                let context = self.execution.state.ended.clone().unwrap_or_default();
                self.work.push_back(Work::Ready { node, route: 0, context });
                self.run();
            }
            (_, Some(verdict)) => self.end(verdict),
            (None, None) => self.end(status),
        }
    }

    fn end(&mut self, mut status: Status) {
        let context = self.execution.state.ended.clone().unwrap_or_default();
        let vars = self.branch(&context);
        let mut output = variables::Changes::new();
        let mut bytes = 0;
        for (name, value) in &self.graph.output {
            // As in every list of assignments, each entry sees those before it.
            let seen = vars.as_ref().map(|vars| variables::seen_through(vars, &output));
            let rendered = self
                .render(value, seen, None, None)
                .map_err(|error| Trouble::evaluating("WF606", &format!("output {name}"), None, &error));
            let bounded = rendered.and_then(|value| {
                bytes += variables::size_of(name, &value);
                self.bound_output(bytes, || format!("with output {name}, the output takes")).map(|()| value)
            });
            match bounded {
                Ok(value) => drop(output.insert(name.clone(), value)),
                // Keep what was rendered so far: it may be needed to see why rendering failed.
                Err(trouble) => {
                    if status == Status::Completed {
                        status = Status::Failed;
                        self.changes.error_message = Some(trouble.message);
                    }
                    break;
                }
            }
        }
        let output = (!output.is_empty()).then(|| Data::from_pairs(output));
        if let (Status::Completed, Some(message)) = (status, self.rejected(&output)) {
            status = Status::Failed;
            self.changes.error_message = Some(message);
        }
        self.execution.status = status;
        self.execution.paused = false;
        self.changes.end = Some(End { status, output, lists: None });
    }

    /// Checks rendered bytes against the limit. Each template has its own limit, but many of them together must not
    /// take unlimited memory.
    fn bound_output(&self, bytes: u64, what: impl Fn() -> String) -> Result<(), Trouble> {
        let most = self.graph.limits.output_bytes;
        if bytes <= most as u64 {
            return Ok(());
        }
        Err(Trouble { message: format!("WF614: {} {bytes} bytes, but at most {most} are allowed", what()) })
    }

    /// Counts the input of a task that this event schedules. All tasks that one event schedules are written at once.
    pub(crate) fn count_input(&mut self, task: &NewTask) -> Result<(), Trouble> {
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
    fn rejected(&self, output: &Option<Data>) -> Option<String> {
        let schema = self.graph.output_schema.as_ref()?;
        let output = output.as_ref().map(expression::json).unwrap_or_default();
        let output = if output.is_null() { serde_json::json!({}) } else { output };
        let violations = schema.violations(&output);
        let first = violations.list.first()?;
        let place = if first.path.is_empty() { "output" } else { first.path.as_str() };
        Some(format!("WF607: the output violates its schema: {} at {place}", first.message))
    }

    /// Fails the workflow: running tasks may finish, and nothing new starts.
    pub(crate) fn fail(&mut self, trouble: Trouble) {
        if self.changes.error_message.is_none() && self.execution.status != Status::Failed {
            self.changes.error_message = Some(trouble.message);
        }
        self.stop(Status::Failed);
    }

    /// Lets nothing new start from here on, and withdraws waiting tasks.
    pub(crate) fn stop(&mut self, status: Status) {
        if self.execution.status != Status::Running {
            return;
        }
        self.execution.status = status;
        // Tasks scheduled by an earlier event are withdrawn as if they had rows. Tasks scheduled by this event never
        // existed: they go back to where a rerun finds them.
        self.changes.scheduled_before = self.scheduled_before;
        for (place, task) in std::mem::take(&mut self.changes.scheduled).into_iter().enumerate() {
            if place < self.scheduled_before || matches!(task.start, Start::Ended(..)) {
                self.changes.scheduled.push(task);
            } else {
                self.unschedule(task);
            }
        }
        self.changes.withdraw = Withdraw::Everything;
    }

    pub(crate) fn branch(&self, context: &[u32]) -> Option<Data> {
        self.variables.as_ref().map(|variables| self.execution.state.variables(variables, context))
    }

    pub(crate) fn render(
        &self,
        rendering: &Rendering,
        vars: Option<Data>,
        task: Option<(&str, &Outcome)>,
        item: Option<&Item>,
    ) -> Result<Data, ExpressionError> {
        if let Rendering::Literal(value) = rendering {
            return Ok(value.clone());
        }
        let scope = Scope { facts: self.facts, ended: &self.ended, vars, task, item, missing: &self.missing };
        self.graph.programs.render(rendering, &scope.value())
    }

    pub(crate) fn holds(
        &self,
        program: ProgramId,
        vars: Option<Data>,
        task: Option<(&str, &Outcome)>,
    ) -> Result<bool, ExpressionError> {
        // The two most common conditions don't need the template machine.
        if let Some((_, outcome)) = task {
            match self.graph.programs.source(program) {
                "{{ succeeded() }}" => return Ok(outcome.status == TaskEnd::Completed.name()),
                "{{ completed() }}" => return Ok(true),
                _ => {}
            }
        }
        let scope = Scope { facts: self.facts, ended: &self.ended, vars, task, item: None, missing: &self.missing };
        self.graph.programs.holds(program, &scope.value())
    }
}
