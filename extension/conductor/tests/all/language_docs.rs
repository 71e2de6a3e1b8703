//! docs/language.md and docs/workflow.schema.json are correct.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{codes, valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::data;
use conductor::graph::Graph;
use conductor::language::editor_schema;
use conductor::testing::memory_host::{Ledger, RowStatus, TaskRow};
use serde_json::{Value, json};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Returns the YAML blocks of docs/language.md.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(docs().join("language.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Returns a source as JSON, as an editor sees it.
fn json(source: &str) -> Value {
    let (source, defects) = conductor::source::Source::read(source.as_bytes(), &Default::default());
    assert!(defects.is_empty(), "{defects:?}");
    source.value(source.root().unwrap())
}

#[test]
fn every_example_is_a_valid_workflow() {
    let examples = examples();
    assert!(examples.len() >= 18);
    let refs: HashSet<String> = examples.iter().map(|example| valid(example).reference).collect();
    assert_eq!(refs.len(), examples.len(), "each has a ref of its own");
}

#[test]
fn every_example_runs_to_its_end() {
    let parameters = json!({"app": "shop", "copies": 2, "env": "prod", "regions": ["eu", "us"], "name": "ada"});
    let result =
        json!({"image": "shop:1", "url": "http://shop", "load": 0.5, "done": true, "rows": [1, 2], "by": "ada"});
    for example in examples() {
        let definition = valid(&example);
        let graph = Graph::compile(&definition, Bounds::default()).unwrap();
        let mut run = Ledger::start(Arc::new(graph), data(&parameters));
        for _ in 0..1000 {
            if let Some(due) = run.rows.iter().find(|row| row.status == RowStatus::Delayed).and_then(|row| row.due) {
                run.wait(due - run.now);
            }
            if let Some(name) = run
                .rows
                .iter()
                .find(|row| row.begun && row.status == RowStatus::Ready)
                .and_then(|row| row.signal.clone())
            {
                run.signal(&name, None, Some(data(&result))).unwrap();
            }
            let Some(row) = run.rows.iter().position(TaskRow::is_claimable) else { break };
            run.claim(row).unwrap();
            run.report(row, TaskEnd::Completed, Some(data(&result))).unwrap();
        }
        assert_eq!(run.status(), Status::Completed, "{}: {:?}", definition.reference, run.error_message());
        assert_eq!(run.check(), Vec::<String>::new());
    }
}

#[test]
fn the_schema_in_the_docs_is_the_one_of_the_parser() {
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(docs().join("workflow.schema.json")).unwrap()).unwrap();
    let remedy = "cargo run -p pg_workflow_cli -- check --schema > docs/workflow.schema.json";
    assert!(kept == editor_schema::schema(), "regenerate it: {remedy}");
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let schema = jsonschema::validator_for(&editor_schema::schema()).unwrap();
    let mut sources = examples();
    sources.push(workflow(
        "timeout: PT1H\ntasks:\n  - {name: a, action: '{{ vars.x }}', delay: '{{ 1 }}', timeout: 1h30m, join: 2, when: true}\n  \
         - {name: b, next: [{when: false, do: 'a, fail'}], with_items: [1], retry: {count: '{{ 1 }}', delay: 0.5}}\n",
    ));
    for source in sources {
        let errors: Vec<String> = schema.iter_errors(&json(&source)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{source}");
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let schema = jsonschema::validator_for(&editor_schema::schema()).unwrap();
    for rest in [
        "tasks: []",
        "tasks: {}",
        "tasks: [{name: a b}]",
        "tasks: [{action: ci.build}]",
        "tasks: [{name: a, action: Build}]",
        "tasks: [{name: a, acton: ci.build}]",
        "tasks: [{name: a, input: [1]}]",
        "tasks: [{name: a, when: succeeded()}]",
        "tasks: [{name: a, join: 0}]",
        "tasks: [{name: a, next: [], on_success: a}]",
        "tasks: [{name: a, next: [{if: true}]}]",
        "tasks: [{name: a, action: ci.a, retry: {delay: 1}}]",
        "tasks: [{name: a, action: ci.a, with_items: text}]",
        "tasks: [{name: a, decision: [{next: a}]}]",
        "tasks: [{name: a, timeout: soon}]",
        "tasks: [{name: a}]\nmax_visits: 0",
        "tasks: [{name: a}]\ncancellation_policy: never",
        "tasks: [{name: a}]\nunknown: 1",
    ] {
        let source = workflow(rest);
        assert!(!codes(&source).is_empty(), "{source}");
        assert!(!schema.is_valid(&json(&source)), "{source}");
    }
}

#[test]
fn every_code_is_in_the_table() {
    let page = std::fs::read_to_string(docs().join("language.md")).unwrap();
    for (first, last) in [(1, 9), (101, 118), (201, 208), (301, 314), (401, 405), (501, 508)] {
        for code in first..=last {
            assert!(page.contains(&format!("| WF{code:03} |")), "WF{code:03}");
        }
    }
}
