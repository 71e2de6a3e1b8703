use crate::fixture::*;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch};
use pg_workflow_tests::{Database, with_database};
use serde_json::json;

fn refs(definitions: Vec<WorkflowDefinition>) -> Vec<String> {
    definitions.into_iter().map(|definition| definition.r#ref).collect()
}

#[tokio::test]
async fn a_created_definition_is_found_as_it_was_given() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let input = CreateWorkflowDefinitionInput {
            pack_ref: Some("ci".into()),
            description: Some("Rolls out".into()),
            param_schema: Some(json!({"type": "object"})),
            out_schema: Some(json!({"type": "array"})),
            tags: vec!["a".into()],
            enabled: false,
            ..definition_input(&pack, "deploy")
        };
        let made = WorkflowDefinitionRepository::create(&db.pool, input.clone()).await.unwrap();
        let given = CreateWorkflowDefinitionInput {
            r#ref: made.r#ref.clone(),
            pack: made.pack,
            pack_ref: Some(made.pack_ref.clone()),
            label: made.label.clone(),
            description: made.description.clone(),
            version: made.version.clone(),
            param_schema: made.param_schema.clone(),
            out_schema: made.out_schema.clone(),
            definition: made.definition.clone(),
            tags: made.tags.clone(),
            enabled: made.enabled,
        };
        assert_eq!(given, input);
        assert_eq!(made.current_version, None);
        assert_eq!(WorkflowDefinitionRepository::find_by_id(&db.pool, made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(WorkflowDefinitionRepository::find_by_ref(&db.pool, "ci.deploy").await.unwrap(), Some(made));
        assert_eq!(WorkflowDefinitionRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
        assert_eq!(WorkflowDefinitionRepository::find_by_ref(&db.pool, "ci.none").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_invalid_definition_is_refused_by_kind() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        definition(db, &pack, "deploy").await;
        let create = async |input| refused(WorkflowDefinitionRepository::create(&db.pool, input).await);
        let input = || definition_input(&pack, "other");
        assert_eq!(
            create(definition_input(&pack, "deploy")).await,
            "Conflict WF617 another definition already has this ref"
        );
        for r#ref in ["ci", "CI.other", "ci.", "ci..x", "ci.Other", "ci.a b"] {
            let input = CreateWorkflowDefinitionInput { r#ref: r#ref.into(), ..input() };
            assert_eq!(create(input).await, "Validation WF613 ref is malformed", "{ref:?}");
        }
        let other = CreateWorkflowDefinitionInput { r#ref: "cicd.other".into(), ..input() };
        assert_eq!(create(other).await, "Validation WF613 ref does not belong to the pack");
        let other = CreateWorkflowDefinitionInput { pack_ref: Some("cd".into()), ..input() };
        assert_eq!(create(other).await, "Validation WF613 pack_ref does not match the pack");
        let unknown = CreateWorkflowDefinitionInput { pack: 4711, ..input() };
        assert_eq!(create(unknown).await, "NotFound WF616 there is no such pack");
        let empty = CreateWorkflowDefinitionInput { definition: json!(null), ..input() };
        assert_eq!(create(empty).await, "Validation WF613 definition is null");
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_clears_or_leaves_each_column() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let made = definition(db, &pack, "deploy").await;
        let full = UpdateWorkflowDefinitionInput {
            label: Some("Rollout".into()),
            description: Patch::Set("d".into()),
            version: Some("2".into()),
            param_schema: Patch::Set(json!({"a": 1})),
            out_schema: Patch::Set(json!({"b": 1})),
            definition: Some(json!({"tasks": [1]})),
            tags: Some(vec!["t".into()]),
            enabled: Some(false),
        };
        let updated = WorkflowDefinitionRepository::update(&db.pool, made.id, full).await.unwrap();
        let expected = WorkflowDefinition {
            label: "Rollout".into(),
            description: Some("d".into()),
            version: "2".into(),
            param_schema: Some(json!({"a": 1})),
            out_schema: Some(json!({"b": 1})),
            definition: json!({"tasks": [1]}),
            tags: vec!["t".into()],
            enabled: false,
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        let empty = UpdateWorkflowDefinitionInput::default();
        assert_eq!(WorkflowDefinitionRepository::update(&db.pool, made.id, empty).await.unwrap(), expected);
        let cleared = UpdateWorkflowDefinitionInput {
            description: Patch::Null,
            param_schema: Patch::Null,
            out_schema: Patch::Null,
            ..Default::default()
        };
        let updated = WorkflowDefinitionRepository::update(&db.pool, made.id, cleared).await.unwrap();
        let expected = WorkflowDefinition {
            description: None,
            param_schema: None,
            out_schema: None,
            updated: updated.updated,
            ..expected
        };
        assert_eq!(updated, expected);
        let input = UpdateWorkflowDefinitionInput { enabled: Some(true), ..Default::default() };
        assert_eq!(
            refused(WorkflowDefinitionRepository::update(&db.pool, 4711, input).await),
            "NotFound WF616 there is no such definition"
        );
        assert!(WorkflowDefinitionRepository::delete(&db.pool, made.id).await.unwrap());
        assert!(!WorkflowDefinitionRepository::delete(&db.pool, made.id).await.unwrap());
    })
    .await;
}

/// Makes a definition look as if workflow_define had stored it.
async fn pin(db: &Database, definition: &WorkflowDefinition) {
    db.run(format!(
        "WITH version AS (
           INSERT INTO workflow.workflow_definition_version (workflow_def, number, source, definition, graph, sha256)
           VALUES ({0}, 1, '', '{{}}', '{{}}', '') RETURNING id)
         UPDATE workflow.workflow_definition SET current_version = version.id FROM version WHERE workflow_definition.id = {0}",
        definition.id
    ))
    .await;
}

#[tokio::test]
async fn what_a_version_settled_only_workflow_define_can_change() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let made = definition(db, &pack, "deploy").await;
        pin(db, &made).await;
        for input in [
            UpdateWorkflowDefinitionInput { version: Some("2".into()), ..Default::default() },
            UpdateWorkflowDefinitionInput { definition: Some(json!({})), ..Default::default() },
            UpdateWorkflowDefinitionInput { param_schema: Patch::Null, ..Default::default() },
            UpdateWorkflowDefinitionInput { out_schema: Patch::Null, ..Default::default() },
        ] {
            let error = WorkflowDefinitionRepository::update(&db.pool, made.id, input).await.unwrap_err();
            assert!(error.refusal().unwrap().hint.as_ref().unwrap().contains("workflow_define"));
            assert_eq!(refused::<()>(Err(error)), "WrongState WF618 the engine owns this definition");
        }
        let input = UpdateWorkflowDefinitionInput { enabled: Some(false), ..Default::default() };
        assert!(!WorkflowDefinitionRepository::update(&db.pool, made.id, input).await.unwrap().enabled);
        assert!(WorkflowDefinitionRepository::delete(&db.pool, made.id).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn definitions_are_found_by_pack_and_by_being_enabled() {
    with_database(async |db| {
        let (ci, cd) = (pack(db, "ci").await, pack(db, "cd").await);
        for (pack, name) in [(&ci, "one"), (&cd, "two"), (&ci, "three")] {
            definition(db, pack, name).await;
        }
        let off = CreateWorkflowDefinitionInput { enabled: false, ..definition_input(&ci, "off") };
        WorkflowDefinitionRepository::create(&db.pool, off).await.unwrap();
        let page = Page::default();
        let found = WorkflowDefinitionRepository::find_by_pack(&db.pool, ci.id, page).await.unwrap();
        assert_eq!(refs(found), ["ci.one", "ci.three", "ci.off"]);
        let found = WorkflowDefinitionRepository::find_enabled(&db.pool, page).await.unwrap();
        assert_eq!(refs(found), ["ci.one", "cd.two", "ci.three"]);
        assert_eq!(WorkflowDefinitionRepository::find_by_pack(&db.pool, 4711, page).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn definitions_are_found_by_an_exact_tag_in_order_of_label() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        for (name, label, tags) in [
            ("a", "Zebra", vec!["prod"]),
            ("b", "Apple", vec!["prod", "deploy"]),
            ("c", "Mango", vec!["production"]),
            ("d", "Apple", vec!["prod"]),
            ("e", "Mango", vec!["PROD"]),
        ] {
            let input = CreateWorkflowDefinitionInput {
                label: label.into(),
                tags: tags.into_iter().map(str::to_owned).collect(),
                ..definition_input(&pack, name)
            };
            WorkflowDefinitionRepository::create(&db.pool, input).await.unwrap();
        }
        let by_tag = async |tag: &str| {
            refs(WorkflowDefinitionRepository::find_by_tag(&db.pool, tag, Page::default()).await.unwrap())
        };
        assert_eq!(by_tag("prod").await, ["ci.b", "ci.d", "ci.a"]);
        assert_eq!(by_tag("pro").await, [""; 0]);
        assert_eq!(by_tag("{prod}").await, [""; 0]);
        assert_eq!(by_tag("").await, [""; 0]);
    })
    .await;
}
