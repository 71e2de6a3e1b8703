//! The amount written for an event depends on that event, not on the number of earlier ones.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// Completes a task. Returns the bytes of WAL that this took.
async fn bytes_to_complete(session: &mut Session, task: &Task, result: &str) -> u64 {
    let call = format!("workflow_complete({}, {}, to_jsonb({result}))", task.task, task.lease_token);
    let plan: Value = session.value(format!("EXPLAIN (ANALYZE, WAL, FORMAT JSON) SELECT {call}")).await;
    plan[0]["Plan"]["WAL Bytes"].as_u64().unwrap()
}

/// Returns the median number of bytes of WAL for the report of one of this number of branches, each of which publishes
/// a value and leads to a join.
async fn bytes_of_a_branch(session: &mut Session, branches: usize) -> u64 {
    let names = (0..branches).map(|number| format!("b{number}")).collect::<Vec<_>>().join(", ");
    let branch = |number| {
        format!(
            "  - {{name: b{number}, action: demo.b, next: [{{publish: [{{v{number}: '{{{{ result() }}}}'}}], do: join}}]}}\n"
        )
    };
    let all: String = (0..branches).map(branch).collect();
    let id = session
        .begin(&format!(
            "tasks:
  - {{name: fork, action: demo.a, next: [{{do: [{names}]}}]}}
{all}  - {{name: join, join: all, action: demo.c, input: {{count: '{{{{ vars | length }}}}'}}}}
output_map: [{{count: '{{{{ vars | length }}}}'}}]
"
        ))
        .await;
    session.work("fork", json!(null)).await;
    let tasks = session.claim(branches as i32).await;
    assert_eq!(tasks.len(), branches);
    let mut bytes = Vec::new();
    for task in &tasks {
        bytes.push(bytes_to_complete(session, task, "repeat(md5(random()::text), 3)").await);
    }
    // The last report makes the join ready.
    bytes.pop();
    bytes.sort_unstable();
    let [join] = session.claim_named(["join"]).await;
    assert_eq!(join.input, Some(json!({"count": branches})));
    assert_eq!(session.status(id).await["variables"].as_object().unwrap().len(), branches);
    session.complete(&join, json!(null)).await;
    session.assert_ended(id, "completed", json!({"count": branches})).await;
    bytes[bytes.len() / 2]
}

#[tokio::test]
async fn the_report_of_one_of_many_branches_writes_no_more_than_that_of_one_of_few() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let few = bytes_of_a_branch(&mut session, 10).await;
        let many = bytes_of_a_branch(&mut session, 900).await;
        assert!(many < 2 * few, "{few} bytes with 10 branches, {many} with 900");
        let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
        assert_eq!(broken, []);
    })
    .await;
}

#[tokio::test]
async fn a_large_variable_is_not_written_again_when_a_small_one_changes() {
    const LARGE: &str = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 10000))";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "vars: [{n: 0}]
tasks:
  - {name: a, action: demo.a, publish: [{large: '{{ result() }}'}], on_success: b}
  - {name: b, action: demo.a, publish: [{n: '{{ result() }}'}], on_success: c}
  - {name: c, action: demo.a, next: [{publish: [{n: '{{ result() }}'}], do: [d, e]}]}
  - {name: d, action: demo.a, publish: [{d: '{{ result() }}'}], on_success: f}
  - {name: e, action: demo.a, on_success: f}
  - {name: f, join: all, action: demo.a, publish: [{n: '{{ vars.n ~ result() }}'}], on_success: g}
  - {name: g, action: demo.a, input: {n: '{{ vars.n }}', d: '{{ vars.d }}', bytes: '{{ vars.large | length }}'}}
",
            )
            .await;
        let mut held: Vec<Task> = Vec::new();
        for (name, result, small) in [
            ("a", LARGE, false),
            ("b", "1", true),
            ("c", "2", true),
            ("e", "0", true),
            ("d", "3", true),
            ("f", "4", true),
        ] {
            held.extend(session.claim(10).await);
            let task = held.iter().find(|task| task.task_name == name).expect(name);
            let bytes = bytes_to_complete(&mut session, task, result).await;
            assert_eq!(bytes < 20_000, small, "{bytes} bytes of WAL for {name}");
        }
        let [g] = session.claim_named(["g"]).await;
        assert_eq!(g.input, Some(json!({"n": "24", "d": 3, "bytes": 320_000})));
        let variables = session.status(id).await["variables"].clone();
        assert_eq!((&variables["n"], &variables["d"]), (&json!("24"), &json!(3)));
    })
    .await;
}
