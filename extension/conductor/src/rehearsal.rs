//! Tests of definitions: an execution in memory, in virtual time, with scripted answers instead of workers.

pub mod memory_host;
