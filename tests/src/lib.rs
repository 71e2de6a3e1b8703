//! Integration tests of pg_workflow against throwaway servers.

pub mod conformance;
mod database;
#[cfg(test)]
mod layers;
pub mod monitoring;
mod server;

pub use database::{Database, with_database};
pub use server::{Server, major};
