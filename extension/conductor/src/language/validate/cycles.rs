//! WF110: cycles without an exit.

use super::Check;
use super::possible_end::{Fires, PossibleEnd};
use super::shape::Shape;
use crate::interrupt;
use crate::language::parse::name::list;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    for (number, members) in shape.cycles.iter().enumerate() {
        let reachable = members.iter().any(|task| shape.reachable[*task]);
        if !reachable || members.iter().any(|task| shape.is_join(*task) || has_exit(shape, *task, number)) {
            continue;
        }
        let names: Vec<&str> = members.iter().map(|task| shape.definition.tasks[*task].name.as_str()).collect();
        let message = format!("the cycle of {} has no exit", list(&names));
        let hint = "give the transition that closes it a `when` that eventually becomes false".to_owned();
        // A loop of actions may be intended to run until it is cancelled; a loop of routing tasks only keeps the engine
        // busy.
        let idle = |task: &usize| {
            let task = &shape.definition.tasks[*task];
            task.action.is_none() && task.wait_for.is_none() && task.delay.is_none()
        };
        let place = format!("tasks[{}]", members[0]);
        let spot = check.at(&place).task(members[0]);
        match members.iter().all(idle) {
            true => spot.error(110, message, hint),
            false => spot.warning(110, message, hint),
        }
    }
}

/// Whether the task can end successfully, or with its failure handled, without its cycle continuing.
fn has_exit(shape: &Shape<'_>, task: usize, cycle: usize) -> bool {
    let next = &shape.definition.tasks[task].next;
    let firing = &shape.firing[task];
    let leads_on = |j: usize| next[j].targets.iter().filter_map(|target| shape.by_name.get(target.as_str()));
    let ends = [PossibleEnd::Succeeded, PossibleEnd::Skipped, PossibleEnd::Failed, PossibleEnd::TimedOut];
    ends.into_iter().filter(|outcome| outcome.possible(&shape.definition.tasks[task])).any(|outcome| {
        interrupt::check();
        let stays_in_cycle = (0..next.len()).any(|j| {
            firing[j].at(outcome) == Fires::Always
                && !next[j].targets.iter().any(|target| target == "fail")
                && leads_on(j).any(|to| shape.cycle[*to] == Some(cycle))
        });
        let caught = (0..next.len()).any(|j| {
            firing[j].can(outcome)
                && (leads_on(j).next().is_some() || next[j].targets.iter().any(|target| target == "noop"))
        });
        !stays_in_cycle && (!outcome.is_failure() || caught)
    })
}
