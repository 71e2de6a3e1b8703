//! How `default` and `is defined` treat missing values.

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::engine::status::Status;
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::language::parse::parse;
use conductor::rehearsal::memory_host::Ledger;
use serde_json::json;
use std::sync::Arc;

/// Evaluates an expression in a workflow with the variable `x: {y: 1, nothing: null}`.
fn evaluate(expression: &str) -> Result<serde_json::Value, String> {
    let rest = format!(
        "vars: [{{x: {{y: 1, nothing: null}}}}]\ntasks: [{{name: a, publish: {{got: \"{{{{ {expression} }}}}\"}}}}, {{name: b, when: false}}]\n"
    );
    let source = workflow(&rest);
    let parsed = parse(&source, &Bounds::default());
    let graph = Graph::compile(parsed.valid().expect("parses"), Bounds::default()).expect("compiles");
    let ledger = Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()));
    match ledger.status() {
        Status::Completed => Ok(json!(ledger.variables)["got"].clone()),
        _ => Err(ledger.error_message().unwrap_or_default().to_owned()),
    }
}

#[test]
fn a_default_covers_every_name_of_a_path() {
    for path in [
        "vars.z",
        "vars.x.z",
        "vars.z.y",
        "vars.z.y.w",
        "vars['z'].y",
        "vars.z['y'].w",
        "task.c.result.id",
        "vars.x.y.z",
        "vars.x.nothing.z",
    ] {
        assert_eq!(evaluate(&format!("{path} | default(7)")), Ok(json!(7)), "{path}");
        assert_eq!(evaluate(&format!("{path} | d(7)")), Ok(json!(7)), "{path}");
        assert_eq!(evaluate(&format!("{path} is defined")), Ok(json!(false)), "{path}");
        assert_eq!(evaluate(&format!("{path} is undefined")), Ok(json!(true)), "{path}");
        let error = evaluate(path).unwrap_err();
        assert!(error.contains("undefined"), "{path}: {error}");
    }
    assert_eq!(evaluate("vars.x.y | default(7)"), Ok(json!(1)));
    assert_eq!(evaluate("vars.x.nothing | default(7)"), Ok(json!(null)));
    assert_eq!(evaluate("(vars.z.y if true else vars.x) | default(7)"), Ok(json!(7)));
}

#[test]
fn it_covers_nothing_that_is_computed() {
    for computed in ["(vars.z + 1) | default(7)", "(vars.z ~ 'a') | default(7)", "(vars.z | upper) | default(7)"] {
        assert!(evaluate(computed).is_err(), "{computed}");
    }
}
