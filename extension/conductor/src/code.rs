//! The codes of findings and errors, as listed in `docs/language.md` and `docs/functions.md`.

use serde::Serialize;

/// The code of a finding or run-time error: `WF` and three digits, the first of which gives the category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl Code {
    /// The text is not YAML or JSON, or is empty.
    pub const SYNTAX: Code = Code(1);
    /// A definition is too large, too deep, or repeats too much.
    pub const SOURCE_LIMIT: Code = Code(9);
    /// An expression cannot be compiled.
    pub const INVALID_EXPRESSION: Code = Code(301);
    /// Parameters are rejected by the workflow's schema.
    pub const INVALID_PARAMETERS: Code = Code(601);
    /// A property of a task, such as its input, cannot be rendered.
    pub const TASK_NOT_RENDERED: Code = Code(602);
    /// Items cannot be rendered, or are not a list.
    pub const ITEMS_NOT_RENDERED: Code = Code(603);
    /// A condition cannot be evaluated.
    pub const CONDITION_NOT_EVALUATED: Code = Code(604);
    /// A variable, attribute or published value cannot be evaluated.
    pub const VARIABLE_NOT_EVALUATED: Code = Code(605);
    /// An entry of the output cannot be rendered.
    pub const OUTPUT_NOT_RENDERED: Code = Code(606);
    /// The output is rejected by the workflow's schema.
    pub const INVALID_OUTPUT: Code = Code(607);
    /// A join can no longer be reached.
    pub const UNREACHABLE_JOIN: Code = Code(608);
    /// A task has run `max_visits` times, or too many tasks without an action follow each other.
    pub const TOO_MANY_VISITS: Code = Code(609);
    /// A workflow has exceeded its timeout.
    pub const TIMED_OUT: Code = Code(610);
    /// Something is not possible in the current state.
    pub const WRONG_STATE: Code = Code(611);
    /// An execution cannot be rerun.
    pub const NOT_RERUNNABLE: Code = Code(612);
    /// An argument is null, malformed or out of range.
    pub const INVALID_ARGUMENT: Code = Code(613);
    /// Something is too large, too deep or too many.
    pub const LIMIT_EXCEEDED: Code = Code(614);
    /// A lease no longer holds its task.
    pub const STALE_LEASE: Code = Code(615);
    /// There is no such row.
    pub const NOT_FOUND: Code = Code(616);
    /// A key is taken.
    pub const ALREADY_EXISTS: Code = Code(617);
    /// A row belongs to the engine, or to a system outside, and only its owner may change it.
    pub const NOT_OWNER: Code = Code(618);
    /// Something that is stored, or that the server provides, cannot be used.
    pub const UNUSABLE: Code = Code(619);
    /// The role is bound to other parts.
    pub const PART_NOT_GRANTED: Code = Code(620);
    /// The payload of a signal violates the task's schema.
    pub const INVALID_PAYLOAD: Code = Code(621);
    /// A part is on another server.
    pub const FOREIGN_PART: Code = Code(622);
    /// A workflow has reached the number of executions that its `concurrency` allows.
    pub const TOO_MANY_RUNNING: Code = Code(623);

    /// Returns `syntax`, `graph`, `semantic`, `expression`, `schema`, `catalogue`, `runtime` or `test`.
    pub fn category(self) -> &'static str {
        match self.0 / 100 {
            0 => "syntax",
            1 => "graph",
            2 => "semantic",
            3 => "expression",
            4 => "schema",
            5 => "catalogue",
            7 => "test",
            _ => "runtime",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WF{:03}", self.0)
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Code, ()> {
        let digits = text.strip_prefix("WF").filter(|digits| digits.len() == 3);
        let is_code = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.filter(is_code).and_then(|digits| digits.parse().ok()).map(Code).ok_or(())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
