//! Hints to workers that have announced that they are idle.

use crate::fixture::*;
use pg_workflow_tests::{Database, Server, with_database};
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgListener;
use std::time::{Duration, Instant};

const TWO: &str = "tasks:
  - {name: a, action: demo.a, on_success: [b, c]}
  - {name: b, action: demo.b, retry: {count: 1}}
  - {name: c, action: demo.c, delay: 10}
";

/// A session that listens, and may announce that it is idle.
struct Ears<'d> {
    db: &'d Database,
    listener: PgListener,
}

impl Ears<'_> {
    async fn new(db: &Database) -> Ears<'_> {
        let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
        listener.listen("pg_workflow").await.unwrap();
        Ears { db, listener }
    }

    async fn announce(&mut self, actions: &str) {
        let call = format!("SELECT workflow_announce_idle({actions})");
        sqlx::query(AssertSqlSafe(call)).execute(&mut self.listener).await.unwrap();
    }

    /// Returns the notifications since the last call. A marker of our own comes last.
    async fn told(&mut self) -> Vec<String> {
        self.db.run("NOTIFY pg_workflow, 'mark'").await;
        let mut told = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(60), self.listener.recv()).await.unwrap().unwrap();
            match next.payload() {
                "mark" => return told,
                other => told.push(other.to_owned()),
            }
        }
    }
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn an_idle_worker_is_notified_of_tasks_that_it_serves() {
    with_database(async |db| {
        let mut ears = Ears::new(db).await;
        let mut session = Session::new(db).await;
        session.define(TWO).await;
        session.start().await;
        assert_eq!(ears.told().await, NOTHING, "nobody is idle");
        ears.announce("'{demo.b}'").await;
        session.start().await;
        assert_eq!(ears.told().await, NOTHING, "nobody who serves this is idle");
        ears.announce("'{demo.a}'").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[50]))").await;
        assert_eq!(ears.told().await, ["0 demo.a"]);
        session.start().await;
        assert_eq!(ears.told().await, NOTHING, "it has just been told");
        session.run("SELECT workflow_start('demo.w', part => 3)").await;
        assert_eq!(ears.told().await, ["3 demo.a"]);
        session.at(1.0).await;
        session.start().await;
        assert_eq!(ears.told().await, ["0 demo.a"]);
        session.at(2.0).await;
        session.run("SET pg_workflow.notify = off").await;
        session.start().await;
        assert_eq!(ears.told().await, NOTHING, "the session says so");
        session.run("RESET pg_workflow.notify").await;
        // Tasks that are not committed are not announced.
        session.run("BEGIN").await;
        session.start().await;
        session.run("ROLLBACK").await;
        assert_eq!(ears.told().await, NOTHING);
        ears.announce("'{}'").await;
        session.start().await;
        assert_eq!(ears.told().await, NOTHING, "it is idle no more");
        // One worker that serves any action, and one that serves more than there are locks for.
        for (seconds, everything) in
            [(3.0, "NULL"), (4.0, "ARRAY(SELECT 'demo.' || n FROM generate_series(1, 1000) AS n)")]
        {
            ears.announce(everything).await;
            session.at(seconds).await;
            session.start().await;
            assert_eq!(ears.told().await, ["0 demo.a"], "{everything}");
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_queues_a_task_notifies() {
    with_database(async |db| {
        let mut ears = Ears::new(db).await;
        let mut session = Session::new(db).await;
        session.define(TWO).await;
        let id: i64 = session.start().await;
        let [a] = session.claim_named(["a"]).await;
        ears.announce("'{demo.a,demo.b,demo.c}'").await;
        session.complete(&a, json!(null)).await;
        assert_eq!(ears.told().await, ["0 demo.b"], "what follows from a report");
        session.at(1.0).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        assert_eq!(ears.told().await, NOTHING);
        session.run(format!("SELECT workflow_resume({id})")).await;
        assert_eq!(ears.told().await, ["0 demo.b"], "the end of a pause");
        session.at(2.0).await;
        let b = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await.remove(0);
        session.fail(&b, json!(null)).await;
        assert_eq!(ears.told().await, ["0 demo.b"], "a retry");
        let b = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await.remove(0);
        assert_eq!(b.attempt, 2);
        session.at(40.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(ears.told().await, ["0 demo.b", "0 demo.c"], "a delay, and a lease that has expired");
        session.at(41.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(ears.told().await, NOTHING);
        session.run("SELECT workflow_cancel(id) FROM workflow.execution").await;
        session.define("tasks: [{name: i, action: demo.a, with_items: {items: [1, 2], concurrency: 1}}]").await;
        session.at(42.0).await;
        session.start().await;
        assert_eq!(ears.told().await, ["0 demo.a"]);
        session.at(43.0).await;
        let item = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, '{demo.a}')").await.remove(0);
        session.complete(&item, json!(null)).await;
        assert_eq!(ears.told().await, ["0 demo.a"], "the turn of the next item");
    })
    .await;
}

#[tokio::test]
async fn a_start_loop_notifies_at_most_a_hundred_times_a_second() {
    with_database(async |db| {
        let mut ears = Ears::new(db).await;
        let mut session = Session::new(db).await;
        session.define(TWO).await;
        session.run("RESET pg_workflow.test_now").await;
        ears.announce("'{demo.a}'").await;
        let began = Instant::now();
        for _ in 0..100 {
            session.start().await;
        }
        let most = began.elapsed().as_millis() as usize / 10 + 1;
        let told = ears.told().await.len();
        assert!((1..=most).contains(&told), "{told} hints, at most {most} are allowed");
    })
    .await;
}

#[tokio::test]
async fn an_announcement_writes_nothing_and_ends_with_what_ends_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TWO).await;
        let mut ears = Ears::new(db).await;
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'RowExclusiveLock'
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        for _ in 0..2 {
            ears.announce("'{demo.a,demo.b}'").await;
            assert_eq!(session.value::<i64>(held).await, 3);
        }
        let mut transaction = sqlx::Connection::begin(&mut session.connection).await.unwrap();
        let xid: Option<String> =
            sqlx::query_scalar("SELECT pg_current_xact_id_if_assigned()::text FROM workflow_announce_idle('{demo.a}')")
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
        assert_eq!(xid, None);
        transaction.rollback().await.unwrap();
        session.run("SELECT workflow_announce_idle('{}')").await;
        assert_eq!(session.value::<i64>(held).await, 3, "of the other session");
        // The session releases everything without our knowledge, and no longer listens either.
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut ears.listener).await.unwrap();
        assert_eq!(session.value::<i64>(held).await, 0);
        for (actions, count) in [("'{demo.b}'", 2), ("NULL", 2), ("'{}'", 0)] {
            ears.announce(actions).await;
            assert_eq!(session.value::<i64>(held).await, count, "{actions}");
        }
        for (actions, code) in [
            ("array_fill('demo.a'::text, ARRAY[1001])", ("54000", "WF614")),
            ("ARRAY[repeat('x', 1001)]", ("22023", "WF613")),
            ("ARRAY[['demo.a'], ['demo.b']]", ("22023", "WF613")),
        ] {
            let refusal = session.refused(format!("SELECT workflow_announce_idle({actions})")).await;
            assert_eq!(refusal.code(), code, "{actions}");
        }
    })
    .await;
}

