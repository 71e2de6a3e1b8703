//! How many handlers run at once: in total, and for an action with its own limit.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{ClaimedTask, Engine};
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Both actions side by side, twenty times.
const MANY: &str = "
ref: ci.many
label: Many at once
version: 1.0.0
tasks:
  - {name: slow, action: ci.first, with_items: {items: '{{ range(20) | list }}'}}
  - {name: fast, action: ci.second, with_items: {items: '{{ range(20) | list }}'}}
";

/// Counts the handlers that run at once, by action.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<HashMap<String, (usize, usize)>>>);

impl Counter {
    fn begin(&self, action: &str) {
        let mut all = self.0.lock().unwrap();
        for key in [action, "all"] {
            let (now, most) = all.entry(key.to_owned()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
    }

    fn end(&self, action: &str) {
        let mut all = self.0.lock().unwrap();
        for key in [action, "all"] {
            all.get_mut(key).unwrap().0 -= 1;
        }
    }

    fn now(&self, action: &str) -> usize {
        self.0.lock().unwrap().get(action).map_or(0, |count| count.0)
    }

    fn most(&self, action: &str) -> usize {
        self.0.lock().unwrap().get(action).map_or(0, |count| count.1)
    }
}

/// Returns how many tasks this worker holds, according to the server.
async fn held(db: &Database, action: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'running' AND action_ref = $1",
    )
    .bind(action)
    .fetch_one(&db.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn no_more_handlers_of_an_action_run_than_its_bound_and_none_is_held_for_later() {
    with_database(async |db| {
        define(db, MANY).await;
        let [execution] = start(db, "ci.many", 1).await[..] else { panic!() };
        let (counter, gate) = (Counter::default(), Arc::new(Semaphore::new(0)));
        let handler = {
            let (counter, gate) = (counter.clone(), gate.clone());
            move |task: ClaimedTask, _| {
                let (counter, gate) = (counter.clone(), gate.clone());
                async move {
                    counter.begin(&task.action);
                    gate.acquire().await.unwrap().forget();
                    counter.end(&task.action);
                    Ok(json!(task.task_index))
                }
            }
        };
        let worker = worker(db, "w")
            .concurrency(30)
            .action_concurrency("ci.first", 3)
            .task_handler("ci.first", handler.clone())
            .task_handler("ci.second", handler);
        let worker = Running::new(worker);
        until("all that may run runs", async || {
            (counter.now("ci.first") == 3 && counter.now("all") == 23).then_some(())
        })
        .await;
        assert_eq!((held(db, "ci.first").await, held(db, "ci.second").await), (3, 20));
        // One by one, so that capacity is used as it becomes free.
        while !Engine::status(&db.pool, execution).await.unwrap().ended {
            gate.add_permits(1);
            assert!(held(db, "ci.first").await <= 3);
            sleep(Duration::from_millis(1)).await;
        }
        let status = Engine::status(&db.pool, execution).await.unwrap();
        assert_eq!(status.status, ExecutionStatus::Completed);
        assert_eq!((counter.most("ci.first"), counter.most("all")), (3, 23));
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_action_may_have_a_bound_and_all_of_them_are_worked_off() {
    with_database(async |db| {
        define(db, MANY).await;
        let [execution] = start(db, "ci.many", 1).await[..] else { panic!() };
        let counter = Counter::default();
        let handler = {
            let counter = counter.clone();
            move |task: ClaimedTask, _| {
                let counter = counter.clone();
                async move {
                    counter.begin(&task.action);
                    tokio::task::yield_now().await;
                    counter.end(&task.action);
                    // A handler that panics counts towards the limit, too.
                    assert!(task.attempt > 0);
                    Ok(json!(null))
                }
            }
        };
        let worker = worker(db, "w")
            .concurrency(2)
            .action_concurrency("ci.first", 1)
            .action_concurrency("ci.second", 1)
            .task_handler("ci.first", handler.clone())
            .task_handler("ci.second", handler);
        let worker = Running::new(worker);
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        assert_eq!((counter.most("ci.first"), counter.most("ci.second")), (1, 1));
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_leaves_its_room_to_the_next() {
    with_database(async |db| {
        define(
            db,
            &MANY.replace("with_items: {items", "with_items: {on_item_failure: continue, max_failures: 100%, items"),
        )
        .await;
        let [execution] = start(db, "ci.many", 1).await[..] else { panic!() };
        let worker = worker(db, "w")
            .concurrency(2)
            .action_concurrency("ci.first", 1)
            .task_handler("ci.first", |_, _| async { panic!("each of them") })
            .task_handler("ci.second", |_, _| async { Ok(json!(null)) });
        let worker = Running::new(worker);
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        let all = tasks(db, execution).await;
        let failed = all.iter().filter(|task| task.status == ExecutionStatus::Failed).count();
        assert_eq!((all.len(), failed), (40, 20));
        worker.stop().await;
    })
    .await;
}
