//! The program `pg-workflow` against a server.
//!
//! The program must have been built: `cargo build --release -p pg_workflow_cli`, which `make test` does.

mod apply;
mod bulk;
mod console;
mod console_connections;
mod control;
mod doctor;
mod live;
mod mcp;
mod program;
mod publication;
mod router;
mod servers;
mod several;
mod trouble;
mod work;
mod work_hardship;
