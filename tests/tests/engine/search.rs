//! Searching executions: what is found, in which order, with which index, and how much is read at most.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, SearchFilter};
use pg_workflow_tests::with_database;
use serde_json::json;
use sqlx::postgres::types::PgRange;

/// Inserts a number of ended executions, one every ten seconds, alternating between demo.w and demo.v, for three
/// tenants. One in 1000 has failed, half of these with `declined`.
async fn fill(session: &mut Session, count: i32) {
    session.define_as("demo.v", "tasks: [{name: a, action: demo.a}]").await;
    session.define("tasks: [{name: a, action: demo.a}]").await;
    let failed = "n % 1000 = 7";
    let code = "CASE WHEN n % 2000 = 7 THEN 'declined' ELSE 'gone' END";
    session
        .run(format!(
            "SET session_replication_role = replica;
             INSERT INTO workflow.execution (part, id, created, updated, action_ref, status)
             SELECT 0, n, c.created, c.created + interval '1 s', CASE n % 2 WHEN 0 THEN 'demo.w' ELSE 'demo.v' END,
               (CASE WHEN {failed} THEN 'failed' ELSE 'completed' END)::workflow.execution_status
             FROM generate_series(1, {count}) AS n, CAST('{START}'::timestamptz + n * interval '10 s' AS timestamptz) AS c(created);
             INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, created, updated, status,
               attributes, error_message, errors, had_failure, failed_tasks)
             SELECT 0, n, n, d.id, d.current_version, e.created, e.updated, e.status, jsonb_build_object('tenant', 't' || n % 3, 'order', n),
               CASE WHEN {failed} THEN 'Card was ' || {code} END,
               CASE WHEN {failed} THEN jsonb_build_array(jsonb_build_object('message', 'Card was ' || {code}, 'error', jsonb_build_object('type', {code}))) END,
               {failed}, CASE WHEN {failed} THEN '{{a}}' ELSE '{{}}' END::text[]
             FROM generate_series(1, {count}) AS n JOIN workflow.execution AS e ON e.part = 0 AND e.id = n
             JOIN workflow.workflow_definition AS d ON d.ref = e.action_ref;
             SELECT setval('workflow.execution_id_seq', {count});
             RESET session_replication_role"
        ))
        .await;
}

/// Returns the executions that a search finds, and what it reads: rows fetched by indexes of the table of workflow
/// executions, and rows read without one.
async fn search(session: &mut Session, arguments: &str) -> (Vec<Option<i64>>, i64, i64) {
    // Earlier reads of the session are not counted.
    session.run("SELECT pg_stat_force_next_flush()").await;
    session.run("BEGIN").await;
    let found: Vec<(Option<i64>,)> = session.rows(format!("SELECT execution FROM workflow_search({arguments})")).await;
    let (by_index, without): (i64, i64) = session
        .rows(
            "SELECT sum(idx_tup_fetch)::bigint, sum(seq_tup_read)::bigint FROM pg_stat_xact_all_tables
             WHERE relid IN ('workflow.workflow_execution'::regclass, 'workflow.execution'::regclass)",
        )
        .await[0];
    session.run("COMMIT").await;
    (found.into_iter().map(|(id,)| id).collect(), by_index, without)
}

/// Each filter, with the number of rows that it returns (at most 100), and how many rows may be read for that.
const SEARCHES: [(&str, usize, i64); 16] = [
    ("", 100, 3000),
    ("'demo.w'", 100, 3000),
    ("statuses => '{completed}'", 100, 3000),
    ("statuses => '{failed}'", 30, 500),
    ("attributes => '{\"tenant\": \"t1\"}'", 100, 3000),
    ("attributes => '{\"order\": 77}'", 1, 4000),
    ("created => tstzrange(NULL, '2026-01-01 01:00+00')", 100, 3000),
    ("ended => tstzrange('2026-01-01 00:30+00', '2026-01-01 01:00+00')", 100, 3000),
    ("error_code => 'declined'", 15, 200),
    ("text => 'WAS GONE'", 15, 500),
    ("has_failed_task => true", 30, 500),
    ("'demo.v', '{failed}'", 30, 500),
    ("'demo.w', error_code => 'declined'", 0, 200),
    ("attributes => '{\"tenant\": \"t1\"}', error_code => 'declined'", 5, 200),
    ("'demo.w', attributes => '{\"order\": 78}'", 1, 4000),
    ("statuses => '{failed}', created => tstzrange('2026-01-02', NULL)", 21, 500),
];

