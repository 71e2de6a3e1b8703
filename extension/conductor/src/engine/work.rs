//! The consequences of an event that have yet to be processed.

use crate::engine::cause::Cause;
use crate::engine::outcome::TaskOutcome;
use crate::engine::state::{Context, TaskKey};
use crate::engine::status::TaskEnd;
use crate::graph::NodeId;

/// A task to make ready, or a task that has ended. The consequences of an event are processed one by one.
pub(crate) enum Work {
    Ready(NextTask),
    Ended(Box<EndedTask>),
}

/// A task to make ready.
pub(crate) struct NextTask {
    pub node: NodeId,
    pub route: u32,
    pub context: Context,
    /// Whether it is listed beside `fail`, and therefore starts although the execution has failed.
    pub beside_fail: bool,
    /// Whether it follows from a task that closes the execution, and therefore starts although the execution was
    /// cancelled.
    pub after_closing: bool,
}

/// A task that has ended.
pub(crate) struct EndedTask {
    pub key: TaskKey,
    pub context: Context,
    pub outcome: TaskOutcome,
    pub end: TaskEnd,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// Why it could not begin.
    pub refusal: Option<Cause>,
    /// Its place in the order in which tasks were created.
    pub order: i64,
}
