//! Executions under lock: loaded, conducted, written, until nothing more follows.

pub mod advance;
pub mod control;
pub mod finish;
pub mod internal_tasks;
pub mod item_completion;
pub mod propagation;
pub mod refused_leases;
pub mod report;
pub mod rerun;
pub mod run;
pub mod signal;
pub mod start;
pub mod sub_workflows;
pub mod task_lists;
pub mod tick;
