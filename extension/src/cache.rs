//! Data cached by a backend between calls.

pub mod actions;
pub mod foreign_parts;
pub mod graphs;
pub mod hooks;
mod table_cache;
pub mod worker_parts;
