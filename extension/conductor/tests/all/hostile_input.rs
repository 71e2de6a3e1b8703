//! Whatever bytes come in, the result is findings, in a short time, and never a panic or a stack overflow.

use std::time::{Duration, Instant};

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::finding::Finding;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use proptest::prelude::*;

/// Checks a source on as little stack as a backend may have left, with a time limit: on an idle machine each takes less
/// than a second, even unoptimized; the limit leaves room for a busy one.
#[track_caller]
fn answered_within(source: Vec<u8>, bounds: Bounds) -> Vec<Finding> {
    let started = Instant::now();
    let work = move || check(&source, &EmptyCatalogue, &bounds).findings;
    let findings = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    println!("{:?} {:?}", started.elapsed(), std::panic::Location::caller());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    findings
}

#[track_caller]
fn first(source: impl AsRef<[u8]>) -> String {
    let findings = answered_within(source.as_ref().to_vec(), Bounds::default());
    findings.first().map_or("none".to_owned(), |finding| finding.code.to_string())
}

/// Limits that let a large source reach the parser.
fn generous() -> Bounds {
    Bounds { source_bytes: 64 << 20, ..Bounds::default() }
}

#[test]
fn ten_megabytes() {
    let source = workflow(&format!("description: {}\ntasks: [{{name: a}}]\n", "x".repeat(10 << 20)));
    assert_eq!(first(&source), "WF009");
}

#[test]
fn megabytes_where_the_bound_was_raised() {
    let source = workflow(&format!("description: {}\ntasks: [{{name: a}}]\n", "x".repeat(3 << 20)));
    assert!(answered_within(source.into_bytes(), generous()).is_empty());
    let tasks: String = (0..60_000).map(|i| format!("  - {{name: t{i}, action: ci.build}}\n")).collect();
    let findings = answered_within(workflow(&format!("tasks:\n{tasks}")).into_bytes(), generous());
    assert_eq!(findings[0].code.to_string(), "WF009");
}

#[test]
fn a_hundred_thousand_brackets() {
    for bracket in ["[", "{", "- ", "? ", "{a: ", "[{", "!!seq [", "&a ["] {
        let source = workflow(&format!("tasks: {}", bracket.repeat(100_000)));
        assert!(["WF009", "WF001"].contains(&first(&source).as_str()), "{bracket}: {}", first(&source));
    }
    let deep: String = (0..1000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert_eq!(first(format!("x:\n{deep}")), "WF009");
}

#[test]
fn alias_bombs() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..60 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
    }
    assert_eq!(first(&bomb), "WF009");
    assert_eq!(first("a: &a [*a]"), "WF001");
    assert_eq!(first("a: &a {b: *a}"), "WF001");
    let merges = "a: &a {x: 1}\n".to_owned() + &"b: {<<: [*a, *a]}\n".repeat(9000);
    assert_eq!(first(merges), "WF009");
}

#[test]
fn duplicate_keys_by_the_thousand() {
    assert_eq!(first("a: 1\n".repeat(100_000)), "WF002");
    assert_eq!(first(workflow(&format!("tasks: [{{name: a{}}}]", ", when: true".repeat(50_000)))), "WF002");
}

#[test]
fn unknown_fields_by_the_thousand() {
    let fields: String = (0..80_000).map(|i| format!("f{i}: 1\n")).collect();
    let findings = answered_within(fields.into_bytes(), Bounds::default());
    assert!(findings.len() <= 1000);
}

#[test]
fn bytes_that_are_not_text() {
    assert_eq!(first(b"ref: \xff\xfe"), "WF001");
    assert_eq!(first(b"\xff\xfer\x00e\x00f\x00"), "WF001");
    assert_eq!(first(b"ref: a\x00b"), "WF001");
    let findings = answered_within(b"ref: test.it\nlabel: \xe4".to_vec(), Bounds::default());
    assert_eq!((findings[0].line, findings[0].column), (2, 8));
}

#[test]
fn tabs_a_byte_order_mark_and_every_kind_of_line_end() {
    let source = workflow("tasks:\n  - name: a\n    action: ci.build\n");
    assert_eq!(first(format!("\u{feff}{source}")), "none");
    assert_eq!(first(source.replace('\n', "\r\n")), "none");
    assert_eq!(first(source.replace('\n', "\r")), "none");
    assert_eq!(
        first(
            "{\t\"ref\":\t\"test.it\",\n\t\"label\": \"It\",\n\t\"version\": \"1\",\n\t\"tasks\": [\n\t\t{\"name\": \"a\"}\n\t]\n}"
        ),
        "none"
    );
    assert_eq!(first("ref: test.it\n\tlabel: It\n"), "WF001");
}

