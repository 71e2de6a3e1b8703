//! What looks wrong with an execution.

use crate::code::Code;
use crate::engine::status::TaskEnd;
use crate::graph::NodeId;
use crate::rehearsal::memory_host::RowStatus;
use crate::rehearsal::play::{Performance, Stop};
use std::collections::{BTreeMap, BTreeSet};

/// Something that looks wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Flaws of the same kind count as the same.
    pub kind: String,
    /// What is wrong, in one sentence.
    pub message: String,
}

/// All checks. To add one, add a function here.
const CHECKS: [fn(&Performance) -> Vec<Suspect>; 5] =
    [endless_execution, coded_errors, runs_twice, not_undone, broken_invariants];

/// Returns everything that looks wrong.
pub fn flaws(performance: &Performance) -> Vec<Suspect> {
    CHECKS.iter().flat_map(|check| check(performance)).collect()
}

/// Finds an execution that does not end although every attempt did.
fn endless_execution(performance: &Performance) -> Vec<Suspect> {
    let suspect = |kind: &str, message: String| vec![Suspect { kind: kind.to_owned(), message }];
    match &performance.stop {
        None => Vec::new(),
        Some(Stop::Endless(message)) => suspect("endless", message.clone()),
        Some(Stop::Waits(what)) => {
            suspect("waits", format!("the execution does not end: it is still waiting for {}", what.join(", ")))
        }
        Some(Stop::Unanswered(message, _)) => suspect("unanswered", message.clone()),
    }
}

/// Finds errors raised by the engine: expressions that fail to evaluate, joins that can't fire, endless cycles. Errors
/// reported by workers have no code; the workflow's timeout is excluded, because it is expected to happen.
fn coded_errors(performance: &Performance) -> Vec<Suspect> {
    let coded = performance.ledger.errors.iter().filter_map(|(_, cause)| {
        let (task, code) =
            (cause.task.as_deref().unwrap_or_default(), cause.code.filter(|code| *code != Code::TIMED_OUT)?);
        Some(Suspect { kind: format!("{code} {task}"), message: cause.message.clone() })
    });
    coded.collect()
}

/// Finds a task that ran more than once because several branches reached it without a `join`.
fn runs_twice(performance: &Performance) -> Vec<Suspect> {
    let ledger = &performance.ledger;
    let mut routes: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
    // A routing task makes no attempt, but what follows it runs more than once as well.
    let attempts = performance.attempts.iter().map(|row| &ledger.rows[*row]);
    let routing = ledger.rows.iter().filter(|row| row.status == RowStatus::Ended(TaskEnd::Completed));
    for key in attempts.chain(routing).map(|row| row.key) {
        if ledger.graph().node(key.node).split {
            routes.entry(key.node).or_default().insert(key.route);
        }
    }
    let twice = routes.into_iter().filter(|(_, routes)| routes.len() > 1);
    twice.map(|(node, routes)| suspect_of(ledger.name(node), routes.len())).collect()
}

fn suspect_of(task: &str, times: usize) -> Suspect {
    let message = format!("task {task} runs {times} times, once for each branch that reaches it: it has no `join`");
    Suspect { kind: format!("twice {task}"), message }
}

/// Finds a completed task that was not undone, although the workflow ended in a way that undoes it and no undo failed.
fn not_undone(performance: &Performance) -> Vec<Suspect> {
    let ledger = &performance.ledger;
    if !ledger.over || !ledger.graph().undoes_at(ledger.status()) || ledger.execution.state.forced {
        return Vec::new();
    }
    let undone: BTreeSet<usize> = ledger.rows.iter().filter_map(|row| row.undoes).collect();
    let left = (0..ledger.rows.len()).find(|row| ledger.rows[*row].undo_number.is_some() && !undone.contains(row));
    let suspect = left.map(|row| {
        let name = ledger.name(ledger.rows[row].key.node);
        let message = format!("task {name} has completed but is not undone, because `finally` failed after a success");
        Suspect { kind: format!("not undone {name}"), message }
    });
    suspect.into_iter().collect()
}

/// Finds bugs of the engine itself.
fn broken_invariants(performance: &Performance) -> Vec<Suspect> {
    let broken = performance.ledger.check();
    let suspect = broken.into_iter().next().map(|broken| Suspect {
        kind: "invariant".to_owned(),
        message: format!("the engine has violated one of its invariants, which is a bug in pg_workflow: {broken}"),
    });
    suspect.into_iter().collect()
}
