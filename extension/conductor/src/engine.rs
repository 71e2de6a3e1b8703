//! The state machine: (graph, state, event) to (state, commands).

// What goes in and comes out, and what is remembered in between. None of these modules knows the conductor.
pub mod cause;
pub mod commands;
pub mod facts;
pub mod moment;
pub mod outcome;
pub mod published;
pub mod reported;
pub mod state;
pub mod status;
pub mod variables;
pub(crate) mod work;

// The conductor, and what it does, by subject.
pub mod attributes;
mod branches;
pub mod conductor;
pub mod control;
pub(crate) mod evaluation;
mod failure;
mod items;
mod joins;
pub mod needless;
pub(crate) mod ready;
pub mod rerun;
pub(crate) mod retry;
pub(crate) mod transition;
pub mod undo;

// Rules that hosts apply, too.
pub mod action_limits;
mod linear_path;
pub mod rate;
