//! What the conductor remembers of an execution between events.
//!
//! [`State`] is stored as `workflow_execution.state`. Reading and writing it is part of every event, so it holds nothing
//! that grows with finished tasks but a bit a join. It is the default, stored as NULL, while a single branch without
//! variables walks plain steps.

use crate::engine::variables::Changes;
use crate::expression::Data;
use crate::graph::NodeId;
use crate::graph::node_set::NodeSet;
use serde::{Deserialize, Serialize};

/// Where a workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes on, or is paused.
    Running,
    /// It ended well.
    Completed,
    /// It failed; what runs may finish.
    Failed,
    /// It was cancelled, and waits for what runs.
    Canceling,
    /// It was cancelled, and nothing runs.
    Cancelled,
    /// It took too long; what runs may finish.
    Timeout,
}

impl Status {
    /// The name in `workflow.execution_status`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Canceling => "canceling",
            Status::Cancelled => "cancelled",
            Status::Timeout => "timeout",
        }
    }

    /// Whether the executions that it has called stop, too.
    pub fn stops_children(self) -> bool {
        matches!(self, Status::Canceling | Status::Cancelled | Status::Timeout)
    }

    /// The status of that name; the names before `running` mean the same to the conductor.
    pub fn parse(name: &str) -> Option<Status> {
        Some(match name {
            "requested" | "scheduling" | "scheduled" | "running" => Status::Running,
            "completed" => Status::Completed,
            "failed" | "abandoned" => Status::Failed,
            "canceling" => Status::Canceling,
            "cancelled" => Status::Cancelled,
            "timeout" => Status::Timeout,
            _ => return None,
        })
    }
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Well.
    Completed,
    /// Badly.
    Failed,
    /// It took too long.
    Timeout,
    /// Nobody is left to finish it.
    Abandoned,
    /// It was cancelled.
    Cancelled,
    /// Its condition was false: it did not run.
    Skipped,
}

impl TaskEnd {
    /// The name that expressions and people see.
    pub fn name(self) -> &'static str {
        match self {
            TaskEnd::Completed => "completed",
            TaskEnd::Failed => "failed",
            TaskEnd::Timeout => "timeout",
            TaskEnd::Abandoned => "abandoned",
            TaskEnd::Cancelled => "cancelled",
            TaskEnd::Skipped => "skipped",
        }
    }

    /// The end of that name.
    pub fn parse(name: &str) -> Option<TaskEnd> {
        Some(match name {
            "completed" => TaskEnd::Completed,
            "failed" => TaskEnd::Failed,
            "timeout" => TaskEnd::Timeout,
            "abandoned" => TaskEnd::Abandoned,
            "cancelled" => TaskEnd::Cancelled,
            "skipped" => TaskEnd::Skipped,
            _ => return None,
        })
    }

    /// Failed, timed out or abandoned.
    pub fn is_failure(self) -> bool {
        matches!(self, TaskEnd::Failed | TaskEnd::Timeout | TaskEnd::Abandoned)
    }
}

/// An execution between two events.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Where it stands.
    pub status: Status,
    /// No task of it can be claimed.
    pub paused: bool,
    /// The rest.
    pub state: State,
}

impl Execution {
    /// One that has not begun.
    pub fn new() -> Execution {
        Execution { status: Status::Running, paused: false, state: State::default() }
    }
}

impl Default for Execution {
    fn default() -> Self {
        Execution::new()
    }
}

/// Which branches' changes a task sees, oldest first: numbers of [`Delta`]s.
pub type Context = Vec<u32>;

/// What the conductor remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Tasks ready or running, one with items counting once.
    pub live: u32,
    /// Routes opened so far, at tasks that several ways lead to. Route 0 is the way from the start.
    #[serde(skip_serializing_if = "is_default")]
    pub routes: u32,
    /// Joins that something has arrived at.
    #[serde(skip_serializing_if = "is_default")]
    pub joins: Vec<Arrivals>,
    /// Joins that have fired and that no cycle leads to, by route: they fire once, whoever arrives later or is rerun.
    #[serde(skip_serializing_if = "is_default")]
    pub fired: Vec<(u32, NodeSet)>,
    /// How often tasks ran that may run again.
    #[serde(skip_serializing_if = "is_default")]
    pub visits: Vec<(NodeId, u32)>,
    /// How often it was rerun.
    #[serde(skip_serializing_if = "is_default")]
    pub reruns: u32,
    /// Tasks with items that have not ended.
    #[serde(skip_serializing_if = "is_default")]
    pub items: Vec<Progress>,
    /// Bytes of all variables, those of branches together: counted as they change, never measured anew.
    #[serde(skip_serializing_if = "is_default")]
    pub bytes: u64,
    /// The variables as they were when the branches parted; none: `variables` itself.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Option<Data>,
    /// What branches have published since.
    #[serde(skip_serializing_if = "is_default")]
    pub deltas: Vec<Delta>,
    /// What the branches that have ended saw; none: none has.
    #[serde(skip_serializing_if = "is_default")]
    pub ended: Option<Context>,
    /// Failures that nothing handled: what a rerun starts with.
    #[serde(skip_serializing_if = "is_default")]
    pub failures: Vec<TaskKey>,
    /// What would have started after the workflow failed: a rerun starts it.
    #[serde(skip_serializing_if = "is_default")]
    pub staged: Vec<Staged>,
    /// The verdict while the `finally` task runs.
    #[serde(skip_serializing_if = "is_default")]
    pub verdict: Option<Status>,
}

/// What goes without saying is not written.
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
            deltas: Vec::new(),
            ended: None,
            failures: Vec::new(),
            staged: Vec::new(),
            verdict: None,
        }
    }
}

