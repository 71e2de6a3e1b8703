use crate::fixture::*;
use pg_workflow_client::Patch;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_created_pack_is_found_as_it_was_given() {
    with_database(async |db| {
        let input = CreatePackInput {
            r#ref: "ci".into(),
            label: "Continuous integration".into(),
            description: Some("Builds".into()),
            version: "2.1.0".into(),
            conf_schema: Some(json!({"type": "object"})),
            config: Some(json!({"url": "https://example.org", "list": [1, 2.5, null]})),
            meta: json!({"owner": "us"}),
            tags: vec!["build".into(), "two words".into()],
            is_standard: true,
        };
        let made = PackRepository::create(&db.pool, input.clone()).await.unwrap();
        assert_eq!(made.created, made.updated);
        let given = CreatePackInput {
            r#ref: made.r#ref.clone(),
            label: made.label.clone(),
            description: made.description.clone(),
            version: made.version.clone(),
            conf_schema: made.conf_schema.clone(),
            config: made.config.clone(),
            meta: made.meta.clone(),
            tags: made.tags.clone(),
            is_standard: made.is_standard,
        };
        assert_eq!(given, input);
        assert_eq!(PackRepository::find_by_id(&db.pool, made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(PackRepository::find_by_ref(&db.pool, "ci").await.unwrap().as_ref(), Some(&made));
        let json = serde_json::to_value(&made).unwrap();
        assert_eq!(json["ref"], "ci");
        assert_eq!(serde_json::from_value::<Pack>(json).unwrap(), made);
    })
    .await;
}

#[tokio::test]
async fn finding_a_missing_pack_returns_nothing_and_updating_it_is_an_error() {
    with_database(async |db| {
        assert_eq!(PackRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
        assert_eq!(PackRepository::find_by_ref(&db.pool, "nobody").await.unwrap(), None);
        assert!(!PackRepository::delete(&db.pool, 4711).await.unwrap());
        for input in [UpdatePackInput::default(), UpdatePackInput { label: Some("x".into()), ..Default::default() }] {
            let error = PackRepository::update(&db.pool, 4711, input).await.unwrap_err();
            let refusal = error.refusal().unwrap().clone();
            assert_eq!(refused::<()>(Err(error)), "NotFound WF616 there is no such pack");
            assert_eq!(refusal.sqlstate, "P0002");
            assert_eq!(refusal.detail.as_deref(), Some("id is 4711."));
            assert_eq!(refusal.hint.as_deref(), Some("List existing ones with workflow_list_packs."));
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_pack_of_the_same_ref_is_a_conflict_that_names_it() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let again =
            CreatePackInput { r#ref: "ci".into(), label: "x".into(), version: "1".into(), ..Default::default() };
        let error = PackRepository::create(&db.pool, again).await.unwrap_err();
        assert_eq!(error.refusal().unwrap().detail.as_deref(), Some("ref is ci."));
        assert_eq!(error.refusal().unwrap().sqlstate, "23505");
        assert_eq!(refused::<()>(Err(error)), "Conflict WF617 another pack already has this ref");
        assert_eq!(PackRepository::find_by_ref(&db.pool, "ci").await.unwrap(), Some(made));
    })
    .await;
}

#[tokio::test]
async fn a_malformed_ref_is_refused() {
    with_database(async |db| {
        for r#ref in ["", "c", "CI", "1ci", "ci.build", "ci ", "ci\n", "çi", "-ci", "ci'; DROP TABLE workflow.pack; --"]
        {
            let input =
                CreatePackInput { r#ref: r#ref.into(), label: "x".into(), version: "1".into(), ..Default::default() };
            let error = PackRepository::create(&db.pool, input).await.unwrap_err();
            assert_eq!(error.refusal().unwrap().sqlstate, "22023");
            assert_eq!(refused::<()>(Err(error)), "Validation WF613 ref is malformed", "{ref:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_what_is_given_and_nothing_else() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let input = UpdatePackInput {
            description: "Builds".to_owned().into(),
            config: json!({"a": 1}).into(),
            tags: Some(vec!["x".into()]),
            ..Default::default()
        };
        let updated = PackRepository::update(&db.pool, made.id, input).await.unwrap();
        assert!(updated.updated > made.updated);
        let expected = Pack {
            description: Some("Builds".into()),
            config: Some(json!({"a": 1})),
            tags: vec!["x".into()],
            updated: updated.updated,
            ..made
        };
        assert_eq!(updated, expected);
        assert_eq!(PackRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(expected));
    })
    .await;
}

#[tokio::test]
async fn a_patch_sets_a_column_back_to_null() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let full = UpdatePackInput {
            description: Patch::Set("Builds".into()),
            conf_schema: Patch::Set(json!({})),
            config: Patch::Set(json!([])),
            ..Default::default()
        };
        PackRepository::update(&db.pool, made.id, full).await.unwrap();
        let empty = UpdatePackInput { description: Patch::Null, conf_schema: Patch::Null, ..Default::default() };
        let updated = PackRepository::update(&db.pool, made.id, empty).await.unwrap();
        assert_eq!((updated.description, updated.conf_schema, updated.config), (None, None, Some(json!([]))));
    })
    .await;
}

#[tokio::test]
async fn an_empty_patch_returns_the_row_and_writes_nothing() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let place = "SELECT ctid::text || xmin::text FROM workflow.pack";
        let before: String = sqlx::query_scalar(place).fetch_one(&db.pool).await.unwrap();
        let updated = PackRepository::update(&db.pool, made.id, UpdatePackInput::default()).await.unwrap();
        assert_eq!(updated, made);
        let after: String = sqlx::query_scalar(place).fetch_one(&db.pool).await.unwrap();
        assert_eq!(after, before, "no new version of the row");
    })
    .await;
}

#[tokio::test]
async fn deleting_a_pack_takes_its_actions_and_definitions_along() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let action = action(db, &made, "build").await;
        let definition = definition(db, &made, "deploy").await;
        assert!(PackRepository::delete(&db.pool, made.id).await.unwrap());
        assert!(!PackRepository::delete(&db.pool, made.id).await.unwrap());
        assert_eq!(ActionRepository::find_by_id(&db.pool, action.id).await.unwrap(), None);
        assert_eq!(WorkflowDefinitionRepository::find_by_id(&db.pool, definition.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_pack_whose_workflow_has_executions_stays() {
    with_database(async |db| {
        let run = any_run(db).await;
        let pack = PackRepository::find_by_ref(&db.pool, "ci").await.unwrap().unwrap();
        assert_eq!(
            refused(PackRepository::delete(&db.pool, pack.id).await),
            "WrongState WF611 a workflow of the pack has executions"
        );
        assert_eq!(
            refused(WorkflowDefinitionRepository::delete(&db.pool, run.workflow_def).await),
            "WrongState WF611 the workflow has executions"
        );
        assert!(ExecutionRepository::delete(&db.pool, run.execution).await.unwrap());
        assert!(PackRepository::delete(&db.pool, pack.id).await.unwrap());
    })
    .await;
}
