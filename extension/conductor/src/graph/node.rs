//! A compiled task: what it does, when and how often, and where its transitions lead.

use crate::expression::{ProgramId, Rendering};
use crate::graph::needs::Needs;
use crate::graph::node_set::{NodeId, NodeSet};
use crate::language::definition::{Backoff, ItemCount, OnItemFailure, Rest, Retry as RetrySpec, WhenUnknown};
use crate::language::schema::Schema;
use std::collections::HashSet;

/// A compiled task.
#[derive(Default)]
pub struct Node {
    /// The task's name.
    pub name: String,
    /// Action for a worker; `None` if it is a routing task, or waits for a signal.
    pub action: Option<Rendering>,
    /// The signal that it waits for.
    pub signal: Option<Rendering>,
    /// Seconds after which its wait times out unless the wait is extended.
    pub heartbeat: Option<u32>,
    /// Schema of the signal's payload.
    pub signal_schema: Option<Schema>,
    /// The action's input.
    pub input: Option<Rendering>,
    /// Condition; if false, the task is skipped.
    pub when: Option<ProgramId>,
    /// Seconds before it can be claimed.
    pub delay: Option<Rendering>,
    /// Seconds that an attempt or a wait may take.
    pub timeout: Option<Rendering>,
    /// Number of distinct inbound tasks it waits for; `None` if it is not a join.
    pub join: Option<u32>,
    /// Tasks that are cancelled once the join has fired: all that can lead to it. `None` if they continue.
    pub cancels: Option<NodeSet>,
    /// Runs it once per item.
    pub items: Option<Items>,
    /// Retries it after a failure.
    pub retry: Option<Retry>,
    /// Runs it again after a success.
    pub repeat: Option<Repeat>,
    /// Whether its input reads the result of the previous repetition, and is therefore rendered for each one.
    pub renders_each_input: bool,
    /// Published on success, before any transition is tested.
    pub publish: Vec<(String, Rendering)>,
    /// The transitions.
    pub next: Vec<Transition>,
    /// Number of distinct tasks that lead to it.
    pub inbound: u32,
    /// Whether several transitions reach it, and it is neither a join nor in a cycle: each way in opens a route.
    pub split: bool,
    /// Whether it is in a cycle.
    pub in_cycle: bool,
    /// Whether it is in a cycle or a cycle leads to it, so that it may run more than once on the same route.
    pub repeats: bool,
    /// Whether it still runs once the execution has stopped: it cannot be reached without a failure.
    pub closing: bool,
    /// Whether every path to it goes through a transition to `fail`, or through the `finally` task.
    pub beside_fail: bool,
    /// Whether it is the `finally` task, or follows from it.
    pub follows_finally: bool,
    /// Whether its failure may start other tasks.
    pub handles_failures: bool,
    /// The task whose success is the only way to reach it.
    pub follows: Option<NodeId>,
    /// Higher goes first.
    pub priority: i32,
    /// Number of workers that may lose it before it is abandoned; `None` for the setting's value.
    pub max_lost_leases: Option<u32>,
    /// The limits that it is under, each with its key; without a key, a limit counts everything together.
    pub limits: Vec<(String, Option<Rendering>)>,
    /// The undo of the task.
    pub undo: Option<Undo>,
    /// The task that it undoes; `None` if it is one of the definition's own tasks.
    pub undoes: Option<NodeId>,
    /// What may be read when it completes.
    pub success_needs: Needs,
    /// What may be read when it ends in any other way.
    pub failure_needs: Needs,
}

/// A compiled transition.
pub struct Transition {
    /// Fires if this holds; `None` for always.
    pub when: Option<ProgramId>,
    /// Published when it fires.
    pub publish: Vec<(String, Rendering)>,
    /// Where it leads, in order.
    pub targets: Vec<Target>,
    /// The error that the workflow fails with.
    pub error: Option<Rendering>,
}

/// Where a transition leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To a task.
    Task(NodeId),
    /// Onward; a failure remains a failure.
    Continue,
    /// Nowhere; a failure counts as handled.
    Noop,
    /// The workflow fails.
    Fail,
}

/// A compiled `with_items`.
pub struct Items {
    /// Yields the list.
    pub items: Rendering,
    /// Keys of `item`; empty if `item` is the item itself.
    pub names: Vec<String>,
    /// Label of an item, for display.
    pub label: Option<Rendering>,
    /// Maximum number of items that may be claimable or running at once.
    pub concurrency: Option<Rendering>,
    /// Number of items grouped into one task.
    pub batch_size: Option<Rendering>,
    /// Effect of a failed item on the rest.
    pub on_item_failure: OnItemFailure,
    /// Number of failures tolerated.
    pub max_failures: Option<ItemCount>,
    /// Number of successes that are enough.
    pub min_successes: Option<ItemCount>,
    /// What happens to running items then.
    pub rest: Rest,
}

