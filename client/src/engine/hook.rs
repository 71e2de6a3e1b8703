//! Hooks, which start executions when others end, and waiting for an end by listening.

use super::{Engine, WorkflowStatus};
use crate::model::{Hook, HookInput};
use crate::{Page, Result};
use sqlx::postgres::PgListener;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool, query_as, query_scalar};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Channel on which the server announces ends if its setting `pg_workflow.notify_ends` is on.
const CHANNEL: &str = "pg_workflow_end";

/// Minimum and maximum delay between two polls of an execution whose end is not announced.
const POLLS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT id, name, statuses::text[] AS statuses, workflow_pattern, attributes, start_workflow, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

impl Engine {
    /// Creates a hook: whenever a root execution (one that no other has called) ends, another one is started in the
    /// same transaction. If the name exists, the hook is replaced.
    pub async fn on_end<'e>(executor: impl PgExecutor<'e>, input: HookInput) -> Result<Hook> {
        let statuses: Option<Vec<&str>> =
            input.statuses.as_ref().map(|all| all.iter().map(|status| status.as_str()).collect());
        Ok(query_as(select!(
            "workflow_on_end(name => $1, statuses => $2::text[]::workflow.execution_status[], workflow_pattern => $3, \
             attributes => $4, start_workflow => $5)"
        ))
        .bind(input.name)
        .bind(statuses)
        .bind(input.workflow_pattern)
        .bind(input.attributes.map(Json))
        .bind(input.start_workflow)
        .fetch_one(executor)
        .await?)
    }

    /// Deletes a hook. Returns whether it existed. Executions that it has started continue.
    pub async fn remove_hook<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_remove_hook(name => $1)").bind(name).fetch_one(executor).await?)
    }

    /// Returns the hook with that name, if it exists.
    pub async fn find_hook<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<Option<Hook>> {
        Ok(query_as(select!("workflow_find_hook(name => $1)")).bind(name).fetch_optional(executor).await?)
    }

    /// Returns a page of all hooks, ordered by id.
    pub async fn list_hooks<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Hook>> {
        Ok(query_as(select!("workflow_list_hooks(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Waits until an execution has ended or the timeout, however long, has expired; `ended` says which. Unlike
    /// [`Engine::wait`], it listens, holding one connection of the pool. It is notified of the end immediately if the
    /// server's setting `pg_workflow.notify_ends` is on; otherwise it polls, at least every two seconds. No statement
    /// is open in between.
    pub async fn wait_listening(pool: &PgPool, execution_id: i64, longest: Duration) -> Result<WorkflowStatus> {
        let end = Instant::now() + longest;
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        let ours = format!("{execution_id} ");
        let mut pause = POLLS[0];
        loop {
            let status = Engine::status(&mut listener, execution_id).await?;
            let left = end.saturating_duration_since(Instant::now());
            if status.ended || left.is_zero() {
                return Ok(status);
            }
            // Completes when the end is announced, the connection is lost, or the next poll is due.
            let notified = async {
                while let Some(end) = listener.try_recv().await? {
                    if end.payload().starts_with(&ours) {
                        break;
                    }
                }
                Ok::<(), sqlx::Error>(())
            };
            if let Ok(notified) = timeout(pause.min(left), notified).await {
                notified?;
            }
            pause = (pause * 2).min(POLLS[1]);
        }
    }
}
