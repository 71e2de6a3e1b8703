//! A test file: what to run, the answers of workers and people, and the expectations.

use crate::bounds::Bounds;
use crate::engine::reported::Advice;
use crate::engine::status::Status;
use crate::expression::Data;
use crate::finding::Finding;
use crate::language::parse::walk::Walk;
use crate::source::{NodeId, Source};
use serde_json::Value;
use std::collections::BTreeMap;

/// A test file that has been read.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) source: Source,
    /// Path of the definition that it tests, relative to the test file.
    pub workflow: Option<String>,
    /// The tests, in order.
    pub tests: Vec<Test>,
    pub(super) cast: Cast,
}

/// A test: one execution and its expectations.
#[derive(Debug)]
pub struct Test {
    /// Its name, unique in its file.
    pub name: String,
    /// The line where it begins.
    pub line: u32,
    pub(super) node: NodeId,
    pub(super) parameters: Option<Written<Value>>,
    pub(super) cast: Cast,
    pub(super) cancel: Option<Cancel>,
    pub(super) expect: Expectations,
}

/// A cancel of an execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cancel {
    /// Seconds after the start.
    pub after: f64,
    /// Whether it is by force, so that nothing may close it.
    pub force: bool,
}

/// Something and where it is written.
#[derive(Debug)]
pub(super) struct Written<T> {
    pub node: NodeId,
    pub value: T,
}

/// The answers of tasks.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The answers by task; the node is that of the task's name.
    pub answers: BTreeMap<String, Written<Answers>>,
    /// A worker's answer for every other task.
    pub default: Option<Answer>,
}

/// The answers of a task.
#[derive(Debug)]
pub(super) enum Answers {
    /// Answers of a task as a whole.
    Task(Attempts),
    /// Answers of a task with items.
    Items {
        /// Answers of single items, by index.
        items: BTreeMap<u32, Written<Attempts>>,
        /// Answers of each other item.
        each: Option<Attempts>,
    },
}

/// The answers to attempts.
#[derive(Debug)]
pub(super) enum Attempts {
    /// The same answer to every attempt.
    Every(Answer),
    /// One answer to each attempt, in order.
    Listed(Vec<Answer>),
}

impl Attempts {
    /// Returns all answers.
    pub fn all(&self) -> &[Answer] {
        match self {
            Attempts::Every(answer) => std::slice::from_ref(answer),
            Attempts::Listed(answers) => answers,
        }
    }

    /// Returns the answer to an attempt, counted from 0.
    pub fn nth(&self, attempt: usize) -> Option<&Answer> {
        match self {
            Attempts::Every(answer) => Some(answer),
            Attempts::Listed(answers) => answers.get(attempt),
        }
    }
}

/// Outcome of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Where it is written; `None` if nowhere.
    pub node: Option<NodeId>,
    /// Seconds that it takes.
    pub after: f64,
    pub kind: AnswerKind,
}

/// Kind of outcome of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnswerKind {
    /// A worker completes the task with this result.
    Result(Data),
    /// A worker reports this error.
    Fail(Data, Advice),
    /// The worker takes longer than the task's time limit, or no signal arrives within it.
    Timeout,
    /// The worker's lease expires.
    WorkerDies,
    /// The signal arrives, with this payload.
    Signal(Data),
    /// No worker claims the task, or no signal arrives.
    Nothing,
}

impl AnswerKind {
    /// Returns the name of the field that specifies it.
    pub fn field(&self) -> &'static str {
        match self {
            AnswerKind::Result(_) => "result",
            AnswerKind::Fail(..) => "fail",
            AnswerKind::Timeout => "timeout",
            AnswerKind::WorkerDies => "worker_dies",
            AnswerKind::Signal(_) => "signal",
            AnswerKind::Nothing => "nothing",
        }
    }
}

/// Expectations of an execution. Anything not mentioned may have any value.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    pub status: Option<Written<Status>>,
    pub output: Option<Written<Value>>,
    pub ran: Option<Written<Names>>,
    pub ran_any_order: Option<Written<Names>>,
    pub not_ran: Option<Written<Names>>,
    /// The node is that of the value.
    pub inputs: BTreeMap<String, Written<Value>>,
    pub errors: Option<Written<Vec<Value>>>,
    pub took: Option<Written<f64>>,
}

/// Names of tasks.
pub(super) type Names = Vec<Written<String>>;

impl Script {
    /// Reads a test file. All its errors are among the findings; if there are any, it must not be run.
    pub fn read(text: impl AsRef<[u8]>, bounds: &Bounds) -> (Script, Vec<Finding>) {
        let (source, defects) = Source::read(text.as_ref(), bounds);
        let mut script = Script::default();
        let mut walk = Walk::new(&source, bounds);
        if let Some(root) = source.root() {
            walk.script(root, &mut script);
        }
        defects.into_iter().for_each(|defect| walk.defect(defect));
        let mut findings = walk.finish().0;
        findings.sort_by_key(|finding| (finding.line, finding.column));
        script.source = source;
        (script, findings)
    }

    /// Returns the answers of a task in a test, and the answer to use in their absence.
    pub(super) fn answers<'s>(&'s self, test: &'s Test, task: &str) -> (Option<&'s Answers>, Option<&'s Answer>) {
        let casts = || [&test.cast, &self.cast].into_iter();
        let own = casts().find_map(|cast| cast.answers.get(task)).map(|written| &written.value);
        (own, casts().find_map(|cast| cast.default.as_ref()))
    }

    /// Returns the line of a node.
    pub(super) fn line(&self, node: NodeId) -> u32 {
        self.source.line_and_column(self.source.node(node).start).0
    }
}
