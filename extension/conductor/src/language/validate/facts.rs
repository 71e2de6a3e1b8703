//! The facts that become true along the paths of a graph: variables that are set, tasks that have ended, and conditions
//! that have tested a task or parameter.

use std::collections::HashMap;

use super::shape::Shape;
use crate::bounds::Bounds;
use crate::expression::template;
use crate::interrupt;
use crate::language::definition::Assignment;

/// Facts by number, and where they become true.
#[derive(Default)]
pub struct Facts {
    /// The number of each fact.
    pub numbers: HashMap<String, usize>,
    /// Number of facts that are true from the start; they have the lowest numbers.
    pub start: usize,
    /// By task: the facts that its end makes true, whatever its outcome.
    pub ended: Vec<Vec<usize>>,
    /// By task: the facts that its success makes true.
    pub success: Vec<Vec<usize>>,
    /// By task and transition: the facts that the transition makes true.
    pub along: Vec<Vec<Vec<usize>>>,
    /// By fact: the tasks that make it true.
    pub makers: Vec<Vec<usize>>,
}

impl Facts {
    /// Returns which variables are set, by name.
    pub fn of_variables(shape: &Shape<'_>) -> Facts {
        let mut facts = Facts::default();
        let tasks = &shape.definition.tasks;
        facts.set(&shape.definition.vars);
        facts.start = facts.numbers.len();
        facts.ended = vec![Vec::new(); tasks.len()];
        facts.success = tasks.iter().map(|task| facts.set(&task.publish)).collect();
        facts.along =
            tasks.iter().map(|task| task.next.iter().map(|next| facts.set(&next.publish)).collect()).collect();
        facts.makers = vec![Vec::new(); facts.numbers.len()];
        for (task, (success, along)) in facts.success.iter().zip(&facts.along).enumerate() {
            for fact in interrupt::checked(along.iter().chain([success]).flatten()) {
                facts.makers[*fact].push(task);
            }
        }
        facts
    }

    /// Returns which tasks have ended (`task.scan`), and which names a condition on the way has mentioned: a condition
    /// that tests a task or parameter presumably knows whether it exists.
    pub fn of_tasks(shape: &Shape<'_>, bounds: &Bounds) -> Facts {
        let mut facts = Facts::default();
        let tasks = &shape.definition.tasks;
        facts.ended = tasks.iter().map(|task| vec![facts.number(&format!("task.{}", task.name))]).collect();
        facts.success = vec![Vec::new(); tasks.len()];
        for task in tasks {
            let along = interrupt::checked(&task.next).map(|next| {
                let mentioned = next.when.as_deref().map(|when| mentioned(when, bounds)).unwrap_or_default();
                mentioned.iter().map(|name| facts.number(name)).collect()
            });
            let along = along.collect();
            facts.along.push(along);
        }
        facts
    }

    fn set(&mut self, list: &[Assignment]) -> Vec<usize> {
        interrupt::checked(list).map(|assignment| self.number(&assignment.name)).collect()
    }

    fn number(&mut self, name: &str) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }
}

/// Returns the tasks and parameters that a condition mentions in any way: `task.scan`, `parameters.note`.
pub fn mentioned(condition: &str, bounds: &Bounds) -> Vec<String> {
    let Ok(references) = template::references(condition, bounds) else { return Vec::new() };
    let reads = references.reads.into_iter().map(|read| (read.root, read.member));
    let statuses = references.functions.into_iter().filter(|function| function.name == "task_status");
    let statuses = statuses.map(|function| ("task".to_owned(), function.argument.map(|(name, _)| name)));
    let all = reads.chain(statuses).chain(references.asked);
    all.filter(|(root, _)| matches!(root.as_str(), "task" | "parameters"))
        .filter_map(|(root, member)| Some(format!("{root}.{}", member?)))
        .collect()
}