#[test]
fn expressions_with_ten_thousand_terms() {
    let input = |expression: &str| {
        workflow(&format!("tasks: [{{name: a, action: ci.a, input: {{x: '{{{{ {expression} }}}}'}}}}]"))
    };
    let large = Bounds { expression_bytes: 1 << 20, ..generous() };
    for expression in [
        format!("1{}", " + 1".repeat(10_000)),
        format!("a{}", ".b".repeat(10_000)),
        format!("a{}", " | upper".repeat(10_000)),
        format!("{}a", "not ".repeat(10_000)),
        format!("{}1", "-".repeat(10_000)),
        format!("{}a", "a if a else ".repeat(10_000)),
        format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        "(".repeat(100_000),
        format!("{}a{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}a{}", "f(".repeat(10_000), ")".repeat(10_000)),
        format!("a{}", "()".repeat(10_000)),
        format!("a{}", "[0]".repeat(10_000)),
    ] {
        let source = input(&expression);
        assert_eq!(first(&source), "WF009");
        let findings = answered_within(source.into_bytes(), large);
        assert_eq!(findings[0].code.to_string(), "WF009");
    }
    let blocks = format!("{}{}", "{% if a %}".repeat(5000), "{% endif %}".repeat(5000));
    let findings = answered_within(
        workflow(&format!("tasks: [{{name: a, action: ci.a, input: {{x: '{blocks}'}}}}]")).into_bytes(),
        large,
    );
    assert_eq!(findings[0].code.to_string(), "WF009");
}

#[test]
fn decisions_whose_guards_would_grow_without_end() {
    let entries: String = (0..20_000).map(|_| "{when: '{{ parameters }}', next: noop},").collect();
    assert_eq!(first(workflow(&format!("tasks: [{{name: a, decision: [{entries}]}}]"))), "WF009");
}

#[test]
fn names_of_every_kind_and_length() {
    for name in [
        "n".repeat(300),
        "a.b".to_owned(),
        "a'b\"c".to_owned(),
        "\u{202e}x".to_owned(),
        "'; DROP TABLE x; --".to_owned(),
    ] {
        let name = serde_json::to_string(&name).unwrap();
        assert_eq!(first(workflow(&format!("tasks: [{{name: {name}}}]"))), "WF008", "{name}");
    }
    let source = workflow(&format!("? {}\n: 1\ntasks: [{{name: a}}]\n", "k".repeat(500_000)));
    let findings = answered_within(source.into_bytes(), Bounds::default());
    assert!(findings[0].message.len() < 1000 && findings[0].path.len() < 1000, "{:?}", findings[0]);
}

#[test]
fn graphs_as_dense_as_the_bounds_allow() {
    let all: Vec<String> = (0..400).map(|i| format!("t{i}")).collect();
    let tasks =
        all.iter().map(|name| format!("{{name: {name}, on_success: [{}]}},", all.join(","))).collect::<String>();
    assert_eq!(first(workflow(&format!("tasks: [{tasks}]"))), "WF105");
    let mut chain = String::new();
    for i in 0..999 {
        chain += &format!("{{name: t{i}, action: ci.a, publish: {{v{i}: 1}}, on_success: t{}}},", i + 1);
    }
    let reads: String =
        (0..999).map(|i| format!("a{i}: '{{{{ vars.v{i} }}}}', b{i}: '{{{{ task.t{i}.result }}}}',")).collect();
    assert_eq!(first(workflow(&format!("tasks: [{chain} {{name: t999, action: ci.a, input: {{{reads}}}}}]"))), "none");
    let publishes: String = (0..40_000).map(|i| format!("v{i}: 1,")).collect();
    let cycle: String = (0..300)
        .map(|i| {
            format!(
                "{{name: c{i}, action: ci.a, next: [{{when: '{{{{ result() }}}}', do: [c{}, c{}]}}]}},",
                (i + 1) % 300,
                (i * 7) % 300
            )
        })
        .collect();
    let source = workflow(&format!("tasks: [{{name: s, on_success: c0, publish: {{{publishes}}}}}, {cycle}]"));
    answered_within(source.into_bytes(), Bounds::default());
}

