//! Environment for tests of the engine: a host in memory, and random workflows under random schedules.

pub use crate::rehearsal::memory_host;
pub mod simulation;
