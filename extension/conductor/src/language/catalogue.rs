//! What is known about a definition's environment: the actions and packs that it can name.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::expression::template;
use crate::language::definition::Definition;

/// A registered action. Workflows are actions too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Action {
    /// JSON Schema of the input.
    pub param_schema: Option<Value>,
    /// Whether it is a workflow.
    pub is_workflow: bool,
    /// Whether it can be started.
    pub enabled: bool,
    /// The refs named by the workflow's own tasks; empty for other actions.
    pub calls: Vec<String>,
}

/// A catalogue in which actions and packs are looked up.
pub trait Catalogue {
    /// Whether anything is known at all. If not, WF501 to WF507 and WF509 are not checked.
    fn known(&self) -> bool {
        true
    }

    /// Returns the action with this ref.
    fn action(&self, reference: &str) -> Option<Action>;

    /// Whether the pack exists.
    fn has_pack(&self, pack: &str) -> bool;

    /// Whether the limit exists.
    fn has_limit(&self, _name: &str) -> bool {
        true
    }

    /// Returns the pack that the definition will be stored in, if one was given.
    fn target_pack(&self) -> Option<String> {
        None
    }
}

/// An empty catalogue: nothing is known, so nothing is reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyCatalogue;

impl Catalogue for EmptyCatalogue {
    fn known(&self) -> bool {
        false
    }

    fn action(&self, _reference: &str) -> Option<Action> {
        None
    }

    fn has_pack(&self, _pack: &str) -> bool {
        false
    }
}

/// Returns the refs named by a definition's tasks, leaving out templates.
pub fn calls(definition: &Definition) -> BTreeSet<&str> {
    let actions = definition.tasks.iter().filter_map(|task| task.action.as_deref());
    actions.filter(|action| !template::is_template(action)).collect()
}
