//! A test file: what is played, what workers and people answer, and what is expected.

use crate::engine::conductor::Advice;
use crate::engine::state::Status;
use crate::expression::Data;
use crate::language::finding::Finding;
use crate::language::limits::Limits;
use crate::language::parse::walk::Walk;
use crate::language::source::{NodeId, Source};
use crate::rehearsal::play::Cancel;
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

/// A test: one execution and what is expected of it.
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

/// Something and where it is written.
#[derive(Debug)]
pub(super) struct Written<T> {
    pub node: NodeId,
    pub value: T,
}

/// Who answers for tasks.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The answers by task; the node is that of the task's name.
    pub answers: BTreeMap<String, Written<Answers>>,
    /// What a worker answers for every other task.
    pub default: Option<Answer>,
}

/// The answers of a task.
#[derive(Debug)]
pub(super) enum Answers {
    /// Those of a task as a whole.
    Task(Attempts),
    /// Those of a task with items.
    Items {
        /// Of single items, by index.
        items: BTreeMap<u32, Written<Attempts>>,
        /// Of each other item.
        each: Option<Attempts>,
    },
}

/// The answers to attempts.
#[derive(Debug)]
pub(super) enum Attempts {
    /// The same to every attempt.
    Every(Answer),
    /// One to each attempt, in order.
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

/// What becomes of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Where it is written; none: nowhere.
    pub node: Option<NodeId>,
    /// Seconds that it takes.
    pub after: f64,
    pub kind: AnswerKind,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnswerKind {
    /// A worker completes the task with this result.
    Result(Data),
    /// A worker reports this error.
    Fail(Data, Advice),
    /// The worker takes longer than the task's time limit, or no signal comes within it.
    Timeout,
    /// The worker's lease expires.
    WorkerDies,
    /// The signal comes, with this payload.
    Signal(Data),
    /// No worker claims the task, or no signal comes.
    Nothing,
}

impl AnswerKind {
    /// Returns the field that says so.
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

/// What is expected of an execution. What is not mentioned may be anything.
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
    /// Reads a test file. Whatever is wrong with it is among the findings; if there are any, it must not be played.
    pub fn read(text: impl AsRef<[u8]>, limits: &Limits) -> (Script, Vec<Finding>) {
        let (source, defects) = Source::read(text.as_ref(), limits);
        let mut script = Script::default();
        let mut walk = Walk::new(&source, limits);
        if let Some(root) = source.root() {
            walk.script(root, &mut script);
        }
        defects.into_iter().for_each(|defect| walk.defect(defect));
        let mut findings = walk.finish().0;
        findings.sort_by_key(|finding| (finding.line, finding.column));
        script.source = source;
        (script, findings)
    }

    /// Returns the answers of a task in a test, and the answer that stands in for them.
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
