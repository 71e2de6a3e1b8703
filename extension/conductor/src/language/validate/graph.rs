//! WF101 to WF115, and WF118: the structure of the graph.

use std::collections::HashMap;

use super::Check;
use super::outcome::{Fires, Outcome};
use super::shape::Shape;
use crate::interrupt;
use crate::language::definition::{Join, Rest};
use crate::language::finding::{MAX_FINDINGS, shorten};
use crate::language::parse::name::{COMMANDS, list, nearest};

/// Maximum number of steps for working out nested forks.
const MAX_STEPS: usize = 2_000_000;

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    names(check, shape);
    targets(check, shape);
    ways(check, shape);
    joins(check, shape);
    nested_forks(check, shape);
    cycles(check, shape);
    retries(check, shape);
    dead_transitions(check, shape);
}

fn names(check: &mut Check<'_>, shape: &Shape<'_>) {
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
        let message = format!("`finally` names task `{name}`, which task `{from}` leads to as well");
        let hint = "remove that transition: the `finally` task runs once at every end".to_owned();
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

fn ways(check: &mut Check<'_>, shape: &Shape<'_>) {
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

fn joins(check: &mut Check<'_>, shape: &Shape<'_>) {
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
                let message = "a join with `rest: cancel` in a cycle, or after one".to_owned();
                let hint = "remove `rest`: whether it has fired already would depend on the round".to_owned();
                check.at(&place).task(i).error(118, message, hint);
            }
            _ if inbound < 2 => {
                let message = format!("a join with {inbound} inbound task{}", if inbound == 1 { "" } else { "s" });
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

fn cycles(check: &mut Check<'_>, shape: &Shape<'_>) {
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
    let ends = [Outcome::Succeeded, Outcome::Skipped, Outcome::Failed, Outcome::TimedOut];
    ends.into_iter().filter(|outcome| outcome.possible(&shape.definition.tasks[task])).any(|outcome| {
        interrupt::check();
        let goes_on = (0..next.len()).any(|j| {
            firing[j].at(outcome) == Fires::Always
                && !next[j].targets.iter().any(|target| target == "fail")
                && leads_on(j).any(|to| shape.cycle[*to] == Some(cycle))
        });
        let caught = (0..next.len()).any(|j| {
            firing[j].can(outcome)
                && (leads_on(j).next().is_some() || next[j].targets.iter().any(|target| target == "noop"))
        });
        !goes_on && (!outcome.is_failure() || caught)
    })
}

fn retries(check: &mut Check<'_>, shape: &Shape<'_>) {
    for (i, task) in shape.definition.tasks.iter().enumerate() {
        let mut seen = task.retry.is_some();
        for (j, next) in interrupt::checked(&task.next).enumerate() {
            for (k, _) in interrupt::checked(&next.targets).enumerate().filter(|(_, target)| *target == "retry") {
                if seen {
                    let message = format!("the task `{}` specifies its retries twice", shorten(&task.name, 80));
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
            if idle || Outcome::ALL.iter().any(|outcome| shape.can_fire(i, j, *outcome)) {
                continue;
            }
            let hint = if Outcome::ALL.iter().all(|outcome| !shape.firing[i][j].can(*outcome)) {
                "its condition is never true"
            } else if shape.firing[i][j].can(Outcome::Skipped) {
                "a task without `when` is never skipped"
            } else {
                "a task without `action` can't fail"
            };
            let place = format!("tasks[{i}].next[{j}]");
            check.at(&place).task(i).warning(114, "the transition never fires".to_owned(), hint.to_owned());
        }
    }
}
