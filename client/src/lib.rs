//! The Rust client of pg_workflow
