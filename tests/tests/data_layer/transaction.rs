use crate::fixture::*;
use pg_workflow_client::Page;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_tests::with_database;

#[tokio::test]
async fn a_rolled_back_transaction_takes_all_that_the_client_did_in_it_along() {
    with_database(async |db| {
        let kept = pack(db, "kept").await;
        let mut transaction = db.pool.begin().await.unwrap();
        let input =
            CreatePackInput { r#ref: "lost".into(), label: "x".into(), version: "1".into(), ..Default::default() };
        let lost = PackRepository::create(&mut *transaction, input).await.unwrap();
        let input =
            CreateActionInput { r#ref: "lost.act".into(), pack: lost.id, label: "x".into(), ..Default::default() };
        ActionRepository::create(&mut *transaction, input).await.unwrap();
        let input = UpdatePackInput { label: Some("changed".into()), ..Default::default() };
        PackRepository::update(&mut *transaction, kept.id, input).await.unwrap();
        PackRepository::delete(&mut *transaction, kept.id).await.unwrap();
        let within = PackRepository::list(&mut *transaction, Page::default()).await.unwrap();
        assert_eq!(within, [lost]);
        transaction.rollback().await.unwrap();
        assert_eq!(PackRepository::list(&db.pool, Page::default()).await.unwrap(), [kept]);
        assert_eq!(ActionRepository::list(&db.pool, Page::default()).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_committed_transaction_keeps_it_beside_the_callers_own_data() {
    with_database(async |db| {
        db.run("CREATE TABLE orders (id bigint)").await;
        let mut transaction = db.pool.begin().await.unwrap();
        sqlx::query("INSERT INTO orders VALUES (1)").execute(&mut *transaction).await.unwrap();
        let made = ExecutionRepository::create(&mut *transaction, execution_input()).await.unwrap();
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap(), None, "not before the commit");
        transaction.commit().await.unwrap();
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(made));
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&db.pool).await.unwrap();
        assert_eq!(orders, 1);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_within_a_savepoint_leaves_the_transaction_usable() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let mut transaction = db.pool.begin().await.unwrap();
        let mut savepoint = sqlx::Acquire::begin(&mut *transaction).await.unwrap();
        let again =
            CreatePackInput { r#ref: "ci".into(), label: "x".into(), version: "1".into(), ..Default::default() };
        assert_eq!(
            refused(PackRepository::create(&mut *savepoint, again).await),
            "Conflict WF617 another pack already has this ref"
        );
        savepoint.rollback().await.unwrap();
        assert!(PackRepository::delete(&mut *transaction, made.id).await.unwrap());
        transaction.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn two_creates_of_one_ref_at_once_make_one_and_refuse_one() {
    with_database(async |db| {
        let input =
            || CreatePackInput { r#ref: "ci".into(), label: "x".into(), version: "1".into(), ..Default::default() };
        let mut first = db.pool.begin().await.unwrap();
        PackRepository::create(&mut *first, input()).await.unwrap();
        let mut other = db.connect().await;
        let second = tokio::spawn(async move { PackRepository::create(&mut other, input()).await });
        // The second waits for the first, which only shows as a lock.
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&db.pool)
            .await
            .unwrap();
            if waiting == 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
        first.commit().await.unwrap();
        assert_eq!(refused(second.await.unwrap()), "Conflict WF617 another pack already has this ref");
    })
    .await;
}
