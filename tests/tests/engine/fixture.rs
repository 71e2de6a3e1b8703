//! Helpers of the tests: sessions whose clock stands still, workflows, and the parts of errors.

use pg_workflow_tests::Database;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, FromRow, PgConnection, Row};

/// Actions of the tests' workflows.
const ACTIONS: [&str; 5] = ["demo.a", "demo.b", "demo.c", "demo.d", "demo.e"];

/// A session of a superuser. Its clock stays at [`START`] until it is changed.
pub struct Session {
    pub connection: PgConnection,
}

/// The time at which every test begins.
pub const START: &str = "2026-01-01 00:00:00+00";

/// A claimed task.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Task {
    pub task: i64,
    pub lease_token: i64,
    pub execution: i64,
    pub task_name: String,
    pub task_index: Option<i32>,
    pub action: String,
    pub input: Option<Value>,
    pub attempt: i32,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Answer {
    pub task: Option<i64>,
    pub lease_token: Option<i64>,
    pub state: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
}

impl Answer {
    /// The state, or the code of the refusal.
    pub fn word(&self) -> &str {
        self.state.as_deref().or(self.code.as_deref()).unwrap()
    }
}

/// An error, as a caller sees it.
#[derive(Debug)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl Refusal {
    /// Splits an error into its parts. Checks that it contains nothing that users must never see.
    pub fn of(error: sqlx::Error) -> Refusal {
        let sqlx::Error::Database(error) = error else { panic!("no error of the server: {error}") };
        let error = error.downcast::<PgDatabaseError>();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let refusal = Refusal {
            sqlstate: error.code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            hint: text(error.hint()),
        };
        let detail = &refusal.detail;
        for trace in ["pgrx", ".rs:", "stack backtrace", "panicked"] {
            assert!(!detail.contains(trace) && !refusal.message.contains(trace), "a backtrace: {refusal:#?}");
        }
        refusal
    }

    /// SQLSTATE, and the code at the beginning of the message.
    pub fn code(&self) -> (&str, &str) {
        (&self.sqlstate, self.message.split(':').next().unwrap())
    }

    /// Returns the detail, if it is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.detail).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Session {
    /// Opens a session on a test's database.
    pub async fn new(db: &Database) -> Session {
        Session::open(&db.options()).await
    }

    /// Opens a session on any database, with its clock at the start.
    pub async fn open(options: &PgConnectOptions) -> Session {
        let mut session = Session { connection: options.connect().await.expect("connected") };
        session.at(0.0).await;
        session
    }

    /// Sets the clock to a number of seconds after the start.
    pub async fn at(&mut self, seconds: f64) {
        self.run(format!(
            "SELECT set_config('pg_workflow.test_now', ('{START}'::timestamptz + {seconds} * interval '1 s')::text, false)"
        ))
        .await;
    }

    /// Runs statements that must succeed.
    pub async fn run(&mut self, sql: impl Into<String>) {
        let sql = sql.into();
        if let Err(error) = self.connection.execute(AssertSqlSafe(sql.as_str())).await {
            panic!("{error:?}\n{sql}");
        }
    }

    /// Returns the rows of a query.
    pub async fn rows<T>(&mut self, sql: impl Into<String>) -> Vec<T>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let sql = sql.into();
        let rows = sqlx::query_as(AssertSqlSafe(sql.as_str())).fetch_all(&mut self.connection).await;
        rows.unwrap_or_else(|error| panic!("{error:?}\n{sql}"))
    }

    /// Returns the only value of a query.
    pub async fn value<T>(&mut self, sql: impl Into<String>) -> T
    where
        (T,): for<'r> FromRow<'r, PgRow>,
        T: Send + Unpin,
    {
        let sql = sql.into();
        let row = sqlx::query_as::<_, (T,)>(AssertSqlSafe(sql.as_str())).fetch_one(&mut self.connection).await;
        row.unwrap_or_else(|error| panic!("{error:?}\n{sql}")).0
    }

    /// Runs a statement that must be refused. Checks that nothing has changed, and that the session can continue.
    pub async fn refused(&mut self, sql: impl Into<String>) -> Refusal {
        let sql = sql.into();
        let before = self.contents().await;
        let error = match sqlx::query(AssertSqlSafe(sql.as_str())).fetch_all(&mut self.connection).await {
            Ok(rows) => panic!("not refused: {sql}: {} rows", rows.len()),
            Err(error) => error,
        };
        assert_eq!(self.contents().await, before, "{sql} changed something");
        Refusal::of(error)
    }

    /// Returns all stored data, as one text.
    pub async fn contents(&mut self) -> String {
        self.contents_with_events("true").await
    }

    /// Returns the same, without the events about refused lease tokens.
    pub async fn contents_but_refusals(&mut self) -> String {
        self.contents_with_events("kind <> 'lease_refused'").await
    }

    async fn contents_with_events(&mut self, which: &str) -> String {
        self.value(format!(
            "SELECT concat((SELECT jsonb_agg(t) FROM workflow.pack AS t), (SELECT jsonb_agg(t) FROM workflow.action AS t),
               (SELECT jsonb_agg(t) FROM workflow.workflow_definition AS t),
               (SELECT jsonb_agg(t) FROM workflow.workflow_definition_version AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.execution AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.workflow_execution AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.workflow_task_execution AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.lease AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.event AS t WHERE {which}),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.schedule AS t), (SELECT jsonb_agg(t) FROM workflow.limit_rule AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.limit_key AS t), (SELECT jsonb_agg(t) FROM workflow.limit_slot AS t),
               (SELECT jsonb_agg(t ORDER BY id) FROM workflow.hold AS t), (SELECT jsonb_agg(t ORDER BY id) FROM workflow.hook AS t))"
        ))
        .await
    }

    /// Registers the actions demo.a to demo.e.
    pub async fn register_actions(&mut self) {
        for action in ACTIONS {
            self.run(format!("SELECT workflow_register_action('{action}')")).await;
        }
    }

    /// Stores the workflow demo.w, whose actions are demo.a to demo.e, given the text after its ref, label and version.
    pub async fn define(&mut self, rest: &str) {
        self.define_as("demo.w", rest).await;
    }

    /// Does the same under another ref.
    pub async fn define_as(&mut self, r#ref: &str, rest: &str) {
        self.register_actions().await;
        let source = source(r#ref, rest);
        if let Err(error) =
            sqlx::query("SELECT ref FROM workflow_define($1)").bind(&source).fetch_one(&mut self.connection).await
        {
            panic!("{error:?}\n{source}");
        }
    }

    /// Starts demo.w without parameters.
    pub async fn start(&mut self) -> i64 {
        self.value("SELECT workflow_start('demo.w')").await
    }

    /// Starts demo.w with these parameters.
    pub async fn start_with(&mut self, parameters: Value) -> i64 {
        let start = sqlx::query("SELECT workflow_start('demo.w', $1)").bind(parameters);
        start.fetch_one(&mut self.connection).await.unwrap().get(0)
    }

    /// Defines and starts.
    pub async fn begin(&mut self, rest: &str) -> i64 {
        self.define(rest).await;
        self.start().await
    }

    /// Claims for 30 seconds, sorted by name and item.
    pub async fn claim(&mut self, max_tasks: i32) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.rows(format!("SELECT * FROM workflow_claim('w1', {max_tasks})")).await;
        tasks.sort_by(|a, b| (&a.task_name, a.task_index, a.task).cmp(&(&b.task_name, b.task_index, b.task)));
        tasks
    }

    /// Claims all tasks, which must have these names, in order of name.
    pub async fn claim_named<const N: usize>(&mut self, names: [&str; N]) -> [Task; N] {
        let tasks = self.claim(1000).await;
        assert_eq!(tasks.iter().map(|task| task.task_name.as_str()).collect::<Vec<_>>(), names);
        tasks.try_into().unwrap()
    }

    /// Reports a task as completed.
    pub async fn complete(&mut self, task: &Task, result: Value) -> String {
        let complete = sqlx::query("SELECT workflow_complete($1, $2, $3)").bind(task.task).bind(task.lease_token);
        complete.bind(result).fetch_one(&mut self.connection).await.unwrap().get(0)
    }

    /// Reports a task as failed.
    pub async fn fail(&mut self, task: &Task, error: Value) -> String {
        let fail = sqlx::query("SELECT workflow_fail($1, $2, $3)").bind(task.task).bind(task.lease_token);
        fail.bind(error).fetch_one(&mut self.connection).await.unwrap().get(0)
    }

    /// Claims the only task, which must have this name, and reports it as completed.
    pub async fn work(&mut self, name: &str, result: Value) {
        let [task] = self.claim_named([name]).await;
        assert_eq!(self.complete(&task, result).await, "completed");
    }

    /// Reports a batch of (task, lease, status).
    pub async fn finish(&mut self, outcomes: &[(i64, i64, &str)]) -> Vec<Answer> {
        self.rows(format!("SELECT * FROM workflow_finish({})", outcome_array(outcomes))).await
    }

    /// Returns one or more columns of an execution's status.
    pub async fn status(&mut self, execution: i64) -> Value {
        self.value(format!("SELECT to_jsonb(s) FROM workflow_status({execution}) AS s")).await
    }

    /// Returns the status in one word, the output, and the number of tasks that have not ended: 0 if the execution has
    /// ended.
    pub async fn assert_ended(&mut self, execution: i64, status: &str, output: Value) {
        let found = self.status(execution).await;
        assert_eq!((&found["status"], &found["output"]), (&json!(status), &output), "{found:#}");
        assert_eq!((&found["ended"], &found["current_tasks"]), (&json!(true), &json!([])), "{found:#}");
    }
}

/// Returns an `ARRAY[…]` of outcomes.
pub fn outcome_array(outcomes: &[(i64, i64, &str)]) -> String {
    let list: Vec<String> = outcomes
        .iter()
        .map(|(task, lease, status)| {
            format!("ROW({task}, {lease}, '{status}', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome")
        })
        .collect();
    format!("ARRAY[{}]::workflow.outcome[]", list.join(", "))
}

/// Returns the text of a workflow: its head, and the rest.
pub fn source(r#ref: &str, rest: &str) -> String {
    format!("ref: {ref}\nlabel: Test\nversion: 1.0.0\n{rest}")
}