/// A transaction that has sent a notification cannot be prepared. Notifications are sent at commit, which a prepared
/// transaction does not reach.
#[tokio::test]
async fn what_starts_a_workflow_can_be_prepared_for_two_phase_commit() {
    let server = Server::create("prepared", &["max_prepared_transactions=2"]);
    let mut session = Session::open(&server.options).await;
    session.run("CREATE EXTENSION pg_workflow").await;
    session.define(TWO).await;
    let mut idle = Session::open(&server.options).await;
    idle.run("LISTEN pg_workflow; SELECT workflow_announce_idle()").await;
    session.run("BEGIN").await;
    let id = session.start().await;
    session.run("PREPARE TRANSACTION 'start'").await;
    session.run("COMMIT PREPARED 'start'").await;
    // Nothing of it remains for the next transaction either.
    session.run("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'nothing'").await;
    session.run("ROLLBACK PREPARED 'nothing'").await;
    let [task] = session.claim_named(["a"]).await;
    assert_eq!(task.execution, id);
    sqlx::Connection::close(idle.connection).await.unwrap();
    sqlx::Connection::close(session.connection).await.unwrap();
}

/// Tasks of a transaction that is committing while a worker announces itself are found by the next claim; none is
/// missed.
#[tokio::test]
async fn a_start_is_told_or_found_by_the_look_that_follows_the_announcement() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let starts = 400;
        let starter = async {
            let mut starter = Session::new(db).await;
            for n in 0..starts {
                // Earlier notifications no longer count.
                starter.at(n as f64).await;
                starter.start().await;
            }
        };
        let idler = async {
            let mut ears = Ears::new(db).await;
            let mut claimed = 0_i64;
            while claimed < starts {
                ears.announce("'{demo.a}'").await;
                let look = "SELECT count(*) FROM workflow_claim('w', 1000, '{demo.a}')";
                let found: i64 = sqlx::query_scalar(look).fetch_one(&mut ears.listener).await.unwrap();
                claimed += found;
                if found == 0 && claimed < starts {
                    // The next start sends a notification; otherwise it would wait forever.
                    let hint = tokio::time::timeout(Duration::from_secs(60), ears.listener.recv()).await;
                    assert_eq!(hint.expect("a hint").unwrap().payload(), "0 demo.a");
                }
                ears.announce("'{}'").await;
            }
        };
        futures::future::join(starter, idler).await;
    })
    .await;
}
