//! The client's worker against a real server: work, failures, lost connections, lost leases, limits, and shutdown.

mod bound;
mod connection;
mod end;
mod example_spans;
mod examples;
mod failure;
mod fixture;
mod lease;
mod listen;
mod span;
mod trace;
mod typed;
mod unusable;
mod work;
