//! The end of a move: dropping its publication fails no call about other parts.

use crate::servers::{CHILD, Node};
use pg_workflow_client::{ClaimInput, Engine, StartInput};
use sqlx::{Connection, Executor, PgConnection};

const PART: i32 = 7;

const NAME: &str = "SELECT count(*) FROM pg_publication WHERE pubname = 'pg_workflow_part_7'";

/// Whether a call waits, in a table lock or for another transaction.
const WAITS: &str =
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Lock')";

async fn server(test: &str) -> Node {
    let node = Node::create(test, 1, "0-1023").await;
    node.run("SELECT workflow_register_action('demo.one')").await;
    Engine::define(&node.pool, CHILD).await.unwrap();
    node
}

/// A start in another part.
fn other() -> StartInput {
    StartInput { r#ref: "demo.child".to_owned(), part: Some(8), ..StartInput::default() }
}

async fn session(node: &Node) -> PgConnection {
    PgConnection::connect_with(&node.server.options).await.unwrap()
}

/// A session that has called nothing yet: it will look for the publications of each table that it writes.
async fn new_session(node: &Node) -> PgConnection {
    PgConnection::connect_with(&node.server.options.clone().application_name("waiting")).await.unwrap()
}

/// Gives the part up, as after another server has accepted it.
async fn release(node: &Node) {
    Engine::offer_part(&node.pool, PART).await.unwrap();
    Engine::fence_part(&node.pool, PART, "other").await.unwrap();
    Engine::close_part(&node.pool, PART).await.unwrap();
    Engine::release_part(&node.pool, PART).await.unwrap();
}

#[tokio::test]
async fn a_call_that_has_found_a_publication_does_not_miss_it_when_a_move_is_undone() {
    let node = server("publication-kept").await;
    Engine::start(&node.pool, other()).await.unwrap();
    Engine::offer_part(&node.pool, PART).await.unwrap();
    let mut mover = session(&node).await;
    // Before PostgreSQL updates a row, it lists the publications of the table, and then opens this one to look them up.
    mover.execute("BEGIN; LOCK TABLE pg_catalog.pg_publication IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut caller = new_session(&node).await;
    let input = ClaimInput { worker: "clerk".to_owned(), ..ClaimInput::default() };
    let call = async { Engine::claim(&mut caller, &input).await };
    let undo = async {
        node.becomes(WAITS).await;
        Engine::keep_part(&mut mover, PART).await.unwrap();
        mover.execute("COMMIT").await.unwrap();
    };
    let (called, ()) = tokio::join!(call, undo);
    assert_eq!(called.expect("the call does not fail").len(), 1);
    assert_eq!(node.value::<i64>(NAME).await, 1);
    Engine::keep_part(&node.pool, PART).await.unwrap();
    assert_eq!(node.value::<i64>(NAME).await, 0);
}

#[tokio::test]
async fn a_publication_is_dropped_after_the_calls_that_may_have_found_it() {
    let node = server("publication-dropped").await;
    release(&node).await;
    let mut caller = session(&node).await;
    let mut call = caller.begin().await.unwrap();
    Engine::start(&mut *call, other()).await.unwrap();

    // With a limit, it stays, and the next move uses it.
    let mut mover = new_session(&node).await;
    mover.execute("SET lock_timeout = '10ms'").await.unwrap();
    assert_eq!(Engine::clear_part(&mut mover, PART, 1000).await.unwrap(), 0);
    assert_eq!(node.value::<i64>(NAME).await, 1);
    call.commit().await.unwrap();
    node.run("SELECT workflow_set_parts()").await;
    release(&node).await;
    let mut call = caller.begin().await.unwrap();
    Engine::start(&mut *call, other()).await.unwrap();

    mover.execute("RESET lock_timeout").await.unwrap();
    let clear = async { Engine::clear_part(&mut mover, PART, 1000).await.unwrap() };
    let end = async {
        node.becomes(WAITS).await;
        assert_eq!(node.value::<i64>(NAME).await, 1, "the call is still in progress");
        call.commit().await.unwrap();
    };
    let (cleared, ()) = tokio::join!(clear, end);
    assert_eq!((cleared, node.value::<i64>(NAME).await), (0, 0));
    node.check().await;
}
