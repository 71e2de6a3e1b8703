//! Statements for one row and for many rows do the same: claiming and reporting tasks one by one gives the same result
//! as in a batch.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::Value;

const TASKS: &str = "timeout: 1h
vars: [{seen: 0}]
tasks:
  - {name: a, action: demo.a, timeout: 60, next: [{when: '{{ succeeded() }}', publish: [{seen: '{{ result().n }}'}], do: [b, c]}]}
  - {name: b, action: demo.b, retry: {count: 1, delay: 5}, on_complete: d}
  - {name: c, action: demo.b, priority: 3, on_success: d}
  - {name: d, action: demo.c, join: all}
output_map: [{seen: '{{ vars.seen }}'}]
";

/// Number of executions processed in parallel.
const EXECUTIONS: i64 = 4;

/// Processes all executions, in batches of limited size. The second execution's task d fails.
async fn work_off(session: &mut Session, batch: i64) -> Value {
    session.define(TASKS).await;
    session
        .run(format!(
            "SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{EXECUTIONS}]))"
        ))
        .await;
    for seconds in [0.0, 1.0, 10.0, 20.0, 30.0, 40.0] {
        session.at(seconds).await;
        session
            .run(format!(
                "SELECT workflow_tick();
                 DO $$
                 DECLARE
                   held workflow.outcome[];
                 BEGIN
                   LOOP
                     SELECT array_agg(ROW(c.task, c.lease_token,
                       CASE WHEN c.task_name = 'b' AND c.attempt = 1 OR c.task_name = 'd' AND c.execution % 4 = 2 THEN 'failed' ELSE 'completed' END,
                       jsonb_build_object('n', c.attempt), NULL, NULL, NULL, NULL, NULL)::workflow.outcome ORDER BY c.task)
                     FROM workflow_claim('w', {batch}) AS c INTO held;
                     EXIT WHEN held IS NULL;
                     PERFORM workflow_finish(held);
                   END LOOP;
                 END $$"
            ))
            .await;
    }
    session
        .value(
            "SELECT jsonb_build_object(
               'tasks', (SELECT jsonb_agg(to_jsonb(t) - '{id, lease, workflow_execution}'::text[] || jsonb_build_object('of', w.id)
                         ORDER BY w.id, t.task_name, t.route, t.visit)
                         FROM workflow.workflow_task_execution AS t JOIN workflow.workflow_execution AS w ON w.id = t.workflow_execution),
               'runs', (SELECT jsonb_agg(to_jsonb(w) ORDER BY id) FROM workflow.workflow_execution AS w),
               'executions', (SELECT jsonb_agg(to_jsonb(e) ORDER BY id) FROM workflow.execution AS e),
               'leases', (SELECT count(*) FROM workflow.lease),
               'broken', (SELECT count(*) FROM workflow_check()))",
        )
        .await
}

#[tokio::test]
async fn one_by_one_or_together_makes_no_difference() {
    with_database(async |db| {
        let one = work_off(&mut Session::new(db).await, 1).await;
        with_database(async |other| {
            let many = work_off(&mut Session::new(other).await, 100).await;
            assert_eq!(one["runs"][0]["status"], "completed", "{one:#}");
            assert_eq!(one["runs"][1]["status"], "failed");
            for part in ["tasks", "runs", "executions", "leases", "broken"] {
                pretty_equal(part, &one[part], &many[part]);
            }
        })
        .await;
    })
    .await;
}

fn pretty_equal(part: &str, one: &Value, many: &Value) {
    assert_eq!(format!("{one:#}"), format!("{many:#}"), "{part}");
}
