//! `pg-workflow import orquesta`.

use std::path::PathBuf;
use std::process::{Command, Output};

const ORDER: &str = r#"version: 1.0
description: Handle an order
input:
  - order
  - currency: EUR
  - Attempts: 3
vars:
  - receipt: null
  - total: <% ctx(order).lines.select($.price).sum() %>
tasks:
  charge:
    action: Shop.Charge amount=<% ctx().total %> note="for <% ctx(order).name %>"
    retry: {when: <% failed() %>, count: <% ctx(Attempts) %>, delay: 5}
    next:
      - when: <% succeeded() and result().ok = true %>
        publish:
          - receipt: <% result().id %>
        do: [ship lines, mail]
      - when: <% failed() %>
        publish: currency=none why="<% result().message %>"
        do: mail, fail
  ship lines:
    with:
      items: line, box in <% zip(ctx(order).lines, range(0, 3)) %>
      concurrency: 2
    action: shop.ship
    input:
      line: <% item(line).id %>
      box: "{{ item('box') }}"
    next:
      - do: approve
  approve:
    action: core.ask
    input:
      ttl: 60
      users: [me]
      schema:
        properties:
          approved: {type: boolean, required: true}
    next:
      - when: <% succeeded() and result().response.approved %>
        do: mail
  mail:
    join: all
    action: shop.mail
    input:
      text: "{{ ctx('receipt') | default('none') }} in {{ ctx().currency }}"
      by: <% task(approve).result.response.by %>
  wait:
    action: core.noop
    delay: 3
output:
  - receipt: <% ctx().receipt %>
"#;

const IMPORTED: &str = r#"ref: shop.order
label: Handle an order
version: "1.0.0"
description: Handle an order
parameters:
  type: object
  properties:
    order:
      default: null
    currency:
      default: EUR
    Attempts:
      default: 3
vars:
  - currency: "{{ parameters.currency }}"
  - why: null
  - receipt: null
  - total: "{{ ((parameters.order.lines | map(attribute='price') | list) | sum) }}"
tasks:
  - name: charge
    action: shop.charge
    input:
      amount: "{{ vars.total }}"
      note: "for {{ parameters.order.name }}"
    retry:
      when: "{{ failed() }}"
      count: "{{ parameters.Attempts }}"
      delay: 5
    next:
      - when: "{{ succeeded() and (result().ok == true) }}"
        publish:
          - receipt: "{{ result().id }}"
        do:
          - ship_lines
          - mail
      - when: "{{ failed() }}"
        publish:
          - currency: none
          - why: "{{ result().message }}"
        do:
          - mail
          - fail
"#;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(["import", "orquesta"]).args(arguments).output().unwrap()
}

fn file(name: &str, content: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("import");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_workflow_is_carried_over_whole() {
    let path = file("order.yaml", ORDER);
    let output = run(&["--ref", "shop.order", &path]);
    let (printed, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(printed.starts_with(IMPORTED), "{printed}");
    assert!(printed.contains("    with_items:\n      items: \"{{ zip(parameters.order.lines, (range(0, 3) | list)) }}\"\n      concurrency: 2\n"));
    assert!(printed.contains("      line: \"{{ item[0].id }}\"\n      box: \"{{ item[1] }}\"\n"), "{printed}");
    assert!(printed.contains("    wait_for:\n      signal: approve\n      timeout: 3600\n"), "{printed}");
    assert!(printed.contains("      - when: \"{{ succeeded() and result().approved }}\"\n"), "{printed}");
    assert!(printed.contains("      by: \"{{ task.approve.result.by }}\"\n"), "{printed}");
    assert!(printed.contains("  - name: wait\n    delay: 3\n"), "{printed}");
    assert!(told.contains("note: task charge: the action Shop.Charge is called shop.charge here\n"), "{told}");
    assert!(told.contains("note: task ship lines: is called ship_lines here\n"), "{told}");
    assert!(told.contains("core.ask waits for the signal approve here"), "{told}");
    assert!(told.ends_with(&format!("whole: {path}\n")), "{told}");
    assert_eq!(output.status.code(), Some(0));
    // `check` accepts the result.
    let written = file("order_out.yaml", "");
    assert_eq!(run(&["--ref", "shop.order", &path, "--output", &written]).status.code(), Some(0));
    let checked = Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(["check", &written]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn what_could_not_be_carried_over_is_listed_and_marked() {
    let text = "version: 1.0\ntasks:\n  a:\n    action: core.local cmd=<% st2kv('x') %>\n    timeout: 3\n    next:\n      - do: [b]\n  b: {action: core.echo, input: {message: '{{ st2.user }}'}}\n";
    let path = file("lost.yaml", text);
    let output = run(&[&path]);
    let (printed, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("not carried over: task a: the field timeout\n"), "{told}");
    assert!(told.contains("not carried over: task a: <% st2kv('x') %>: the function st2kv()\n"), "{told}");
    assert!(told.contains("not carried over: task b: {{ st2.user }}: st2 is not known here\n"), "{told}");
    assert!(told.ends_with(&format!("incomplete: {path}: 3 places to look at\n")), "{told}");
    assert!(printed.contains("cmd: \"UNTRANSLATED(st2kv('x'))\""), "{printed}");
}

#[test]
fn what_could_not_be_defined_is_said_in_the_last_line() {
    let path = file("invalid.yaml", "version: 1.0\ntasks:\n  a: {action: core.echo}\n  b: {action: echo}\n");
    let output = run(&[&path]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("not carried over: task b: echo is not the ref of an action\n"), "{told}");
    assert!(told.contains("error[WF007]: `echo` is not a valid action ref"), "{told}");
    assert!(told.ends_with(&format!("invalid: {path}: the result has 1 error\n")), "{told}");
}

#[test]
fn an_output_reads_the_outputs_before_it() {
    let text = "version: 1.0\ninput: [x]\ntasks:\n  a: {action: core.echo}\noutput:\n  - first: <% ctx(x) %>\n  - second: <% ctx(first) %>\n  - id: <% ctx().st2.action_execution_id %>\n";
    let path = file("outputs.yaml", text);
    let output = run(&[&path]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let expected = "output_map:\n  - first: \"{{ parameters.x }}\"\n  - second: \"{{ vars.first }}\"\n  - id: \"{{ system.execution }}\"\n";
    assert!(printed.ends_with(expected), "{printed}");
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    for (name, text, why) in [
        ("mistral.yaml", "version: '2.0'\na.b:\n  type: direct\n", "this is a workflow of Mistral"),
        ("chain.yaml", "chain:\n  - {name: a, ref: core.local}\n", "this is an ActionChain"),
        (
            "meta.yaml",
            "name: order\nrunner_type: orquesta\nentry_point: workflows/order.yaml\n",
            "these are an action's metadata",
        ),
        ("broken.yaml", "tasks:\n  a: [\n", "line "),
        ("list.yaml", "- a\n", "a workflow of Orquesta is a map"),
        ("none.yaml", "version: 1.0\n", "it has no tasks"),
        ("later.yaml", "version: 1.2\ntasks: {a: {action: core.noop}}\n", "its version is 1.2: only version 1.0 of "),
        ("empty.yaml", "", ""),
    ] {
        let path = file(name, text);
        let output = run(&[&path]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.starts_with(&format!("error: {path}: {why}")), "{told}");
    }
}
