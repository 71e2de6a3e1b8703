//! Changes to be written: collected over all events of one execution in a batch, and written with one statement per
//! kind.

use crate::engine::cause::Cause;
use crate::engine::published::NewEntry;
use crate::engine::state::{Context, TaskKey};
use crate::engine::status::{Reach, Status, TaskEnd};
use crate::expression::Data;
use crate::graph::NodeId;
use crate::view::task_lists::TaskLists;

/// Changes made by one or more events, apart from [`crate::engine::state::Execution`] itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Tasks to insert.
    pub scheduled: Vec<NewTask>,
    /// Number of tasks in `scheduled`, counted from the front, that are inserted before anything is withdrawn.
    pub scheduled_before: usize,
    /// Number of additional items of a task that may be claimed, lowest index first.
    pub released: Vec<(TaskKey, u32)>,
    /// Tasks that are not claimed yet and must not start. The host ends them as `cancelled` before inserting the rest
    /// of `scheduled`, and answers with [`crate::engine::conductor::Conductor::withdrawn`].
    pub withdraw: Withdraw,
    /// Tasks and items that are no longer needed. The host ends waiting ones as `cancelled` together with what is
    /// withdrawn, and reports running ones as `cancelled`.
    pub rest: Vec<Rest>,
    /// Ended tasks whose rows start over.
    pub rerun_tasks: Vec<RerunTask>,
    /// Whether the execution had ended and now continues.
    pub rerun: bool,
    /// Whether the execution had ended and now undoes what it had completed.
    pub reopened: bool,
    /// Whether a task of an execution that has ended is now classified differently, so that the execution's task lists
    /// change.
    pub relist: bool,
    /// The undos of tasks that have ended.
    pub undos: Vec<NewUndo>,
    /// Whether claimable tasks are put on hold or released again.
    pub hold: Hold,
    /// Running tasks that are to be reported as `cancelled`: their workers' reports no longer count.
    pub void: Reach,
    /// The variables to which changes apply, if they are rewritten.
    pub variables: Option<Data>,
    /// Whether the previously stored changes have become part of the variables.
    pub folded: bool,
    /// Entries of changes that are replaced by others, by change and place.
    pub replaced: Vec<(u32, u32)>,
    /// New entries of changes.
    pub published: Vec<NewEntry>,
    /// The attributes that the definition gives an execution that starts; `None` if it gives none.
    pub attributes: Option<Data>,
    /// Why the workflow fails, and what else goes wrong while it closes.
    pub causes: Vec<Cause>,
    /// How the execution ended, if it did.
    pub end: Option<End>,
    /// The key by which the execution shares the queue, if it is starting and its workflow has one.
    pub fair_key: Option<String>,
    /// The key by which the execution counts among those that may run at once, if it is starting and its workflow has
    /// `concurrency`; empty if all count together.
    pub concurrency_key: Option<String>,
    /// Transitions that fired, each by its task and its place in the task's list.
    pub fired: Vec<(NodeId, u32)>,
}

/// The undo of a task that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUndo {
    /// The task's row.
    pub row: i64,
    /// Its number in the order of completion, from 1.
    pub number: u32,
    /// The call: `{action, input, timeout, retries}`; `{error}` if it could not be rendered; without either, the
    /// execution that the task has called undoes itself.
    pub call: Data,
}

/// The rows of a task that are no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The task.
    pub node: NodeId,
    /// Its route.
    pub route: u32,
    /// The run of the task; `None` for any.
    pub visit: Option<u32>,
    /// Whether running ones are cancelled, too, apart from those that can be undone.
    pub running: bool,
}

impl Rest {
    /// Whether a row is among them.
    pub fn contains(&self, key: TaskKey) -> bool {
        key.node == self.node && key.route == self.route && self.visit.is_none_or(|visit| visit == key.visit)
    }
}

/// Which waiting tasks must not start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Withdraw {
    /// Tasks of the execution.
    pub tasks: Reach,
    /// Items of these tasks.
    pub items: Vec<TaskKey>,
}

impl Withdraw {
    /// Whether there is nothing to withdraw.
    pub fn is_nothing(&self) -> bool {
        *self == Withdraw::default()
    }

