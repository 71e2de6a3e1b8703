//! Servers of a test that share the work by parts.

use pg_workflow_client::Error;
use pg_workflow_tests::Server;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub const CHILD: &str = "{ref: demo.child, label: Child, version: 1.0.0, tasks: [{name: one, action: demo.one}]}";

pub const LIMITED: &str =
    "{ref: demo.limited, label: Limited, version: 1.0.0, tasks: [{name: one, action: demo.one, limit: few}]}";

pub const PARENT: &str = "
ref: demo.parent
label: Parent
version: 1.0.0
attributes: {tenant: acme}
vars: [{n: 0}]
tasks:
  - {name: first, action: demo.one, on_success: [left, right]}
  - {name: left, action: demo.child, publish: [{n: 1}], on_success: meet}
  - {name: right, action: demo.one, publish: [{n: 2}], on_success: meet}
  - {name: meet, join: all, on_success: asked}
  - {name: asked, wait_for: {signal: go}, on_success: last}
  - {name: last, action: demo.one}
";

/// The tasks of a parent and its child that a worker runs.
pub const WORK: i64 = 4;

/// Configuration of a server that can send and receive parts.
pub const LINES: [&str; 5] = [
    "wal_level = logical",
    "max_worker_processes = 30",
    "max_logical_replication_workers = 20",
    "max_sync_workers_per_subscription = 8",
    "wal_retrieve_retry_interval = 100ms",
];

/// One of several servers, and its parts.
pub struct Node {
    pub server: Server,
    pub pool: PgPool,
}

impl Node {
    pub async fn create(name: &str, number: i32, parts: &str) -> Node {
        let node = format!("pg_workflow.node = {number}");
        let node = Node::of(Server::create(name, &[&LINES[..], &[&node]].concat()));
        node.install(parts).await;
        node
    }

    pub fn of(server: Server) -> Node {
        Node { pool: pool(&server.options), server }
    }

    pub async fn install(&self, parts: &str) {
        self.run("CREATE EXTENSION pg_workflow; CREATE TABLE public.ledger (task bigint)").await;
        self.run(&format!("SELECT workflow_set_parts('{parts}')")).await;
    }

    pub async fn run(&self, sql: &str) {
        if let Err(error) = self.pool.execute(AssertSqlSafe(sql)).await {
            panic!("{error:?}\n{sql}");
        }
    }

    pub async fn value<T>(&self, sql: &str) -> T
    where
        (T,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
        T: Send + Unpin,
    {
        let row = sqlx::query_as::<_, (T,)>(AssertSqlSafe(sql)).fetch_one(&self.pool).await;
        row.unwrap_or_else(|error| panic!("{error:?}\n{sql}")).0
    }

    /// Returns the code of the refusal of a query.
    pub async fn refusal(&self, sql: &str) -> String {
        match self.pool.execute(AssertSqlSafe(sql)).await.map_err(Error::from) {
            Ok(_) => panic!("not refused: {sql}"),
            Err(error) => error.code().unwrap_or_else(|| panic!("{error:?}\n{sql}")).to_owned(),
        }
    }

    /// Waits until a query returns true.
    pub async fn becomes(&self, sql: &str) {
        let is_so = async {
            while !self.value::<bool>(sql).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), is_so).await.unwrap_or_else(|_| panic!("never true: {sql}"));
    }

    pub fn url(&self) -> String {
        let options = &self.server.options;
        format!("postgres://{}@{}:{}/postgres", options.get_username(), options.get_host(), options.get_port())
    }

    pub async fn check(&self) {
        let broken: Vec<(String,)> =
            sqlx::query_as("SELECT c::text FROM workflow_check() AS c").fetch_all(&self.pool).await.unwrap();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Waits until this server has received all definitions of another one.
    pub async fn follows(&self, publisher: &Node) {
        let defined = "SELECT count(*) FROM workflow.workflow_definition_version";
        let (versions, actions) = (
            publisher.value::<i64>(defined).await,
            publisher.value::<i64>("SELECT count(*) FROM workflow.action").await,
        );
        self.becomes(&format!("SELECT ({defined}) = {versions}")).await;
        self.becomes(&format!("SELECT (SELECT count(*) FROM workflow.action) = {actions}")).await;
    }

    /// Crashes the server, as kill -9 does, and restarts it.
    pub fn crash(&self) {
        self.server.stop("immediate");
        self.server.start();
    }
}

pub fn pool(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(8).connect_lazy_with(options.clone())
}
