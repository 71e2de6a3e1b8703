//! Data cached by a backend between calls.

pub mod actions;
pub mod claimed_tasks;
pub mod foreign_parts;
pub mod graphs;
pub mod hooks;
