//! A separate database for each test, on the server that DATABASE_URL names.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// A database with the extension. It is dropped at the end, whether or not the test passes.
pub struct Database {
    /// Sessions as superuser.
    pub pool: PgPool,
    /// Its name.
    pub name: String,
    roles: Mutex<Vec<String>>,
}

/// Runs a test on a separate database, and then checks that all invariants of the engine still hold there.
///
/// ```no_run
/// # async fn test() {
/// pg_workflow_tests::with_database(async |db| {
///     sqlx::query("SELECT * FROM workflow_list_packs()").fetch_all(&db.pool).await.unwrap();
/// })
/// .await
/// # }
/// ```
pub async fn with_database(test: impl AsyncFnOnce(&Database)) {
    let database = Database::create().await;
    test(&database).await;
    database.check().await;
    database.pool.close().await;
}

impl Database {
    /// Creates a database.
    pub async fn create() -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let template = TEMPLATE.get_or_init(create_template).await;
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut session = connect().await;
        run(&mut session, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        session.close().await.expect("closed");
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy_with(server().database(&name));
        Database { pool, name, roles: Mutex::default() }
    }

    /// Returns the options for connecting to it.
    pub fn options(&self) -> PgConnectOptions {
        server().database(&self.name)
    }

    /// Opens a separate session.
    pub async fn connect(&self) -> PgConnection {
        self.options().connect().await.expect("connected")
    }

    /// Runs statements that must succeed.
    pub async fn run(&self, sql: impl Into<String>) {
        let mut connection = self.pool.acquire().await.expect("connected");
        run(&mut connection, sql.into()).await;
    }

    /// Creates a role that can log in but do nothing else. It is dropped with the database.
    pub async fn role(&self) -> String {
        let name = {
            let mut roles = self.roles.lock().unwrap();
            let name = format!("{}_role_{}", self.name, roles.len());
            roles.push(name.clone());
            name
        };
        self.run(format!("CREATE ROLE {name} LOGIN")).await;
        name
    }

    /// Opens a session of that role.
    pub async fn connect_as(&self, role: &str) -> PgConnection {
        self.options().username(role).connect().await.expect("connected")
    }

    /// Fails if an invariant of the engine is broken.
    pub async fn check(&self) {
        let known: bool = sqlx::query_scalar("SELECT to_regproc('pg_catalog.workflow_check') IS NOT NULL")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        if known {
            let broken: Vec<String> = sqlx::query_scalar("SELECT c::text FROM pg_catalog.workflow_check() AS c")
                .fetch_all(&self.pool)
                .await
                .unwrap();
            assert!(broken.is_empty(), "workflow_check() finds {broken:#?}");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        let roles = std::mem::take(&mut *self.roles.lock().unwrap());
        // On a separate thread, because one runtime cannot wait for another from within.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut session = server().connect().await.unwrap();
                run(&mut session, format!("DROP DATABASE {name} WITH (FORCE)")).await;
                for role in roles {
                    run(&mut session, format!("DROP ROLE {role}")).await;
                }
            });
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("{} was not dropped", self.name);
        }
    }
}

/// The database that the tests of this process copy: copying one that has the extension is four times as fast as
/// creating the extension.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// Creates the template of this process, and drops those of processes that have ended.
async fn create_template() -> String {
    let mut session = connect().await;
    let templates: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_catalog.pg_database WHERE datname LIKE 'template\\_%'")
            .fetch_all(&mut session)
            .await
            .unwrap();
    for template in templates {
        if template.strip_prefix("template_").is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            run(&mut session, format!("DROP DATABASE IF EXISTS {template} WITH (FORCE)")).await;
        }
    }
    let name = format!("template_{}", std::process::id());
    run(&mut session, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    let mut inside = server().database(&name).connect().await.expect("connected");
    run(&mut inside, "CREATE EXTENSION pg_workflow".to_owned()).await;
    inside.close().await.expect("closed");
    // Nobody can be connected to a database while it is copied.
    run(&mut session, format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    session.close().await.expect("closed");
    name
}

async fn connect() -> PgConnection {
    server().connect().await.expect("the server that DATABASE_URL names answers")
}

fn server() -> PgConnectOptions {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a server to test on: `make test` starts one");
    url.parse::<PgConnectOptions>().expect("DATABASE_URL is a URL").application_name("pg_workflow_tests")
}

async fn run(connection: &mut PgConnection, sql: String) {
    if let Err(error) = connection.execute(AssertSqlSafe(sql.as_str())).await {
        panic!("{error}\n{sql}");
    }
}
