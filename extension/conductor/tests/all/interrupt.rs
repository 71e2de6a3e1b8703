//! The host can stop the conductor anywhere: it is called often enough, and nothing is broken after it has stopped the
//! conductor.

use conductor::bounds::Bounds;
use conductor::expression::{Data, Sources, data, json_text, parse_json};
use conductor::graph::Graph;
use conductor::interrupt;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::schema::Schema;
use conductor::language::validate::check;
use serde_json::{Value, json};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// The call that unwinds.
    static LAST: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The panic payload of the host.
struct Stopped;

fn host() {
    interrupt::set(|| {
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() >= LAST.get() {
            resume_unwind(Box::new(Stopped));
        }
    });
    CALLS.set(0);
    LAST.set(u64::MAX);
}

/// Returns how many times the host is called during some work.
fn calls<T>(work: impl FnOnce() -> T) -> u64 {
    host();
    work();
    CALLS.get()
}

const LARGE: Bounds = Bounds {
    source_bytes: 16 << 20,
    depth: 64,
    alias_nodes: 1_000_000,
    tasks: 10_000,
    items: 1_000_000,
    expression_bytes: 64 << 10,
    template_fuel: 1_000_000_000,
    output_bytes: 256 << 20,
    context_bytes: 256 << 20,
    rewritten_bytes: 2000,
    context_changes: 8,
    workflow_depth: 10,
};

fn evaluate(source: &str, scope: &Data) -> Result<Data, String> {
    evaluate_with(source, scope, LARGE)
}

fn evaluate_with(source: &str, scope: &Data, bounds: Bounds) -> Result<Data, String> {
    let mut sources = Sources::default();
    let program = sources.add(source);
    let programs = sources.compile(bounds).map_err(|error| error.message)?;
    programs.evaluate(program, scope).map_err(|error| error.message)
}

fn scope() -> Data {
    let objects: Vec<Value> = (0..20_000).map(|i| json!({"a": i, "b": format!("x{i}")})).collect();
    let numbers: Vec<u32> = (0..20_000).collect();
    let map: serde_json::Map<String, Value> = (0..20_000).map(|i| (format!("k{i}"), json!(i))).collect();
    data(&json!({"o": objects, "n": numbers, "m": map, "t": "x ".repeat(1 << 17)}))
}

#[test]
fn every_filter_and_operator_that_walks_asks_at_each_step() {
    let scope = scope();
    for walk in [
        "n | sum",
        "n | max",
        "n | unique | length",
        "n | sort | length",
        "n | map('string') | length",
        "n | select('odd') | length",
        "o | selectattr('a', 'odd') | length",
        "o | map(attribute='b') | join(',') | length",
        "n | batch(3) | length",
        "n | reverse | length",
        "n | list | length",
        "n | zip(n) | list | length",
        "n | chain(n) | list | length",
        "n | tojson | length",
        "n | pprint | length",
        "n ~ ''",
        "n | string | length",
        "m | dictsort | length",
        "m | items | list | length",
        "m | tojson | length",
        "zip(n, n) | length",
        "debug(n) | length",
        "n == n[0:]",
        "n < n[0:]",
        "-1 in n",
        "n[1:] | list | length",
        "(n * 2)[30000]",
        "range(20000) | list | length",
        "range(20000)[19999]",
        "dict(m) == m",
        "o",
    ] {
        let asked = calls(|| evaluate(&format!("{{{{ {walk} }}}}"), &scope).expect(walk));
        assert!(asked >= 15_000, "{walk}: {asked}");
    }
}

#[test]
fn every_turn_of_a_loop_and_every_call_of_a_macro_asks() {
    let scope = scope();
    for (turns, source) in [
        (10_000, "{% for x in range(10000) %}{% set y = x %}{% endfor %}"),
        (10_000, "{% for x in range(10000) %}{% endfor %}"),
        (10_000, "{% for x in range(10000) if false %}{% endfor %}"),
        (10_000, "{% for x in range(10000) %}{{ 1 }}{% endfor %}"),
        (
            1 << 8,
            "{% macro f(n) %}{% if n %}{% set a = f(n - 1) %}{% set a = f(n - 1) %}{% endif %}{% endmacro %}{{ f(8) }}",
        ),
    ] {
        let asked = calls(|| evaluate(source, &scope).expect(source));
        assert!(asked >= turns, "{source}: {asked}");
    }
}

