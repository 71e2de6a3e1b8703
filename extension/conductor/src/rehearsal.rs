//! Tests of definitions: executions in memory, in virtual time, with scripted answers instead of workers.
//!
//! A [`Script`] is a test file. It is read and checked like a definition, reporting all findings at once. [`rehearse`]
//! runs its tests with the same conductor as the server, and returns the expectations that were not met. Nothing here
//! reads a file or a clock: loading the definition that [`Script::workflow`] names is up to the caller.
//!
//! ```
//! # use conductor::{graph::Graph, language::{catalogue::EmptyCatalogue, validate::check}, bounds::Bounds};
//! # use conductor::rehearsal::{Script, rehearse};
//! # use std::sync::Arc;
//! let definition = "{ref: demo.one, label: One, version: 1.0.0, tasks: [{name: a, action: demo.a}]}";
//! let script = "{default: {result: 1}, tests: [{name: it works, expect: {status: completed, ran: [a]}}]}";
//!
//! let bounds = Bounds::default();
//! let definition = check(definition, &EmptyCatalogue, &bounds).definition.unwrap();
//! let graph = Arc::new(Graph::compile(&definition, bounds).unwrap());
//! let (script, mut findings) = Script::read(script, &bounds);
//! findings.extend(script.check(&graph, &bounds));
//! assert!(findings.is_empty());
//! for test in &script.tests {
//!     assert!(rehearse(&script, test, &graph).passed());
//! }
//! ```

pub mod chance;
mod check;
pub mod coverage;
mod duration;
pub mod explore;
pub mod judge;
mod likeness;
pub mod memory_host;
pub(crate) mod play;
mod prompter;
mod read;
mod script;

pub use check::checked_parameters;
pub use script::{Script, Test};

use crate::expression::data;
use crate::graph::Graph;
use coverage::Coverage;
use judge::Difference;
use serde::Serialize;
use std::sync::Arc;

/// Result of a test.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The test's name.
    pub test: String,
    /// The line where it begins.
    pub line: u32,
    /// The expectations that were not met; empty if it passed.
    pub differences: Vec<Difference>,
    /// What it reached.
    #[serde(skip)]
    pub coverage: Coverage,
    /// Duration of the execution, in seconds of virtual time.
    pub took: f64,
}

impl Verdict {
    /// Whether the test passed.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs a test. Its script must have been read and [checked](Script::check) against the graph without findings.
pub fn rehearse(script: &Script, test: &Test, graph: &Arc<Graph>) -> Verdict {
    let parameters = data(&check::parameters(test, graph));
    let performance = play::play(graph.clone(), parameters, &mut prompter::Scripted { script, test });
    Verdict {
        test: test.name.clone(),
        line: test.line,
        differences: judge::judge(script, test, &performance),
        coverage: Coverage::of(&performance),
        took: performance.ledger.now,
    }
}
