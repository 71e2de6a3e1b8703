//! What tests run the engine in: a host in memory, and random workflows under random schedules.

pub mod memory_host;
pub mod simulation;
