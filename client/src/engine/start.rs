//! Starting executions.

use super::{Engine, StartInput, StartManyInput};
use crate::Result;
use crate::trace;
use sqlx::types::Json;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
    /// Starts one execution of a workflow and returns its id. The same idempotency key returns the same execution.
    /// Returns `None` if the start was skipped because the maximum number of executions allowed by the workflow's
    /// `concurrency` are already running.
    ///
    /// With the feature `opentelemetry`, the start has a span of its own, which becomes the execution's parent, unless
    /// the input has a traceparent.
    pub async fn start<'e>(executor: impl PgExecutor<'e>, input: StartInput) -> Result<Option<i64>> {
        if input.traceparent.is_some() {
            return start(executor, input).await;
        }
        let workflow = input.r#ref.clone();
        let call = async move |traceparent| start(executor, StartInput { traceparent, ..input }).await;
        trace::send(&workflow, 1, call).await
    }

    /// Starts up to 10,000 executions of one workflow at once and returns their ids in order, with `None` for each one
    /// that was skipped. If any parameters are invalid, none is started. Traced like [`Engine::start`], with one span
    /// for all.
    pub async fn start_many<'e>(executor: impl PgExecutor<'e>, input: StartManyInput) -> Result<Vec<Option<i64>>> {
        if input.traceparents.is_some() {
            return start_many(executor, input).await;
        }
        let (workflow, count) = (input.r#ref.clone(), input.parameters.len());
        let call = async move |traceparent: Option<String>| {
            let traceparents = traceparent.map(|one| vec![Some(one); count]);
            start_many(executor, StartManyInput { traceparents, ..input }).await
        };
        trace::send(&workflow, count, call).await
    }
}

async fn start<'e>(executor: impl PgExecutor<'e>, input: StartInput) -> Result<Option<i64>> {
    Ok(query_scalar(
        "SELECT pg_catalog.workflow_start(ref => $1, parameters => $2, idempotency_key => $3, priority => $4, \
         run_at => $5, part => $6, attributes => $7, traceparent => $8)",
    )
    .bind(input.r#ref)
    .bind(Json(input.parameters))
    .bind(input.idempotency_key)
    .bind(input.priority)
    .bind(input.run_at)
    .bind(input.part)
    .bind(input.attributes.map(Json))
    .bind(input.traceparent)
    .fetch_one(executor)
    .await?)
}

async fn start_many<'e>(executor: impl PgExecutor<'e>, input: StartManyInput) -> Result<Vec<Option<i64>>> {
    Ok(query_scalar(
        "SELECT started.id FROM pg_catalog.workflow_start_many(ref => $1, parameters => $2, \
         idempotency_keys => $3, priority => $4, run_at => $5, part => $6, attributes => $7, traceparents => $8) \
         WITH ORDINALITY AS started (id, place) ORDER BY started.place",
    )
    .bind(input.r#ref)
    .bind(input.parameters.into_iter().map(Json).collect::<Vec<_>>())
    .bind(input.idempotency_keys)
    .bind(input.priority)
    .bind(input.run_at)
    .bind(input.part)
    .bind(input.attributes.map(|all| all.into_iter().map(|given| given.map(Json)).collect::<Vec<_>>()))
    .bind(input.traceparents)
    .fetch_all(executor)
    .await?)
}
