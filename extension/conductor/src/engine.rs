//! The state machine: (graph, state, event) to (state, commands).

pub mod action_limits;
pub mod attributes;
pub mod branches;
pub mod cause;
pub mod commands;
pub mod conductor;
pub mod control;
pub(crate) mod evaluation;
pub mod facts;
pub mod item_outcomes;
pub mod items;
mod linear_path;
pub mod rate;
pub(crate) mod ready;
pub mod reported;
pub mod rerun;
pub mod rest;
pub(crate) mod retry;
pub mod state;
pub(crate) mod transition;
pub mod undo;
pub mod variables;
pub(crate) mod work;
