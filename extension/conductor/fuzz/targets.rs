//! The fuzz targets. An input is survived if neither of these panics, hangs or grows without limit.

use conductor::bounds::Bounds;
use conductor::expression::{Data, Sources, json_text};
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use conductor::rehearsal::{Script, rehearse};
use std::sync::{Arc, OnceLock};

/// Small limits, so that they are soon exceeded.
fn bounds() -> Bounds {
    Bounds {
        source_bytes: 16 << 10,
        tasks: 100,
        expression_bytes: 2 << 10,
        template_fuel: 20_000,
        output_bytes: 64 << 10,
        ..Bounds::default()
    }
}

/// A definition's text: parsed, validated and, if nothing is wrong, compiled.
pub fn definition(bytes: &[u8]) {
    let bounds = bounds();
    let checked = check(bytes, &EmptyCatalogue, &bounds);
    for finding in &checked.findings {
        assert!(finding.line >= 1 && finding.column >= 1, "{finding:?}");
    }
    if let Some(definition) = checked.definition {
        let compiled = Graph::compile(&definition, bounds);
        assert!(compiled.is_ok(), "what validation passes must compile: {:?}", compiled.err());
    }
}

/// A test file: read, checked and, if nothing is wrong, played.
pub fn script(bytes: &[u8]) {
    static GRAPH: OnceLock<Arc<Graph>> = OnceLock::new();
    let graph = GRAPH.get_or_init(|| {
        let checked = check(include_str!("../../../examples/deploy.yaml"), &EmptyCatalogue, &Bounds::default());
        let definition = checked.definition.expect("the example is valid");
        Arc::new(Graph::compile(&definition, bounds()).expect("the example compiles"))
    });
    let bounds = bounds();
    let (script, mut findings) = Script::read(bytes, &bounds);
    if findings.is_empty() {
        findings = script.check(graph, &bounds);
    }
    for finding in &findings {
        assert!(finding.line >= 1 && finding.column >= 1, "{finding:?}");
    }
    for test in script.tests.iter().filter(|_| findings.is_empty()) {
        rehearse(&script, test, graph);
    }
}

/// An expression: compiled, and evaluated within limits.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let bounds = bounds();
    let mut sources = Sources::default();
    let program = sources.add(text);
    let Ok(programs) = sources.compile(bounds) else { return };
    let list = Data::from(vec![Data::from(1), Data::from("two"), Data::from(())]);
    let vars = Data::from_pairs([("n", Data::from(1)), ("text", Data::from("text")), ("list", list)]);
    let scope = Data::from_pairs([("vars", vars.clone()), ("parameters", vars), ("item", Data::from(7))]);
    if let Ok(value) = programs.evaluate(program, &scope) {
        // Escapes may take six bytes for one, and a value's overhead besides its text may exceed the limit.
        assert!(json_text(&value).len() <= 8 * bounds.output_bytes, "{text}");
    }
}
