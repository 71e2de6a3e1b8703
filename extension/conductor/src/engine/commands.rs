//! What the conductor wants written: collected over all events of one execution in a batch, written set-wise.

use crate::engine::state::{Context, Status, TaskEnd, TaskKey};
use crate::expression::Data;
use crate::view::task_lists::TaskLists;

/// What one or more events changed, besides [`crate::engine::state::Execution`] itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Tasks to insert.
    pub scheduled: Vec<NewTask>,
    /// So many of them, the first, are inserted before anything is withdrawn.
    pub scheduled_before: usize,
    /// So many more items of a task may be claimed, lowest first.
    pub released: Vec<(TaskKey, u32)>,
    /// All items of a task run again after so many seconds, so many of them claimable at first.
    pub items_retried: Vec<ItemsRetry>,
    /// Tasks not claimed yet must not start: end them as cancelled before the rest is inserted, and answer with
    /// [`crate::engine::conductor::Conductor::withdrawn`].
    pub withdraw: Withdraw,
    /// Tasks with items that ended, or run again, as a whole: what their last item's report answers.
    pub whole_ends: Vec<(TaskKey, &'static str)>,
    /// Ended tasks whose rows begin anew.
    pub rerun_tasks: Vec<RerunTask>,
    /// The execution, which had ended, goes on.
    pub rerun: bool,
    /// What is claimable is so no more, or again.
    pub hold: Hold,
    /// Tasks that run are to be reported as cancelled: their workers' answers no longer count.
    pub void: bool,
    /// The variables, all of them.
    pub variables: Option<Data>,
    /// Why the workflow failed.
    pub error_message: Option<String>,
    /// The execution is over.
    pub end: Option<End>,
}

/// Which waiting tasks must not start.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Withdraw {
    /// None.
    #[default]
    Nothing,
    /// Items of these tasks.
    Items(Vec<TaskKey>),
    /// All.
    Everything,
}

/// A pause or its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// Neither.
    #[default]
    Nothing,
    /// What is claimable waits.
    Pause,
    /// What waited because of a pause is claimable.
    Resume,
}

/// Rows of an ended task that begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RerunTask {
    /// Which task.
    pub key: TaskKey,
    /// Successful items too, and what it called is called anew: otherwise a row keeps its child.
    pub reset_items: bool,
    /// The item whose turn comes first.
    pub first: Option<u32>,
    /// How many items are claimable at first; none: it has no items.
    pub released: Option<u32>,
}

/// The items of a task run again.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemsRetry {
    /// Which task.
    pub key: TaskKey,
    /// Seconds from now.
    pub delay: f64,
    /// How many are claimable at first.
    pub released: u32,
}

/// The end of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// `Completed`, `Failed`, `Cancelled` or `Timeout`.
    pub status: Status,
    /// The output, where the workflow has one and it could be rendered.
    pub output: Option<Data>,
    /// Its tasks by how they stand; none: their rows say it.
    pub lists: Option<TaskLists>,
}

/// A task to insert.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Which.
    pub key: TaskKey,
    /// Which item.
    pub index: Option<u32>,
    /// Which batch of items.
    pub batch: Option<u32>,
    /// How it begins.
    pub start: Start,
    /// What a worker must do; none: nothing, it is the engine's.
    pub action: Option<String>,
    /// The signal that it waits for.
    pub signal: Option<String>,
    /// The action's input.
    pub input: Option<Data>,
    /// What it sees.
    pub context: Context,
    /// Seconds an attempt, or a wait, may take.
    pub timeout: Option<i32>,
    /// Retries allowed.
    pub max_retries: i32,
    /// Higher goes first.
    pub priority: i32,
}

/// How a new task begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Claimable; without an action, to be ended by the engine or by its signal.
    Ready,
    /// Claimable in so many seconds.
    Delayed(f64),
    /// Claimable when it is its turn among the items.
    Held,
    /// Ended at once: a routing task, a skipped one, one without items.
    Ended(TaskEnd, Option<Data>),
}

/// Tasks that were withdrawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawn {
    /// Which task.
    pub key: TaskKey,
    /// So many rows of it.
    pub count: u32,
}

/// What became of a reported task.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What its row becomes.
    pub row: Row,
    /// How the task as a whole stands: an item's task may run on.
    pub task_status: &'static str,
}

/// What a reported row becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// It ended so.
    Ended(TaskEnd),
    /// It runs again after so many seconds.
    Retry(f64),
}
