//! Executions as people see them: lists of tasks, diagrams, timelines.

pub mod diagram;
pub mod task_lists;
pub mod timeline;
