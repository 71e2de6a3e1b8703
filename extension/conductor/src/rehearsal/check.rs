//! Checks a test file against the definition that it tests.

use super::script::{Answer, AnswerKind, Answers, Cast, Names, Script, Test, Written};
use crate::bounds::Bounds;
use crate::finding::{Finding, shorten};
use crate::graph::{Graph, Node};
use crate::interrupt;
use crate::language::parse::name::suggest;
use crate::language::parse::walk::Walk;
use crate::language::schema::Violation;
use crate::source::NodeId;
use serde_json::{Map, Value};

/// Maximum number of unknown names for which the most similar one is looked up.
const MAX_SUGGESTIONS: usize = 10;

impl Script {
    /// Returns what does not fit the definition: names of tasks that it does not have, answers that its tasks cannot
    /// get, parameters that it rejects.
    pub fn check(&self, graph: &Graph, bounds: &Bounds) -> Vec<Finding> {
        let mut check = Check { walk: Walk::new(&self.source, bounds), graph, suggestions: MAX_SUGGESTIONS };
        check.cast(&self.cast);
        for test in interrupt::checked(&self.tests) {
            check.cast(&test.cast);
            check.parameters(test);
            check.expectations(test);
        }
        let mut findings = check.walk.finish().0;
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings
    }

    /// Returns the parameters of all tests, with the definition's defaults.
    pub fn parameters(&self, graph: &Graph) -> Vec<Value> {
        interrupt::checked(&self.tests).map(|test| parameters(test, graph)).collect()
    }
}

/// Returns the parameters of a test, with the definition's defaults.
pub(super) fn parameters(test: &Test, graph: &Graph) -> Value {
    let given = test.parameters.as_ref().map(|written| written.value.clone());
    with_defaults(given.unwrap_or_else(|| Value::Object(Map::new())), graph)
}

fn with_defaults(mut parameters: Value, graph: &Graph) -> Value {
    if let Some(schema) = &graph.parameters {
        schema.add_defaults(&mut parameters);
    }
    parameters
}

/// Returns parameters with the definition's defaults. The error says why the definition rejects them.
pub fn checked_parameters(given: Value, graph: &Graph) -> Result<Value, String> {
    if !given.is_object() {
        return Err("the parameters must be a map".to_owned());
    }
    let parameters = with_defaults(given, graph);
    let violations = graph.parameters.as_ref().map(|schema| schema.violations(&parameters)).unwrap_or_default();
    match violations.list.first() {
        Some(violation) => Err(refusal(violation)),
        None => Ok(parameters),
    }
}

fn refusal(violation: &Violation) -> String {
    let at = if violation.path.is_empty() { String::new() } else { format!(" at {}", violation.path) };
    format!("the workflow rejects the parameters: {}{at}", violation.message)
}

struct Check<'a> {
    walk: Walk<'a>,
    graph: &'a Graph,
    /// Number of unknown names for which the most similar one may still be looked up, which takes a long time.
    suggestions: usize,
}

