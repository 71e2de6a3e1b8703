//! The pure engine of pg_workflow: definition text to normal form to graph, then (graph, state, event) to (state,
//! changes). No PostgreSQL, no clock, no randomness, no I/O.

pub mod bounds;
pub mod code;
pub mod cron;
pub mod engine;
pub mod expression;
pub mod finding;
pub mod graph;
pub mod interrupt;
pub mod json;
pub mod language;
pub mod rehearsal;
pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod traceparent;
pub mod view;
