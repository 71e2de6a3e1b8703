//! A worker of the test that kills reporters: `reporter NAME`, on the database that DATABASE_URL names. It reports and
//! claims a few tasks at a time, as fast as it can, with leases that end soon after it is killed.

use sqlx::{Connection, PgConnection, Row};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("reporter NAME")?;
    let mut connection = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    let mut held: Vec<(i64, i64)> = Vec::new();
    for turn in 0_i32.. {
        let (tasks, leases): (Vec<i64>, Vec<i64>) = std::mem::take(&mut held).into_iter().unzip();
        let sql = "SELECT task, lease_token FROM workflow_finish_and_claim($1, ARRAY(
              SELECT ROW(d.task, d.lease, 'completed', to_jsonb(d.task), NULL, NULL, NULL, NULL, NULL)::workflow.outcome
              FROM unnest($2::bigint[], $3::bigint[]) AS d(task, lease)), $4, lease => '300 milliseconds')
            WHERE state = 'claimed'";
        let query = sqlx::query(sql).bind(&name).bind(tasks).bind(leases).bind(1 + turn % 4);
        let rows = query.fetch_all(&mut connection).await?;
        held = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        // Long enough to be killed in the meantime.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
