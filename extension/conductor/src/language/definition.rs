//! The normal form of a workflow definition: what remains once sugar, spelling variants and defaults are resolved.
//!
//! [`crate::language::parse`] produces it from text, it is stored as `workflow_definition.definition`, and
//! [`crate::graph::Graph`] is compiled from it. Everything whose order matters is an array, because jsonb does not
//! preserve the order of keys. Strings may be templates, which are kept as text here.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Default of [`Definition::max_visits`].
pub const DEFAULT_MAX_VISITS: u32 = 1000;

/// A complete workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `pack.name`, in lower case.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Display name.
    pub label: String,
    /// The author's version. The engine's own version is the row in `workflow_definition_version`.
    pub version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags to search by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it can be started.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// JSON Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Variables set at the start, each seeing those before it.
    #[serde(default)]
    pub vars: Vec<Assignment>,
    /// The tasks, in source order.
    pub tasks: Vec<Task>,
    /// The output, rendered at the end in this order.
    #[serde(default)]
    pub output_map: Vec<Assignment>,
    /// The attributes of an execution, rendered at the start, after `vars`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Assignment>,
    /// Seconds that the whole workflow may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// What a cancel does to running tasks.
    #[serde(default)]
    pub cancellation_policy: CancellationPolicy,
    /// Maximum number of times one task may run in a cycle.
    #[serde(default = "default_max_visits")]
    pub max_visits: u32,
    /// The task that runs once at the end, whatever the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<String>,
    /// Whether an execution that ended unsuccessfully may be rerun.
    #[serde(default, skip_serializing_if = "RerunRule::is_default")]
    pub rerun: RerunRule,
    /// The ends at which completed tasks are undone; `None` for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_on: Option<Vec<UndoOn>>,
    /// The order in which tasks are undone.
    #[serde(default, skip_serializing_if = "UndoOrder::is_default")]
    pub undo_order: UndoOrder,
    /// The key by which its executions share the queue: text, or a template that reads the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fair_by: Option<String>,
    /// Limit on how many of its executions run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How long executions are kept after they have ended, by final status. For statuses not listed, the server's
    /// settings apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, Keep>,
}

/// Limit on how many executions of a workflow run at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// The key by which executions are counted: a value, or a template that reads the parameters; null if they are all
    /// counted together.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub key: serde_json::Value,
    /// Maximum number of executions per key that run at once.
    pub max: u32,
    /// What a start does if that many are already running.
    #[serde(default)]
    pub when_full: WhenFull,
}

/// What a start does if the maximum number of executions are already running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits for its turn.
    #[default]
    Wait,
    /// It is skipped.
    Skip,
    /// It cancels the oldest execution, and waits until that has closed.
    CancelOldest,
    /// It fails.
    Fail,
}

/// How long executions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Keep {
    /// Seconds after the end.
    Seconds(u64),
    /// Without a time limit.
    Without(End),
}

/// A time limit that never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Written as `forever`.
    Forever,
}

impl Keep {
    /// Executions are kept forever.
    pub const FOREVER: Keep = Keep::Without(End::Forever);
}

/// An end of a workflow at which its completed tasks are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoOn {
    /// It failed.
    Failed,
    /// It took longer than its timeout.
    Timeout,
    /// It was cancelled.
    Cancelled,
}

/// The order in which tasks are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoOrder {
    /// One after the other, last completed first.
    #[default]
    Reverse,
    /// All at once.
    Parallel,
}

impl UndoOrder {
    fn is_default(&self) -> bool {
        *self == UndoOrder::Reverse
    }
}

/// Whether an execution that ended unsuccessfully may be rerun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunRule {
    /// It may.
    #[default]
    Always,
    /// Only if no task that closes it has begun.
    NotAfterClosing,
    /// It may not.
    Never,
}

impl RerunRule {
    fn is_default(&self) -> bool {
        *self == RerunRule::Always
    }
}

/// `name: value`; values are rendered one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The variable or output key.
    pub name: String,
    /// Any JSON; strings in it may be templates.
    pub value: Value,
}

/// What a cancel does to running tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancellationPolicy {
    /// They may finish; the workflow waits for them.
    #[default]
    AllowFinish,
    /// Their leases become void immediately.
    CancelRunning,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Name, unique within the workflow.
    pub name: String,
    /// A ref, or a template that yields one; `None` for a routing task, which the engine completes immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The action's input; null for none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// Condition; if false, the task is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Seconds before it can be claimed: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Value>,
    /// Seconds that one attempt may run: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
    /// Makes it wait for inbound tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// If it is a join: what happens, once enough tasks have arrived, to those that have not.
    #[serde(default, skip_serializing_if = "Rest::is_default")]
    pub join_rest: Rest,
    /// Runs it once per item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_items: Option<WithItems>,
    /// Retries it after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Runs it again after a success, until its result is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Makes it wait for a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<WaitFor>,
    /// Higher goes first; added to the workflow's priority.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Number of workers that may lose it before it is abandoned; `None` for the setting's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lost_leases: Option<u32>,
    /// The limits that each of its attempts is under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit: Vec<LimitUse>,
    /// Undoes it if it has completed and the workflow then fails, times out or is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Published on success, before any transition is tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Assignment>,
    /// The transitions. Every one whose condition is true fires, in order.
    #[serde(default)]
    pub next: Vec<Transition>,
}

/// A limit that a task is under, and its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitUse {
    /// Name of the limit.
    pub name: String,
    /// The key by which the limit counts: text, a number or a boolean, or a template that yields one; null if the limit
    /// counts everything together.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub key: Value,
}