    /// Whether a waiting row is withdrawn.
    pub fn reaches(&self, key: TaskKey, closing: bool) -> bool {
        self.tasks.reaches(closing) || self.items.contains(&key)
    }
}

/// The start or end of a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// Neither.
    #[default]
    Nothing,
    /// Claimable tasks must wait.
    Pause,
    /// Tasks that waited because of a pause become claimable.
    Resume,
}

/// Rows of an ended task that start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RerunTask {
    /// The task.
    pub key: TaskKey,
    /// Whether successful items run again, too, and sub-workflows are started from scratch. If not, a row keeps its
    /// child.
    pub reset_items: bool,
    /// The item that goes first.
    pub first: Option<u32>,
    /// Number of items that are claimable at first; `None` if the task has no items.
    pub released: Option<u32>,
}

/// The end of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// `Completed`, `Failed`, `Cancelled` or `Timeout`.
    pub status: Status,
    /// The output, if the workflow has one and it could be rendered.
    pub output: Option<Data>,
    /// The execution's tasks by standing; `None` if they must be derived from their rows.
    pub lists: Option<TaskLists>,
}

/// A task to insert.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// The task.
    pub key: TaskKey,
    /// The item's index.
    pub index: Option<u32>,
    /// The batch's index.
    pub batch: Option<u32>,
    /// Label of the item, for display.
    pub label: Option<String>,
    /// How it begins.
    pub start: Start,
    /// Action for a worker; `None` if the engine handles the task itself.
    pub action: Option<String>,
    /// The signal that it waits for.
    pub signal: Option<String>,
    /// The action's input.
    pub input: Option<Data>,
    /// The context it sees.
    pub context: Context,
    /// Seconds that an attempt or a wait may take.
    pub timeout: Option<i32>,
    /// Number of retries allowed.
    pub max_retries: i32,
    /// Higher goes first.
    pub priority: i32,
    /// The limits that it is under, by name and key, in order; the empty key counts everything together.
    pub limits: Vec<(String, String)>,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// Why it could not begin, if so.
    pub error: Option<Data>,
    /// What its own undo will need, if it has one.
    pub undo: Option<Data>,
    /// The row that it undoes.
    pub undoes: Option<i64>,
    /// Whether it makes the execution called by that row undo itself.
    pub reopens: bool,
}

impl NewTask {
    /// Returns a task that closes an execution, with nothing to do.
    pub(crate) fn closing(key: TaskKey, context: Context) -> NewTask {
        NewTask {
            key,
            index: None,
            batch: None,
            label: None,
            start: Start::Ready,
            action: None,
            signal: None,
            input: None,
            context,
            timeout: None,
            max_retries: 0,
            priority: 0,
            limits: Vec::new(),
            closing: true,
            error: None,
            undo: None,
            undoes: None,
            reopens: false,
        }
    }
}

/// How a new task begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Claimable. Without an action, it is ended by the engine or by its signal.
    Ready,
    /// Claimable after this many seconds.
    Delayed(f64),
    /// Claimable once it is its turn among the items.
    Held,
    /// Ended at once: a routing task, a skipped task, one without items, or one that could not begin.
    Ended(TaskEnd, Option<Data>),
}

/// Rows of a task that were withdrawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawn {
    /// The task.
    pub key: TaskKey,
    /// Number of rows.
    pub count: u32,
    /// Its place in the order in which tasks were created.
    pub order: i64,
}

/// Result of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Change to its row.
    pub row: Row,
    /// Its error, if it differs from the one reported.
    pub error: Option<Data>,
    /// The answer to the reporter: how the task ended, or `retrying`.
    pub state: &'static str,
}

impl Report {
    /// Returns the report of a row that runs again.
    pub(crate) fn again(again: Again) -> Report {
        Report { row: Row::Again(again), error: None, state: "retrying" }
    }
}

/// How a row runs again.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// Seconds until then.
    pub delay: f64,
    /// Whether it repeats after a success, rather than being retried.
    pub repeats: bool,
    /// Its input from now on; `None` if unchanged.
    pub input: Option<Data>,
}

/// Change to a reported row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// It ended like this.
    Ended(TaskEnd),
    /// It runs again.
    Again(Again),
}
