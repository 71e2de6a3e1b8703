//! Spans of the example workers: of the one in Python as it prints them, and of the one in Node as a collector gets
//! them over OTLP.

use crate::examples::{Process, installed, node};
use crate::fixture::{Running, ended, until, worker};
use crate::trace::{of, request, spans};
use opentelemetry::context::FutureExt;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Runs worker.py like a user who wants its spans, here as lines of JSON.
const WITH_SPANS: &str = "
import runpy, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + chr(10))
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
runpy.run_path(sys.argv[1], run_name='__main__')
";

const THREE: &str = "
ref: ci.three
label: Three workers
version: 1.0.0
tasks:
  - {name: one, action: ci.first, on_success: lint}
  - {name: lint, action: ci.lint, on_success: two}
  - {name: two, action: ci.second}
";

#[tokio::test]
async fn a_request_through_three_workers_in_two_languages_is_one_trace() {
    with_database(async |db| {
        for action in ["ci.first", "ci.second", "ci.lint"] {
            let input = RegisterActionInput::new(action);
            Engine::register_action(&db.pool, input).await.unwrap();
        }
        Engine::define(&db.pool, THREE).await.unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", WITH_SPANS]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.py"));
        command.env("PYTHONPATH", installed().join("python"));
        let python = Process::start(command, db);
        let first = Running::new(worker(db, "first").handler("ci.first", |_: Value, _| async { Ok(()) }));
        let second = Running::new(worker(db, "second").handler("ci.second", |_: Value, _| async { Ok(()) }));
        let request = request();
        let execution =
            Engine::start(&db.pool, StartInput::new("ci.three")).with_context(request.clone()).await.unwrap().unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        let trace = of(&request).trace_id();
        let [send, one, two] = &spans(3, |span| span.span_context.trace_id() == trace).await[..] else { panic!() };
        assert_eq!((&*one.name, &*two.name), ("process ci.first", "process ci.second"));
        first.stop().await;
        second.stop().await;
        let output = python.terminate();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let lint: Value = serde_json::from_slice(&output.stdout).expect("one span");
        assert_eq!((&lint["name"], &lint["kind"]), (&json!("process ci.lint"), &json!("SpanKind.CONSUMER")));
        assert_eq!(lint["context"]["trace_id"], format!("0x{trace}"));
        for parent in [json!(one.parent_span_id.to_string()), json!(two.parent_span_id.to_string())] {
            assert_eq!(parent, send.span_context.span_id().to_string());
            assert_eq!(lint["parent_id"], format!("0x{}", parent.as_str().unwrap()));
        }
        assert_eq!(lint["attributes"]["pg_workflow.task"], "lint");
    })
    .await;
}

/// Sends the spans of worker.mjs to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.
const TO_COLLECTOR: &str = "
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] }).register();
";

/// A collector for OTLP in JSON over HTTP, which keeps all spans.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = spans.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(receive(client, kept.clone()));
            }
        });
        Collector { endpoint, spans }
    }

    /// Waits for this number of spans.
    async fn spans(&self, count: usize) -> Vec<Value> {
        until("all spans", async || {
            let spans = self.spans.lock().unwrap();
            (spans.len() >= count).then(|| spans.clone())
        })
        .await
    }
}

/// Receives requests until the client has no more.
async fn receive(client: TcpStream, spans: Arc<Mutex<Vec<Value>>>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let line = line(&mut client).await?;
        if line.is_empty() {
            return Ok(());
        }
        assert!(line.starts_with("POST /v1/traces "), "{line}");
        let body: Value = serde_json::from_slice(&body(&mut client).await?).unwrap();
        let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let scopes = all(&body, "resourceSpans").into_iter().flat_map(|resource| all(&resource, "scopeSpans"));
        spans.lock().unwrap().extend(scopes.flat_map(|scope| all(&scope, "spans")));
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").await?;
    }
}

async fn line(client: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    client.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// Reads the rest of a request: headers, and the body, with its length given or in chunks.
async fn body(client: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let (mut body, mut length) = (Vec::new(), None);
    loop {
        let header = line(client).await?.to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok(),
            Some(_) => {}
            None => break,
        }
    }
    loop {
        let size = match length {
            Some(length) => length,
            None => usize::from_str_radix(&line(client).await?, 16).unwrap(),
        };
        let read = body.len();
        body.resize(read + size, 0);
        client.read_exact(&mut body[read..]).await?;
        if length.is_some() {
            return Ok(body);
        }
        line(client).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Returns the attributes of a span, which OTLP gives with their types.
fn attributes(span: &Value) -> BTreeMap<String, Value> {
    let one = |pair: &Value| {
        let value = pair["value"].as_object().and_then(|value| value.values().next()).cloned();
        (pair["key"].as_str().unwrap_or_default().to_owned(), value.unwrap_or_default())
    };
    span["attributes"].as_array().into_iter().flatten().map(one).collect()
}

const FLAKY: &str = "
ref: ci.flaky
label: A build that fails once
version: 1.0.0
tasks:
  - {name: build, action: ci.build, input: {app: shop, broken_builds: 1}, retry: {count: 1, delay: 0}, on_success: lint}
  - {name: lint, action: ci.lint}
";

#[tokio::test]
async fn a_collector_gets_the_spans_of_the_node_worker() {
    with_database(async |db| {
        for action in ["ci.build", "ci.lint"] {
            let input = RegisterActionInput::new(action);
            Engine::register_action(&db.pool, input).await.unwrap();
        }
        Engine::define(&db.pool, FLAKY).await.unwrap();
        let collector = Collector::start().await;
        let exporting = installed().join("to-collector.mjs");
        std::fs::write(&exporting, TO_COLLECTOR).unwrap();
        let mut command = node();
        command.env("NODE_OPTIONS", format!("--import={}", exporting.display()));
        command.envs([("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint), ("WORKER_NAME", "n")]);
        let worker = Process::start(command, db);
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let traceparent = Some(format!("00-{trace}-{parent}-01"));
        let input = StartInput { traceparent, ..StartInput::new("ci.flaky") };
        let execution = Engine::start(&db.pool, input).await.unwrap().unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        let spans = collector.spans(3).await;
        assert_eq!(String::from_utf8_lossy(&worker.terminate().stderr), "");
        let [failed, again, lint] = &spans[..] else { panic!("{spans:#?}") };
        for (span, name, attempt) in
            [(failed, "process ci.build", 1), (again, "process ci.build", 2), (lint, "process ci.lint", 1)]
        {
            // 5 is a consumer.
            assert_eq!((&span["name"], &span["kind"]), (&json!(name), &json!(5)));
            let attributes = attributes(span);
            assert_eq!(attributes["messaging.system"], "pg_workflow");
            assert_eq!(attributes["messaging.client.id"], "n");
            assert_eq!(attributes["pg_workflow.workflow"], "ci.flaky");
            assert_eq!(attributes["pg_workflow.execution"], execution.to_string());
            assert_eq!(attributes["pg_workflow.attempt"], attempt);
        }
        for first in [failed, lint] {
            assert_eq!((&first["traceId"], &first["parentSpanId"]), (&json!(trace), &json!(parent)));
        }
        let message = "the registry does not answer";
        assert_eq!(failed["status"], json!({"code": 2, "message": message}));
        assert_eq!(attributes(failed)["error.type"], "Error");
        assert_ne!(again["traceId"], trace);
        assert_eq!(again["parentSpanId"], Value::Null);
        assert_eq!((&again["links"][0]["traceId"], &again["links"][0]["spanId"]), (&json!(trace), &json!(parent)));
    })
    .await;
}
