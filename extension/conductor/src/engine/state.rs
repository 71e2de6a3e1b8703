//! What the conductor remembers of an execution between events.
//!
//! [`State`] is stored as `workflow_execution.state`. It is read and written with every event, so it holds nothing that
//! grows with the number of finished tasks, except one bit per join; what branches publish is stored separately. While
//! a single branch without variables walks plain steps, it has its default value, which is stored as NULL.

use crate::engine::moment::Moment;

use crate::engine::status::{Reach, Status};

use crate::graph::NodeId;
use crate::graph::node_set::NodeSet;
use serde::{Deserialize, Serialize};

/// An execution between two events.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// The status.
    pub status: Status,
    /// Whether it is paused, so that none of its tasks can be claimed.
    pub paused: bool,
    /// Everything else.
    pub state: State,
}

impl Execution {
    /// Returns an execution that has not begun.
    pub fn new() -> Execution {
        Execution { status: Status::Running, paused: false, state: State::default() }
    }

    /// Returns which of its tasks, and of the executions that they have called, are stopped by its status.
    pub fn stop(&self) -> Reach {
        match self.status {
            _ if self.state.forced => Reach::Everything,
            Status::Canceling | Status::Cancelled | Status::Timeout => Reach::Forward,
            Status::Running | Status::Completed | Status::Failed => Reach::Nothing,
        }
    }

    /// Whether a rerun continues with undoing: not everything could be undone, or it was stopped by force.
    pub fn resumes_undo(&self) -> bool {
        self.state.undo.as_ref().is_some_and(|undo| matches!(undo.phase, Phase::Failed | Phase::Stopped))
    }

    /// Whether nothing new starts on the forward paths.
    pub fn has_stopped(&self) -> bool {
        self.status != Status::Running || self.state.verdict.is_some()
    }

    /// Whether it has stopped, and none of its tasks is waiting or running.
    pub fn has_ended(&self) -> bool {
        self.status != Status::Running && self.state.live == 0
    }
}

impl Default for Execution {
    fn default() -> Self {
        Execution::new()
    }
}

/// The changes that a task sees, oldest first: their numbers, of which the last is marked while nobody else sees that
/// change (`published.rs`).
pub type Context = Vec<u32>;

/// What the conductor remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Number of tasks that are ready or running; a task with items counts once.
    pub live: u32,
    /// Number of routes opened so far, at tasks that several transitions lead to. Route 0 is the one from the start.
    #[serde(skip_serializing_if = "is_default")]
    pub routes: u32,
    /// Joins that something has arrived at.
    #[serde(skip_serializing_if = "is_default")]
    pub joins: Vec<Arrivals>,
    /// Joins outside of cycles that have fired, by route. They fire once, regardless of what arrives later or is rerun.
    #[serde(skip_serializing_if = "is_default")]
    pub fired: Vec<(u32, NodeSet)>,
    /// Number of runs of tasks that may run again.
    #[serde(skip_serializing_if = "is_default")]
    pub visits: Vec<(NodeId, u32)>,
    /// Number of times the execution was rerun.
    #[serde(skip_serializing_if = "is_default")]
    pub reruns: u32,
    /// Tasks with items that have not ended.
    #[serde(skip_serializing_if = "is_default")]
    pub items: Vec<Progress>,
    /// Size in bytes of all variables, including those of branches: updated as they change, never measured from
    /// scratch.
    #[serde(skip_serializing_if = "is_default")]
    pub bytes: u64,
    /// Size in bytes of `variables` itself and of what the only branch has published, if there are changes on top of
    /// `variables`.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Option<u64>,
    /// The last number given to a change, or to an entry of one.
    #[serde(skip_serializing_if = "is_default")]
    pub published: u32,
    /// The change that everybody sees, before those of the context; `None` if everybody sees only the variables
    /// themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub trunk: Option<u32>,
    /// Number up to which changes are part of what everybody sees, or lost, so that contexts need not list them.
    #[serde(skip_serializing_if = "is_default")]
    pub settled: u32,
    /// Number up to which changes are closed: nobody adds to them any more. A rerun may resume a context with which
    /// others have continued.
    #[serde(skip_serializing_if = "is_default")]
    pub shared: u32,
    /// What the ended branches saw; `None` if no branch has ended.
    #[serde(skip_serializing_if = "is_default")]
    pub ended: Option<Context>,
    /// Unhandled failures, which a rerun starts with.
    #[serde(skip_serializing_if = "is_default")]
    pub failures: Vec<TaskKey>,
    /// Tasks that would have started after the workflow stopped; a rerun starts them.
    #[serde(skip_serializing_if = "is_default")]
    pub staged: Vec<Staged>,
    /// The verdict once the `finally` task has begun.
    #[serde(skip_serializing_if = "is_default")]
    pub verdict: Option<Status>,
    /// Whether a failure was resolved by hand, so that a rerun may have nothing left to do.
    #[serde(skip_serializing_if = "is_default")]
    pub resolved: bool,
    /// When its cancellation began.
    #[serde(skip_serializing_if = "is_default")]
    pub canceling_since: Option<Moment>,
    /// Whether it was stopped by force: nothing new starts, not even tasks that would close it.
    #[serde(skip_serializing_if = "is_default")]
    pub forced: bool,
    /// Number of completions so far that can be undone.
    #[serde(skip_serializing_if = "is_default")]
    pub undos: u32,
    /// The scheduled time of its start; `None` if there is none.
    #[serde(skip_serializing_if = "is_default")]
    pub scheduled_for: Option<Moment>,
    /// How far it has been undone; `None` if it is not to be undone.
    #[serde(skip_serializing_if = "is_default")]
    pub undo: Option<Undoing>,
}

