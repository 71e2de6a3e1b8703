//! A worker of the bank test, which kills it: `clerk NAME`, on the database that DATABASE_URL names. Its side effects
//! are rows of the table `ledger`, each written in a separate transaction, with the task's id as idempotency key.

use pg_workflow_client::ClaimedTask;
use pg_workflow_client::worker::{self, Failure, Worker};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::error::Error;
use std::time::Duration;

/// Actions, each with the remainder of the numbers of the orders that fail at it.
const FAILURES: [(&str, i64); 3] = [("shop.charge", 3), ("shop.check", 5), ("shop.ship", 7)];
/// Divisor of these remainders.
const ORDERS: i64 = 9;

/// Performs a task's side effect once, however often it is attempted.
async fn serve(pool: PgPool, task: ClaimedTask) -> Result<Value, Failure> {
    let input = task.input.unwrap_or_default();
    let order = input["order"].as_i64().unwrap_or_default();
    let fails = FAILURES.iter().any(|(action, number)| *action == task.action && order % ORDERS == *number);
    // Long enough to be killed in the meantime.
    tokio::time::sleep(Duration::from_millis(5)).await;
    if fails {
        return Err(Failure::new("declined", "as the test wants it").do_not_retry());
    }
    let (account, amount) = match task.action.as_str() {
        "shop.charge" => ("money", input["amount"].as_i64().unwrap_or_default()),
        "shop.reserve" => ("stock", -1),
        "shop.refund" => ("money", -input["amount"].as_i64().unwrap_or_default()),
        "shop.restock" => ("stock", 1),
        _ => return Ok(Value::Null),
    };
    // A side effect that never happened is not undone, although its outcome was unknown.
    let book = sqlx::query(
        "INSERT INTO ledger (key, order_number, account, amount, item)
         SELECT $1, $2, $3, $4, $5
         WHERE $6 NOT IN ('shop.refund', 'shop.restock')
            OR EXISTS (SELECT FROM ledger WHERE order_number = $2 AND account = $3 AND amount = -$4 AND item IS NOT DISTINCT FROM $5)
         ON CONFLICT (key) DO NOTHING",
    );
    let book =
        book.bind(task.task).bind(order).bind(account).bind(amount).bind(input["item"].as_str()).bind(&task.action);
    book.execute(&pool).await.map_err(|error| Failure::new("bank", error.to_string()))?;
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(json!({"booked": amount}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("clerk NAME")?;
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let mut clerk = Worker::builder(pool.clone())
        .name(name)
        .concurrency(4)
        .batch_size(4)
        .lease(Duration::from_secs(1))
        .poll_interval(Duration::from_millis(20));
    for action in ["charge", "refund", "reserve", "restock", "check", "ship", "mail"] {
        let pool = pool.clone();
        clerk = clerk.task_handler(format!("shop.{action}"), move |task, _| serve(pool.clone(), task));
    }
    clerk.build()?.run(worker::shutdown_signal()?).await?;
    Ok(())
}