#[tokio::test]
async fn each_filter_and_the_usual_pairs_go_by_an_index_at_every_call_of_a_session() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        fill(&mut session, 30_000).await;
        // A plan for the empty table must not be kept, and settings of other users must not matter.
        for settings in [
            "SELECT",
            "ANALYZE workflow.workflow_execution, workflow.execution",
            "SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1000; SET enable_indexscan = on",
        ] {
            session.run(settings).await;
            for _ in 0..4 {
                for (arguments, count, most) in SEARCHES {
                    let (found, by_index, without) = search(&mut session, arguments).await;
                    assert_eq!(found.iter().flatten().count(), count, "{arguments}");
                    assert!(by_index <= most, "{arguments} fetched {by_index} rows by an index");
                    assert_eq!(without, 0, "{arguments} read rows without an index");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_search_that_finds_little_examines_a_bounded_number_of_executions_and_can_be_continued() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        fill(&mut session, 30_000).await;
        let filter = SearchFilter { statuses: Some(vec![ExecutionStatus::Running]), ..Default::default() };
        let (mut after, mut calls) = (None, 0);
        loop {
            let rows = Engine::search(&db.pool, &filter, 100, after.as_deref()).await.unwrap();
            calls += 1;
            match rows.last() {
                None => break,
                Some(row) => {
                    assert_eq!(rows.len(), 1);
                    assert_eq!((row.execution, row.status, row.created), (None, None, None));
                    after = Some(row.cursor.clone());
                }
            }
        }
        assert_eq!(calls, 4, "10,000 a call, and one that finds the end");
        let (_, by_index, without) = search(&mut session, "statuses => '{running}'").await;
        assert!(by_index <= 45_000, "{by_index}");
        assert_eq!(without, 0);
    })
    .await;
}