/// One run of a task among those of the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskKey {
    /// Which task.
    pub node: NodeId,
    /// By which way.
    #[serde(skip_serializing_if = "is_default")]
    pub route: u32,
    /// How often it ran before in a cycle.
    #[serde(skip_serializing_if = "is_default")]
    pub visit: u32,
}

/// A join that waits; or one in a cycle that has fired and may still be reached by the rest.
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
    /// It has fired.
    #[serde(skip_serializing_if = "is_default")]
    pub fired: bool,
}

impl Arrivals {
    /// Nothing has arrived.
    pub fn none(node: NodeId, route: u32) -> Arrivals {
        Arrivals { node, route, tasks: NodeSet::default(), context: Context::new(), fired: false }
    }
}

/// How far a task with items is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Which task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// What it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Context,
    /// Items in all.
    pub total: u32,
    /// Items made claimable so far.
    pub released: u32,
    /// Items that have ended.
    #[serde(skip_serializing_if = "is_default")]
    pub ended: u32,
    /// Of these, failed.
    #[serde(skip_serializing_if = "is_default")]
    pub failed: u32,
    /// Of these, cancelled.
    #[serde(skip_serializing_if = "is_default")]
    pub cancelled: u32,
    /// Of these, never begun, because nothing new was to start.
    #[serde(skip_serializing_if = "is_default")]
    pub withdrawn: u32,
    /// How many may be claimable or running; 0: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: u32,
    /// Failures tolerated; with more, no new item starts. None: all run, and none may fail.
    #[serde(skip_serializing_if = "is_default")]
    pub tolerated: Option<u32>,
    /// Retries of the whole so far.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: u32,
    /// Retries of the whole allowed.
    #[serde(skip_serializing_if = "is_default")]
    pub max_retries: u32,
    /// No new item starts.
    #[serde(skip_serializing_if = "is_default")]
    pub stopped: bool,
    /// A worker has said that trying again is of no use.
    #[serde(skip_serializing_if = "is_default")]
    pub final_failure: bool,
    /// Items that are done may be known to their own rows only: whoever goes on with the execution counts these first.
    #[serde(skip_serializing_if = "is_default")]
    pub uncounted: bool,
}

/// What one branch has published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delta {
    /// Its number.
    pub id: u32,
    /// Variables and their values.
    pub vars: Changes,
    /// Only one branch sees it, which may add to it.
    #[serde(skip_serializing_if = "is_default")]
    pub own: bool,
}

/// A task that would have started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Staged {
    /// Which.
    pub node: NodeId,
    /// By which way.
    #[serde(skip_serializing_if = "is_default")]
    pub route: u32,
    /// What it would have seen.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Context,
}

impl State {
    /// Is the task that just ended the only thing there is, so that what it publishes is simply the variables?
    pub fn is_single(&self) -> bool {
        self.live == 1 && self.ended.is_none() && self.staged.is_empty() && self.joins.iter().all(|join| join.fired)
    }

    /// What goes without saying: an execution is one branch of plain steps, and of one that has completed nothing is left.
    pub fn plain(status: Status) -> State {
        match status {
            Status::Completed => State { live: 0, ended: Some(Context::new()), ..State::default() },
            _ => State::default(),
        }
    }

    /// A join that something arrived at and that has not fired.
    pub fn waiting_join(&self) -> Option<&Arrivals> {
        self.joins.iter().find(|join| !join.fired)
    }

    /// Where what has arrived at a join is.
    pub fn arrivals(&mut self, node: NodeId, route: u32) -> usize {
        let place = self.joins.iter().position(|join| join.node == node && join.route == route);
        place.unwrap_or_else(|| {
            self.joins.push(Arrivals::none(node, route));
            self.joins.len() - 1
        })
    }

    /// The progress of a task with items.
    pub fn progress(&mut self, key: TaskKey) -> Option<&mut Progress> {
        self.items.iter_mut().find(|progress| progress.key == key)
    }

    /// May it be left to its own row that this item is done? It decides nothing: not how the others go on, nor what follows. The
    /// last item is always heard of, and then the others are counted, too.
    pub fn may_leave(&self, index: u32) -> bool {
        matches!(&self.items[..], [only] if only.uncounted && index + 1 < only.total)
    }

    /// So many items of a task are done that nobody has counted.
    pub fn count(&mut self, key: TaskKey, done: u32) {
        if let Some(progress) = self.progress(key) {
            (progress.ended, progress.uncounted) = (done, false);
        }
    }

    /// One more visit, and its number: they count from `first`.
    pub fn visit(&mut self, node: NodeId, first: u32) -> u32 {
        let position = self.visits.iter().position(|(visited, _)| *visited == node).unwrap_or_else(|| {
            self.visits.push((node, first));
            self.visits.len() - 1
        });
        let next = &mut self.visits[position].1;
        *next = (*next).max(first) + 1;
        *next - 1
    }

    /// One more route.
    pub fn open_route(&mut self) -> u32 {
        self.routes += 1;
        self.routes
    }

    /// Has a join that no cycle leads to fired?
    pub fn has_fired(&self, node: NodeId, route: u32) -> bool {
        let place = self.fired.binary_search_by_key(&route, |(route, _)| *route);
        place.is_ok_and(|place| self.fired[place].1.contains(node))
    }

    /// Notes that it has.
    pub fn note_fired(&mut self, node: NodeId, route: u32) {
        let place = self.fired.binary_search_by_key(&route, |(route, _)| *route).unwrap_or_else(|place| {
            self.fired.insert(place, (route, NodeSet::default()));
            place
        });
        self.fired[place].1.insert(node);
    }
}
