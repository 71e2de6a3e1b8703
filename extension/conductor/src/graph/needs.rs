//! What a step may read, collected from the names in its expressions.

use crate::expression::{ProgramId, Programs, Rendering};
use crate::interrupt;
use std::collections::BTreeSet;

/// What a step may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The parameters.
    pub parameters: bool,
    /// The variables.
    pub variables: bool,
    /// What its branch has published last, because it may publish more.
    pub publishes: bool,
    /// The reported result or error.
    pub result: bool,
    /// The task's own input.
    pub input: bool,
    /// The item.
    pub item: bool,
    /// The `system` object.
    pub system: bool,
    /// Other tasks, by name.
    pub tasks: BTreeSet<String>,
    /// Any task: the name is known only at run time.
    pub all_tasks: bool,
}

impl Needs {
    /// Adds what another step may read.
    pub fn merge(&mut self, other: &Needs) {
        self.parameters |= other.parameters;
        self.variables |= other.variables;
        self.publishes |= other.publishes;
        self.result |= other.result;
        self.input |= other.input;
        self.item |= other.item;
        self.system |= other.system;
        self.all_tasks |= other.all_tasks;
        self.tasks.extend(other.tasks.iter().cloned());
    }

    /// Whether other tasks are read at all.
    pub fn any_task(&self) -> bool {
        self.all_tasks || !self.tasks.is_empty()
    }

    pub(crate) fn program(&mut self, programs: &Programs, id: ProgramId) {
        interrupt::check();
        for name in programs.names(id) {
            let mut parts = name.split('.');
            match parts.next() {
                Some("parameters") => self.parameters = true,
                Some("vars") => self.variables = true,
                Some("system") => self.system = true,
                Some("input") => self.input = true,
                Some("item" | "index" | "batch") => self.item = true,
                Some("result" | "error") => self.result = true,
                Some("task_status") => self.all_tasks = true,
                Some("task") => match parts.next() {
                    Some(task) => {
                        self.tasks.insert(task.to_owned());
                    }
                    None => self.all_tasks = true,
                },
                _ => {}
            }
        }
    }

    pub(crate) fn rendering(&mut self, programs: &Programs, rendering: &Rendering) {
        rendering.programs(&mut |id| self.program(programs, id));
    }

    pub(crate) fn renderings<'a>(&mut self, programs: &Programs, list: impl IntoIterator<Item = &'a Rendering>) {
        list.into_iter().for_each(|rendering| self.rendering(programs, rendering));
    }
}
