use crate::fixture::*;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Error, Page};
use pg_workflow_tests::with_database;
use sqlx::AssertSqlSafe;

#[tokio::test]
async fn a_role_without_grants_can_call_nothing() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let role = db.role().await;
        let mut session = db.connect_as(&role).await;
        let calls: Vec<String> = sqlx::query_scalar(
            "SELECT format('SELECT %s(%s)', p.oid::regproc,
                 (SELECT string_agg('NULL::' || format_type(type, NULL), ', ' ORDER BY place)
                  FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS argument (type, place)))
             FROM pg_proc AS p
             JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
             JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_workflow'
             WHERE p.pronamespace = 'pg_catalog'::regnamespace",
        )
        .fetch_all(&db.pool)
        .await
        .unwrap();
        assert!(calls.len() > 40, "{calls:?}");
        for call in calls {
            let error = sqlx::query(AssertSqlSafe(call.as_str())).execute(&mut session).await.unwrap_err();
            let error = Error::from(error);
            assert!(matches!(error, Error::Privilege(_)), "{call}: {error}");
            assert_eq!(error.refusal().unwrap().sqlstate, "42501");
        }
        let error = PackRepository::find_by_id(&mut session, made.id).await.unwrap_err();
        assert!(matches!(error, Error::Privilege(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_function_gives_no_rights_that_its_caller_has_not() {
    with_database(async |db| {
        let made = pack(db, "ci").await;
        let role = db.role().await;
        // Grants all functions, but only one table, for reading.
        db.run(format!(
            "GRANT USAGE ON SCHEMA workflow TO {role};
             GRANT SELECT ON workflow.pack TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA workflow TO {role};
             DO $$ DECLARE f regprocedure; BEGIN
               FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^workflow_' LOOP
                 EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {role}', f);
               END LOOP; END $$"
        ))
        .await;
        let mut session = db.connect_as(&role).await;
        assert_eq!(PackRepository::find_by_id(&mut session, made.id).await.unwrap(), Some(made.clone()));
        assert_eq!(PackRepository::list(&mut session, Page::default()).await.unwrap(), std::slice::from_ref(&made));
        let denied = async |result: pg_workflow_client::Result<()>| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Privilege(_)), "{error}");
        };
        let input = UpdatePackInput { label: Some("x".into()), ..Default::default() };
        denied(PackRepository::update(&mut session, made.id, input).await.map(drop)).await;
        denied(PackRepository::delete(&mut session, made.id).await.map(drop)).await;
        let input = CreatePackInput { r#ref: "cd".into(), label: "x".into(), version: "1".into(), ..Default::default() };
        denied(PackRepository::create(&mut session, input).await.map(drop)).await;
        denied(ActionRepository::list(&mut session, Page::default()).await.map(drop)).await;
        denied(ExecutionRepository::list(&mut session, Page::default()).await.map(drop)).await;
        let view = sqlx::query("SELECT * FROM workflow.workflow_action_link").fetch_all(&mut session).await;
        denied(view.map(drop).map_err(Error::from)).await;
        assert_eq!(PackRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(made));
    })
    .await;
}
