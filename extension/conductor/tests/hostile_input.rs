//! Whatever bytes come in, the result is findings, in a short time, and never a panic or a stack overflow.

mod support;

use std::time::{Duration, Instant};

use conductor::expression::{Data, Sources};
use conductor::finding::Finding;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use conductor::limits::Limits;
use proptest::prelude::*;
use support::workflow;

/// Checks a source on as little stack as a backend may have left, with a time limit: on an idle machine each takes less
/// than a second, even unoptimized; the limit leaves room for a busy one.
#[track_caller]
fn answered_within(source: Vec<u8>, limits: Limits) -> Vec<Finding> {
    let started = Instant::now();
    let work = move || check(&source, &EmptyCatalogue, &limits).findings;
    let findings = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    println!("{:?} {:?}", started.elapsed(), std::panic::Location::caller());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    findings
}

#[track_caller]
fn first(source: impl AsRef<[u8]>) -> String {
    let findings = answered_within(source.as_ref().to_vec(), Limits::default());
    findings.first().map_or("none".to_owned(), |finding| finding.code.to_string())
}

/// Limits that let a big source through to the parser.
fn generous() -> Limits {
    Limits { source_bytes: 64 << 20, ..Limits::default() }
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
    let findings = answered_within(fields.into_bytes(), Limits::default());
    assert!(findings.len() <= 1000);
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(first(b"ref: \xff\xfe"), "WF001");
    assert_eq!(first(b"\xff\xfer\x00e\x00f\x00"), "WF001");
    assert_eq!(first(b"ref: a\x00b"), "WF001");
    let findings = answered_within(b"ref: test.it\nlabel: \xe4".to_vec(), Limits::default());
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
    let large = Limits { expression_bytes: 1 << 20, ..generous() };
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
    let findings = answered_within(source.into_bytes(), Limits::default());
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
    answered_within(source.into_bytes(), Limits::default());
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
        answered_within(source.into_bytes(), Limits::default());
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

/// Evaluates a template on as little stack as a backend may have left, with a time limit, whatever the result.
#[track_caller]
fn evaluated_within(source: &str) -> Result<Data, String> {
    evaluated_with(source, Limits::default().template_fuel)
}

#[track_caller]
fn evaluated_with(source: &str, template_fuel: u64) -> Result<Data, String> {
    let started = Instant::now();
    let text = source.to_owned();
    let work = move || {
        let mut sources = Sources::default();
        let program = sources.add(&text);
        let programs = sources.compile(Limits { template_fuel, ..Limits::default() }).map_err(|error| error.message)?;
        let vars = Data::from_pairs([("n", Data::from(100_000_000)), ("few", Data::from(vec![1, 2, 3]))]);
        programs.evaluate(program, &Data::from_pairs([("vars", vars)])).map_err(|error| error.message)
    };
    let result = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}: {source}", started.elapsed());
    result
}

/// For many evaluations that may each use all of it.
const LITTLE_FUEL: u64 = 10_000;

/// A list repeated a hundred million times, written so that it is found when compiling and when running, and lists that
/// contain another one many times.
const LONG_LISTS: &[(&str, &str)] = &[
    ("", "([1] * 100000000)"),
    ("", "([1] * vars.n)"),
    ("", "(vars.few * 30000000)"),
    ("", "([[['x'] * 10000] * 10000] * 10000)"),
    ("{% set a = [1] * 100000 %}{% set b = [a, a] * 10000 %}", "b"),
    ("{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}", "ns.a"),
];

