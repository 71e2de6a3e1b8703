//! Triggers that make all sessions forget what they have cached from a table. Their return values are ignored.

use crate::pg::relation;
use pgrx::prelude::*;

/// `workflow.forget_actions` in `sql/action.sql`.
#[pg_extern(sql = false)]
fn workflow_forget_actions() {
    relation::announce_change(c"action");
}

/// `workflow.forget_definitions` in `sql/definition.sql`.
#[pg_extern(sql = false)]
fn workflow_forget_definitions() {
    relation::announce_change(c"workflow_definition_version");
}

/// `workflow.forget_hooks` in `sql/hook.sql`.
#[pg_extern(sql = false)]
fn workflow_forget_hooks() {
    relation::announce_change(c"hook");
}

/// `workflow.forget_foreign_parts` in `sql/parts.sql`.
#[pg_extern(sql = false)]
fn workflow_forget_foreign_parts() {
    relation::announce_change(c"foreign_part");
}

/// `workflow.forget_worker_parts` in `sql/grants.sql`.
#[pg_extern(sql = false)]
fn workflow_forget_worker_parts() {
    relation::announce_change(c"worker_parts");
}
