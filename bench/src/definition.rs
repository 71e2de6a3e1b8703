//! The benchmarked workflows, as YAML. Every task has the same action, and passes on its own input or the previous
//! task's result.

const PARAMETERS: &str =
    "parameters: {type: object, required: [order, note], properties: {order: {type: integer}, note: {type: string}}}\n";

/// Returns a workflow of `steps` steps in a row, each of which gets the previous one's result.
pub fn linear(name: &str, steps: u32) -> String {
    let mut yaml = head(name, &format!("{steps} steps in a row"));
    for step in 1..=steps {
        let input = if step == 1 { "parameters".into() } else { format!("task.step{}.result", step - 1) };
        let next = if step == steps { String::new() } else { format!(", on_success: step{}", step + 1) };
        yaml += &format!("  - {{name: step{step}, action: bench.step, input: \"{{{{ {input} }}}}\"{next}}}\n");
    }
    yaml + &output(&format!("step{steps}"))
}

/// Returns the same with every step under a limit of 100 keys.
pub fn limited(name: &str, steps: u32) -> String {
    let limit = "limit: {name: bench, key: \"{{ system.execution % 100 }}\"}, action: bench.step";
    linear(name, steps).replace("action: bench.step", limit)
}

/// Returns a workflow of one task, then two in parallel, then one that waits for both.
pub fn diamond(name: &str) -> String {
    head(name, "A fork and a join")
        + r#"  - {name: split, action: bench.step, input: "{{ parameters }}", on_success: [left, right]}
  - {name: left, action: bench.step, input: "{{ task.split.result }}", on_success: meet}
  - {name: right, action: bench.step, input: "{{ task.split.result }}", on_success: meet}
  - {name: meet, action: bench.step, join: all, input: "{{ task.left.result }}"}
"# + &output("meet")
}

/// Returns a workflow with one task per item, then one task that gets the number of results.
pub fn fan_out(name: &str, items: u32) -> String {
    head(name, &format!("{items} items and a join"))
        + &format!("  - name: fan\n    action: bench.step\n    with_items: \"{{{{ range({items}) | list }}}}\"\n")
        + r#"    input: {order: "{{ item }}", note: "{{ parameters.note }}"}
    on_success: meet
  - {name: meet, action: bench.step, input: {items: "{{ task.fan.result | length }}"}}
"# + &output("meet")
}

/// Returns a workflow with one task per job that it is started with.
pub fn jobs(name: &str) -> String {
    format!(
        "ref: bench.{name}\nlabel: Jobs that are put in together\nversion: 1.0.0\n\
         parameters: {{type: object, required: [jobs], properties: {{jobs: {{type: array, items: {{type: object}}}}}}}}\n\
         tasks:\n  - {{name: job, action: bench.step, with_items: \"{{{{ parameters.jobs }}}}\", input: \"{{{{ item }}}}\"}}\n"
    )
}

/// Returns a workflow with one task, which runs for one execution per tenant at a time.
pub fn keyed(name: &str) -> String {
    let limit = "limit: {name: tenants, key: \"{{ parameters.tenant }}\"}, action: bench.step";
    linear(name, 1)
        .replace("action: bench.step", limit)
        .replace("note: {type: string}", "note: {type: string}, tenant: {type: integer}")
}

fn head(name: &str, label: &str) -> String {
    format!("ref: bench.{name}\nlabel: {label}\nversion: 1.0.0\n{PARAMETERS}tasks:\n")
}

fn output(last: &str) -> String {
    format!("output_map:\n  - result: \"{{{{ task.{last}.result }}}}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_workflow_passes_results_on() {
        let yaml = linear("linear2", 2);
        assert!(
            yaml.contains(r#"name: step1, action: bench.step, input: "{{ parameters }}", on_success: step2}"#),
            "{yaml}"
        );
        assert!(yaml.contains(r#"name: step2, action: bench.step, input: "{{ task.step1.result }}"}"#), "{yaml}");
        assert!(yaml.contains(r#"result: "{{ task.step2.result }}""#), "{yaml}");
    }

    #[test]
    fn a_fan_out_has_as_many_items_as_its_name_says() {
        let yaml = fan_out("fanout100", 100);
        assert!(yaml.starts_with("ref: bench.fanout100\n"), "{yaml}");
        assert!(yaml.contains(r#"with_items: "{{ range(100) | list }}""#), "{yaml}");
    }

    #[test]
    fn jobs_are_the_items_that_they_are_started_with() {
        let yaml = jobs("jobs");
        assert!(yaml.starts_with("ref: bench.jobs\n"), "{yaml}");
        assert!(yaml.contains(r#"with_items: "{{ parameters.jobs }}", input: "{{ item }}"}"#), "{yaml}");
    }
}
