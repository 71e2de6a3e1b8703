//! The rows of each table as the functions return them, and the inputs that create or update them.
//!
//! Fields have the names of the columns. In a `Create…Input`, fields with a default can be left to
//! `..Default::default()`; in an `Update…Input` all fields can, and only those given are written.

mod action;
mod event;
mod execution;
mod hook;
mod limit;
mod pack;
mod schedule;
mod status;
mod workflow_definition;
mod workflow_execution;
mod workflow_task_execution;

pub use action::{Action, CreateActionInput, UpdateActionInput};
pub use event::Event;
pub use execution::{CreateExecutionInput, Execution, UpdateExecutionInput};
pub use hook::{Hook, HookInput};
pub use limit::{FairWeight, Hold, HoldTarget, Limit, LimitInput, LimitKey};
pub use pack::{CreatePackInput, Pack, UpdatePackInput};
pub use schedule::{MissedRuns, Schedule, ScheduleInput};
pub use status::{ExecutionStatus, TaskStatus, UnknownStatus};
pub use workflow_definition::{CreateWorkflowDefinitionInput, UpdateWorkflowDefinitionInput, WorkflowDefinition};
pub use workflow_execution::{CreateWorkflowExecutionInput, UpdateWorkflowExecutionInput, WorkflowExecution};
pub use workflow_task_execution::{
    CreateWorkflowTaskExecutionInput, UpdateWorkflowTaskExecutionInput, WorkflowTaskExecution,
};
