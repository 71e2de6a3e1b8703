//! Fields of `task.<name>` in expressions.

/// Fields that every task has.
pub const FIELDS: [&str; 6] = ["status", "result", "error", "started_at", "completed_at", "attempts"];
/// Additional fields of a task with items.
pub const ITEM_FIELDS: [&str; 3] = ["errors", "counts", "ended_by"];
