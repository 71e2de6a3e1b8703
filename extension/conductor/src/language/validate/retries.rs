//! WF207: retry conditions that are evaluated after a success, too. WF208: undos of tasks that may succeed more than
//! once.

use super::Check;
use crate::expression::template::{self, may_hold_after};
use crate::interrupt;
use crate::language::parse::Place;

/// Functions that test how the task ended.
const ENDS: [&str; 6] = ["succeeded", "failed", "timed_out", "completed", "cancelled", "skipped"];

pub fn check(check: &mut Check<'_>) {
    undone_once(check);
    for (i, task) in interrupt::checked(&check.definition.tasks).enumerate() {
        let Some(when) = task.retry.as_ref().and_then(|retry| retry.when.as_deref()) else { continue };
        let Ok(references) = template::references(when, check.bounds) else { continue };
        let calls = |names: &[&str]| references.functions.iter().find(|function| names.contains(&&*function.name));
        let Some(result) = calls(&["result"]) else { continue };
        if calls(&ENDS).is_some() || !may_hold_after(when, "completed", check.bounds) {
            continue;
        }
        let message = "this condition is also evaluated after a success, because it reads `result()`".to_owned();
        let hint =
            "to wait for a result, write `repeat: {until: …}`; to retry only failures, begin with `failed() and`";
        let path = format!("tasks[{i}].retry.when");
        let mut spot = check.at(&path).task(i);
        spot.place = spot.place.map(|place| Place { offset: result.at, ..place });
        (spot.inside, spot.expression) = (true, Some(when));
        spot.warning(207, message, hint.to_owned());
    }
}

/// Reports undos of tasks that run again after a success: only the last attempt is undone.
fn undone_once(check: &mut Check<'_>) {
    for (i, task) in interrupt::checked(&check.definition.tasks).enumerate() {
        if task.undo.is_none() {
            continue;
        }
        let when = task.retry.as_ref().and_then(|retry| retry.when.as_deref());
        let asks_result = |when: &str| {
            let references = template::references(when, check.bounds);
            let after_success = ["result", "succeeded", "completed"];
            references.is_ok_and(|r| r.functions.iter().any(|function| after_success.contains(&&*function.name)))
                && may_hold_after(when, "completed", check.bounds)
        };
        let field = match (&task.repeat, when) {
            (Some(_), _) => "repeat",
            (None, Some(when)) if asks_result(when) => "retry.when",
            _ => continue,
        };
        let message =
            format!("only the last attempt is undone, but with `{field}`, earlier ones may also have succeeded");
        let hint = "split the task: one does the work and has the `undo`, another repeats until its result is right";
        check.at(&format!("tasks[{i}].undo")).task(i).warning(208, message, hint.to_owned());
    }
}
