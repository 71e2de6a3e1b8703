//! A session caches which actions are workflows, and notices when that changes.

use crate::fixture::*;
use pg_workflow_tests::with_database;

/// Starts a workflow of one task. Returns whether that called a workflow.
async fn calls(session: &mut Session) -> bool {
    session.run("SELECT workflow_start('demo.w')").await;
    let newest = "SELECT calls FROM workflow.workflow_task_execution WHERE task_name = 'call' ORDER BY id DESC LIMIT 1";
    session.value(newest).await
}

const BECOMES_A_WORKFLOW: &str = "UPDATE workflow.action SET is_workflow = true,
    workflow_def = (SELECT id FROM workflow.workflow_definition WHERE ref = 'demo.other') WHERE ref = 'demo.b'";
const IS_NONE_ANY_MORE: &str =
    "UPDATE workflow.action SET is_workflow = false, workflow_def = NULL WHERE ref = 'demo.b'";

async fn begin(session: &mut Session) {
    session.define("tasks: [{name: call, action: demo.b}]").await;
    session.define_as("demo.other", "tasks: [{name: a, action: demo.a}]").await;
    assert!(!calls(session).await);
}

#[tokio::test]
async fn what_another_session_changes_counts_from_its_commit_on() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        begin(&mut session).await;
        other.run("BEGIN").await;
        other.run(BECOMES_A_WORKFLOW).await;
        assert!(!calls(&mut session).await);
        assert!(calls(&mut other).await);
        other.run("COMMIT").await;
        assert!(calls(&mut session).await);
        other.run(IS_NONE_ANY_MORE).await;
        assert!(!calls(&mut session).await);
        other.run(BECOMES_A_WORKFLOW).await;
        assert!(calls(&mut session).await);
        other.run("DELETE FROM workflow.action WHERE ref = 'demo.b'").await;
        assert!(!calls(&mut session).await);
    })
    .await;
}

#[tokio::test]
async fn what_is_rolled_back_has_never_been() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        begin(&mut session).await;
        session.run("BEGIN").await;
        session.run("SAVEPOINT before").await;
        session.run(BECOMES_A_WORKFLOW).await;
        assert!(calls(&mut session).await);
        session.run("ROLLBACK TO before").await;
        assert!(!calls(&mut session).await);
        session.run(BECOMES_A_WORKFLOW).await;
        assert!(calls(&mut session).await);
        session.run("ROLLBACK").await;
        assert!(!calls(&mut session).await);
    })
    .await;
}

#[tokio::test]
async fn what_an_old_snapshot_shows_is_not_remembered() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        begin(&mut session).await;
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
        session.value::<i64>("SELECT count(*) FROM workflow.action").await;
        other.run(BECOMES_A_WORKFLOW).await;
        assert!(!calls(&mut session).await);
        session.run("COMMIT").await;
        assert!(calls(&mut session).await);
    })
    .await;
}

#[tokio::test]
async fn what_is_replicated_from_elsewhere_counts_too() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        begin(&mut session).await;
        other.run("SET session_replication_role = replica").await;
        other.run(BECOMES_A_WORKFLOW).await;
        assert!(calls(&mut session).await);
    })
    .await;
}
