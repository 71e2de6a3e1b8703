//! WF117, WF313 and WF314: undos that never run, undos that cannot be rendered if it is unknown whether the task was
//! done, and undos that read what the task has not published yet.

use super::Check;
use super::shape::Shape;
use super::sites::Phase;
use super::text::Text;
use crate::expression::template::References;
use crate::interrupt;
use crate::language::definition::WhenUnknown;

/// Reports undos of tasks that only run once the workflow has its verdict.
pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    let Some(finally) = shape.finally else { return };
    let (last, others) = (shape.reach(&[finally], None), shape.reach(&shape.starts, None));
    for (i, task) in interrupt::checked(&check.definition.tasks).enumerate() {
        if task.undo.is_some() && last[i] && !others[i] {
            let message = "a `finally` task is never undone".to_owned();
            let hint = "move `undo` to the task whose work may have to be undone".to_owned();
            check.at(&format!("tasks[{i}].undo")).task(i).warning(117, message, hint);
        }
    }
}

/// Reports members of `result()` that an undo reads unguarded: after a timeout, `result()` is null.
pub fn results(check: &mut Check<'_>, text: &Text<'_>, references: &References) {
    let undo = text.site.task.and_then(|task| check.definition.tasks[task].undo.as_ref());
    if text.site.phase != Phase::Undo || undo.is_none_or(|undo| undo.when_unknown == WhenUnknown::Skip) {
        return;
    }
    for at in &references.results {
        let message = "`result()` is null here if the task timed out or was abandoned".to_owned();
        let hint = "add `| default(none)` and have the action find out what was done, or write `when_unknown: skip`";
        text.spot(check, *at).warning(313, message, hint.to_owned());
    }
}

/// Reports a variable that an undo reads and that its own task publishes: an undo is rendered before that.
pub fn published(check: &mut Check<'_>, text: &Text<'_>, name: &str, at: usize) {
    let Some(task) = text.site.task.filter(|_| text.site.phase == Phase::Undo) else { return };
    let task = &check.definition.tasks[task];
    let mut published = task.publish.iter().chain(task.next.iter().flat_map(|next| &next.publish));
    if published.any(|entry| entry.name == name) {
        let message = format!("`vars.{name}` has its value from before this task, which publishes it");
        let hint = "read what the task publishes, such as `result()`, instead".to_owned();
        text.spot(check, at).warning(314, message, hint);
    }
}