impl Items {
    /// Returns how many of a number of items must complete, or `None` for all that are not tolerated failures.
    pub(crate) fn needed(&self, total: u32) -> Option<u32> {
        self.min_successes.map(|count| match count {
            ItemCount::Count(count) => count,
            ItemCount::Percent(percent) => (f64::from(total) * percent / 100.0).ceil() as u32,
        })
    }

    /// Returns how many failed items a task tolerates before no new item starts. `None` means that all items run, and
    /// none may fail.
    pub(crate) fn tolerated(&self, total: u32) -> Option<u32> {
        if let Some(needed) = self.needed(total) {
            return Some(total.saturating_sub(needed));
        }
        match (self.on_item_failure, self.max_failures) {
            (_, Some(ItemCount::Count(count))) => Some(count),
            (_, Some(ItemCount::Percent(percent))) => Some((f64::from(total) * percent / 100.0).floor() as u32),
            (OnItemFailure::FailFast, None) => Some(0),
            (OnItemFailure::Continue, None) => None,
        }
    }
}

/// A compiled `retry`.
pub struct Retry {
    /// Maximum number of retries.
    pub count: Rendering,
    /// Seconds before the first retry.
    pub delay: Option<Rendering>,
    /// Retries only if this holds; `None` to retry after any failure.
    pub when: Option<ProgramId>,
    /// Whether the condition is evaluated after a success, too.
    pub after_success: AfterSuccess,
    /// Whether the count applies to all items of a task together.
    pub together: bool,
    /// Growth, limits and jitter.
    pub spec: RetrySpec,
}

/// A compiled `repeat`.
pub struct Repeat {
    /// Condition that ends it.
    pub until: ProgramId,
    /// Seconds before each repetition.
    pub delay: Option<Rendering>,
    /// How the delay grows.
    pub growth: Growth,
    /// Maximum number of repetitions.
    pub max: Rendering,
    /// Seconds after the first attempt was scheduled past which no repetition starts.
    pub timeout: Option<u64>,
}

/// How the delay before an attempt grows.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// The rule of growth.
    pub backoff: Backoff,
    /// Base of exponential growth.
    pub factor: f64,
    /// Maximum delay, in seconds.
    pub max_delay: Option<f64>,
}

/// Whether a retry condition is evaluated after a success. It is meant for failures unless it says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterSuccess {
    /// It is not.
    #[default]
    No,
    /// It reads the result; if it cannot be evaluated, it does not hold.
    IfReadable,
    /// It tests how the task ended.
    Yes,
}

impl AfterSuccess {
    /// Returns whether a condition is evaluated after a success, judging by the names it reads.
    pub(crate) fn of(names: &HashSet<String>) -> AfterSuccess {
        let reads = |name: &str| names.contains(name);
        match () {
            () if reads("succeeded") || reads("completed") => AfterSuccess::Yes,
            () if reads("result") => AfterSuccess::IfReadable,
            () => AfterSuccess::No,
        }
    }
}

/// The undo of a task.
pub struct Undo {
    /// The task that performs it.
    pub node: NodeId,
    /// The call that undoes it; `None` if it has none: a workflow that the task has called undoes itself.
    pub call: Option<UndoCall>,
}

/// A call that undoes a task.
pub struct UndoCall {
    /// What a worker must do.
    pub action: Rendering,
    /// The action's input.
    pub input: Option<Rendering>,
    /// Seconds that an attempt may take.
    pub timeout: Option<Rendering>,
    /// Number of retries allowed.
    pub retries: Option<Rendering>,
    /// Whether a task is undone if it is unknown whether it was done.
    pub when_unknown: WhenUnknown,
    /// Whether the task's own input is read.
    pub reads_input: bool,
    /// Whether the item is read.
    pub reads_item: bool,
}

impl UndoCall {
    /// Returns everything in it that is rendered when the task completes.
    pub fn renderings(&self) -> impl Iterator<Item = &Rendering> {
        [Some(&self.action), self.input.as_ref(), self.timeout.as_ref(), self.retries.as_ref()].into_iter().flatten()
    }
}

impl Node {
    /// Whether it has neither an action nor a signal to wait for.
    pub fn is_routing(&self) -> bool {
        self.action.is_none() && self.signal.is_none()
    }

    /// Whether the task may run again after a success: it may be retried or repeated.
    pub fn may_run_again_after_success(&self) -> bool {
        self.repeat.is_some() || self.retry.as_ref().is_some_and(|retry| retry.after_success != AfterSuccess::No)
    }

    /// Whether its definition has an `undo`.
    pub fn has_undo(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.call.is_some())
    }

    /// Returns the tasks that its transitions lead to.
    pub fn successors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.next.iter().flat_map(Transition::successors)
    }
}

impl Transition {
    /// Returns the tasks that it leads to.
    pub fn successors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.targets.iter().filter_map(|target| match target {
            Target::Task(node) => Some(*node),
            _ => None,
        })
    }
}
