//! Whatever an expression computes, evaluating it ends in a short time, within its budget and without a stack overflow.

use conductor::bounds::Bounds;
use conductor::expression::{Data, Sources};
use std::time::{Duration, Instant};

/// Evaluates a template on as little stack as a backend may have left, with a time limit, whatever the result.
#[track_caller]
fn evaluated_within(source: &str) -> Result<Data, String> {
    evaluated_with(source, Bounds::default().template_fuel)
}

#[track_caller]
fn evaluated_with(source: &str, template_fuel: u64) -> Result<Data, String> {
    let started = Instant::now();
    let text = source.to_owned();
    let work = move || {
        let mut sources = Sources::default();
        let program = sources.add(&text);
        let programs = sources.compile(Bounds { template_fuel, ..Bounds::default() }).map_err(|error| error.message)?;
        let vars = Data::from_pairs([("n", Data::from(100_000_000)), ("few", Data::from(vec![1, 2, 3]))]);
        programs.evaluate(program, &Data::from_pairs([("vars", vars)])).map_err(|error| error.message)
    };
    let result = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}: {source}", started.elapsed());
    result
}

/// For many evaluations that may each use all of it.
const LITTLE_FUEL: u64 = 10_000;

/// A list repeated a hundred million times, written so that the length is found at compile time or at run time, and
/// lists that contain another one many times.
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
