//! How an execution stands, how a task has ended, and which tasks a stop affects.

use serde::{Deserialize, Serialize};

/// The status of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Running or paused.
    Running,
    /// Ended successfully.
    Completed,
    /// Failed; running and closing tasks may finish.
    Failed,
    /// Being cancelled; waits for running and closing tasks.
    Canceling,
    /// Cancelled; nothing is running.
    Cancelled,
    /// Took too long; running and closing tasks may finish.
    Timeout,
}

impl Status {
    /// Returns the name in `workflow.execution_status`.
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

    /// Returns the status with this name. The names before `running` mean the same to the conductor.
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
    /// Successfully.
    Completed,
    /// With a failure.
    Failed,
    /// It took too long.
    Timeout,
    /// No worker is left to finish it.
    Abandoned,
    /// By a cancel.
    Cancelled,
    /// Its condition was false, so it did not run.
    Skipped,
}

impl TaskEnd {
    /// Returns its name, as in `execution_status`.
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

    /// Returns the label of `task_status`, as expressions see it.
    pub fn summary(self) -> &'static str {
        if self.is_failure() { TaskEnd::Failed.name() } else { self.name() }
    }

    /// Returns the end with this name.
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

    /// Whether it failed, timed out or was abandoned.
    pub fn is_failure(self) -> bool {
        matches!(self, TaskEnd::Failed | TaskEnd::Timeout | TaskEnd::Abandoned)
    }
}

/// Which tasks of an execution are affected by a stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// None.
    #[default]
    Nothing,
    /// Those on the forward paths: tasks that close the execution still run.
    Forward,
    /// All of them.
    Everything,
}

impl Reach {
    /// Whether it affects a task, given whether that task closes the execution.
    pub fn reaches(self, closing: bool) -> bool {
        match self {
            Reach::Nothing => false,
            Reach::Forward => !closing,
            Reach::Everything => true,
        }
    }
}
