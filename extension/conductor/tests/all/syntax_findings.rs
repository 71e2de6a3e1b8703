//! WF001 to WF009: each provoked, and each narrowly avoided.

use crate::support::{codes, error, hint, valid, workflow};
use conductor::bounds::Bounds;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;

#[test]
fn wf001_text_that_is_not_yaml() {
    error("WF001", "ref: test.it\nlabel: §'It");
    error("WF001", "ref: [test.it\nlabel§: It\n");
    valid(&workflow("tasks: [{name: a}]"));
}

#[test]
fn wf001_a_tab_that_indents_says_so() {
    let finding = error("WF001", "ref: test.it\ntasks:\n§\t- name: a\n");
    assert!(finding.message.contains("tab") || hint(&finding).contains("spaces"), "{finding:?}");
}

#[test]
fn wf001_an_empty_source() {
    for source in ["§", "§# nothing\n", "§\n\n"] {
        assert_eq!(codes(&source.replace('§', "")), ["WF001"], "{source}");
    }
}

#[test]
fn wf001_a_second_document() {
    error("WF001", "ref: test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]\n§---\nref: test.other\n");
    valid("---\nref: test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]\n...\n");
}

#[test]
fn wf001_an_unknown_alias() {
    let finding = error("WF001", &workflow("tasks: [{name: a, action: ci.build, input: {a: §*nothing}}]"));
    assert!(hint(&finding).contains("quote"));
    valid(&workflow("tasks: [{name: a, action: ci.build, input: {a: &x [1], b: *x}}]"));
}

#[test]
fn wf002_a_key_twice() {
    let finding = error("WF002", &workflow("tasks: [{name: a}]\n§label: Other\n"));
    assert_eq!(finding.message, "duplicate key `label`, first given on line 2");
    error("WF002", &workflow("tasks:\n  a: {}\n  §a: {}\n"));
    valid(&workflow("tasks:\n  a: {}\n  b: {}\n"));
}

#[test]
fn wf003_an_unknown_field_with_the_nearest_known_one() {
    let finding = error("WF003", &workflow("tasks: [{name: a, §actoin: ci.build}]"));
    assert_eq!(hint(&finding), "did you mean `action`?");
    assert_eq!(finding.path, "tasks[0].actoin");
    assert_eq!(finding.task.as_deref(), Some("a"));
    error("WF003", &workflow("tasks: [{name: a}]\n§output_mapp: []\n"));
    error("WF003", &workflow("tasks: [{name: a, action: ci.build, retry: {count: 1, §dellay: 3}}]"));
    error("WF003", &workflow("tasks: [{name: a, next: [{§if: true, do: []}]}]"));
    let finding = error("WF003", &workflow("tasks: [{name: a, §completely_different: 1}]"));
    assert!(hint(&finding).starts_with("valid: `name`, `action`"));
}

#[test]
fn wf004_a_missing_field() {
    error("WF004", "§label: It\nversion: 1.0.0\ntasks: [{name: a}]");
    error("WF004", "§ref: test.it\nversion: 1.0.0\ntasks: [{name: a}]");
    error("WF004", "§ref: test.it\nlabel: It\ntasks: [{name: a}]");
    error("WF004", "§ref: test.it\nlabel: It\nversion: 1.0.0\n");
    error("WF004", &workflow("tasks: [§{action: ci.build}]"));
    error("WF004", &workflow("tasks: [{name: a, action: ci.build, retry: §{delay: 1}}]"));
    error("WF004", &workflow("tasks: [{name: a, action: ci.build, with_items: §{concurrency: 1}}]"));
    error("WF004", &workflow("tasks: [{name: a, wait_for: §{timeout: 1}}]"));
    error("WF004", &workflow("tasks: [{name: a, decision: [§{default: true}]}]"));
}

#[test]
fn wf005_a_wrong_type() {
    error("WF005", "§[]");
    error("WF005", "§text");
    error("WF005", &workflow("tasks: §3"));
    error("WF005", &workflow("tasks: [§a]"));
    error("WF005", &workflow("tasks: [{name: a}]\ntags: §ci\n"));
    error("WF005", &workflow("tasks: [{name: a}]\nvars: §3\n"));
    error("WF005", &workflow("tasks: [{name: a}]\nparameters: §[]\n"));
    error("WF005", &workflow("tasks: [{name: a}]\nmax_visits: §[1]\n"));
    error("WF005", &workflow("tasks: [{name: a, action: ci.build, input: §[1]}]"));
    error("WF005", &workflow("tasks: [{name: a, action: ci.build, with_items: §7}]"));
    assert_eq!(hint(&error("WF005", &workflow("tasks: [{name: a, action: ci.build, retry: §3}]"))), "write {count: …}");
    error("WF005", &workflow("tasks: [{name: a, on_success: §7}, {name: b}]"));
    error("WF005", &workflow("tasks: [{name: a, next: §b}]"));
    error("WF005", &workflow("tasks: [{name: a, publish: [§x]}]"));
    valid(&workflow(
        "tags: []\nvars: {}\nparameters: {}\nmax_visits: 1\ntasks: [{name: a, next: []}, {name: b, publish: []}]",
    ));
}

