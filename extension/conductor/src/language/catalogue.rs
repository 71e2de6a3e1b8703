//! What is known of the world around a definition: the actions and packs it can name.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::expression::template;
use crate::language::definition::Definition;

/// A registered action, or a workflow, which is one, too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Action {
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// It is a workflow.
    pub is_workflow: bool,
    /// False: it can't be started.
    pub enabled: bool,
    /// The refs that the workflow's own tasks name; empty for other actions.
    pub calls: Vec<String>,
}

/// Where actions and packs are looked up.
pub trait Catalogue {
    /// False: nothing is known, and WF501 to WF507 are not looked for.
    fn known(&self) -> bool {
        true
    }

    /// The action of a ref.
    fn action(&self, reference: &str) -> Option<Action>;

    /// Is there such a pack?
    fn has_pack(&self, pack: &str) -> bool;

    /// The pack that the definition is to be stored in, where that was said.
    fn target_pack(&self) -> Option<String> {
        None
    }
}

/// Knows nothing, and so finds nothing wrong.
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

/// The refs that a definition's tasks name, templates left out.
pub fn calls(definition: &Definition) -> BTreeSet<&str> {
    let actions = definition.tasks.iter().filter_map(|task| task.action.as_deref());
    actions.filter(|action| !template::is_template(action)).collect()
}
