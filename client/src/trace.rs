//! OpenTelemetry spans: one for each start, and one for each attempt of a task that a worker processes.
//!
//! Spans go to the global tracer provider. What the application has not installed costs next to nothing, and whether a collector
//! can be reached is the provider's business: nothing here waits for it.

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

/// The attributes that all spans have: the operation, and the action or workflow that it is about.
fn attributes(operation: &'static str, destination: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "pg_workflow"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
    ]
}

/// Starts executions in a span of their own. The call gets the span as a traceparent; none: nothing is being traced.
pub(crate) async fn send<T>(
    workflow: &str,
    count: usize,
    start: impl AsyncFnOnce(Option<String>) -> Result<T>,
) -> Result<T> {
    let mut attributes = attributes("send", workflow);
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
    /// Begins a span: of the first attempt, a child of what started the execution; of a later one, the root of a trace that links to
    /// it, because the first attempt's trace may have been over for days.
    pub fn begin(task: &ClaimedTask, worker: &str) -> TaskSpan {
        let mut attributes = attributes("process", &task.action);
        attributes.extend([
            KeyValue::new("messaging.message.id", task.task.to_string()),
            KeyValue::new("messaging.client.id", worker.to_owned()),
            KeyValue::new("pg_workflow.execution", task.execution),
            KeyValue::new("pg_workflow.task", task.task_name.clone()),
            KeyValue::new("pg_workflow.attempt", i64::from(task.attempt)),
        ]);
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

    /// Ends the span. One that is dropped without this, because its handler was, ends without a status.
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

/// Names an error that has no code.
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

/// Writes the span of a context as a traceparent; `None`: it has none.
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
