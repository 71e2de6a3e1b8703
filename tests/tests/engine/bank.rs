//! Orders are charged, stocked, checked and shipped by workers that are constantly killed, and a third of the orders
//! fail at some step. In the end, an outside ledger must balance to the cent, and nothing may have been undone twice.

use crate::fixture::source;
use pg_workflow_tests::{Database, major, with_database};
use sqlx::Row;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const CLERKS: usize = 3;

const ORDER: &str = "parameters:
  type: object
  required: [order, amount, items]
  properties: {order: {type: integer}, amount: {type: integer}, items: {type: array, items: {type: string}}}
defaults: {retry: {count: 20, delay: 0.1, when: \"{{ error().type != 'declined' }}\"}}
finally: tell
tasks:
  - name: charge
    action: shop.charge
    input: {order: '{{ parameters.order }}', amount: '{{ parameters.amount }}'}
    undo: {action: shop.refund, input: {order: '{{ input.order }}', amount: '{{ input.amount }}'}}
    on_success: reserve
  - name: reserve
    action: shop.reserve
    with_items: {items: '{{ parameters.items }}', concurrency: 3}
    input: {order: '{{ parameters.order }}', item: '{{ item }}'}
    undo: {action: shop.restock, input: {order: '{{ input.order }}', item: '{{ input.item }}'}}
    on_success: approve
  - {name: approve, wait_for: {signal: approval, timeout: 1h}, on_success: check}
  - {name: check, action: shop.fraud, input: {order: '{{ parameters.order }}'}, on_success: ship}
  - {name: ship, action: shop.ship, input: {order: '{{ parameters.order }}'}}
  - {name: tell, action: shop.mail, input: {order: '{{ parameters.order }}'}}
";

const FRAUD: &str = "parameters: {type: object, required: [order], properties: {order: {type: integer}}}
tasks: [{name: look, action: shop.check, input: {order: '{{ parameters.order }}'}}]
";

struct Clerk(Child);

impl Clerk {
    fn hire(db: &Database, number: usize) -> Clerk {
        let options = db.options();
        let url =
            format!("postgres://{}@{}:{}/{}", options.get_username(), options.get_host(), options.get_port(), db.name);
        let mut clerk = Command::new(env!("CARGO_BIN_EXE_clerk"));
        Clerk(clerk.arg(format!("clerk {number}")).env("DATABASE_URL", url).spawn().expect("the clerk starts"))
    }
}

impl Drop for Clerk {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn prepare(db: &Database, orders: i32) {
    db.run("CREATE TABLE ledger (key bigint PRIMARY KEY, order_number bigint, account text, amount bigint, item text)")
        .await;
    for action in ["charge", "refund", "reserve", "restock", "check", "ship", "mail"] {
        sqlx::query("SELECT workflow_register_action($1)")
            .bind(format!("shop.{action}"))
            .execute(&db.pool)
            .await
            .unwrap();
    }
    for (reference, rest) in [("shop.fraud", FRAUD), ("shop.order", ORDER)] {
        sqlx::query("SELECT workflow_define($1)").bind(source(reference, rest)).execute(&db.pool).await.unwrap();
    }
    db.run(format!(
        "SELECT workflow_start('shop.order', jsonb_build_object('order', n, 'amount', 100 + n, 'items', '[\"pen\", \"ink\", \"cap\", \"pad\"]'::jsonb))
         FROM generate_series(1, {orders}) AS n"
    ))
    .await;
}

/// Approves every order that waits for approval. Returns how many orders have not ended.
async fn attend(db: &Database) -> i64 {
    db.run("SELECT workflow_signal(execution, 'approval', '{}', 'approved') FROM workflow_list_waits('approval')")
        .await;
    let open = sqlx::query(
        "SELECT count(*) FROM workflow.execution WHERE action_ref = 'shop.order' AND status NOT IN ('completed', 'failed')",
    );
    open.fetch_one(&db.pool).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_balance_although_the_clerks_are_killed_all_the_time() {
    // The server's version makes little difference, and an order takes a second.
    let enough = if major() == 15 { 45 } else { 10 };
    let orders: i32 = std::env::var("ORDERS").ok().and_then(|orders| orders.parse().ok()).unwrap_or(enough);
    with_database(async |db| {
        prepare(db, orders).await;
        let mut clerks: Vec<Clerk> = (0..CLERKS).map(|number| Clerk::hire(db, number)).collect();
        let (begun, mut killed) = (Instant::now(), 0);
        while attend(db).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60 + 5 * orders as u64), "it does not come to an end");
            tokio::time::sleep(Duration::from_millis(61)).await;
            clerks[killed % CLERKS] = Clerk::hire(db, CLERKS + killed);
            killed += 1;
        }
        assert!(killed > 5, "they were killed {killed} times");
        let wrong = sqlx::query(
            "SELECT e.id, e.status::text, l.* FROM workflow.execution e
             CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount) FILTER (WHERE account = 'money'), 0) AS money, coalesce(sum(amount) FILTER (WHERE account = 'stock'), 0) AS stock,
                 count(*) FILTER (WHERE account = 'money' AND amount > 0) AS charges, count(*) FILTER (WHERE account = 'money' AND amount < 0) AS refunds
               FROM ledger WHERE order_number = (e.config ->> 'order')::bigint) AS l
             WHERE e.action_ref = 'shop.order' AND CASE (e.config ->> 'order')::bigint % 9
               WHEN 3 THEN (e.status, l.money, l.stock, l.charges) IS DISTINCT FROM ('failed', 0, 0, 0)
               WHEN 5 THEN (e.status, l.money, l.stock, l.charges, l.refunds) IS DISTINCT FROM ('failed', 0, 0, 1, 1)
               WHEN 7 THEN (e.status, l.money, l.stock, l.charges, l.refunds) IS DISTINCT FROM ('failed', 0, 0, 1, 1)
               ELSE (e.status, l.money, l.stock, l.charges, l.refunds) IS DISTINCT FROM ('completed', 100 + (e.config ->> 'order')::bigint, -4, 1, 0) END",
        );
        let wrong = wrong.fetch_all(&db.pool).await.unwrap();
        let ids: Vec<i64> = wrong.iter().map(|row| row.get(0)).collect();
        assert!(wrong.is_empty(), "executions {ids:?} do not balance after {killed} kills: {wrong:?}");
        println!("{orders} orders, {killed} kills");
    })
    .await;
}
