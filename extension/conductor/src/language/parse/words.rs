//! The keywords of the language.

use crate::language::definition::{
    Backoff, CancellationPolicy, OnItemFailure, RerunRule, Rest, RetryEach, UndoOn, UndoOrder, WhenFull, WhenUnknown,
};

/// Fields of a workflow.
pub const WORKFLOW: &[&str] = &[
    "ref",
    "label",
    "version",
    "description",
    "tags",
    "enabled",
    "parameters",
    "output",
    "vars",
    "tasks",
    "output_map",
    "attributes",
    "timeout",
    "cancellation_policy",
    "max_visits",
    "defaults",
    "finally",
    "rerun",
    "undo_on",
    "undo_order",
    "fair_by",
    "concurrency",
    "keep",
];

/// Fields of a task.
pub const TASK: &[&str] = &[
    "name",
    "action",
    "input",
    "when",
    "delay",
    "timeout",
    "join",
    "with_items",
    "retry",
    "repeat",
    "wait_for",
    "priority",
    "max_lost_leases",
    "limit",
    "undo",
    "next",
    "publish",
    "on_success",
    "on_failure",
    "on_complete",
    "on_timeout",
    "on_skipped",
    "decision",
];

/// Fields of an entry of `next`.
pub const TRANSITION: &[&str] = &["when", "publish", "do", "error"];
/// Fields of an entry of `decision`.
pub const DECISION: &[&str] = &["when", "default", "next"];
/// Fields of `with_items`.
pub const WITH_ITEMS: &[&str] =
    &["items", "as", "label", "concurrency", "batch_size", "on_item_failure", "max_failures", "min_successes", "rest"];
/// Fields of `join`.
pub const JOIN: &[&str] = &["count", "rest"];
/// Fields of `retry`.
pub const RETRY: &[&str] =
    &["count", "delay", "backoff", "factor", "max_delay", "jitter", "when", "max_elapsed", "each"];
/// Fields of `repeat`.
pub const REPEAT: &[&str] = &["until", "delay", "backoff", "factor", "max_delay", "max", "timeout"];
/// Fields of `defaults`.
pub const DEFAULTS: &[&str] = &["retry", "timeout"];
/// Fields of `undo`.
pub const UNDO: &[&str] = &["action", "input", "timeout", "retry", "when_unknown", "priority", "max_lost_leases"];
/// Fields of `limit`.
pub const LIMIT: &[&str] = &["name", "key"];
/// Fields of `wait_for`.
pub const WAIT_FOR: &[&str] = &["signal", "timeout", "heartbeat", "schema"];

/// Fields of `keep`: final statuses of an execution.
pub const KEEP: &[&str] = &["completed", "failed", "cancelled", "timeout", "abandoned"];
/// The unlimited duration in `keep`.
pub const FOREVER: &str = "forever";

/// Values of `cancellation_policy`.
pub const POLICIES: &[(&str, CancellationPolicy)] =
    &[("allow_finish", CancellationPolicy::AllowFinish), ("cancel_running", CancellationPolicy::CancelRunning)];
/// Values of `rerun`.
pub const RERUN_RULES: &[(&str, RerunRule)] =
    &[("always", RerunRule::Always), ("not_after_closing", RerunRule::NotAfterClosing), ("never", RerunRule::Never)];
/// Values in `undo_on`.
pub const UNDO_ON: &[(&str, UndoOn)] =
    &[("failed", UndoOn::Failed), ("timeout", UndoOn::Timeout), ("cancelled", UndoOn::Cancelled)];
/// Values of `undo_order`.
pub const UNDO_ORDERS: &[(&str, UndoOrder)] = &[("reverse", UndoOrder::Reverse), ("parallel", UndoOrder::Parallel)];
/// Fields of `concurrency`.
pub const CONCURRENCY: &[&str] = &["key", "max", "when_full"];
/// Values of `when_full`.
pub const WHEN_FULL: &[(&str, WhenFull)] = &[
    ("wait", WhenFull::Wait),
    ("skip", WhenFull::Skip),
    ("cancel_oldest", WhenFull::CancelOldest),
    ("fail", WhenFull::Fail),
];
/// Values of `when_unknown`.
pub const WHEN_UNKNOWN: &[(&str, WhenUnknown)] = &[("undo", WhenUnknown::Undo), ("skip", WhenUnknown::Skip)];
/// Values of `backoff`.
pub const BACKOFFS: &[(&str, Backoff)] =
    &[("constant", Backoff::Constant), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
/// Values of `each`.
pub const RETRY_EACH: &[(&str, RetryEach)] = &[("item", RetryEach::Item), ("task", RetryEach::Task)];
/// Values of `on_item_failure`.
pub const ON_ITEM_FAILURE: &[(&str, OnItemFailure)] =
    &[("fail_fast", OnItemFailure::FailFast), ("continue", OnItemFailure::Continue)];

/// Values of `rest` in `with_items`.
pub const ITEMS_REST: &[(&str, Rest)] = &[("allow_finish", Rest::AllowFinish), ("cancel_running", Rest::Cancel)];
/// Values of `rest` in `join`.
pub const JOIN_REST: &[(&str, Rest)] = &[("allow_finish", Rest::AllowFinish), ("cancel", Rest::Cancel)];

/// Returns the words of such a list.
pub fn words<'w, T>(list: &[(&'w str, T)]) -> Vec<&'w str> {
    list.iter().map(|(word, _)| *word).collect()
}