/// Whether a value is the default, which is not serialized.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for State {
    fn default() -> Self {
        State {
            live: 1,
            routes: 0,
            joins: Vec::new(),
            fired: Vec::new(),
            visits: Vec::new(),
            reruns: 0,
            items: Vec::new(),
            bytes: 0,
            base: None,
            published: 0,
            trunk: None,
            settled: 0,
            shared: 0,
            ended: None,
            failures: Vec::new(),
            staged: Vec::new(),
            verdict: None,
            resolved: false,
            canceling_since: None,
            forced: false,
            undos: 0,
            scheduled_for: None,
            undo: None,
        }
    }
}

/// One run of a task, as opposed to other runs of the same task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskKey {
    /// The task.
    pub node: NodeId,
    /// The route.
    #[serde(skip_serializing_if = "is_default")]
    pub route: u32,
    /// Number of times it ran before in a cycle.
    #[serde(skip_serializing_if = "is_default")]
    pub visit: u32,
}

/// A join that is waiting, or one in a cycle that has fired and that the remaining tasks may still reach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrivals {
    /// The join.
    pub node: NodeId,
    /// Its route.
    #[serde(skip_serializing_if = "is_default")]
    pub route: u32,
    /// Inbound tasks that have arrived.
    pub tasks: NodeSet,
    /// What they saw, merged in order of arrival.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Context,
    /// Whether it has fired.
    #[serde(skip_serializing_if = "is_default")]
    pub fired: bool,
}

impl Arrivals {
    /// Returns a join at which nothing has arrived.
    pub fn none(node: NodeId, route: u32) -> Arrivals {
        Arrivals { node, route, tasks: NodeSet::default(), context: Context::new(), fired: false }
    }
}

