//! Random workflows and random schedules, for tests: the invariants hold whatever happens, in whatever order. The same
//! seed gives the same workflow and the same steps.

mod schedule;
mod workflow;

pub use crate::rehearsal::chance::Chance;
pub use schedule::{Step, admitted};
pub use workflow::workflow;
