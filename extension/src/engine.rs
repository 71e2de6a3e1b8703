//! Processing of locked executions: load, conduct, write, until nothing is left to do.

pub mod advance;
pub mod attributes;
pub mod branch_changes;
pub mod bulk;
pub mod claim;

pub mod control;
pub mod due;
pub mod expired_leases;
pub mod family_lock;
pub mod finish;
pub mod internal_tasks;
pub mod own_report;
pub mod passing_on;
pub mod pending_reports;
pub mod propagation;
pub mod refused_leases;
pub mod report;
pub mod reports;
pub mod rerun;
pub mod resolve;
pub mod retention;
pub mod run;
pub mod settle;
pub mod signal;
pub mod start;
pub mod startable;
pub mod strays;
pub mod sub_workflows;
pub mod tick;
pub mod undo_children;
pub mod waiting_executions;
