//! pg_workflow: a durable workflow engine inside PostgreSQL.
use pgrx::prelude::*;

::pgrx::pg_module_magic!();
