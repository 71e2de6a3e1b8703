//! WF207: retry conditions that are asked after a success, too.

use super::Check;
use crate::expression::template::{self, may_hold_after};
use crate::interrupt;
use crate::language::parse::Place;

/// Functions that say how the task ended.
const ENDS: [&str; 6] = ["succeeded", "failed", "timed_out", "completed", "cancelled", "skipped"];

pub fn check(check: &mut Check<'_>) {
    for (i, task) in interrupt::checked(&check.definition.tasks).enumerate() {
        let Some(when) = task.retry.as_ref().and_then(|retry| retry.when.as_deref()) else { continue };
        let Ok(references) = template::references(when, check.limits) else { continue };
        let calls = |names: &[&str]| references.functions.iter().find(|function| names.contains(&&*function.name));
        let Some(result) = calls(&["result"]) else { continue };
        if calls(&ENDS).is_some() || !may_hold_after(when, "completed", check.limits) {
            continue;
        }
        let message = "this condition is asked after a success, too, because it reads `result()`".to_owned();
        let hint =
            "to wait for a result, write `repeat: {until: …}`; to retry only failures, begin with `failed() and`";
        let path = format!("tasks[{i}].retry.when");
        let mut spot = check.at(&path).task(i);
        spot.place = spot.place.map(|place| Place { offset: result.at, ..place });
        (spot.inside, spot.expression) = (true, Some(when));
        spot.warning(207, message, hint.to_owned());
    }
}