#[test]
fn wf005_text_where_a_boolean_or_number_must_be_and_the_other_way_round() {
    let finding = error("WF005", &workflow("tasks: [{name: a}]\nenabled: §yes\n"));
    assert!(hint(&finding).contains("true or false"));
    let finding = error("WF005", &workflow("tasks: [{name: a, priority: §'5'}]"));
    assert_eq!(hint(&finding), "remove the quotes");
    let finding = error("WF005", "ref: test.it\nlabel: §12\nversion: 1.0.0\ntasks: [{name: a}]");
    assert_eq!(hint(&finding), "put it in quotes: \"12\"");
    valid("ref: test.it\nlabel: It\nversion: 1.10\nenabled: false\ntasks: [{name: a, priority: -5}]");
}

#[test]
fn wf005_an_expression_without_quotes_says_what_is_missing() {
    let with = |value: &str| {
        workflow(&format!(
            "parameters: {{required: [x], properties: {{x: {{}}}}}}\ntasks: [{{name: a, action: ci.build, input: {{x: {value}}}}}]"
        ))
    };
    let finding = error("WF005", &with("§{{ parameters.x }}"));
    assert!(hint(&finding).contains("in quotes"), "{finding:?}");
    valid(&with("'{{ parameters.x }}'"));
    // Other errors are found all the same, including those in the expression.
    let findings =
        crate::support::checked(workflow("tasks:\n  - name: a\n    actoin: ci.build\n    when: {{ vars.x }}\n"))
            .findings;
    let found: Vec<_> = findings.iter().map(|found| (found.code.to_string(), found.line, found.column)).collect();
    let expected = [("WF003", 6, 5), ("WF005", 7, 11), ("WF302", 7, 19)];
    assert_eq!(found, expected.map(|(code, line, column)| (code.to_owned(), line, column)));
}

#[test]
fn wf006_a_bad_value() {
    error("WF006", &workflow("tasks: [{name: a}]\ntimeout: §soon\n"));
    error("WF006", &workflow("tasks: [{name: a}]\ntimeout: §0\n"));
    error("WF006", &workflow("tasks: [{name: a}]\ntimeout: §1.5\n"));
    error("WF006", &workflow("tasks: [{name: a}]\nmax_visits: §0\n"));
    error("WF006", &workflow("tasks: [{name: a}]\ncancellation_policy: §allow_finsh\n"));
    error("WF006", &workflow("tasks: [{name: a, delay: §-1}]"));
    error("WF006", &workflow("tasks: [{name: a, join: §some}]"));
    error("WF006", &workflow("tasks: [{name: a, join: §0}]"));
    error("WF006", &workflow("tasks: [{name: a, priority: §99999999999}]"));
    error("WF006", &workflow("tasks: [{name: a, action: ci.build, input: {x: §.inf}}]"));
    error("WF006", &workflow("tasks: [{name: a, action: ci.build, input: {x: §!!binary aGk=}}]"));
    for retry in ["count: §-1", "count: 1, backoff: §slow", "count: 1, jitter: §1.1", "count: 1, factor: §-1"] {
        error("WF006", &workflow(&format!("tasks: [{{name: a, action: ci.build, retry: {{{retry}}}}}]")));
    }
    let items =
        ["concurrency: §0", "batch_size: §0", "on_item_failure: §stop", "max_failures: §-1", "max_failures: §101%"];
    for items in items {
        error(
            "WF006",
            &workflow(&format!("tasks: [{{name: a, action: ci.build, with_items: {{items: [1], {items}}}}}]")),
        );
    }
    valid(&workflow(
        "timeout: 1\nmax_visits: 1\ncancellation_policy: allow_finish\ntasks:\n  - {name: a, action: ci.build, delay: 0.5, \
         retry: {count: 0, backoff: linear, jitter: 1, factor: 0}}\n  - {name: b, action: ci.build, with_items: {items: [1], \
         concurrency: 1, batch_size: 1, on_item_failure: continue, max_failures: 100%}}\n",
    ));
}

#[test]
fn wf006_a_condition_without_braces_says_how_to_write_it() {
    let finding = error("WF006", &workflow("tasks: [{name: a, next: [{when: §succeeded(), do: b}]}, {name: b}]"));
    assert_eq!(hint(&finding), "write \"{{ succeeded() }}\"");
    error("WF006", &workflow("tasks: [{name: a, when: §'{{ true }} and {{ false }}'}]"));
    valid(&workflow("tasks: [{name: a, next: [{when: '{{ succeeded() }}', do: b}, {when: true, do: b}]}, {name: b}]"));
}

