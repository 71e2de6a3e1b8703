//! Data cached by a backend between calls.

pub mod claimed_tasks;
pub mod graphs;
pub mod hooks;
pub mod workflow_actions;
