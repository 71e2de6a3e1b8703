//! The normal form of a workflow definition: what remains when sugar, spelling variants and defaults are gone.
//!
//! [`crate::language::parse`] makes it from text, it is stored as `workflow_definition.definition`, and
//! [`crate::graph::Graph`] is compiled from it. Everything whose order matters is an array, because jsonb loses the
//! order of keys. Strings may be templates; they stay text here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Default of [`Definition::max_visits`].
pub const DEFAULT_MAX_VISITS: u32 = 1000;

/// A whole workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `pack.name`, lower case.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What people call it.
    pub label: String,
    /// The author's version; ours is the row in `workflow_definition_version`.
    pub version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Exact words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// False: it can't be started.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// JSON Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Variables set at start, each seeing those before it.
    #[serde(default)]
    pub vars: Vec<Assignment>,
    /// The tasks, in the order written.
    pub tasks: Vec<Task>,
    /// The output, rendered at the end in this order.
    #[serde(default)]
    pub output_map: Vec<Assignment>,
    /// Seconds the whole may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// What cancelling does to running tasks.
    #[serde(default)]
    pub cancellation_policy: CancellationPolicy,
    /// How often one task may run in a cycle.
    #[serde(default = "default_max_visits")]
    pub max_visits: u32,
    /// The task that runs once at any end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<String>,
}

/// `name: value`, the value rendered when its turn comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The variable or output key.
    pub name: String,
    /// Any JSON; strings in it may be templates.
    pub value: Value,
}

/// What cancelling does to running tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancellationPolicy {
    /// They may finish; the workflow waits for them.
    #[default]
    AllowFinish,
    /// Their leases are void at once.
    CancelRunning,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique in the workflow.
    pub name: String,
    /// A ref, or a template that yields one; none = a routing task, done at once by the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The action's input; null = none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// False = skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Seconds before it can be claimed: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Value>,
    /// Seconds one attempt may run: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
    /// Waits for inbound tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// Runs once an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_items: Option<WithItems>,
    /// Runs again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Waits for a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<WaitFor>,
    /// Higher goes first; added to the workflow's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Published on success, before any transition is tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Assignment>,
    /// Every true one fires, in order.
    #[serde(default)]
    pub next: Vec<Transition>,
}

/// One way on from a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Transition {
    /// An expression without braces or a template; none = always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Published when it fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Assignment>,
    /// Task names and the commands `continue`, `noop`, `fail`, `retry`; empty = none was written.
    #[serde(default, rename = "do")]
    pub targets: Vec<String>,
}

/// How many distinct inbound tasks a join waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// All of them.
    All,
    /// So many.
    Count(u32),
}

/// Runs a task once an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithItems {
    /// A list, or a template that yields one.
    pub items: Value,
    /// With names, `item` is an object of them: `as: [x, y]` over `zip(xs, ys)`; one name = that key alone.
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How many may be claimable or running at once: a number or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Value>,
    /// So many items become one task, whose `item` is an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Value>,
    /// What a failed item does to the rest.
    #[serde(default)]
    pub on_item_failure: OnItemFailure,
    /// How many failures `continue` tolerates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<MaxFailures>,
}

/// What a failed item does to the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnItemFailure {
    /// No new item starts; the task ends when none is active.
    #[default]
    FailFast,
    /// All run.
    Continue,
}

/// How many item failures are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFailures {
    /// So many.
    Count(u32),
    /// So many of a hundred items, 0 to 100.
    Percent(f64),
}

/// Runs a task again after a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often at most: a number or a template.
    pub count: Value,
    /// Seconds before the first: a number or a template; none = at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Value>,
    /// How the delay grows.
    #[serde(default)]
    pub backoff: Backoff,
    /// The base of exponential growth.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// The longest delay, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<f64>,
    /// The delay varies by this fraction either way, 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero_f64")]
    pub jitter: f64,
    /// Only when true; none = after failure, timeout or abandonment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// No retry starts later than so many seconds after the first attempt was scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_elapsed: Option<u64>,
}

/// How a retry's delay grows, n being the retries so far.
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

/// Waits for a signal instead of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitFor {
    /// The signal's name, or a template that yields it.
    pub signal: String,
    /// Seconds until the task times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
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

fn is_zero(n: &i32) -> bool {
    *n == 0
}

fn is_zero_f64(n: &f64) -> bool {
    *n == 0.0
}
