//! The statements that a call runs, as reported by auto_explain.

use crate::fixture::{START, Session};
use pg_workflow_tests::Database;
use sqlx::Executor;
use std::process::Command;

/// The statements of a call, and its results.
pub struct Explained {
    /// The plans of its statements, nested ones first, its own last.
    pub plans: Vec<String>,
    /// Result of the query that followed.
    pub printed: String,
}

/// Runs a call in a separate session, with settings and after a statement that is not examined; then runs a query.
/// Returns `None` if the server has no auto_explain.
pub async fn explain(
    session: &mut Session,
    db: &Database,
    settings: &[&str],
    [before, call, ask]: [&str; 3],
) -> Option<Explained> {
    if session.connection.execute("LOAD 'auto_explain'").await.is_err() {
        eprintln!("skipped: this server comes without auto_explain");
        return None;
    }
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
    let begin = format!("SET pg_workflow.test_now = '{START}'; LOAD 'auto_explain'");
    let explain = ["SET auto_explain.log_min_duration = 0", "SET auto_explain.log_nested_statements = on"];
    let commands =
        [&[begin.as_str()], &explain[..], settings, &[before, "SET auto_explain.log_level = notice", call]].concat();
    for command in commands.iter().chain(&["SET auto_explain.log_level = debug5", ask]) {
        psql.arg(format!("--command={command}"));
    }
    let output = psql.args(["--dbname", &db.name]).output().expect("psql runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let plans = told.split("NOTICE:  duration:").skip(1).map(str::to_owned).collect();
    Some(Explained { plans, printed: String::from_utf8_lossy(&output.stdout).trim().to_owned() })
}
