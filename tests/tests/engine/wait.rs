//! Waiting for an execution to end.

use crate::fixture::*;
use pg_workflow_client::{Engine, Error};
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use std::time::Duration;

const ONE: &str = "tasks: [{name: a, action: demo.a}]\noutput_map: [{said: '{{ task.a.result }}'}]\n";

/// Returns the process of the waiting session, as soon as there is one.
async fn waiting(session: &mut Session) -> i32 {
    loop {
        let found: Vec<(i32,)> = session
            .rows(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND wait_event = 'PgSleep' AND query LIKE '%workflow_wait%'",
            )
            .await;
        if let [(pid,)] = found[..] {
            return pid;
        }
    }
}

async fn wait(db: &Database, execution: i64) -> pg_workflow_client::Result<pg_workflow_client::WorkflowStatus> {
    Engine::wait(&db.pool, execution, Duration::from_secs(600)).await
}

#[tokio::test]
async fn a_wait_sees_what_others_commit_and_is_over_when_the_execution_is() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        let work = async {
            let pid = waiting(&mut session).await;
            // It only holds locks that readers take: none on rows, and no transaction id.
            let locks: Vec<String> = session
                .rows::<(String,)>(format!(
                    "SELECT DISTINCT format('%s %s', locktype, mode) FROM pg_locks WHERE pid = {pid} ORDER BY 1"
                ))
                .await
                .into_iter()
                .map(|(lock,)| lock)
                .collect();
            assert_eq!(locks, ["relation AccessShareLock", "virtualxid ExclusiveLock"]);
            let xid: Option<String> =
                session.value(format!("SELECT backend_xid::text FROM pg_stat_activity WHERE pid = {pid}")).await;
            assert_eq!(xid, None);
            session.work("a", json!("done")).await;
        };
        let (waited, ()) = tokio::join!(wait(db, id), work);
        let waited = waited.unwrap();
        assert!(waited.ended);
        assert_eq!(waited, Engine::status(&db.pool, id).await.unwrap());
        assert_eq!(waited.output, Some(json!({"said": "done"})));
        // It does not wait for an execution that has ended.
        assert_eq!(wait(db, id).await.unwrap(), waited);
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout_and_when_it_is_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        for timeout in [0, 20] {
            let waited = Engine::wait(&db.pool, id, Duration::from_millis(timeout)).await.unwrap();
            assert_eq!(waited, Engine::status(&db.pool, id).await.unwrap());
            assert!(!waited.ended);
        }
        let cancel = async {
            let pid = waiting(&mut session).await;
            session.run(format!("SELECT pg_cancel_backend({pid})")).await;
        };
        let (waited, ()) = tokio::join!(wait(db, id), cancel);
        let Err(Error::Database(sqlx::Error::Database(error))) = waited else { panic!("{waited:?}") };
        assert_eq!(error.code().as_deref(), Some("57014"));
    })
    .await;
}

#[tokio::test]
async fn what_goes_away_while_it_is_waited_for_is_named() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        let prune = async {
            waiting(&mut session).await;
            // In one transaction, so that the wait cannot see it ended before it is deleted.
            session.run(format!("BEGIN; SELECT workflow_cancel({id}); SELECT workflow_prune('0'); COMMIT")).await;
        };
        let (waited, ()) = tokio::join!(wait(db, id), prune);
        assert_eq!(waited.unwrap_err().code(), Some("WF616"));
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_could_see_no_progress_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            session.run(format!("BEGIN ISOLATION LEVEL {level}")).await;
            let call = format!("SELECT * FROM workflow_wait({id})");
            let error = sqlx::query(sqlx::AssertSqlSafe(call)).fetch_all(&mut session.connection).await.unwrap_err();
            let refusal = Refusal::of(error);
            assert_eq!(refusal.code(), ("55000", "WF611"), "{refusal:#?}");
            let level = level.to_lowercase();
            assert_eq!(
                refusal.message,
                format!(
                    "WF611: a {level} transaction cannot wait for an execution, because it would not see its progress"
                )
            );
            assert_eq!(refusal.hint, "Wait in a READ COMMITTED transaction.");
            session.run("ROLLBACK").await;
        }
        // Nobody can work on tasks that are not committed.
        let refusal = session.refused("SELECT * FROM workflow_wait(workflow_start('demo.w'))").await;
        assert_eq!(refusal.code(), ("55000", "WF611"), "{refusal:#?}");
        assert_eq!(refusal.hint, "Commit the transaction before waiting.");
        session.define_as("demo.at_once", "tasks: [{name: a}]\n").await;
        let ended: bool = session.value("SELECT ended FROM workflow_wait(workflow_start('demo.at_once'))").await;
        assert!(ended, "what ends at once is not waited for");
        for (call, sqlstate, code) in [
            ("workflow_wait(NULL)".to_owned(), "22023", "WF613"),
            ("workflow_wait(99)".into(), "P0002", "WF616"),
            (format!("workflow_wait({id}, NULL)"), "22023", "WF613"),
            (format!("workflow_wait({id}, '-1 second')"), "22023", "WF613"),
            (format!("workflow_wait({id}, '11 minutes')"), "22023", "WF613"),
            (format!("workflow_wait({id}, '1 month')"), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
    })
    .await;
}