#[test]
fn what_walks_through_a_text_costs_fuel() {
    let scope = scope();
    let bounds = Bounds { template_fuel: 100_000, ..LARGE };
    for access in ["t[-1]", "t[200000]", "t[10:]", "t[-10:]", "t[:n[5]]", "t[::-1]", "t[n[0] - 1]"] {
        let source = format!("{{% for i in range(1000) %}}{{% set x = {access} %}}{{% endfor %}}");
        assert_eq!(evaluate_with(&source, &scope, bounds), Err("engine ran out of fuel".to_owned()), "{access}");
    }
    for slice in ["n[19990:]", "n[:2]", "(n * 1)[5]", "n[::-1]"] {
        let source = format!("{{% for i in range(1000) %}}{{% set x = {slice} %}}{{% endfor %}}");
        assert_eq!(evaluate_with(&source, &scope, bounds), Err("engine ran out of fuel".to_owned()), "{slice}");
    }
}

/// A list with ten thousand layers of laziness would overflow the stack.
#[test]
fn lazy_lists_do_not_pile_up() {
    let scope = data(&json!({}));
    for next in ["L[0:]", "L | reverse", "L * 1", "L + [1]", "[1] + L", "L | chain([1])", "L | batch(1) | first"] {
        for (first, last) in
            [("[1]", next.replace('L', "ns.l")), ("[[1]]", format!("[{}]", next.replace('L', "ns.l[0]")))]
        {
            let source = format!(
                "{{% set ns = namespace(l={first}) %}}{{% for i in range(2000) %}}{{% set ns.l = {last} %}}{{% endfor %}}\
                 {{{{ ns.l | length }}}}"
            );
            let ended = std::thread::scope(|threads| {
                let work = std::thread::Builder::new().stack_size(512 << 10);
                work.spawn_scoped(threads, || evaluate(&source, &scope)).unwrap().join().unwrap()
            });
            assert!(ended.is_ok(), "{source}: {ended:?}");
        }
    }
}

#[test]
fn what_cannot_be_stopped_on_its_way_has_a_bound() {
    let scope = data(&json!({"t": "x".repeat(5 << 20), "n": (0..100_001).collect::<Vec<u32>>()}));
    for expression in ["t | upper", "t | list", "t | map('upper')", "n | sort", "'' | replace('x', t)", "t * 10 ~ t"] {
        let refused = evaluate(&format!("{{{{ ({expression}) | length }}}}"), &scope).expect_err(expression);
        assert!(refused.contains("allowed here") || refused.contains("cannot sort"), "{expression}: {refused}");
    }
    // A value that is only passed on, or put into a text, has no limit except that of the output.
    assert_eq!(evaluate("{{ t }}", &scope).map(|value| value.as_str().map(str::len)), Ok(Some(5 << 20)));
    assert_eq!(evaluate("{{ t }}{{ t }}", &scope).map(|value| value.as_str().map(str::len)), Ok(Some(10 << 20)));
}

#[test]
fn reading_and_writing_json_asks_for_every_few_bytes() {
    let text = json_text(&data(&json!((0..200_000).collect::<Vec<u32>>())));
    let value: Value = serde_json::from_str(&text).unwrap();
    let read = parse_json(&text).unwrap();
    let few = text.len() as u64 >> 15;
    assert!(calls(|| parse_json(&text).unwrap()) >= few);
    assert!(calls(|| json_text(&read)) >= few);
    assert!(calls(|| conductor::json::from_text::<Value>(&text).unwrap()) >= few);
    assert!(calls(|| conductor::json::to_text(&value).unwrap()) >= few);
    assert!(calls(|| conductor::engine::variables::bytes(&read)) >= few);
    assert!(calls(|| data(&value)) >= 200_000);
    assert!(calls(|| conductor::expression::json(&read)) >= 200_000);
}

fn definition(rest: &str) -> String {
    format!("ref: test.it\nlabel: It\nversion: \"1\"\n{rest}")
}

#[test]
fn reading_and_checking_a_definition_asks_for_every_value() {
    let many = |part: &str, count: usize| part.repeat(count);
    let chain: String = (0..2000).map(|i| format!("{{name: t{i}, on_success: t{}}},", i + 1)).collect();
    for (values, rest) in [
        (100_000, format!("vars: [{{x: [{}]}}]\ntasks: [{{name: a}}]", many("1,", 100_000))),
        (20_000, format!("tasks: [{{name: a, action: ci.a, input: [{}]}}]", many("'{{ parameters.x }}',", 20_000))),
        (2000, format!("tasks: [{chain}{{name: t2000}}]")),
        (20_000, format!("tasks: [{{name: a, on_success: [{}]}}]", many("noop,", 20_000))),
    ] {
        let source = definition(&rest);
        let asked = calls(|| check(&source, &EmptyCatalogue, &LARGE));
        assert!(asked >= 2 * values, "{asked} of {values}: {}", &rest[..100]);
        if let Some(definition) = check(&source, &EmptyCatalogue, &LARGE).definition {
            let asked = calls(|| Graph::compile(&definition, LARGE).map(drop));
            assert!(asked >= values, "{asked} of {values}: {}", &rest[..100]);
        }
    }
    for too_much in [
        format!("tasks: [{{name: a, on_success: [{}]}}]", many("noop,", 100_001)),
        format!("vars: [{{x: [{}]}}]\ntasks: [{{name: a}}]", many("1,", 500_001)),
        format!("{}tasks: [{{name: a}}]", many("\n", 2 << 20)),
        format!("{}tasks: [{{name: a}}]", many("  # x\n", 1 << 18)),
    ] {
        let refused = check(definition(&too_much), &EmptyCatalogue, &LARGE).findings;
        assert_eq!(refused[0].code.to_string(), "WF009", "{refused:?}");
    }
}

