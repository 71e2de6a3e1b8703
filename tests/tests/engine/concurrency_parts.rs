//! Concurrency of workflows whose parts move to another server, or whose definitions come from one.

use crate::concurrency::{assert_sound, by_tenant, claim_of, keys};
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Nothing is written to a fenced part. Its executions have no slots on the server that it has left, and get slots on
/// the one where it arrives.
#[tokio::test]
async fn what_waits_in_a_part_that_moves_waits_where_it_goes() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "wait")).await;
        let mut start = async |part: i32| -> i64 {
            session.value(format!("SELECT workflow_start('demo.w', part => {part})")).await
        };
        let (runs, waits, other) = (start(40).await, start(40).await, start(41).await);
        session.run("SELECT workflow_fence_part(40, 'b'), workflow_close_part(40)").await;
        session.run("SELECT workflow_tick()").await;
        let begun = "SELECT array_agg(id ORDER BY id) FROM workflow.workflow_execution WHERE limit_place IS NULL";
        assert_eq!(session.value::<Vec<i64>>(begun).await, [runs]);
        session.run("SELECT workflow_release_part(40)").await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<Vec<i64>>(begun).await, [runs, other]);
        // As on the target server.
        session.run("DELETE FROM workflow.foreign_part; SELECT workflow.take_slots_of_part(40)").await;
        assert_sound(&mut session).await;
        assert_eq!(keys(&mut session).await[0].1, Some(2));
        for task in claim_of(&mut session, &[runs, other]).await {
            session.complete(&task, json!(null)).await;
        }
        session.run("SELECT workflow_tick()").await;
        claim_of(&mut session, &[waits]).await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_of_a_part_that_is_fenced_is_not_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "cancel_oldest")).await;
        let oldest: i64 = session.value("SELECT workflow_start('demo.w', part => 40)").await;
        session.run("SELECT workflow_fence_part(40, 'b'), workflow_close_part(40)").await;
        session.run("SELECT workflow_start('demo.w', part => 41), workflow_tick()").await;
        let status = format!("SELECT status::text FROM workflow.execution WHERE id = {oldest}");
        assert_eq!(session.value::<String>(&status).await, "running");
        session.run("SELECT workflow_keep_part(40)").await;
    })
    .await;
}

#[tokio::test]
async fn a_replicated_definition_brings_its_concurrency_and_a_deleted_one_takes_it_along() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(3, "wait")).await;
        let most = "SELECT max(max_running) FROM workflow.limit_rule WHERE name = '@demo.w'";
        session
            .run(
                "DELETE FROM workflow.limit_rule; SET session_replication_role = replica;
                 UPDATE workflow.workflow_definition SET label = label; RESET session_replication_role",
            )
            .await;
        assert_eq!(session.value::<Option<i32>>(most).await, Some(3));
        session.run("SELECT workflow_delete_definition(id) FROM workflow_find_definition_by_ref('demo.w')").await;
        assert_eq!(session.value::<Option<i32>>(most).await, None);
    })
    .await;
}