/// Questions about each pair of tasks: which of them are parallel, have run, and see each other's variables.
#[test]
fn a_thousand_tasks_that_all_ask_about_each_other() {
    let names: Vec<String> = (0..999).map(|i| format!("t{i}")).collect();
    let task = |i: usize, sugar: &str, to: &str| {
        let read = (i + 500) % 999;
        format!(
            "{{name: t{i}, action: ci.a, input: {{x: '{{{{ vars.x }}}}', y: '{{{{ task.t{read}.result }}}}'}}, \
             publish: {{x: 1, x{i}: 1}}, {sugar}: [{to}]}},"
        )
    };
    let tasks =
        |sugar: &str, to: &dyn Fn(usize) -> String| -> String { (0..999).map(|i| task(i, sugar, &to(i))).collect() };
    let near = |i: usize| (1..99).map(|k| names[(i + k) % 999].clone()).collect::<Vec<_>>().join(",");
    let choices: String = (0..999).map(|i| format!("{{when: '{{{{ result() == {i} }}}}', do: t{i}}},")).collect();
    let start = format!("{{name: s, action: ci.a, next: [{choices}]}}");
    for tasks in [
        format!("{} {start}", tasks("on_failure", &near)),
        format!("{} {start}", tasks("on_complete", &near)),
        format!("{} {start}", tasks("on_failure", &|_| "t0".to_owned())),
        format!("{} {{name: h}}", tasks("on_failure", &|_| "h".to_owned())),
    ] {
        let output = "output_map: {x: '{{ task.t5.result }}', y: '{{ vars.x7 }}'}";
        let source = workflow(&format!("vars: {{x: 1}}\ntasks: [{tasks}]\n{output}\n"));
        answered_within(source.into_bytes(), Bounds::default());
    }
}

#[test]
fn a_map_of_a_hundred_thousand_templates() {
    let input: String = (0..60_000).map(|i| format!("k{i}: '{{{{ x }}}}',")).collect();
    let findings = answered_within(
        workflow(&format!("tasks: [{{name: a, action: ci.a, input: {{{input}}}}}]")).into_bytes(),
        generous(),
    );
    assert!(findings.len() <= 1000 && findings[0].code.to_string() == "WF302");
}

#[test]
fn schemas_as_deep_as_the_bounds_allow() {
    let nested =
        |key: &str, n: usize| format!("{}{}", format!("{{{key}: ").repeat(n), "{}".to_owned() + &"}".repeat(n));
    for key in ["not", "items", "additionalProperties", "if"] {
        for n in [20, 60, 200] {
            first(workflow(&format!("parameters: {}\ntasks: [{{name: a}}]", nested(key, n))));
        }
    }
    let chain: String = (0..2000).map(|i| format!("d{i}: {{$ref: '#/$defs/d{}'}},", i + 1)).collect();
    let source = format!(
        "parameters: {{$defs: {{{chain} d2000: {{}}}}, properties: {{x: {{$ref: '#/$defs/d0', default: 1}}}}}}\ntasks: [{{name: a}}]"
    );
    first(workflow(&source));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        check(&text, &EmptyCatalogue, &Bounds::default());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes, &EmptyCatalogue, &Bounds::default());
    }

    #[test]
    fn no_shuffled_workflow_makes_it_panic(parts in prop::collection::vec(prop::sample::select(PARTS), 0..40)) {
        check(parts.concat(), &EmptyCatalogue, &Bounds::default());
        check(workflow(&parts.concat()), &EmptyCatalogue, &Bounds::default());
    }

    #[test]
    fn no_expression_makes_it_panic(parts in prop::collection::vec(prop::sample::select(TOKENS), 0..30)) {
        let text = serde_json::to_string(&parts.concat()).unwrap_or_default();
        let source = format!("tasks: [{{name: a, action: ci.a, when: {text}, input: {{x: {text}}}, decision: [{{when: {text}, next: noop}}]}}]");
        check(workflow(&source), &EmptyCatalogue, &Bounds::default());
    }
}

const PARTS: &[&str] = &[
    "tasks:",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "name: a",
    "name: b",
    "action: ci.build",
    "{",
    "}",
    "[",
    "]",
    ", ",
    ": ",
    "on_success: b",
    "next: ",
    "when: ",
    "'{{ succeeded() }}'",
    "\"{{ vars.x }}\"",
    "do: ",
    "publish: ",
    "x: 1",
    "with_items: ",
    "items: ",
    "retry: ",
    "count: 1",
    "decision: ",
    "default: true",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    ">\n",
    "? ",
    "!!str ",
    "!x ",
    "# c",
    "---\n",
    "'",
    "\"",
    "\\",
    "join: all",
    "é",
    "\t",
    "\r\n",
    "vars: ",
    "parameters: ",
    "type: object",
    "properties: ",
    "$ref: '#'",
    "output_map: ",
    "1.5",
    "null",
];

#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "{{", "}}", "{%", "%}", "{#", "#}", " ", "vars", ".", "x", "[", "]", "(", ")", "'", "\"", "|", "default", "is ",
    "defined", "not ", "and ", "or ", "if ", "else ", "for ", "in ", "endfor", "endif", "set ", "=", "==", "-", "+",
    "**", "1", "1.5", ",", ":", "{", "}", "result()", "task.a", "__x", "<%", "%>", "\\", "é", "\n", "~", "macro m(",
    "endmacro", "raw", "endraw", "-%}", "{%-", "&&", "|| ", "?", "!", "${{", "task_status('a')", "task.a.status",
    "system.verdict", "'failed'", "('a', 'b')", "parameters.p",
];
