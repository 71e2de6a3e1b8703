//! `apply` and `export`.

use crate::program::Program;
use pg_workflow_tests::with_database;
use serde_json::json;

const ORDER: &str = "ref: shop.order
label: Order
version: 1.0.0
tasks:
  - {name: charge, action: shop.charge, on_success: pack}
  - {name: pack, action: shop.sub}
";
const SUB: &str = "ref: shop.sub\nlabel: Sub\nversion: 1.0.0\ntasks: [{name: a, action: shop.mail}]\n";
const ACTIONS: &str = "actions:
  - shop.mail
  - ref: shop.charge
    label: Charge a card
    description: Takes the money.
    parameters: {type: object, properties: {amount: {type: number}}}
";
const PACK: &str = "ref: shop\nlabel: The shop\nversion: 2.0.0\ntags: [sales]\n";

/// Writes a pack whose workflows are not in the order in which they can be defined.
fn write(program: &Program) -> String {
    program.file("pack/pack.yaml", PACK);
    program.file("pack/actions.yaml", ACTIONS);
    program.file("pack/a_order.yaml", ORDER);
    program.file("pack/b_sub.yaml", SUB);
    program.folder.join("pack").to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_directory_is_applied_once() {
    with_database(async |db| {
        let program = Program::new(db, "apply_once");
        let pack = write(&program);
        let lines = "+ pack shop\n+ action shop.mail\n+ action shop.charge\n+ workflow shop.sub 1.0.0\n+ workflow shop.order 1.0.0\n";
        assert_eq!(
            program.good(&["apply", "--dry-run", &pack]).await,
            format!("{lines}5 objects: 5 would change, 0 unchanged\n")
        );
        assert_eq!(program.good(&["list"]).await.lines().count(), 1);
        let defined: i64 = sqlx::query_scalar("SELECT count(*) FROM workflow.action").fetch_one(&db.pool).await.unwrap();
        assert_eq!(defined, 0, "a dry run changes nothing");
        assert_eq!(program.good(&["apply", &pack]).await, format!("{lines}5 objects: 5 changed, 0 unchanged\n"));
        assert_eq!(
            program.good(&["apply", "--exit-code", &pack]).await,
            "5 objects: 0 changed, 5 unchanged\n",
            "applying again changes nothing"
        );
        let label: String =
            sqlx::query_scalar("SELECT label FROM workflow.pack WHERE ref = 'shop'").fetch_one(&db.pool).await.unwrap();
        assert_eq!(label, "The shop");
    })
    .await;
}

#[tokio::test]
async fn a_change_is_shown_before_it_is_made() {
    with_database(async |db| {
        let program = Program::new(db, "apply_change");
        let pack = write(&program);
        program.good(&["apply", &pack]).await;
        program.file("pack/a_order.yaml", &ORDER.replace("1.0.0", "1.1.0").replace("on_success", "on_complete"));
        let shown = program.good(&["apply", "--dry-run", &pack]).await;
        assert!(shown.starts_with("~ workflow shop.order 1.0.0 → 1.1.0\n    @@ -1,6 +1,6 @@\n"), "{shown}");
        assert!(shown.contains("    -version: 1.0.0\n    +version: 1.1.0\n"), "{shown}");
        program.bad(1, &["apply", "--exit-code", "--dry-run", &pack]).await;
        let changes = program.json(&["apply", "--json", &pack]).await;
        assert_eq!(changes["applied"], true);
        let changed =
            &changes["changes"].as_array().unwrap().iter().find(|change| change["change"] == "changed").unwrap();
        assert_eq!((&changed["ref"], &changed["version_before"]), (&json!("shop.order"), &json!("1.0.0")));
    })
    .await;
}

#[tokio::test]
async fn one_error_keeps_everything_from_being_applied() {
    with_database(async |db| {
        let program = Program::new(db, "apply_error");
        let pack = write(&program);
        // Only the server knows that there is no such action.
        program.file("pack/z_last.yaml", &SUB.replace("shop.sub", "shop.last").replace("shop.mail", "other.thing"));
        let output = program.run(&["apply", &pack]).await;
        assert_eq!(output.status.code(), Some(1));
        let shown = crate::program::printed(&output);
        assert!(shown.contains("error[WF502]: unknown pack `other`") && shown.contains("z_last.yaml:4:27"), "{shown}");
        let told = crate::program::told(&output);
        assert!(told.contains("z_last.yaml: WF502: ") && !told.contains("[{"), "{told}");
        let defined: i64 =
            sqlx::query_scalar("SELECT count(*) FROM workflow.action").fetch_one(&db.pool).await.unwrap();
        assert_eq!(defined, 0);
        // Errors that can be found without the server are not sent to it.
        program.file("pack/z_last.yaml", &SUB.replace("label", "lable"));
        let told = program.bad(1, &["apply", &pack]).await;
        assert_eq!(told, "error: nothing was applied: 2 errors\n");
        program.file("pack/z_last.yaml", SUB);
        let told = program.bad(1, &["apply", &pack]).await;
        assert!(told.starts_with("error: duplicate ref shop.sub\n  hint: See "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn workflows_without_a_file_are_pruned_or_disabled_if_they_have_executions() {
    with_database(async |db| {
        let program = Program::new(db, "apply_prune");
        let pack = write(&program);
        program.file("pack/c_old.yaml", &SUB.replace("shop.sub", "shop.old"));
        program.file("pack/d_unused.yaml", &SUB.replace("shop.sub", "shop.unused"));
        program.file("pack/actions.yaml", &format!("{ACTIONS}  - shop.idle\n"));
        program.good(&["apply", &pack]).await;
        program.good(&["start", "shop.old"]).await;
        for gone in ["c_old.yaml", "d_unused.yaml"] {
            std::fs::remove_file(program.folder.join("pack").join(gone)).unwrap();
        }
        program.file("pack/actions.yaml", ACTIONS);
        assert_eq!(program.good(&["apply", &pack]).await, "5 objects: 0 changed, 5 unchanged\n", "only when asked");
        let pruned = "- workflow shop.old (disabled: it has executions)\n- workflow shop.unused\n- action shop.idle\n";
        assert_eq!(
            program.good(&["apply", "--prune", &pack]).await,
            format!("{pruned}8 objects: 3 changed, 5 unchanged\n")
        );
        assert_eq!(program.good(&["apply", "--prune", &pack]).await, "5 objects: 0 changed, 5 unchanged\n");
        let told = program.bad(1, &["start", "shop.old"]).await;
        assert!(told.contains("disabled"), "{told}");
        // Applying the same text enables it again.
        program.file("pack/c_old.yaml", &SUB.replace("shop.sub", "shop.old"));
        let back = program.good(&["apply", &pack]).await;
        assert_eq!(back, "~ workflow shop.old 1.0.0 (enabled again)\n6 objects: 1 changed, 5 unchanged\n");
        program.good(&["start", "shop.old"]).await;
        // A workflow that is still called is not removed.
        std::fs::remove_file(program.folder.join("pack/b_sub.yaml")).unwrap();
        let told = program.bad(1, &["apply", "--prune", &pack]).await;
        assert!(told.starts_with("error: shop.order calls shop.sub, which is not in any file\n  hint: "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn what_is_exported_can_be_applied_elsewhere() {
    with_database(async |db| {
        let program = Program::new(db, "export");
        let pack = write(&program);
        program.good(&["apply", &pack]).await;
        let out = program.folder.join("out").to_string_lossy().into_owned();
        let printed = program.good(&["export", &out]).await;
        assert!(printed.starts_with("4 files written to "), "{printed}");
        assert_eq!(std::fs::read_to_string(program.folder.join("out/shop/order.yaml")).unwrap(), ORDER);
        assert_eq!(program.good(&["apply", &out]).await, "5 objects: 0 changed, 5 unchanged\n");
        with_database(async |other| {
            let other = Program::new(other, "export_other");
            other.good(&["apply", &out]).await;
            let again = other.folder.join("again").to_string_lossy().into_owned();
            other.good(&["export", "--pack", "shop", &again]).await;
            for file in ["pack.yaml", "actions.yaml", "order.yaml", "sub.yaml"] {
                let read = |folder: &str| std::fs::read_to_string(format!("{folder}/shop/{file}")).unwrap();
                assert_eq!(read(&out), read(&again), "{file}");
            }
        })
        .await;
        // Nothing is replaced without an explicit request.
        std::fs::write(program.folder.join("out/shop/sub.yaml"), "mine").unwrap();
        let told = program.bad(2, &["export", &out]).await;
        assert!(told.contains("sub.yaml would be overwritten"), "{told}");
        program.good(&["export", "--force", &out]).await;
        let told = program.bad(1, &["export", "--pack", "none", &out]).await;
        assert_eq!(told, "error: there is no pack none\n");
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_apply_leaves_nothing() {
    with_database(async |db| {
        let program = Program::new(db, "apply_interrupt");
        let pack = write(&program);
        // The last definition waits for this session, when everything else has been done.
        let mut other = db.connect().await;
        sqlx::query("BEGIN").execute(&mut other).await.unwrap();
        sqlx::query("INSERT INTO workflow.action (ref, pack, pack_ref, label, created, updated) SELECT 'none.such', p.id, 'none', 'x', now(), now() FROM workflow_create_pack('none', 'None', '1') AS p")
            .execute(&mut other).await.unwrap();
        program.file("pack/z_last.yaml", &SUB.replace("shop.sub", "none.such"));
        let mut child = program.command(&["apply", &pack]).spawn().unwrap();
        let blocked = async {
            loop {
                let waiting: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name = 'pg-workflow' AND wait_event_type = 'Lock')",
                )
                .fetch_one(&db.pool)
                .await
                .unwrap();
                if waiting {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), blocked).await.expect("apply waits");
        let interrupt = format!("kill -INT {}", child.id().unwrap());
        assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        let status = child.wait().await.unwrap();
        assert!(!status.success());
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        // The server notices that the client is gone the next time it checks the connection.
        let gone = async {
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pg-workflow'";
            while sqlx::query_scalar::<_, i64>(sessions).fetch_one(&db.pool).await.unwrap() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the session ends");
        let defined: i64 = sqlx::query_scalar("SELECT count(*) FROM workflow.action").fetch_one(&db.pool).await.unwrap();
        assert_eq!(defined, 0);
    })
    .await;
}
