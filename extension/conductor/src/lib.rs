//! The pure engine of pg_workflow.
