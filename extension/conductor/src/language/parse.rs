//! Definition text to normal form: every spelling in the language, reporting all errors at once.
//!
//! The walk never stops at an error: whatever can be understood becomes a definition, so that the rest of the
//! [validation](crate::language::validate) has something to check too.

pub mod duration;
mod foreign;
pub mod limit;
pub mod name;
mod next;
mod task;
mod undo;
pub(crate) mod walk;
pub mod words;
mod workflow;

use std::collections::HashMap;

use crate::bounds::Bounds;
use crate::finding::{Finding, Severity};
use crate::language::definition::Definition;
use crate::source::{NodeId, Source};

/// Result of [`parse`].
#[derive(Debug, Default)]
pub struct Parsed {
    /// Whatever could be understood, if the text is a map at all. Only [`Parsed::valid`] may be run.
    pub definition: Option<Definition>,
    /// WF001 to WF009, and errors that expanded sugar would hide from later checks: WF111, WF112, WF201 to WF203,
    /// WF306.
    pub findings: Vec<Finding>,
    /// Where each part is written.
    pub places: Places,
}

impl Parsed {
    /// Returns the definition, if no finding is an error.
    pub fn valid(&self) -> Option<&Definition> {
        let broken = self.findings.iter().any(|finding| finding.severity == Severity::Error);
        self.definition.as_ref().filter(|_| !broken)
    }
}

/// Where the parts of a normal form are written in its source. Without a source, all places are unknown.
#[derive(Debug, Default)]
pub struct Places {
    source: Source,
    parts: HashMap<String, Place>,
}

/// The node that a part of the normal form comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The node.
    pub node: NodeId,
    /// Offset of the part in a text node's value.
    pub offset: usize,
    /// Whether the part contains more than the node, because sugar was expanded.
    pub sugar: bool,
}

impl Places {
    /// Returns the source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns where a part is written, given its path in the normal form: `tasks[2].next[0].when`.
    pub fn find(&self, path: &str) -> Option<Place> {
        self.parts.get(path).copied()
    }
}

/// Parses YAML or JSON text.
pub fn parse(source: impl AsRef<[u8]>, bounds: &Bounds) -> Parsed {
    let (source, defects) = Source::read(source.as_ref(), bounds);
    let mut walk = walk::Walk::new(&source, bounds);
    for defect in defects {
        walk.defect(defect);
    }
    let definition = source.root().and_then(|root| walk.workflow(root));
    let (findings, parts) = walk.finish();
    Parsed { definition, findings, places: Places { source, parts } }
}