impl<'a> Check<'a> {
    /// Returns the task with this name, or reports that there is none.
    fn task(&mut self, node: NodeId, name: &str) -> Option<&'a Node> {
        let graph = self.graph;
        // If a call has no undo of its own, the execution that it called undoes itself, and that execution is not run
        // here.
        let is_played = |node: &&Node| node.undoes.is_none_or(|undone| graph.node(undone).has_undo());
        if let Some(node) = graph.find(name).map(|id| graph.node(id)).filter(is_played) {
            return Some(node);
        }
        let message = format!("there is no task `{}`", shorten(name, 80));
        let hint = (self.suggestions > 0).then(|| {
            let names: Vec<&str> = graph.nodes.iter().filter(is_played).map(|node| node.name.as_str()).collect();
            suggest(name, &names)
        });
        self.suggestions = self.suggestions.saturating_sub(1);
        self.walk.report(701, node, message, hint);
        None
    }

    fn cast(&mut self, cast: &Cast) {
        for (name, written) in interrupt::checked(&cast.answers) {
            let Some(task) = self.task(written.node, name) else { continue };
            if task.is_routing() {
                let message = format!("task {name} has neither an action nor `wait_for`, so it gets no answer");
                self.walk.report(702, written.node, message, "remove the answer".to_owned());
                continue;
            }
            self.shape(task, written);
            let all = match &written.value {
                Answers::Task(attempts) => attempts.all().iter().collect::<Vec<_>>(),
                Answers::Items { items, each } => {
                    let items = items.values().map(|written| &written.value);
                    items.chain(each).flat_map(|attempts| attempts.all()).collect()
                }
            };
            interrupt::checked(all).for_each(|answer| self.answer(task, answer));
        }
    }

    /// Checks whether the answers are those of a task with items.
    fn shape(&mut self, task: &Node, written: &Written<Answers>) {
        let name = &task.name;
        let (message, hint) = match (&written.value, task.items.is_some()) {
            (Answers::Items { .. }, false) => {
                (format!("task {name} has no items"), "write its answers without `items` and `each`")
            }
            (Answers::Task(super::script::Attempts::Listed(_)), true) => (
                format!("task {name} has items, but a list does not say which of them it answers"),
                "write {each: […]} for the attempts of every item, or {items: {0: …}} for those of one item",
            ),
            _ => return,
        };
        self.walk.report(702, written.node, message, hint.to_owned());
    }

    /// Checks whether an attempt of the task can end like this.
    fn answer(&mut self, task: &Node, answer: &Answer) {
        let Some(node) = answer.node else { return };
        let (name, field) = (&task.name, answer.kind.field());
        let unfit = match (&answer.kind, &task.signal) {
            (AnswerKind::Signal(_), None) => Some((
                format!("task {name} does not wait for a signal"),
                "write what its worker answers, such as `result:`".to_owned(),
            )),
            (AnswerKind::Result(_) | AnswerKind::Fail(..) | AnswerKind::WorkerDies, Some(_)) => Some((
                format!("task {name} waits for a signal, so no worker answers it with `{field}`"),
                "write `signal:`, `timeout: true` or `nothing: true`".to_owned(),
            )),
            (AnswerKind::Timeout, _) if task.timeout.is_none() => Some((
                format!("task {name} has no `timeout`, so it can't time out"),
                "give the task a `timeout`, or write `nothing: true`".to_owned(),
            )),
            _ => None,
        };
        if let Some((message, hint)) = unfit {
            self.walk.report(702, node, message, hint);
        }
    }

    fn parameters(&mut self, test: &Test) {
        let Some(schema) = &self.graph.parameters else { return };
        let node = test.parameters.as_ref().map_or(test.node, |written| written.node);
        for violation in schema.violations(&parameters(test, self.graph)).list {
            let place = match &test.parameters {
                Some(_) => self.walk.source.pointer(node, &violation.path),
                None => node,
            };
            self.walk.report(601, place, refusal(&violation), "fix the `parameters` of the test".to_owned());
        }
    }

    fn expectations(&mut self, test: &Test) {
        let expect = &test.expect;
        for list in [&expect.ran, &expect.ran_any_order, &expect.not_ran].into_iter().flatten() {
            self.ran(&list.value);
        }
        for (name, written) in interrupt::checked(&expect.inputs) {
            if let Some(task) = self.task(written.node, name) {
                self.report_routing_task(written.node, task, "has no input");
            }
        }
        for (name, node) in self.error_tasks(expect.errors.as_ref().map(|written| written.node)) {
            self.task(node, &name);
        }
    }

    fn ran(&mut self, names: &Names) {
        for name in interrupt::checked(names) {
            if let Some(task) = self.task(name.node, &name.value) {
                self.report_routing_task(name.node, task, "never counts as run");
            }
        }
    }

    /// Reports an expectation of a routing task.
    fn report_routing_task(&mut self, node: NodeId, task: &Node, what: &str) {
        if task.is_routing() {
            let message = format!("task {} has neither an action nor `wait_for`, so it {what}", task.name);
            self.walk.report(703, node, message, "name a task that follows it".to_owned());
        }
    }

    /// Returns the tasks named by expected errors.
    fn error_tasks(&self, errors: Option<NodeId>) -> Vec<(String, NodeId)> {
        let source = self.walk.source;
        let elements = errors.map(|list| (0..).map_while(move |index| source.at(list, index)));
        let named = elements.into_iter().flatten().filter_map(|error| source.get(error, "task"));
        named.filter_map(|node| Some((source.str(node)?.to_owned(), node))).collect()
    }
}
