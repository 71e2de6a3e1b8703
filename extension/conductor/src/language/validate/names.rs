//! WF102 and WF103: names of tasks that are taken, reserved, or easily confused.

use std::collections::HashMap;

use super::Check;
use super::shape::Shape;
use crate::finding::shorten;
use crate::language::parse::name::COMMANDS;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    let tasks = &shape.definition.tasks;
    let mut folded: HashMap<String, usize> = HashMap::new();
    for (i, task) in tasks.iter().enumerate().filter(|(_, task)| !task.name.is_empty()) {
        let place = format!("tasks[{i}].name");
        let name = shorten(&task.name, 80).into_owned();
        if COMMANDS.contains(&task.name.as_str()) {
            let message = format!("`{name}` is a command of `do` and can't name a task");
            check.at(&place).task(i).error(103, message, "choose another name".to_owned());
        }
        let first = shape.by_name[task.name.as_str()];
        if first != i {
            let message =
                format!("the task `{name}` is defined twice{}", check.also_at(&format!("tasks[{first}].name")));
            check.at(&place).task(i).error(102, message, "rename one of them".to_owned());
            continue;
        }
        let other = *folded.entry(task.name.to_lowercase()).or_insert(i);
        if other != i {
            let near = shorten(&tasks[other].name, 80);
            let message = format!("the tasks `{name}` and `{near}` differ only in case");
            check.at(&place).task(i).warning(102, message, "rename one of them".to_owned());
        }
    }
}
