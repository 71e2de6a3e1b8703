//! Ids contain a part, a node and a number, and the number stays within its bits.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const LAST: i64 = (1 << 40) - 1;

#[tokio::test]
async fn the_last_number_is_given_and_the_one_after_it_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        for sequence in ["execution", "workflow_task_execution"] {
            session.run(format!("SELECT setval('workflow.{sequence}_id_seq', {})", LAST - 1)).await;
            let id = session.value::<i64>("SELECT workflow_start('demo.w', part => 3)").await;
            assert_eq!(id >> 40, 3 << 8, "the bits of the node are the node's");
            let refusal = session.refused("SELECT workflow_start('demo.w', part => 3)").await;
            assert_eq!(refusal.code(), ("54000", "WF614"), "{sequence}: {refusal:?}");
            assert!(refusal.hint.contains("pg_workflow.node"), "{refusal:?}");
            session.run(format!("SELECT setval('workflow.{sequence}_id_seq', 1000, false)")).await;
        }
        // Also if a sequence has been altered.
        session.run("ALTER SEQUENCE workflow.execution_id_seq MAXVALUE 9000000000000000000").await;
        session.run(format!("SELECT setval('workflow.execution_id_seq', {LAST})")).await;
        assert_eq!(session.refused("SELECT workflow_start('demo.w')").await.code(), ("54000", "WF614"));
        let refusal = session.refused(format!("SELECT workflow.make_id(0, {})", LAST + 1)).await;
        assert_eq!(refusal.code(), ("54000", "WF614"));
        assert_eq!(session.value::<i64>(format!("SELECT workflow.make_id(0, {LAST})")).await, LAST);
        // workflow_check finds ids that are ahead of their sequence.
        session.run(format!("SELECT setval('workflow.workflow_task_execution_id_seq', {LAST})")).await;
    })
    .await;
}

#[tokio::test]
async fn every_sequence_of_ids_ends_where_the_bits_of_the_node_begin() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let bounded: Vec<String> = session
            .value(format!(
                "SELECT array_agg(s.sequencename::text ORDER BY 1) FROM pg_sequences AS s
                 WHERE s.schemaname = 'workflow' AND s.max_value = {LAST}"
            ))
            .await;
        let of_ids: Vec<String> = session
            .value(
                "SELECT array_agg(s.sequencename::text ORDER BY 1) FROM pg_sequences AS s
                 JOIN pg_attribute AS a ON a.attrelid = format('workflow.%I', replace(s.sequencename, '_id_seq', ''))::regclass
                   AND a.attname = 'part' AND NOT a.attisdropped
                 WHERE s.schemaname = 'workflow' AND s.sequencename NOT IN ('schedule_id_seq', 'limit_key_id_seq', 'limit_wakeup_id_seq', 'hold_id_seq')",
            )
            .await;
        assert_eq!(bounded, of_ids);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_went_back_makes_no_negative_duration() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b}, {name: c, action: demo.c}]")
            .await;
        session.start().await;
        session.at(100.0).await;
        let [a, b, c] = session.claim_named(["a", "b", "c"]).await;
        session.at(99.0).await;
        session.complete(&a, serde_json::json!(1)).await;
        session.finish(&[(b.task, b.lease_token, "completed"), (c.task, c.lease_token, "failed")]).await;
        let durations: Vec<i64> =
            session.value("SELECT array_agg(duration_ms) FROM workflow.workflow_task_execution").await;
        assert_eq!(durations, [0, 0, 0]);
    })
    .await;
}