#[test]
fn checking_a_value_against_its_schema_asks_for_every_part() {
    let list = json!((0..50_000).collect::<Vec<u32>>());
    let map = json!((0..50_000).map(|i| (format!("k{i}"), json!(i))).collect::<serde_json::Map<_, _>>());
    for (schema, value) in [
        (json!({"items": {"type": "string"}}), &list),
        (json!({"items": {"enum": ["a", 1]}}), &list),
        (json!({"contains": {"const": -1}}), &list),
        (json!({"additionalProperties": {"type": "string"}}), &map),
        (json!({"propertyNames": {"pattern": "^x"}}), &map),
    ] {
        let compiled = Schema::compile(&schema).unwrap();
        // The cost is worked out first, in as many steps.
        let asked = calls(|| assert!(!compiled.violations(value).list.is_empty()));
        assert!(asked >= 2 * 50_000, "{schema}: {asked}");
    }
}

#[test]
fn the_report_of_a_wrong_value_is_bounded() {
    let text = "y".repeat(10_000);
    let value = json!((0..1000).map(|_| json!({ &text: &text })).collect::<Vec<_>>());
    let schema = json!({"items": {"additionalProperties": {"type": "integer"}}});
    let violations = Schema::compile(&schema).unwrap().violations(&value);
    let bytes: usize = violations.list.iter().map(|one| one.path.len() + one.message.len()).sum();
    assert_eq!(violations.list.len() + violations.more, 1000);
    assert!(bytes < 20_000, "{bytes}");
}

#[test]
fn schemas_and_what_they_match_have_a_bound() {
    let large = json!({"enum": (0..30_000).collect::<Vec<u32>>()});
    assert!(Schema::compile(&large).is_err());
    let pattern = Schema::compile(&json!({"pattern": "^(a|b)*$"})).unwrap();
    assert!(pattern.violations(&json!("a".repeat(60_000))).list.is_empty());
    assert!(!pattern.violations(&json!("a".repeat(70_000))).list.is_empty());
}

/// After being stopped at any moment, the same programs, schemas and definitions work as before.
#[test]
fn nothing_is_broken_after_it_was_stopped() {
    let numbers: Vec<u32> = (0..5000).collect();
    let objects: Vec<Value> = (0..5000).map(|i| json!({"a": i})).collect();
    let map: serde_json::Map<String, Value> = (0..5000).map(|i| (format!("k{i}"), json!(i))).collect();
    let scope = data(&json!({"o": objects, "n": numbers, "m": map}));
    let mut sources = Sources::default();
    let ids: Vec<_> = [
        "{{ o | groupby('a') | length }}",
        "{{ n | map('string') | unique | sort | join | length }}",
        "{% set ns = namespace(a=[]) %}{% for i in n %}{% set ns.a = [i] %}{% endfor %}{{ ns.a }}",
        "{{ m | dictsort | tojson | length }}",
    ]
    .map(|source| sources.add(source))
    .into();
    let programs = sources.compile(LARGE).unwrap();
    let schema = Schema::compile(&json!({"items": {"type": "integer"}, "uniqueItems": true})).unwrap();
    let value = json!((0..1000).collect::<Vec<u32>>());
    let source = definition("vars: [{x: [1, 2, 3]}]\ntasks: [{name: a, on_success: b}, {name: b}]");
    let work = || {
        let evaluated: Vec<_> = ids.iter().map(|id| programs.evaluate(*id, &scope)).collect();
        let checked = check(&source, &EmptyCatalogue, &LARGE);
        let graph =
            checked.definition.map(|definition| Graph::compile(&definition, LARGE).map(|graph| graph.nodes.len()));
        (evaluated, schema.violations(&value), checked.findings, graph)
    };
    host();
    let expected = format!("{:?}", work());
    let all = CALLS.get();
    for part in 0..50 {
        host();
        LAST.set(1 + all * part / 50);
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err_and(|thrown| thrown.is::<Stopped>()), "{part}");
    }
    host();
    assert_eq!(format!("{:?}", work()), expected);
}
