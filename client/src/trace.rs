//! OpenTelemetry spans: one for each start, and one for each attempt of a task that a worker processes.
//!
//! Spans go to the global tracer provider. If the application has not installed one, they cost next to nothing. Nothing
//! here waits for a collector: that is up to the provider.

use crate::worker::Failure;
use crate::{ClaimedTask, Error, Result};
use opentelemetry::context::FutureExt;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};

fn tracer() -> BoxedTracer {
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION"));
    global::tracer_with_scope(scope.build())
}

/// Returns the attributes that all spans have: the operation, and the action or workflow concerned.
fn attributes(operation: &'static str, destination: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "pg_workflow"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
    ]
}

/// Starts executions in a span of their own. The call gets the span's traceparent, or `None` if nothing is being
/// traced.
pub(crate) async fn send<T>(
    workflow: &str,
    count: usize,
    start: impl AsyncFnOnce(Option<String>) -> Result<T>,
) -> Result<T> {
    let mut attributes = attributes("send", workflow);
    attributes.push(KeyValue::new("pg_workflow.workflow", workflow.to_owned()));
    if count != 1 {
        attributes.push(KeyValue::new("messaging.batch.message_count", count as i64));
    }
    let tracer = tracer();
    let span =
        tracer.span_builder(format!("send {workflow}")).with_kind(SpanKind::Producer).with_attributes(attributes);
    let context = Context::current_with_span(span.start(&tracer));
    let started = start(traceparent(&context)).with_context(context.clone()).await;
    if let Err(error) = &started {
        fail(&context, error.code().unwrap_or(kind(error)), error.to_string());
    }
    context.span().end();
    started
}

/// The span of one attempt of a task.
#[derive(Clone)]
pub(crate) struct TaskSpan(Context);

impl TaskSpan {
    /// Begins a span. That of the first attempt is a child of the span that started the execution; that of a later one
    /// is the root of a new trace that links to it, because the first attempt's trace may have ended days ago.
    pub fn begin(task: &ClaimedTask, worker: &str) -> TaskSpan {
        let mut attributes = attributes("process", &task.action);
        attributes.extend([
            KeyValue::new("messaging.message.id", task.task.to_string()),
            KeyValue::new("messaging.client.id", worker.to_owned()),
            KeyValue::new("pg_workflow.execution", task.execution),
            KeyValue::new("pg_workflow.task", task.task_name.clone()),
            KeyValue::new("pg_workflow.attempt", i64::from(task.attempt)),
        ]);
        attributes.extend(task.workflow_ref.clone().map(|workflow| KeyValue::new("pg_workflow.workflow", workflow)));
        attributes.extend(task.task_index.map(|index| KeyValue::new("pg_workflow.item", i64::from(index))));
        let tracer = tracer();
        let mut span = tracer
            .span_builder(format!("process {}", task.action))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes);
        let mut parent = Context::new();
        match task.traceparent.as_deref().and_then(read) {
            Some(start) if task.attempt == 1 => parent = parent.with_remote_span_context(start),
            Some(start) => span = span.with_links(vec![Link::with_context(start)]),
            None => {}
        }
        TaskSpan(parent.with_span(tracer.build_with_context(span, &parent)))
    }

    /// Runs a function within the span.
    pub fn enter<T>(&self, run: impl FnOnce() -> T) -> T {
        let _entered = self.0.clone().attach();
        run()
    }

    /// Runs a future within the span.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_context(self.0.clone()).await
    }

    /// Ends the span. A span that is dropped instead, because its handler was, ends without a status.
    pub fn end(&self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            fail(&self.0, failure.r#type(), failure.to_string());
        }
        self.0.span().end();
    }

    /// Returns the span as a traceparent.
    pub fn traceparent(&self) -> Option<String> {
        traceparent(&self.0)
    }
}

fn fail(context: &Context, kind: &str, message: String) {
    context.span().set_attribute(KeyValue::new("error.type", kind.to_owned()));
    context.span().set_status(Status::error(message));
}

/// Returns a name for an error that has no code.
fn kind(error: &Error) -> &'static str {
    if error.refusal().is_some() { "refused" } else { "database" }
}

/// Reads a traceparent that the server has checked.
fn read(traceparent: &str) -> Option<SpanContext> {
    let mut fields = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(fields.next()?).ok()?;
    let span = SpanId::from_hex(fields.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(fields.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

/// Returns a context's span as a traceparent, or `None` if it has no span.
fn traceparent(context: &Context) -> Option<String> {
    let span = context.span().span_context().clone();
    let text = || format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    span.is_valid().then(text)
}

#[cfg(test)]
mod tests {
    use super::{read, traceparent};
    use opentelemetry::Context;
    use opentelemetry::trace::TraceContextExt;

    #[test]
    fn a_traceparent_is_read_and_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = Context::new().with_remote_span_context(read(text).unwrap());
        assert_eq!(traceparent(&context).as_deref(), Some(text));
        assert_eq!(traceparent(&Context::new()), None);
        assert!(read("nonsense").is_none());
    }
}