#[test]
fn wf006_items_over_text() {
    error("WF006", &workflow("tasks: [{name: a, action: ci.build, with_items: §abc}]"));
    error("WF005", &workflow("tasks: [{name: a, action: ci.build, with_items: {items: §{a: 1}}}]"));
    error("WF004", &workflow("tasks: [{name: a, action: ci.build, with_items: §{items: null}}]"));
    valid(&workflow("tasks: [{name: a, action: ci.build, with_items: [1, 2]}]"));
}

#[test]
fn wf007_a_bad_ref() {
    let finding = error("WF007", "ref: §Test.It\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]");
    assert_eq!(hint(&finding), "write `test.it`");
    for action in ["build", "ci.", ".build", "ci..build", "ci build", "c.build", "1ci.build", "ci.bùild"] {
        error("WF007", &workflow(&format!("tasks: [{{name: a, action: §'{action}'}}]")));
    }
    valid(&workflow("tasks: [{name: a, action: c-i_2.build.all-4}, {name: b, action: '{{ \"ci.build\" }}'}]"));
}

#[test]
fn wf008_a_bad_name() {
    let long = "n".repeat(129);
    for name in ["a b", "a.b", "a'b", "a\"b", "1a", "-a", "é", &long] {
        error("WF008", &workflow(&format!("tasks:\n  - name: §{}\n", serde_json::to_string(name).unwrap())));
    }
    error("WF008", &workflow("vars:\n  - §a b: 1\ntasks: [{name: a}]"));
    error("WF008", &workflow("tasks: [{name: a, publish: {§a.b: 1}}]"));
    valid(&workflow(&format!("tasks: [{{name: A-b_1}}, {{name: {}}}, {{name: _a}}]", "n".repeat(128))));
}

#[test]
fn wf009_a_bound_exceeded() {
    let bounds = Bounds { source_bytes: 100, depth: 6, alias_nodes: 10, tasks: 2, items: 3, ..Bounds::default() };
    let found = |source: &str, bounds: &Bounds| {
        let findings = check(source, &EmptyCatalogue, bounds).findings;
        findings.iter().map(|finding| finding.code.to_string()).collect::<Vec<_>>()
    };
    let tasks =
        |n: usize| workflow(&format!("tasks: [{}]", (0..n).map(|i| format!("{{name: t{i}}},")).collect::<String>()));
    assert_eq!(found(&tasks(2), &bounds), Vec::<String>::new());
    assert_eq!(found(&tasks(3), &bounds), ["WF009"]);
    assert_eq!(found(&"#".repeat(101), &bounds), ["WF009"]);
    let bounds = Bounds { source_bytes: 10_000, ..bounds };
    let items = |n: usize| workflow(&format!("tasks: [{{name: a, action: ci.b, with_items: [{}]}}]", "1,".repeat(n)));
    assert_eq!(found(&items(3), &bounds), Vec::<String>::new());
    assert_eq!(found(&items(4), &bounds), ["WF009"]);
    let input = |input: &str| workflow(&format!("tasks: [{{name: a, action: ci.b, input: {{x: {input}}}}}]"));
    assert_eq!(found(&input("[[1]]"), &bounds), Vec::<String>::new());
    assert_eq!(found(&input("[[[1]]]"), &bounds), ["WF009"]);
    assert_eq!(found(&input("&x [1,2,3,4], y: [*x, *x]"), &bounds), Vec::<String>::new());
    assert_eq!(found(&input("&x [1,2,3,4], y: [*x, *x, *x]"), &bounds), ["WF009"]);
    assert_eq!(found(&input("&x [1], y: [*x]"), &bounds), Vec::<String>::new());
    assert_eq!(found(&input("&x [[1]], y: [*x]"), &bounds), ["WF009"]);
}

#[test]
fn all_mistakes_are_found_at_once_in_the_order_of_their_places() {
    let source = "ref: Test\nlable: It\nversion: 1.0.0\ntimeout: soon\ntasks:\n  - {name: a b, acton: x}\n  - 7\n";
    assert_eq!(codes(source), ["WF004", "WF007", "WF003", "WF006", "WF008", "WF003", "WF005"]);
}

#[test]
fn wf006_a_task_that_waits_and_works() {
    let finding = error("WF006", &workflow("tasks: [{name: a, action: ci.build, wait_for: §{signal: go}}]"));
    assert_eq!(hint(&finding), "use one task for the work and another one for the wait");
    valid(&workflow("tasks: [{name: a, wait_for: {signal: go}, input: {what: it}}]"));
}