/// The undo of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// A ref, or a template that yields one; rendered when the task completes.
    pub action: String,
    /// The action's input, rendered when the task completes; null for none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// Seconds that one attempt may run: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
    /// Retries it after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether a task is undone if it is unknown whether it was done.
    #[serde(default, skip_serializing_if = "WhenUnknown::is_default")]
    pub when_unknown: WhenUnknown,
    /// Higher goes first; added to the workflow's priority.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Number of workers that may lose it before it is abandoned; `None` for the setting's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lost_leases: Option<u32>,
}

/// What happens to a task that ended with its outcome unknown: it timed out, or no worker finished it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnknown {
    /// It is undone, with a result of null.
    #[default]
    Undo,
    /// It is not.
    Skip,
}

impl WhenUnknown {
    fn is_default(&self) -> bool {
        *self == WhenUnknown::Undo
    }
}

/// A transition out of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Transition {
    /// Condition: an expression without braces, or a template; `None` for always true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Published when it fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Assignment>,
    /// Task names and the commands `continue`, `noop`, `fail` and `retry`; empty if not given.
    #[serde(default, rename = "do")]
    pub targets: Vec<String>,
    /// The error that the workflow fails with, if it leads to `fail`: any JSON; strings in it may be templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// How many distinct inbound tasks a join waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// All of them.
    All,
    /// This many.
    Count(u32),
}

/// What happens to tasks, or items, whose work is no longer needed, because enough others have completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Running ones may finish.
    #[default]
    AllowFinish,
    /// They are cancelled.
    Cancel,
}

impl Rest {
    fn is_default(&self) -> bool {
        *self == Rest::AllowFinish
    }
}

/// Rule that runs a task once per item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithItems {
    /// A list, or a template that yields one.
    pub items: Value,
    /// Names that make `item` an object: `as: [x, y]` over `zip(xs, ys)`; a single name makes it an object with that
    /// key.
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Maximum number of items that may be claimable or running at once: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Value>,
    /// Label of an item, for display: a template; `None` for its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Number of items grouped into one task, whose `item` is then an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Value>,
    /// Effect of a failed item on the rest.
    #[serde(default)]
    pub on_item_failure: OnItemFailure,
    /// Number of failures tolerated; implies `continue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<ItemCount>,
    /// Number of successes that are enough; implies `continue`. `None` for all that are not tolerated failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_successes: Option<ItemCount>,
    /// What happens to running items once there are enough successes; waiting ones never start.
    #[serde(default, skip_serializing_if = "Rest::is_default")]
    pub rest: Rest,
}

/// Effect of a failed item on the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnItemFailure {
    /// No new item starts; the task ends once none is active.
    #[default]
    FailFast,
    /// All items run.
    Continue,
}

/// A number of items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemCount {
    /// This many.
    Count(u32),
    /// This percentage of the items, from 0 to 100.
    Percent(f64),
}

/// Rule that retries a task after a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Maximum number of retries: a number or a template.
    pub count: Value,
    /// Seconds before the first retry: a number or a template; `None` for immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Value>,
    /// How the delay grows.
    #[serde(default)]
    pub backoff: Backoff,
    /// Base of exponential growth.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// Maximum delay, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<f64>,
    /// Fraction by which the delay varies either way, from 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero_f64")]
    pub jitter: f64,
    /// Whether the delay is random, from 0 up to what it would be without jitter; `jitter` is then 0.
    #[serde(default, skip_serializing_if = "is_false")]
    pub full_jitter: bool,
    /// Condition for a retry; `None` for any failure, timeout or abandonment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Seconds after which, counted from when the first attempt was scheduled, no retry starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_elapsed: Option<u64>,
    /// What the count applies to, if the task has items.
    #[serde(default, skip_serializing_if = "RetryEach::is_default")]
    pub each: RetryEach,
}

/// What the count of retries applies to, for a task with items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryEach {
    /// Each item.
    #[default]
    Item,
    /// All items together.
    Task,
}

impl RetryEach {
    fn is_default(&self) -> bool {
        *self == RetryEach::Item
    }
}

/// Rule that runs a task again after a success, until its result is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// Condition that ends it.
    pub until: String,
    /// Seconds before each repetition: a number or a template; `None` for immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Value>,
    /// How the delay grows, with n the number of repetitions so far.
    #[serde(default, skip_serializing_if = "Backoff::is_default")]
    pub backoff: Backoff,
    /// Base of exponential growth.
    #[serde(default = "default_factor", skip_serializing_if = "is_default_factor")]
    pub factor: f64,
    /// Maximum delay, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<f64>,
    /// Maximum number of repetitions: a number or a template.
    pub max: Value,
    /// Seconds after which, counted from when the first attempt was scheduled, no repetition starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How a delay grows, with n the number of retries or repetitions so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// d
    #[default]
    Constant,
    /// d·(n+1)
    Linear,
    /// min(d·factorⁿ, max_delay)
    Exponential,
}

impl Backoff {
    fn is_default(&self) -> bool {
        *self == Backoff::Constant
    }
}

/// Rule that makes a task wait for a signal instead of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitFor {
    /// The signal's name, or a template that yields it.
    pub signal: String,
    /// Seconds until the task times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
    /// Seconds after which it times out unless the wait is extended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u32>,
    /// JSON Schema of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

fn yes() -> bool {
    true
}

fn default_max_visits() -> u32 {
    DEFAULT_MAX_VISITS
}

fn default_factor() -> f64 {
    2.0
}

fn is_default_factor(factor: &f64) -> bool {
    *factor == default_factor()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

fn is_zero_f64(n: &f64) -> bool {
    *n == 0.0
}
