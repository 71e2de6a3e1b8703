//! WF116: handlers that run more than once, because failures on several branches lead to them.

use std::collections::BTreeMap;

use super::Check;
use super::parallel::Parallel;
use super::possible_end::PossibleEnd;
use super::shape::Shape;
use crate::finding::shorten;
use crate::interrupt;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>, parallel: &mut Parallel) {
    for (i, task) in shape.definition.tasks.iter().enumerate() {
        if task.join.is_some() || shape.cycle[i].is_some() || shape.inbound[i].len() < 2 {
            continue;
        }
        let failing = failing(shape, i);
        let pairs =
            failing.iter().enumerate().flat_map(|(n, one)| failing[n + 1..].iter().map(move |two| (*one, *two)));
        let Some((one, other)) = interrupt::checked(pairs).find(|(one, two)| parallel.may_meet(shape, *one, *two))
        else {
            continue;
        };
        let name = |task: usize| shorten(&shape.definition.tasks[task].name, 80);
        let message = format!(
            "`{}` runs once for each failure that leads to it, and both `{}` and `{}` may fail",
            name(i),
            name(one),
            name(other)
        );
        let hint = "if it should run only once, write `join: 1`, or name it in `finally`".to_owned();
        check.at(&format!("tasks[{i}].name")).task(i).warning(116, message, hint);
    }
}

/// Returns the tasks whose failure leads to a task, and whose success does not.
fn failing(shape: &Shape<'_>, task: usize) -> Vec<usize> {
    let mut ends: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
    for edge in interrupt::checked(&shape.inbound[task]) {
        let edge = shape.edges[*edge];
        let fires = |outcomes: [PossibleEnd; 2]| {
            outcomes.into_iter().any(|outcome| shape.can_fire(edge.from, edge.transition, outcome))
        };
        let (failure, success) = ends.entry(edge.from).or_default();
        *failure |= fires([PossibleEnd::Failed, PossibleEnd::TimedOut]);
        *success |= fires([PossibleEnd::Succeeded, PossibleEnd::Skipped]);
    }
    ends.into_iter().filter(|(_, (failure, success))| *failure && !success).map(|(from, _)| from).collect()
}
