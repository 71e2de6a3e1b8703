//! Stored values: passed on unchanged if an expression names one as a whole, and read if it looks into one.

use conductor::bounds::Bounds;
use conductor::expression::opaque::{self, Source};
use conductor::expression::{Data, Sources, json_text, parse_json, unreadable};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// JSON text that counts how many times it is read, and reports a given size and depth.
struct Text {
    json: &'static str,
    bytes: usize,
    depth: usize,
    reads: Arc<AtomicUsize>,
}

impl Source for Text {
    fn read(&self) -> Data {
        self.reads.fetch_add(1, Ordering::Relaxed);
        parse_json(self.json).unwrap_or_else(unreadable)
    }

    fn is_list(&self) -> bool {
        self.json.starts_with('[')
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_deeper_than(&self, levels: usize) -> bool {
        self.depth > levels
    }
}

/// Returns the result of a template that sees the text as `x`, and how many times the text was read.
fn evaluated(template: &str, json: &'static str, bytes: usize, depth: usize) -> (Result<Data, String>, usize) {
    let reads = Arc::new(AtomicUsize::new(0));
    let x = opaque::data(Text { json, bytes, depth, reads: reads.clone() });
    let mut sources = Sources::default();
    let program = sources.add(template);
    let programs = sources.compile(Bounds::default()).expect("compiles");
    let result = programs.evaluate(program, &Data::from_pairs([("x", x)])).map_err(|error| error.message);
    let reads = reads.load(Ordering::Relaxed);
    (result, reads)
}

const OBJECT: &str = r#"{"b": [1, {"c": "d"}], "a": null}"#;

#[test]
fn one_that_is_named_as_a_whole_is_not_read() {
    for (template, json) in [("{{ x }}", OBJECT), (" {{ x }} ", "[1, 2]"), ("{{ x if true else 1 }}", OBJECT)] {
        let (result, reads) = evaluated(template, json, 10, 3);
        let result = result.expect("is data");
        assert_eq!(reads, 0, "{template}");
        assert_eq!(opaque::source::<Text>(&result).map(|source| source.json), Some(json), "{template}");
    }
}

#[test]
fn a_list_that_holds_one_does_not_read_it_either() {
    let (result, reads) = evaluated("{{ [x, x] }}", OBJECT, 10, 3);
    let result = result.expect("is data");
    assert_eq!(reads, 0);
    assert_eq!(json_text(&result), r#"[{"b":[1,{"c":"d"}],"a":null},{"b":[1,{"c":"d"}],"a":null}]"#);
}

#[test]
fn what_expressions_see_of_it_is_what_they_see_of_the_value() {
    let templates = [
        "{{ x.b[1].c }}",
        "{{ x['a'] }}",
        "{{ x.nothing is defined }}",
        "{{ 'b' in x }}",
        "{{ x | length }}",
        "{{ x | list }}",
        "{{ x | items | list }}",
        "{{ x | tojson }}",
        "{{ x == {'b': [1, {'c': 'd'}], 'a': none} }}",
        "{{ {'b': [1, {'c': 'd'}], 'a': none} == x }}",
        "{{ x is mapping }} {{ x is sequence }} {{ x is iterable }}",
        "{{ 1 if x else 2 }}",
        "it is {{ x }}",
        "{% for key in x %}{{ key }}{{ x[key] }}{% endfor %}",
        "{{ x | dictsort }}",
        "{{ x ~ x }}",
    ];
    let list = [
        "{{ x[1] }}",
        "{{ x[-1] }}",
        "{{ x[:2] }}",
        "{{ x | first }}",
        "{{ x + [1] }}",
        "{{ x | sort }}",
        "{{ x | sum }}",
    ];
    let cases =
        templates.iter().map(|template| (template, OBJECT)).chain(list.iter().map(|template| (template, "[3, 1, 2]")));
    for (template, json) in cases {
        let mut sources = Sources::default();
        let program = sources.add(template);
        let programs = sources.compile(Bounds::default()).expect("compiles");
        let plain = Data::from_pairs([("x", parse_json(json).expect("is JSON"))]);
        let expected = programs.evaluate(program, &plain).map(|data| json_text(&data)).map_err(|error| error.message);
        assert!(expected.is_ok() || *template == "{{ x + [1] }}", "{template}: {expected:?}");
        let (result, reads) = evaluated(template, json, 10, 3);
        assert_eq!(result.map(|data| json_text(&data)), expected, "{template}");
        assert!(reads <= 1, "{template}");
    }
}

#[test]
fn an_empty_value_is_false() {
    for json in ["{}", "[]"] {
        assert_eq!(evaluated("{{ 1 if x else 2 }}", json, 10, 1).0, Ok(Data::from(2)), "{json}");
    }
}

#[test]
fn one_too_large_or_too_deep_is_refused_unread() {
    let bounds = Bounds::default();
    let refused = |bytes, depth| match evaluated("{{ x }}", OBJECT, bytes, depth) {
        (Err(message), 0) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(bounds.output_bytes + 1, 1), "the value is too large");
    assert_eq!(refused(1, bounds.depth + 1), "the value is nested too deeply");
    assert!(evaluated("{{ x }}", OBJECT, bounds.output_bytes, bounds.depth).0.is_ok());
    // Inside a list it is one level deeper, and two take twice as much.
    assert!(evaluated("{{ [x] }}", OBJECT, 1, bounds.depth).0.is_err());
    assert!(evaluated("{{ [x, x] }}", OBJECT, bounds.output_bytes / 2, 1).0.is_err());
}

#[test]
fn one_that_cannot_be_read_fails_what_looks_into_it_and_says_why() {
    const TOO_LARGE: &str = r#"{"x": 1e400, "y": 1}"#;
    assert!(evaluated("{{ x }}", TOO_LARGE, 10, 1).0.is_ok());
    for template in
        ["{{ x.y }}", "{{ x['y'] }}", "{{ x | length }}", "{{ x | tojson }}", "is {{ x }}", "{{ 'y' in x }}"]
    {
        let (result, _) = evaluated(template, TOO_LARGE, 10, 1);
        assert!(result.is_err(), "{template}: {result:?}");
    }
    let message = evaluated("{{ x.y }}", TOO_LARGE, 10, 1).0.expect_err("cannot be read");
    assert!(message.contains("number out of range"), "{message}");
}