#[test]
fn no_list_is_walked_through_for_nothing() {
    const WALKS: &[&str] = &[
        "{l} ~ ''",
        "'' ~ {l}",
        "{l} | string",
        "{l} | tojson",
        "{l} | pprint",
        "{l} | join",
        "{l} | join(',')",
        "[1] | join({l})",
        "{l} | list | string",
        "{l} | sort",
        "{l} | unique",
        "{l} | map('string') | list",
        "{l} | map('abs') | sum",
        "{l} | select('eq', {l}) | list",
        "{l} | reject('in', [{l}]) | list",
        "{l} | sum",
        "{l} | min",
        "{l} | max",
        "{l} | reverse | list",
        "{l} | batch(2)",
        "{l} | slice(2)",
        "{l} | last",
        "{l} | groupby('a')",
        "{l} | dictsort",
        "{l} | upper",
        "{l} | trim",
        "{l} | replace('1', '2')",
        "'x' | replace({l}, '2')",
        "'%s' | format({l})",
        "{l} | chain({l}) | list",
        "{l} | zip({l}) | list",
        "zip({l}, {l})",
        "debug({l})",
        "dict(a={l}) | tojson",
        "{l} == {l} | list",
        "[{l}] == [{l}]",
        "{l} < {l}",
        "1 < {l} < 2",
        "{l} != {l}",
        "2 in {l}",
        "{l} in [{l}, 1]",
        "{l} not in [[2], {l}]",
        "{l} is eq({l})",
        "2 is in({l})",
        "{l} is sameas({l})",
        "{{l}: 1}",
        "{'a': 1}[{l}]",
        "{l}[::-1]",
        "{l}[99999999]",
        "{l} + {l}",
        "{l}",
        "f(*{l})",
    ];
    for (before, list) in LONG_LISTS {
        for walk in WALKS {
            let expression = format!("{{{{ {} }}}}", walk.replace("{l}", list));
            // Some end with an error and some turn out to be short: what counts is that all end.
            let _ = evaluated_with(&format!("{before}{expression}"), LITTLE_FUEL);
            let _ = evaluated_with(&format!("{before}{expression}A"), LITTLE_FUEL);
        }
    }
}

#[test]
fn what_is_written_out_without_end_is_refused() {
    let refused = |source: &str| evaluated_within(source).expect_err(source);
    for (before, list) in LONG_LISTS {
        for walk in ["{l} ~ ''", "{l} | string", "{l} | tojson", "{l}", "{l} == {l}", "[{l}] | join"] {
            let source = format!("{before}{{{{ {} }}}}A", walk.replace("{l}", list));
            evaluated_with(&source, LITTLE_FUEL).expect_err(&source);
        }
    }
    assert_eq!(refused("{{ [1] * 100000000 }}A"), "engine ran out of fuel");
    assert_eq!(refused("{{ [1] * 100000000 }}"), "the value is too large");
    assert_eq!(refused("{% for i in range(20) %}{{ 'x' * 1000000 }}{% endfor %}"), "the text is too long");
    refused("{{ 'x' * 100000000 }}A");
    refused("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = ns %}{{ ns }}");
    refused("{{ debug() }}");
}

#[test]
fn a_number_asks_for_no_more_than_memory_has_however_much_fuel_there_is() {
    for source in [
        "{{ range(100000) | slice(1000000000) | length }}",
        "{{ [1] | slice(1000000000) }}",
        "{{ [1] | batch(1000000000, 0) | length }}",
        "{{ 'x' | indent(4000000000) | length }}",
        "{{ 'x' | indent(width=4000000000, first=true) | length }}",
        "{{ '%1000000000d' | format(1) | length }}",
        "{{ '%.999999999f' | format(1.5) | length }}",
        "{{ '%-99999999999999999999s' | format('x') | length }}",
        "{{ [[1]] | tojson(1000000000) | length }}",
        "{{ [[1]] | tojson(indent=1000000000) | length }}",
    ] {
        let message = evaluated_with(source, 1_000_000_000).expect_err(source);
        assert!(message.contains("at most"), "{source}: {message}");
    }
    for (source, text) in [
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
        ("{{ 'a\nb' | indent(width=1, first=true) }}", " a\n b"),
        ("{{ '%05.1f|%s' | format(2.25, 'x') }}", "002.2|x"),
        ("{{ [1, 2, 3] | slice(2) | tojson }}", "[[1, 2], [3]]"),
        ("{{ [1, 2, 3] | batch(2, 0) | tojson }}", "[[1, 2], [3, 0]]"),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
    ] {
        assert_eq!(evaluated_within(source).unwrap().to_string(), text, "{source}");
    }
}

