//! Sessions cache compiled definitions by the id of the version; if the id is reused, it is another definition.

use crate::fixture::*;
use pg_workflow_tests::with_database;

/// Defines demo.w with one task of this name, and starts and claims it in each of these sessions.
async fn run(sessions: &mut [Session], task: &str) {
    for session in sessions {
        session.start().await;
        session.work(task, serde_json::json!(null)).await;
    }
}

async fn define(session: &mut Session, task: &str) {
    session.define(&format!("tasks: [{{name: {task}, action: demo.a}}]")).await;
    let version: i64 = session.value("SELECT max(id) FROM workflow.workflow_definition_version").await;
    assert_eq!(version, 1, "the test is about an id that comes again");
}

const EMPTY: &str = "TRUNCATE workflow.execution CASCADE";
const RESTART: &str = "SELECT setval('workflow.workflow_definition_version_id_seq', 1, false)";

#[tokio::test]
async fn a_version_whose_id_comes_again_is_compiled_again_in_every_session() {
    with_database(async |db| {
        let mut sessions = [Session::new(db).await, Session::new(db).await];
        define(&mut sessions[0], "first").await;
        run(&mut sessions, "first").await;
        // A restore of data alone, or a test's fixture.
        sessions[0].run("TRUNCATE workflow.workflow_definition CASCADE").await;
        sessions[0].run(RESTART).await;
        define(&mut sessions[0], "second").await;
        run(&mut sessions, "second").await;
        // Row by row, in a session in which user triggers do not fire.
        sessions[1].run(EMPTY).await;
        sessions[1].run("SET session_replication_role = replica").await;
        sessions[1]
            .run("DELETE FROM workflow.workflow_definition_version; DELETE FROM workflow.workflow_definition")
            .await;
        sessions[1].run("RESET session_replication_role").await;
        sessions[1].run(RESTART).await;
        define(&mut sessions[1], "third").await;
        run(&mut sessions, "third").await;
        // One that never existed.
        sessions[0].run("TRUNCATE workflow.execution, workflow.workflow_definition CASCADE").await;
        sessions[0].run(RESTART).await;
        sessions[0].run("BEGIN").await;
        define(&mut sessions[0], "fourth").await;
        sessions[0].start().await;
        sessions[0].run("ROLLBACK").await;
        sessions[0].run(RESTART).await;
        define(&mut sessions[1], "fifth").await;
        run(&mut sessions, "fifth").await;
    })
    .await;
}
