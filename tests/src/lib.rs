//! Integration tests of pg_workflow against throwaway servers.

pub mod conformance;
mod database;

pub use database::{Database, with_database};