#[test]
fn what_is_walked_through_with_each_item_is_paid_for_each_time() {
    // Lists that differ in their last item: each comparison walks through the whole list.
    let lists = "{% set a = [1] * 2000 %}{% set items = [a + [2]] * 1000 %}{% set others = [a + [3]] * 1000 %}";
    let refused = |expression: &str| {
        let source = format!("{lists}{{{{ {expression} }}}}");
        assert_eq!(evaluated_within(&source), Err("engine ran out of fuel".to_owned()), "{expression}");
    };
    refused("items | select('in', others) | list | length");
    refused("items | reject('in', others) | list | length");
    refused("items | map('select', 'in', others) | list | length");
    // Values other than text are converted to text for each item.
    refused("range(100000) | select('startingwith', others) | list | length");
    refused("([{'a': 'x'}] * 1000) | selectattr('a', 'startingwith', others) | list | length");
    refused("([{'a': 'x'}] * 1000) | rejectattr('a', 'startingwith', others) | list | length");
    refused("range(1000) | map('replace', 'x', others) | list | length");
}

#[test]
fn what_grows_deeper_with_each_turn_is_refused() {
    let deeper = "{% set ns = namespace(a=[]) %}{% for i in range(100000) %}{% set ns.a = [ns.a] %}{% endfor %}";
    assert_eq!(
        evaluated_within(&format!("{deeper}{{{{ ns.a }}}}")).unwrap_err(),
        "invalid operation: the value is nested too deeply"
    );
    let recursive = "{% macro f(n) %}{{ f([n]) }}{% endmacro %}{{ f(0) }}";
    evaluated_within(recursive).unwrap_err();
}

#[test]
fn what_is_large_but_bounded_is_allowed() {
    let length = |source: &str| evaluated_within(source).map(|value| value.len().unwrap_or(0));
    assert_eq!(length("{{ [1] * 10000 }}"), Ok(10_000));
    assert_eq!(length("{{ ([1] * 10000) | join }}"), Ok(10_000));
    assert_eq!(length("{{ ([1] * 10000) ~ '' }}"), Ok(30_000));
    assert_eq!(length("{{ ([1] * 10000) | tojson }}A"), Ok(30_001));
    assert_eq!(length("{{ range(10000) | select('in', range(100) | list) | list }}"), Ok(100));
    assert_eq!(
        length("{{ ([{'a': 'ok'}] * 10000) | selectattr('a', 'equalto', 'ok') | map(attribute='a') | list }}"),
        Ok(10_000)
    );
    let gathered = "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = ns.l + [i] %}{% endfor %}";
    assert_eq!(evaluated_within(&format!("{gathered}{{{{ ns.l | length }}}}")), Ok(Data::from("1000")));
    assert_eq!(evaluated_within("{{ 1 < vars.n <= 100000000 and 2 in vars.few }}"), Ok(Data::from(true)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        check(&text, &EmptyCatalogue, &Limits::default());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes, &EmptyCatalogue, &Limits::default());
    }

    #[test]
    fn no_shuffled_workflow_makes_it_panic(parts in prop::collection::vec(prop::sample::select(PARTS), 0..40)) {
        check(parts.concat(), &EmptyCatalogue, &Limits::default());
        check(workflow(&parts.concat()), &EmptyCatalogue, &Limits::default());
    }

    #[test]
    fn no_expression_makes_it_panic(parts in prop::collection::vec(prop::sample::select(TOKENS), 0..30)) {
        let text = serde_json::to_string(&parts.concat()).unwrap_or_default();
        let source = format!("tasks: [{{name: a, action: ci.a, when: {text}, input: {{x: {text}}}, decision: [{{when: {text}, next: noop}}]}}]");
        check(workflow(&source), &EmptyCatalogue, &Limits::default());
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