/// Progress of a task with items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// The context it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Context,
    /// Total number of items.
    pub total: u32,
    /// Number of items made claimable so far.
    pub released: u32,
    /// Number of items that have ended.
    #[serde(skip_serializing_if = "is_default")]
    pub ended: u32,
    /// Number of ended items that failed.
    #[serde(skip_serializing_if = "is_default")]
    pub failed: u32,
    /// Number of ended items that were cancelled.
    #[serde(skip_serializing_if = "is_default")]
    pub cancelled: u32,
    /// Number of ended items that never began, because nothing new was to start.
    #[serde(skip_serializing_if = "is_default")]
    pub withdrawn: u32,
    /// Maximum number of items that may be claimable or running at once; 0 for any number.
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: u32,
    /// Number of failures tolerated before no new item starts; `None` if all items run and none may fail.
    #[serde(skip_serializing_if = "is_default")]
    pub tolerated: Option<u32>,
    /// Number of retries of all items together, if `each: task` limits that.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: u32,
    /// Number of successes that are enough; `None` for all that are not tolerated failures.
    #[serde(skip_serializing_if = "is_default")]
    pub needed: Option<u32>,
    /// Whether no new item starts.
    #[serde(skip_serializing_if = "is_default")]
    pub stopped: bool,
    /// Whether it still runs while the execution closes.
    #[serde(skip_serializing_if = "is_default")]
    pub closing: bool,
}

/// A task that would have started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Staged {
    /// The task.
    pub node: NodeId,
    /// The route.
    #[serde(skip_serializing_if = "is_default")]
    pub route: u32,
    /// The context it would have seen.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Context,
}

/// How far an execution has undone what it had completed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Undoing {
    /// Its phase.
    pub phase: Phase,
    /// Undos with this number or a higher one have become tasks.
    pub below: u32,
    /// Tasks that wait until those before them have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<TaskKey>,
}

/// Phase of the undoing of an execution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It will begin once all running tasks have ended.
    #[default]
    Pending,
    /// It has begun.
    Running,
    /// Everything has been undone.
    Done,
    /// It has ended, but not everything could be undone.
    Failed,
    /// It was stopped by force.
    Stopped,
}

impl State {
    /// Whether the task that just ended is the only branch, so that what it publishes goes straight into the variables.
    pub fn is_single(&self) -> bool {
        self.live == 1 && self.ended.is_none() && self.staged.is_empty() && self.joins.iter().all(|join| join.fired)
    }

    /// Returns the default state: an execution has one branch of plain steps, and a completed one has nothing left to
    /// do.
    pub fn plain(status: Status) -> State {
        match status {
            Status::Completed => State { live: 0, ended: Some(Context::new()), ..State::default() },
            _ => State::default(),
        }
    }

    /// Returns the position in `joins` of a join's arrivals, adding them if necessary.
    pub fn arrivals(&mut self, node: NodeId, route: u32) -> usize {
        let place = self.joins.iter().position(|join| join.node == node && join.route == route);
        place.unwrap_or_else(|| {
            self.joins.push(Arrivals::none(node, route));
            self.joins.len() - 1
        })
    }

    /// Returns the progress of a task with items.
    pub fn progress(&mut self, key: TaskKey) -> Option<&mut Progress> {
        self.items.iter_mut().find(|progress| progress.key == key)
    }

    /// Counts one more visit and returns its number; numbers start from `first`.
    pub fn visit(&mut self, node: NodeId, first: u32) -> u32 {
        let position = self.visits.iter().position(|(visited, _)| *visited == node).unwrap_or_else(|| {
            self.visits.push((node, first));
            self.visits.len() - 1
        });
        let next = &mut self.visits[position].1;
        *next = (*next).max(first) + 1;
        *next - 1
    }

    /// Opens a route and returns its number.
    pub fn open_route(&mut self) -> u32 {
        self.routes += 1;
        self.routes
    }

    /// Whether a join outside of cycles has fired.
    pub fn has_fired(&self, node: NodeId, route: u32) -> bool {
        let place = self.fired.binary_search_by_key(&route, |(route, _)| *route);
        place.is_ok_and(|place| self.fired[place].1.contains(node))
    }

    /// Notes that a join outside of cycles has fired.
    pub fn note_fired(&mut self, node: NodeId, route: u32) {
        let place = self.fired.binary_search_by_key(&route, |(route, _)| *route).unwrap_or_else(|place| {
            self.fired.insert(place, (route, NodeSet::default()));
            place
        });
        self.fired[place].1.insert(node);
    }
}
