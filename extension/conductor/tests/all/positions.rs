//! Line and column point at the exact character, however the text around it is written.

use crate::support::{checked, error, unmarked, workflow};
use proptest::prelude::*;

fn input(value: &str) -> String {
    workflow(&format!("tasks:\n  - name: a\n    action: ci.build\n    input:\n      x: {value}\n"))
}

#[test]
fn in_plain_scalars() {
    error("WF302", &input("text {{ vars.§x }}"));
    error("WF302", &input("text\n        on two lines {{ vars.§x }}"));
    error("WF302", &input("text\n\n\n        after blank lines {{ vars.§x }}"));
}

#[test]
fn in_single_quotes() {
    error("WF302", &input("'{{ vars.§x }}'"));
    error("WF302", &input("'it''s, it''s {{ vars.§x }}'"));
    error("WF302", &input("'two\n\n         lines {{ vars.§x }}'"));
}

#[test]
fn in_double_quotes() {
    error("WF302", &input("\"{{ vars.§x }}\""));
    error("WF302", &input(r#""\t\"\u00e9\x41\U0001F600\n {{ vars.§x }}""#));
    error("WF302", &input(r#""\uD83D\uDE00 é😀 {{ vars.§x }}""#));
    error("WF302", &input("\"a line \\\n         goes on {{ vars.§x }}\""));
    error("WF302", &input("\"folded\n        \\  {{ vars.§x }}\""));
}

#[test]
fn in_block_scalars() {
    error("WF302", &input("|\n        one\n        two {{ vars.§x }}\n"));
    error("WF302", &input("|2- # a comment with {{\n        one\n          more {{ vars.§x }}\n"));
    error("WF302", &input(">-\n        one\n        two {{ vars.§x }}\n"));
    error("WF302", &input(">\n        one\n\n          kept {{ 1 }}\n        two {{ vars.§x }}\n"));
}

#[test]
fn in_nested_flow_style() {
    error("WF302", &input("{a: [1, {b: ['x', \"{{ vars.§x }}\"]}]}"));
    error("WF302", &input("[{\n        a: 1,\n        b: [\n      '{{ vars.§x }}'\n   ]}]"));
}

#[test]
fn in_json_on_one_line() {
    error(
        "WF302",
        r#"{"ref":"test.it","label":"It","version":"1","tasks":[{"name":"a","action":"c-i.b","input":{"q\"":"\n{{ vars.§x }}"}}]}"#,
    );
}

#[test]
fn with_characters_of_several_bytes_before_it() {
    error("WF302", &input("{é: '😀 {{ vars.§x }}'}"));
}

#[test]
fn with_windows_line_ends_and_a_byte_order_mark() {
    let (source, line, column) = unmarked(&input("|\n        one\n        {{ vars.§x }}\n"));
    for source in [source.replace('\n', "\r\n"), source.replace('\n', "\r"), format!("\u{feff}{source}")] {
        let findings = checked(&source).findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].line, findings[0].column), (line, column), "{source:?}");
    }
}

#[test]
fn of_an_anchor_for_what_an_alias_repeats() {
    let source =
        "tasks:\n  - {name: a, action: ci.a, input: &i {x: '{{ vars.§x }}'}}\n  - {name: b, action: ci.b, input: *i}\n";
    let (source, line, column) = unmarked(&workflow(source));
    let findings = checked(&source).findings;
    let places: Vec<_> = findings.iter().map(|f| (f.line, f.column, f.task.as_deref())).collect();
    assert_eq!(places, [(line, column, Some("a")), (line, column, Some("b"))]);
}

#[test]
fn merged_keys_keep_their_place() {
    error(
        "WF302",
        &workflow(
            "tasks:\n  - {name: a, action: ci.a, input: &i {y: 1}}\n  - {name: b, action: ci.b, input: {<<: *i, x: '{{ vars.§x }}'}}\n",
        ),
    );
}

/// Writes a text in one of the ways that YAML allows.
fn written(text: &str, style: usize, indent: &str) -> String {
    match style {
        0 => format!("'{}'", text.replace('\'', "''").replace('\n', "\n\n")),
        1 => serde_json::to_string(text).unwrap_or_default(),
        2 => format!("|-\n{}", text.split('\n').map(|line| format!("{indent}{line}\n")).collect::<String>()),
        _ => format!(">-\n{}", text.split('\n').map(|line| format!("{indent}{line}\n\n")).collect::<String>()),
    }
}

proptest! {
    #[test]
    fn an_expression_is_found_where_it_stands(
        before in "[a-zé😀'\"\\\\#:]([a-zé😀 '\"\\\\#:-]{0,12}[a-z'\"]\n){0,3}[a-z] ?",
        after in "( [a-z'\"]{0,5}|)",
        style in 0usize..4,
    ) {
        let text = format!("{before}{{{{ vars.§x }}}}{after}");
        let source = input(&written(&text, style, "        "));
        let (source, line, column) = unmarked(&source);
        let findings = checked(&source).findings;
        prop_assert_eq!(findings.len(), 1, "{:?}\n{}", findings, source);
        prop_assert_eq!((findings[0].line, findings[0].column), (line, column), "{}", source);
    }
}
