//! OpenTelemetry spans: one request is one trace, from its caller through every worker, and an unavailable collector
//! does no harm.

use crate::fixture::*;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use pg_workflow_client::worker::Failure;
use pg_workflow_client::{ClaimInput, Engine, StartInput, StartManyInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Number of spans that the queue for the unavailable collector can hold.
const ROOM: usize = 16;

/// A collector that keeps everything.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// A collector that never answers.
#[derive(Debug, Clone, Default)]
struct Away(Arc<AtomicUsize>);

impl SpanExporter for Away {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(3600));
        Ok(())
    }
}

/// The exporter for the spans of all tests. There is one tracer provider for the whole process.
static COLLECTORS: LazyLock<(Collector, Away)> = LazyLock::new(|| {
    let (collector, away) = (Collector::default(), Away::default());
    let config = BatchConfigBuilder::default().with_max_queue_size(ROOM).with_max_export_batch_size(ROOM).build();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(collector.clone())
        .with_span_processor(BatchSpanProcessor::builder(away.clone()).with_batch_config(config).build())
        .build();
    global::set_tracer_provider(provider);
    (collector, away)
});

/// Waits for this number of matching spans, and returns them in order of their start.
pub async fn spans(count: usize, matches: impl Fn(&SpanData) -> bool) -> Vec<SpanData> {
    let mut found = until("all spans", async || {
        let all = COLLECTORS.0.0.lock().unwrap();
        let found: Vec<SpanData> = all.iter().filter(|span| matches(span)).cloned().collect();
        (found.len() >= count).then_some(found)
    })
    .await;
    found.sort_by_key(|span| span.start_time);
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

/// A request from outside, with a span of its own.
pub fn request() -> Context {
    LazyLock::force(&COLLECTORS);
    Context::new().with_span(global::tracer("test").start_with_context("request", &Context::new()))
}

fn attributes(span: &SpanData) -> BTreeMap<String, String> {
    span.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
}

pub fn of(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

#[tokio::test]
async fn a_request_is_one_trace_through_start_workers_and_what_handlers_do() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let request = request();
        let input = StartInput { r#ref: "ci.chain".into(), ..Default::default() };
        let execution = Engine::start(&db.pool, input).with_context(request.clone()).await.unwrap().unwrap();
        let first = worker(db, "w1").handler("ci.first", |_: Value, context| async move {
            let inner = global::tracer("test").start("inner");
            assert_eq!(of(&Context::current_with_span(inner)).trace_id(), of(&Context::current()).trace_id());
            let span = of(&Context::current());
            let expected = format!("00-{}-{}-01", span.trace_id(), span.span_id());
            assert_eq!(context.traceparent(), Some(&*expected));
            Ok(json!({"sum": 1}))
        });
        let second = worker(db, "w2").handler("ci.second", |_: Value, _| async { Ok(json!({"sum": 2})) });
        let (first, second) = (Running::new(first), Running::new(second));
        assert_eq!(ended(db, execution).await.output, Some(json!({"sum": 2})));
        request.span().end();
        let trace = of(&request).trace_id();
        let spans = spans(5, |span| span.span_context.trace_id() == trace).await;
        let [_, send, one, inner, two] = &spans[..] else { panic!("{spans:#?}") };
        for (span, name, kind, parent) in [
            (send, "send ci.chain", SpanKind::Producer, of(&request).span_id()),
            (one, "process ci.first", SpanKind::Consumer, send.span_context.span_id()),
            (inner, "inner", SpanKind::Internal, one.span_context.span_id()),
            (two, "process ci.second", SpanKind::Consumer, send.span_context.span_id()),
        ] {
            assert_eq!((&*span.name, &span.span_kind, span.parent_span_id), (name, &kind, parent), "{span:#?}");
            assert_eq!(span.status, Status::Unset);
        }
        let task = tasks(db, execution).await[1].id.to_string();
        let expected = [
            ("messaging.client.id", "w2"),
            ("messaging.destination.name", "ci.second"),
            ("messaging.message.id", &task),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.system", "pg_workflow"),
            ("pg_workflow.attempt", "1"),
            ("pg_workflow.execution", &execution.to_string()),
            ("pg_workflow.task", "two"),
            ("pg_workflow.workflow", "ci.chain"),
        ];
        assert_eq!(attributes(two), expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        first.stop().await;
        second.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_a_trace_of_its_own_that_links_to_the_start() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let request = request();
        let input = StartManyInput { r#ref: "ci.single".into(), parameters: vec![json!({})], ..Default::default() };
        let [Some(execution)] = Engine::start_many(&db.pool, input).with_context(request.clone()).await.unwrap()[..]
        else {
            panic!()
        };
        let worker = worker(db, "retrying").handler("ci.first", |_: Value, context| async move {
            match context.attempt() {
                1 => Err(Failure::new("flaky", "at first").retry_in(Duration::ZERO)),
                _ => Ok(()),
            }
        });
        let worker = Running::new(worker);
        ended(db, execution).await;
        let trace = of(&request).trace_id();
        let [send, failed] = &spans(2, |span| span.span_context.trace_id() == trace).await[..] else { panic!() };
        assert_eq!(failed.status, Status::error("flaky: at first"));
        assert_eq!(attributes(failed)["error.type"], "flaky");
        let links_here = |span: &SpanData| span.links.iter().any(|link| link.span_context.trace_id() == trace);
        let [again] = &spans(1, links_here).await[..] else { panic!() };
        assert_eq!((&*again.name, again.parent_span_id), ("process ci.first", SpanId::INVALID));
        assert_eq!(again.links.iter().next().unwrap().span_context.span_id(), send.span_context.span_id());
        assert_eq!((&attributes(again)["pg_workflow.attempt"], &again.status), (&"2".to_owned(), &Status::Unset));
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_start_that_is_refused_says_so_in_its_span_and_one_with_a_traceparent_has_none() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let request = request();
        let trace = of(&request).trace_id();
        let input = StartInput { r#ref: "ci.missing".into(), ..Default::default() };
        assert!(Engine::start(&db.pool, input).with_context(request.clone()).await.is_err());
        let [refused] = &spans(1, |span| span.span_context.trace_id() == trace).await[..] else { panic!() };
        assert_eq!(attributes(refused)["error.type"], "WF616");
        let given = format!("00-{trace}-{}-01", of(&request).span_id());
        let input = StartInput { r#ref: "ci.single".into(), traceparent: Some(given.clone()), ..Default::default() };
        let execution = Engine::start(&db.pool, input).with_context(request.clone()).await.unwrap().unwrap();
        assert_eq!(Engine::status(&db.pool, execution).await.unwrap().traceparent, Some(given));
        spans(1, |span| span.span_context.trace_id() == trace).await;
        let claim = ClaimInput { worker: "w".into(), ..Default::default() };
        assert!(Engine::claim(&db.pool, &claim).await.unwrap()[0].traceparent.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_is_away_neither_slows_work_nor_fills_memory() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let request = request();
        let input =
            StartManyInput { r#ref: "ci.single".into(), parameters: vec![json!({}); 200], ..Default::default() };
        let all = Engine::start_many(&db.pool, input).with_context(request.clone()).await.unwrap();
        let worker = Running::new(worker(db, "w").handler("ci.first", |_: Value, _| async { Ok(()) }));
        for execution in all.into_iter().flatten() {
            ended(db, execution).await;
        }
        let trace = of(&request).trace_id();
        spans(201, |span| span.span_context.trace_id() == trace).await;
        let taken = COLLECTORS.1.0.load(Ordering::Relaxed);
        assert!(taken <= ROOM, "the one export that goes on has {taken} spans; no other begins");
        worker.stop().await;
    })
    .await;
}
