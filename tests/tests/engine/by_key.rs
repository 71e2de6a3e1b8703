//! Executions found and controlled by their idempotency key.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, ExecutionKey, RerunInput};
use pg_workflow_tests::with_database;

#[tokio::test]
async fn an_execution_is_found_and_controlled_by_its_key() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let id: i64 = session.value("SELECT workflow_start('demo.w', idempotency_key => 'k', part => 3)").await;
        session.value::<i64>("SELECT workflow_start('demo.w', idempotency_key => 'k')").await;
        let key = ExecutionKey { r#ref: "demo.w", idempotency_key: "k", part: Some(3) };
        let pool = &db.pool;
        assert_eq!(Engine::find_by_key(pool, key).await.unwrap(), Some(id));
        assert_eq!(Engine::find_by_key(pool, ExecutionKey::new("demo.w", "other")).await.unwrap(), None);
        assert_eq!(Engine::pause_by_key(pool, key, Some("why")).await.unwrap(), ExecutionStatus::Running);
        let status = Engine::status_by_key(pool, key).await.unwrap();
        assert_eq!((status.execution, status.paused, status.idempotency_key.as_deref()), (id, true, Some("k")));
        assert_eq!(Engine::resume_by_key(pool, key, None).await.unwrap(), ExecutionStatus::Running);
        assert_eq!(Engine::cancel_by_key(pool, key, Some("why"), false).await.unwrap(), ExecutionStatus::Cancelled);
        assert_eq!(Engine::rerun_by_key(pool, key, RerunInput::default()).await.unwrap(), ExecutionStatus::Running);
        assert_eq!(Engine::cancel_by_key(pool, key, None, true).await.unwrap(), ExecutionStatus::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_no_execution_has_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        session.run("SELECT workflow_start('demo.w', idempotency_key => 'k')").await;
        for function in ["status", "pause", "resume", "cancel", "rerun"] {
            for (arguments, sqlstate, code) in [
                ("'demo.w', 'other'", "P0002", "WF616"),
                ("'demo.x', 'k'", "P0002", "WF616"),
                ("'demo.w', 'k', part => 1", "P0002", "WF616"),
                ("'demo.w', 'k', part => -7", "P0002", "WF616"),
                ("NULL, 'k'", "22023", "WF613"),
                ("'demo.w', NULL", "22023", "WF613"),
            ] {
                let refusal = session.refused(format!("SELECT * FROM workflow_{function}_by_key({arguments})")).await;
                assert_eq!(refusal.code(), (sqlstate, code), "{function} {arguments}");
            }
        }
        let refusal = session.refused("SELECT workflow_find_by_key(NULL, 'k')").await;
        assert_eq!(refusal.code(), ("22023", "WF613"));
    })
    .await;
}
