//! A row of each table as the functions return it, and what makes or changes one.
//!
//! Fields are the columns, under their names. In a `Create…Input` what has a default may be left to
//! `..Default::default()`; in an `Update…Input` everything may, and only what is given is written.

mod action;
mod event;
mod execution;
mod pack;
mod schedule;
mod status;
mod workflow_definition;
mod workflow_execution;
mod workflow_task_execution;

pub use action::{Action, CreateActionInput, UpdateActionInput};
pub use event::Event;
pub use execution::{CreateExecutionInput, Execution, UpdateExecutionInput};
pub use pack::{CreatePackInput, Pack, UpdatePackInput};
pub use schedule::{MissedRuns, Schedule, ScheduleInput};
pub use status::{ExecutionStatus, TaskStatus, UnknownStatus};
pub use workflow_definition::{CreateWorkflowDefinitionInput, UpdateWorkflowDefinitionInput, WorkflowDefinition};
pub use workflow_execution::{CreateWorkflowExecutionInput, UpdateWorkflowExecutionInput, WorkflowExecution};
pub use workflow_task_execution::{
    CreateWorkflowTaskExecutionInput, UpdateWorkflowTaskExecutionInput, WorkflowTaskExecution,
};
