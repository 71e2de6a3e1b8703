//! Hostile input: each is answered with an error of ours, soon, and the session can continue.

use crate::fixture::*;
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};

mod argument;
mod definition;
mod privilege;
mod value;

const LINEAR: &str = "parameters: {properties: {x: {}}}
tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, input: {x: '{{ task.one.result }}'}}
";

/// On an idle machine each takes far less than a second, even without optimization; this leaves room for a busy one.
const SOON: Duration = Duration::from_secs(10);

/// Checks that a statement is refused soon, and that the same session answers afterwards.
async fn refused_soon(session: &mut Session, sql: impl Into<String>) -> Refusal {
    let begun = Instant::now();
    let sql = sql.into();
    let refusal =
        Refusal::of(sqlx::query(AssertSqlSafe(sql.as_str())).fetch_all(&mut session.connection).await.unwrap_err());
    assert!(begun.elapsed() < SOON, "{:?}: {refusal:?}", begun.elapsed());
    assert_eq!(session.value::<i32>("SELECT 1").await, 1);
    refusal
}
