//! WF104, and WF113 to WF115: transitions, one by one.

use super::Check;
use super::possible_end::PossibleEnd;
use super::shape::Shape;
use crate::finding::{MAX_FINDINGS, shorten};
use crate::interrupt;
use crate::language::parse::name::{COMMANDS, list, nearest};

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    targets(check, shape);
    retries(check, shape);
    dead_transitions(check, shape);
}

fn targets(check: &mut Check<'_>, shape: &Shape<'_>) {
    let tasks = &shape.definition.tasks;
    let mut valid: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).filter(|name| !name.is_empty()).collect();
    let suggest = |target: &str, valid: &[&str]| match nearest(target, valid.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("defined: {}", list(valid)),
    };
    if let Some(target) = shape.definition.finally.as_deref()
        && !shape.by_name.contains_key(target)
    {
        let message = format!("`finally` names the undefined task `{}`", shorten(target, 80));
        check.at("finally").error(104, message, suggest(target, &valid));
    }
    if let Some(finally) = shape.finally
        && let Some(from) = shape.inbound_tasks(finally).first()
    {
        let (name, from) = (shorten(&tasks[finally].name, 80), shorten(&tasks[*from].name, 80));
        let message = format!("`finally` names task `{name}`, to which task `{from}` also leads");
        let hint = "remove that transition: the `finally` task runs once whenever the workflow ends".to_owned();
        check.at("finally").error(115, message, hint);
    }
    valid.extend(COMMANDS);
    for (i, task) in tasks.iter().enumerate() {
        for (j, next) in interrupt::checked(&task.next).enumerate() {
            for (k, target) in interrupt::checked(&next.targets).enumerate() {
                if check.findings.len() >= MAX_FINDINGS {
                    return;
                }
                if !shape.by_name.contains_key(target.as_str()) && !COMMANDS.contains(&target.as_str()) {
                    let message = format!("transition to the undefined task `{}`", shorten(target, 80));
                    check.at(&format!("tasks[{i}].next[{j}].do[{k}]")).task(i).error(
                        104,
                        message,
                        suggest(target, &valid),
                    );
                }
            }
        }
    }
}

fn retries(check: &mut Check<'_>, shape: &Shape<'_>) {
    for (i, task) in shape.definition.tasks.iter().enumerate() {
        let mut seen = task.retry.is_some();
        for (j, next) in interrupt::checked(&task.next).enumerate() {
            for (k, _) in interrupt::checked(&next.targets).enumerate().filter(|(_, target)| *target == "retry") {
                if seen {
                    let message = format!("the task `{}` defines its retries twice", shorten(&task.name, 80));
                    let hint = "keep either `retry` or one `do: retry`, and combine their conditions".to_owned();
                    check.at(&format!("tasks[{i}].next[{j}].do[{k}]")).task(i).error(113, message, hint);
                }
                seen = true;
            }
        }
    }
}

fn dead_transitions(check: &mut Check<'_>, shape: &Shape<'_>) {
    for (i, task) in shape.definition.tasks.iter().enumerate() {
        for (j, next) in interrupt::checked(&task.next).enumerate() {
            let idle = next.targets.is_empty() && next.publish.is_empty();
            if idle || PossibleEnd::ALL.iter().any(|outcome| shape.can_fire(i, j, *outcome)) {
                continue;
            }
            let hint = if PossibleEnd::ALL.iter().all(|outcome| !shape.firing[i][j].can(*outcome)) {
                "its condition is never true"
            } else if shape.firing[i][j].can(PossibleEnd::Skipped) {
                "a task without `when` is never skipped"
            } else {
                "a task without `action` can't fail"
            };
            let place = format!("tasks[{i}].next[{j}]");
            check.at(&place).task(i).warning(114, "the transition never fires".to_owned(), hint.to_owned());
        }
    }
}
