//! WF107 to WF109, and WF118: joins that wait for more tasks than can arrive, and forks that keep branches from
//! meeting.

use super::Check;
use super::shape::Shape;
use crate::finding::shorten;
use crate::interrupt;
use crate::language::definition::{Join, Rest};

/// Maximum number of steps for working out nested forks.
const MAX_STEPS: usize = 2_000_000;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    counts(check, shape);
    nested_forks(check, shape);
}

/// Reports joins that wait for more tasks than lead to them, that have fewer than two inbound tasks, or that cancel the
/// rest in or after a cycle.
fn counts(check: &mut Check<'_>, shape: &Shape<'_>) {
    let cyclic: Vec<usize> = shape.cycles.iter().flatten().copied().collect();
    let behind_cycles = shape.reach(&cyclic, None);
    for (i, task) in interrupt::checked(&shape.definition.tasks).enumerate() {
        let Some(join) = task.join else { continue };
        let inbound = shape.inbound_tasks(i).len();
        let place = format!("tasks[{i}].join");
        match join {
            Join::Count(count) if count as usize > inbound && inbound > 0 => {
                let message = format!(
                    "the join waits for {count} tasks, but only {inbound} lead{} here",
                    if inbound == 1 { "s" } else { "" }
                );
                check.at(&place).task(i).error(107, message, format!("write {inbound}, or `all`"));
            }
            Join::Count(count) if count as usize > inbound && count > 1 => {
                let message = format!("the join waits for {count} tasks, but none leads here");
                check.at(&place).task(i).error(107, message, "remove `join`".to_owned());
            }
            _ if task.join_rest == Rest::Cancel && behind_cycles[i] => {
                let message = "a join with `rest: cancel` is in a cycle, or after one".to_owned();
                let hint = "remove `rest`: whether the join has already fired would depend on the iteration".to_owned();
                check.at(&place).task(i).error(118, message, hint);
            }
            _ if inbound < 2 => {
                let message =
                    format!("the join has only {inbound} inbound task{}", if inbound == 1 { "" } else { "s" });
                check.at(&place).task(i).warning(108, message, "remove `join`".to_owned());
            }
            _ => {}
        }
    }
}

/// Reports ambiguous joins. A task that several transitions reach without a join opens a route for each of them, and a
/// join waits within its route: inbound tasks behind different forks of this kind never meet.
fn nested_forks(check: &mut Check<'_>, shape: &Shape<'_>) {
    let count = shape.definition.tasks.len();
    let is_fork = |task: usize| shape.inbound[task].len() > 1 && !shape.is_join(task) && shape.cycle[task].is_none();
    let forks: Vec<usize> = (0..count).filter(|task| is_fork(*task)).collect();
    if forks.is_empty() || !(0..count).any(|task| shape.is_join(task)) {
        return;
    }
    let words = forks.len().div_ceil(64);
    let mut above = vec![vec![0u64; words]; count];
    for (bit, fork) in forks.iter().enumerate() {
        above[*fork][bit / 64] |= 1 << (bit % 64);
    }
    let mut steps = 0;
    let mut open: Vec<usize> = (0..count).collect();
    while let Some(task) = open.pop() {
        for edge in interrupt::checked(&shape.outbound[task]) {
            steps += words;
            if steps > MAX_STEPS {
                return;
            }
            let to = shape.edges[*edge].to;
            let (from, mut grown) = (above[task].clone(), false);
            for (word, more) in above[to].iter_mut().zip(from) {
                grown |= *word | more != *word;
                *word |= more;
            }
            if grown {
                open.push(to);
            }
        }
    }
    for (i, task) in interrupt::checked(&shape.definition.tasks).enumerate() {
        if !shape.is_join(i) || shape.cycle[i].is_some() {
            continue;
        }
        let inbound = shape.inbound_tasks(i);
        let Some(odd) = inbound.iter().find(|from| above[**from] != above[inbound[0]]) else { continue };
        let differs = |bit: &usize| (above[*odd][bit / 64] ^ above[inbound[0]][bit / 64]) >> (bit % 64) & 1 == 1;
        let fork = (0..forks.len()).find(differs).map_or("", |bit| &shape.definition.tasks[forks[bit]].name);
        let (one, other) = (&shape.definition.tasks[inbound[0]].name, &shape.definition.tasks[*odd].name);
        let (fork, one, other) = (shorten(fork, 80), shorten(one, 80), shorten(other, 80));
        let message = format!(
            "the join `{}` is ambiguous: `{fork}` runs once for each path that leads to it, and only one of `{one}` and \
             `{other}` comes after it",
            shorten(&task.name, 80)
        );
        check.at(&format!("tasks[{i}].join")).task(i).error(109, message, format!("make `{fork}` a join as well"));
    }
}
