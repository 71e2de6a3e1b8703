//! A role of the worker level that tries to do more.

use super::LINEAR;
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

#[tokio::test]
async fn a_role_that_may_only_work_needs_no_right_on_a_table() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let role = db.role().await;
        session
            .run(format!(
                "GRANT USAGE ON SCHEMA workflow TO {role};
                 DO $$ DECLARE f regprocedure; BEGIN
                   FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
                     AND proname IN ('workflow_claim', 'workflow_complete', 'workflow_fail', 'workflow_finish',
                       'workflow_finish_and_claim', 'workflow_heartbeat', 'workflow_tick') LOOP
                     EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {role}', f);
                   END LOOP; END $$"
            ))
            .await;
        let mut worker = Session { connection: db.connect_as(&role).await };
        let tasks: Vec<Task> = worker.rows("SELECT * FROM workflow_claim('w1', 1)").await;
        let held: String = worker
            .value(format!(
                "SELECT state FROM workflow_heartbeat('{{{}}}', '{{{}}}')",
                tasks[0].task, tasks[0].lease_token
            ))
            .await;
        assert_eq!(held, "held");
        let rows: Vec<(String, i64, i64)> = worker
            .rows(format!(
                "SELECT state, task, lease_token FROM workflow_finish_and_claim('w1', {})",
                outcome_array(&[(tasks[0].task, tasks[0].lease_token, "completed")])
            ))
            .await;
        assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["completed", "claimed"]);
        worker.run("SELECT workflow_tick()").await;
        worker.run(format!("SELECT workflow_complete({}, {})", rows[1].1, rows[1].2)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        for denied in [
            "SELECT * FROM workflow.workflow_task_execution",
            "DELETE FROM workflow.lease",
            "SELECT workflow_start('demo.w')",
            "SELECT * FROM workflow_define('x')",
            "SELECT workflow_cancel(1)",
            "SELECT workflow.log_claim(NULL, NULL, NULL, now())",
            "SELECT workflow.make_id(0, 1)",
            "SET pg_workflow.test_now = '2020-01-01'",
            "SET pg_workflow.max_result_bytes = 1",
        ] {
            let error = worker.connection.execute(AssertSqlSafe(denied)).await.unwrap_err();
            assert_eq!(Refusal::of(error).sqlstate, "42501", "{denied}");
        }
    })
    .await;
}
