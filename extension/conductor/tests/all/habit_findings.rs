//! Constructs written out of habit from other languages get a helpful hint.

use crate::support::{checked, error, hint, valid, warning, workflow};

/// A workflow with one action whose input has this expression.
fn input(expression: &str) -> String {
    workflow(&format!(
        "parameters: {{required: [a, b], properties: {{a: {{}}, b: {{}}}}}}\ntasks: [{{name: t, action: ci.t, input: {{x: \"{{{{ {expression} }}}}\"}}}}]"
    ))
}

#[track_caller]
fn hints(code: &str, expression: &str, expected: &str) {
    let finding = error(code, &input(expression));
    assert!(hint(&finding).contains(expected), "{finding:?}");
}

#[test]
fn operators_of_other_languages() {
    let (a, b) = ("parameters.a", "parameters.b");
    hints("WF301", &format!("{a} §&& {b}"), "write `and`");
    hints("WF301", &format!("{a} §& {b}"), "write `and`");
    hints("WF301", &format!("{a} |§| {b}"), "write `or`");
    hints("WF301", &format!("§!{a}"), "write `not`");
    hints("WF301", &format!("{a} §? 1 : 2"), "a if condition else b");
    hints("WF301", &format!("{a} §?? 1"), "default");
    hints("WF301", &format!("{a} ==§= 1"), "write `==`");
    hints("WF301", &format!("{a} !=§= 1"), "write `!=`");
    hints("WF301", &format!("{a} <§> 1"), "write `!=`");
    hints("WF301", &format!("{a} §= 1"), "write `==`");
    hints("WF301", "§$name", "without `$`");
    hints("WF301", "§`x`", "quotes");
    hints("WF301", &format!("[x §for x in {a}]"), "selectattr");
    hints("WF301", &format!("{{{{ {a} §}}}}"), "inner braces");
    hints("WF301", &format!("if §{a} then 1 else 2"), "a if condition else b");
    hints("WF301", &format!("{a} §contains 'x'"), "a in b");
    for right in ["and", "or", "==", "!=", "in", "~", "//"] {
        valid(&input(&format!("{a} {right} {b}")));
    }
    valid(&input(&format!("1 if not {a} else 2")));
}

#[test]
fn names_and_functions_of_other_languages() {
    for null in ["null", "NULL", "nil"] {
        hints("WF302", &format!("parameters.a == §{null}"), "write `none`");
    }
    hints("WF302", "parameters.a == §TRUE", "write `true`");
    hints("WF302", "§inputs.a", "parameters.NAME");
    hints("WF302", "§steps.t.outputs", "task.NAME.result");
    hints("WF305", "§len(parameters.a)", "x | length");
    hints("WF305", "§int(parameters.a)", "x | int");
    hints("WF305", "§str(parameters.a)", "x | string");
    hints("WF305", "§toJSON(parameters.a)", "tojson");
    hints("WF305", "§fromjson(parameters.a)", "data already");
    hints("WF305", "§success()", "succeeded()");
    hints("WF305", "§ctx().x", "vars.NAME");
    hints("WF305", "parameters.a | §json", "tojson");
    hints("WF305", "parameters.a | §loads", "data already");
    hints("WF305", "parameters.a is §null", "is none");
    hints("WF305", "parameters.a is §empty", "not x");
    hints("WF305", "parameters.a.§strip()", "| trim");
    hints("WF305", "parameters.a.§lower()", "| lower");
    hints("WF305", "parameters.a.§get('x')", "default");
    hints("WF305", "parameters.a.§startswith('x')", "startingwith");
    for right in [
        "None",
        "none",
        "True",
        "false",
        "parameters.a | length",
        "parameters.a | int + 1",
        "parameters.a | string | trim | lower",
        "parameters.a | items | map('last') | list",
        "parameters.a | tojson",
        "parameters.a is startingwith('x')",
        "parameters.a is none",
        "parameters.a + [1]",
    ] {
        valid(&input(right));
    }
}

#[test]
fn wf312_a_dollar_before_the_braces() {
    let with = |value: &str| workflow(&format!("tasks: [{{name: t, action: ci.t, input: {{x: '{value}'}}}}]"));
    let finding = warning("WF312", &with("§${{ 1 }}"));
    assert_eq!(hint(&finding), "write {{ … }} without `$`");
    valid(&with("costs ${{ 1 }}"));
    valid(&with("{{ 1 }}"));
    let finding = error("WF006", &workflow("tasks: [{name: t, when: §'${{ true }}'}]"));
    assert_eq!(hint(&finding), "write \"{{ true }}\"");
}

#[test]
fn fields_of_other_languages() {
    let task =
        |field: &str| workflow(&format!("tasks: [{{name: s, on_success: t}}, {{name: t, action: ci.t, §{field}}}]"));
    for (field, expected) in [
        ("needs: [s]", "on_success"),
        ("depends_on: [s]", "on_success"),
        ("if: true", "`when:"),
        ("with: {x: 1}", "`input:`"),
        ("foreach: [1]", "`with_items:`"),
        ("loop: [1]", "`with_items:`"),
        ("on_error: s", "`on_failure:`"),
        ("retries: 3", "retry: {count"),
        ("run: make", "`action:"),
        ("uses: ci.t", "`action:"),
    ] {
        let finding = error("WF003", &task(field));
        assert!(hint(&finding).contains(expected), "{finding:?}");
    }
    let transition = workflow("tasks: [{name: t, next: [{§to: t}]}]");
    assert_eq!(hint(&error("WF003", &transition)), "write `do:`");
    let retry = workflow("tasks: [{name: t, action: ci.t, retry: {count: 1, §max_attempts: 3}}]");
    assert!(hint(&error("WF003", &retry)).contains("`count:`"));
    let steps = checked(workflow("steps: [{name: t}]")).findings;
    let unknown = steps.iter().find(|finding| finding.code.to_string() == "WF003").map(hint);
    assert_eq!(unknown, Some("write `tasks:`"));
}
