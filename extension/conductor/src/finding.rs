//! Problems with a definition: a code, the location and the fix.

use crate::code::Code;
use serde::Serialize;

/// One finding of `workflow_validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `WF001` to `WF509`; `WF601` and `WF701` to `WF703` in a test file.
    pub code: Code,
    /// Whether it prevents the definition from being stored.
    pub severity: Severity,
    /// Description of the problem, in lower case, naming the object.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Path in the document: `tasks[2].next[0].when`.
    pub path: String,
    /// The task concerned.
    pub task: Option<String>,
    /// The expression concerned.
    pub expression: Option<String>,
    /// Line in the source, from 1; 0 if the source is not known.
    pub line: u32,
    /// Column in characters, from 1; 0 if the source is not known.
    pub column: u32,
}

/// Whether a finding prevents the definition from being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but the definition is unlikely to be what was intended.
    Warning,
}

/// Maximum number of findings per source; more would not help.
pub const MAX_FINDINGS: usize = 1000;

/// Returns the first characters of a text, for messages.
pub fn shorten(text: &str, characters: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}
