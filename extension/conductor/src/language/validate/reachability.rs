//! WF105 and WF106: where a workflow starts, and what cannot be reached from there.

use super::Check;
use super::shape::Shape;
use crate::finding::shorten;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    let tasks = &shape.definition.tasks;
    if tasks.is_empty() {
        return;
    }
    if shape.starts.is_empty() {
        let hint =
            "a workflow starts with the tasks that no transition leads to; remove a transition, or add such a task";
        check.at("tasks").error(105, "the workflow has no start task".to_owned(), hint.to_owned());
        return;
    }
    for (i, task) in tasks.iter().enumerate() {
        if !shape.reachable[i] && shape.by_name.get(task.name.as_str()) == Some(&i) {
            let message = format!("the task `{}` is unreachable", shorten(&task.name, 80));
            let hint = "add a transition to it from a reachable task, or remove it".to_owned();
            check.at(&format!("tasks[{i}].name")).task(i).error(106, message, hint);
        }
    }
}
