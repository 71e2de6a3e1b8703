use crate::fixture::*;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch};
use pg_workflow_tests::with_database;
use serde_json::json;

fn refs(actions: Vec<Action>) -> Vec<String> {
    actions.into_iter().map(|action| action.r#ref).collect()
}

#[tokio::test]
async fn a_created_action_is_found_as_it_was_given() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let input = CreateActionInput {
            pack_ref: Some("ci".into()),
            description: "Builds".into(),
            entrypoint: "build.sh".into(),
            runtime: Some(7),
            param_schema: Some(json!({"type": "object"})),
            out_schema: Some(json!(true)),
            is_workflow: true,
            workflow_def: Some(definition.id),
            ..action_input(&pack, "build")
        };
        let made = ActionRepository::create(&db.pool, input.clone()).await.unwrap();
        let given = CreateActionInput {
            r#ref: made.r#ref.clone(),
            pack: made.pack,
            pack_ref: Some(made.pack_ref.clone()),
            label: made.label.clone(),
            description: made.description.clone(),
            entrypoint: made.entrypoint.clone(),
            runtime: made.runtime,
            param_schema: made.param_schema.clone(),
            out_schema: made.out_schema.clone(),
            is_workflow: made.is_workflow,
            workflow_def: made.workflow_def,
        };
        assert_eq!(given, input);
        assert_eq!(ActionRepository::find_by_id(&db.pool, made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(ActionRepository::find_by_ref(&db.pool, "ci.build").await.unwrap(), Some(made));
        assert_eq!(ActionRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
        assert_eq!(ActionRepository::find_by_ref(&db.pool, "ci.none").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_invalid_action_is_refused_by_kind() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        action(db, &pack, "build").await;
        let create = async |input| refused(ActionRepository::create(&db.pool, input).await);
        let input = || action_input(&pack, "other");
        assert_eq!(create(action_input(&pack, "build")).await, "Conflict WF617 another action already has this ref");
        let other = CreateActionInput { r#ref: "ci".into(), ..input() };
        assert_eq!(create(other).await, "Validation WF613 ref is malformed");
        let other = CreateActionInput { r#ref: "cd.build".into(), ..input() };
        assert_eq!(create(other).await, "Validation WF613 ref does not belong to the pack");
        let other = CreateActionInput { pack: 4711, ..input() };
        assert_eq!(create(other).await, "NotFound WF616 there is no such pack");
        let other = CreateActionInput { workflow_def: Some(4711), ..input() };
        assert_eq!(create(other).await, "NotFound WF616 there is no such definition");
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_clears_or_leaves_each_column() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let made = action(db, &pack, "build").await;
        let full = UpdateActionInput {
            label: Some("Build it".into()),
            description: Some("d".into()),
            entrypoint: Some("e".into()),
            runtime: Patch::Set(i64::MAX),
            param_schema: Patch::Set(json!({})),
            out_schema: Patch::Set(json!([])),
            is_workflow: Some(true),
            workflow_def: Patch::Set(definition.id),
        };
        let updated = ActionRepository::update(&db.pool, made.id, full).await.unwrap();
        let expected = Action {
            label: "Build it".into(),
            description: "d".into(),
            entrypoint: "e".into(),
            runtime: Some(i64::MAX),
            param_schema: Some(json!({})),
            out_schema: Some(json!([])),
            is_workflow: true,
            workflow_def: Some(definition.id),
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        assert_eq!(ActionRepository::update(&db.pool, made.id, Default::default()).await.unwrap(), expected);
        let cleared = UpdateActionInput {
            runtime: Patch::Null,
            param_schema: Patch::Null,
            out_schema: Patch::Null,
            workflow_def: Patch::Null,
            ..Default::default()
        };
        let updated = ActionRepository::update(&db.pool, made.id, cleared).await.unwrap();
        let expected = Action {
            runtime: None,
            param_schema: None,
            out_schema: None,
            workflow_def: None,
            updated: updated.updated,
            ..expected
        };
        assert_eq!(updated, expected);
        let unknown = UpdateActionInput { workflow_def: Patch::Set(4711), ..Default::default() };
        assert_eq!(
            refused(ActionRepository::update(&db.pool, made.id, unknown).await),
            "NotFound WF616 there is no such definition"
        );
        let input = UpdateActionInput { label: Some("x".into()), ..Default::default() };
        assert_eq!(
            refused(ActionRepository::update(&db.pool, 4711, input).await),
            "NotFound WF616 there is no such action"
        );
    })
    .await;
}

#[tokio::test]
async fn linking_lets_a_workflow_stand_for_an_action() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let (linked, plain) = (action(db, &pack, "rollout").await, action(db, &pack, "build").await);
        let updated = ActionRepository::link_workflow_def(&db.pool, linked.id, definition.id).await.unwrap();
        let expected =
            Action { is_workflow: true, workflow_def: Some(definition.id), updated: updated.updated, ..linked.clone() };
        assert_eq!(updated, expected);
        let page = Page::default();
        assert_eq!(refs(ActionRepository::find_workflows(&db.pool, page).await.unwrap()), ["ci.rollout"]);
        let found = ActionRepository::find_by_workflow_def(&db.pool, definition.id, page).await.unwrap();
        assert_eq!(refs(found), ["ci.rollout"]);
        assert_eq!(ActionRepository::find_by_workflow_def(&db.pool, 4711, page).await.unwrap(), []);

        let link =
            async |action, definition| refused(ActionRepository::link_workflow_def(&db.pool, action, definition).await);
        assert_eq!(link(4711, definition.id).await, "NotFound WF616 there is no such action");
        assert_eq!(link(plain.id, 4711).await, "NotFound WF616 there is no such definition");
        assert_eq!(ActionRepository::find_by_id(&db.pool, plain.id).await.unwrap(), Some(plain));

        WorkflowDefinitionRepository::delete(&db.pool, definition.id).await.unwrap();
        let left = ActionRepository::find_by_id(&db.pool, linked.id).await.unwrap().unwrap();
        assert_eq!(left.workflow_def, None, "an action outlives its workflow");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_action_leaves_its_executions_with_their_ref() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let made = action(db, &pack, "build").await;
        let input = CreateExecutionInput { action: Some(made.id), ..execution_input() };
        let execution = ExecutionRepository::create(&db.pool, input).await.unwrap();
        assert_eq!(execution.action, Some(made.id));
        assert!(ActionRepository::delete(&db.pool, made.id).await.unwrap());
        assert!(!ActionRepository::delete(&db.pool, made.id).await.unwrap());
        let left = ExecutionRepository::find_by_id(&db.pool, execution.id).await.unwrap().unwrap();
        assert_eq!((left.action, left.action_ref.as_str()), (None, "ci.build"));
    })
    .await;
}