#[tokio::test]
async fn pages_give_each_execution_once_newest_first_across_workflows_and_parts() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for name in ["demo.x", "demo.y", "demo.z"] {
            session.define_as(name, "tasks: [{name: a, action: demo.a}]").await;
        }
        // Busy and quiet ones, at the same time and long ago.
        for (at, r#ref, count, part) in
            [(0, "demo.x", 40, 0), (0, "demo.y", 1, 7), (100_000, "demo.y", 3, 2), (100_000, "demo.x", 300, 2), (9_000_000, "demo.z", 1, 0), (9_000_001, "demo.x", 5, 1)]
        {
            session.at(f64::from(at)).await;
            session
                .run(format!("SELECT count(*) FROM workflow_start_many('{ref}', array_fill('{{}}'::jsonb, '{{{count}}}'), part => {part})"))
                .await;
        }
        let expected: Vec<(i64,)> =
            session.rows("SELECT id FROM workflow.workflow_execution ORDER BY created DESC, id DESC").await;
        assert_eq!(expected.len(), 350);
        for page in [1, 7, 100, 10_000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let rows = Engine::search(&db.pool, &SearchFilter::default(), page, after.as_deref()).await.unwrap();
                let Some(last) = rows.last() else { break };
                after = Some(last.cursor.clone());
                found.extend(rows.iter().filter_map(|row| row.execution).map(|id| (id,)));
            }
            assert_eq!(found, expected, "in pages of {page}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_what_has_failed_in_whatever_way() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("tasks: [{name: a, action: demo.a, on_failure: b}, {name: b, action: demo.b, on_success: c}, {name: c, action: demo.c}]")
            .await;
        let handled = session.start().await;
        let [a] = session.claim_named(["a"]).await;
        session.fail(&a, json!({"type": "http_503", "message": "No route"})).await;
        let find = |arguments: &str| format!("SELECT coalesce(array_agg(execution), '{{}}') FROM workflow_search({arguments})");
        // While it is running, and although the failure was handled.
        assert_eq!(session.value::<Vec<i64>>(find("has_failed_task => true")).await, [handled]);
        assert_eq!(session.value::<Vec<i64>>(find("has_failed_task => false")).await, [] as [i64; 0]);
        session.work("b", json!(null)).await;
        let [c] = session.claim_named(["c"]).await;
        session.fail(&c, json!({"code": "E42", "message": "Card DECLINED"})).await;
        let cancelled = session.start().await;
        session.run(format!("SELECT workflow_cancel({cancelled}, 'by hand')")).await;
        for (arguments, ids) in [
            ("error_code => 'E42'", vec![handled]),
            ("error_code => 'http_503'", vec![]),
            ("text => 'card declined'", vec![handled]),
            ("text => 'by hand'", vec![cancelled]),
            ("text => '%'", vec![]),
            ("statuses => '{failed, cancelled}'", vec![cancelled, handled]),
            ("statuses => '{cancelled}'", vec![cancelled]),
            ("statuses => '{}'", vec![]),
            ("has_failed_task => true", vec![handled]),
            ("has_failed_task => false", vec![cancelled]),
            ("ended => '(,)'", vec![cancelled, handled]),
            ("ended => tstzrange('2027-01-01', NULL)", vec![]),
            ("created => tstzrange('2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00', '[]')", vec![cancelled, handled]),
            ("created => tstzrange('2026-01-01 00:00:00+00', NULL, '()')", vec![]),
            ("ended => tstzrange(NULL, '294276-12-31 23:59:59.999999+00', '[]'), statuses => '{cancelled}'", vec![cancelled]),
            ("created => tstzrange('294276-12-31 23:59:59.999999+00', NULL, '()')", vec![]),
            ("created => tstzrange('infinity', 'infinity', '[]')", vec![]),
        ] {
            assert_eq!(session.value::<Vec<i64>>(find(arguments)).await, ids, "{arguments}");
        }
        let from = "2026-01-01T00:00:00Z".parse().unwrap();
        let filter = SearchFilter {
            created: Some(PgRange::from(from..)),
            ended: Some(PgRange::from(from..=from)),
            error_code: Some("E42".into()),
            has_failed_task: Some(true),
            ..Default::default()
        };
        let rows = Engine::search(&db.pool, &filter, 10, None).await.unwrap();
        assert_eq!((rows.len(), rows[0].execution, rows[0].ended_at), (1, Some(handled), Some(from)));
        let row: (Option<String>, Option<String>) =
            session.rows("SELECT error_code, workflow_ref FROM workflow_search(error_code => 'E42')").await.remove(0);
        assert_eq!(row, (Some("E42".into()), Some("demo.w".into())));
    })
    .await;
}

#[tokio::test]
async fn a_search_with_invalid_arguments_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: a, action: demo.a}]").await;
        for (arguments, sqlstate, code) in [
            ("'demo.none'", "P0002", "WF616"),
            ("attributes => '[]'", "22023", "WF613"),
            ("created => 'empty'", "22023", "WF613"),
            ("ended => 'empty'", "22023", "WF613"),
            ("max_rows => 0", "22023", "WF613"),
            ("max_rows => 10001", "22023", "WF613"),
            ("max_rows => NULL", "22023", "WF613"),
            ("after => 'x'", "22023", "WF613"),
            ("after => '1'", "22023", "WF613"),
            ("after => '1:99999999999999999999'", "22023", "WF613"),
            ("after => ''", "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_search({arguments})")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{arguments}");
        }
        for arguments in [
            "created => '[-infinity,infinity]'",
            "after => '9223372036854775807:1'",
            "after => '-9223372036854775808:1'",
            "text => ''",
            "error_code => ''",
            "attributes => '{}'",
            "statuses => '{NULL}'",
        ] {
            session.run(format!("SELECT * FROM workflow_search({arguments})")).await;
        }
    })
    .await;
}

/// A standby and a read-only transaction can search: nothing is written.
#[tokio::test]
async fn a_search_reads_only() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]").await;
        session.run("BEGIN READ ONLY").await;
        assert_eq!(session.value::<i64>("SELECT execution FROM workflow_search()").await, id);
        assert_eq!(session.value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text").await, None);
        session.run("COMMIT").await;
        session.run("BEGIN ISOLATION LEVEL SERIALIZABLE").await;
        assert_eq!(session.value::<i64>("SELECT execution FROM workflow_search()").await, id);
        session.run("COMMIT").await;
    })
    .await;
}
