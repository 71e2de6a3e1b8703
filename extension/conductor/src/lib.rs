//! The pure engine of pg_workflow: definition text to normal form to graph, then (graph, state, event) to (state,
//! changes). No PostgreSQL, no clock, no randomness, no I/O.

pub mod catalogue;
pub mod changes;
pub mod conductor;
pub mod context;
pub mod control;
pub mod cron;
pub mod definition;
pub mod diagram;
pub mod expression;
pub mod finding;
mod functions;
pub mod graph;
pub mod interrupt;
pub mod items;
pub mod json;
pub mod language;
#[cfg(feature = "testing")]
pub mod ledger;
pub mod limits;
pub mod needs;
mod node_set;
pub mod parse;
mod retry;
mod schedule;
pub mod schema;
mod schema_cost;
pub mod scope;
#[cfg(feature = "testing")]
pub mod simulation;
pub mod source;
pub mod state;
pub mod stored;
mod straight_way;
pub mod task_lists;
pub mod template;
pub mod timeline;
mod transition;
pub mod validate;
