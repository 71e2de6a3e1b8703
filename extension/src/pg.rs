//! PostgreSQL itself: statements, rows, values, locks, roles. All `unsafe` code is here, and in `background`, which
//! runs server processes.

pub mod advisory_lock;
pub mod as_role;
pub mod builtin;
pub mod clock;
pub mod error_context;
pub mod id;
pub mod jsonb;
pub mod list;
pub mod preconditions;
pub mod process;
pub mod random;
pub mod relation;
pub mod result_set;
pub mod rights;
pub mod role;
pub mod row_estimates;
pub mod rows;
pub mod skip_ri_checks;
pub mod statements;
pub mod transaction;
pub mod transition_table;
pub mod user_code;
