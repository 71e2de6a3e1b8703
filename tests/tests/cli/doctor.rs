//! `doctor`, `install` and `top`.

use crate::program::{Program, printed};
use pg_workflow_tests::with_database;

#[tokio::test]
async fn a_healthy_database_has_nothing_to_fix() {
    with_database(async |db| {
        let program = Program::new(db, "healthy");
        let told = program.good(&["doctor", "--deep"]).await;
        assert!(told.lines().all(|line| line.starts_with('✓')), "{told}");
        assert!(told.contains("has the privileges of worker, reader, operator, author"), "{told}");
        assert!(program.json(&["doctor", "--json"]).await.as_array().unwrap().len() > 3);
        assert!(program.good(&["top"]).await.contains("0 ready, 0 claimed, 0 workers"));
    })
    .await;
}

#[tokio::test]
async fn a_queue_without_workers_is_found() {
    with_database(async |db| {
        let program = Program::new(db, "queue");
        program.file("pack/actions.yaml", "[shop.mail]");
        program
            .file("pack/it.yaml", "ref: shop.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a, action: shop.mail}]\n");
        program.good(&["apply", &program.folder.join("pack").to_string_lossy()]).await;
        // Started an hour ago.
        let mut session = db.connect().await;
        sqlx::query("SELECT set_config('pg_workflow.test_now', (now() - interval '1 hour')::text, false)")
            .execute(&mut session)
            .await
            .unwrap();
        sqlx::query("SELECT workflow_start('shop.it')").execute(&mut session).await.unwrap();
        let output = program.run(&["doctor"]).await;
        let told = crate::program::printed(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("✗ shop.mail: 1 task waiting, the first for 1h00m: no worker has claimed any of them"),
            "{told}"
        );
        assert!(told.contains("hint: Run a worker for it: pg-workflow work --action shop.mail=COMMAND."), "{told}");
        assert!(program.good(&["top", "--once"]).await.contains("shop.mail"));
    })
    .await;
}

#[tokio::test]
async fn a_bulk_job_that_nobody_ticks_is_found() {
    with_database(async |db| {
        let program = Program::new(db, "untended_job");
        // Created an hour ago, and nothing has been done since.
        let mut session = db.connect().await;
        for statement in [
            "SELECT set_config('pg_workflow.test_now', (now() - interval '1 hour')::text, false)",
            "SELECT workflow_apply('cancel', '{\"statuses\": [\"running\"]}')::text",
        ] {
            sqlx::query(statement).execute(&mut session).await.unwrap();
        }
        let output = program.run(&["doctor"]).await;
        let told = crate::program::printed(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("bulk_job: 1 row overdue, the oldest for 59m")
                || told.contains("bulk_job: 1 row overdue, the oldest for 1h"),
            "{told}"
        );
        assert!(told.contains("Nothing is ticking"), "{told}");
        sqlx::query("SELECT workflow_tick()").execute(&mut session).await.unwrap();
        program.good(&["doctor"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_database_without_the_extension_gets_it() {
    with_database(async |db| {
        let program = Program::new(db, "install");
        db.run("DROP EXTENSION pg_workflow CASCADE").await;
        let output = program.run(&["doctor"]).await;
        let told = crate::program::printed(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            told.contains("✗ the extension pg_workflow is not installed in this database; the server has version"),
            "{told}"
        );
        let pack = program.file("actions.yaml", "[shop.charge]");
        for arguments in
            [&["list"][..], &["start", "a.bc"], &["apply", &pack], &["top", "--once"], &["jobs"], &["cancel", "1", "2"]]
        {
            let told = program.bad(3, arguments).await;
            assert!(told.contains("does not exist\n  hint: Is the extension installed in this database"), "{told}");
        }
        let told = program.bad(3, &["work", "--action", "shop.charge=cat"]).await;
        let expected =
            "error: the extension pg_workflow is not installed in this database\n  hint: Run pg-workflow install";
        assert!(told.starts_with(expected), "{told}");
        let role = db.role().await;
        let told = program.good(&["install", "--grant", &format!("{role}=worker")]).await;
        assert!(told.starts_with("installed the extension, version "), "{told}");
        assert!(program.good(&["install"]).await.starts_with("the extension is already installed"));
        let told = program.bad(1, &["install", "--grant", "no_such_role=worker"]).await;
        assert!(told.contains("no_such_role") && !told.contains("Is the extension installed"), "{told}");

        // A role with few rights, and one with none.
        let output = program.command(&["doctor"]).env("PGUSER", &role).output().await.unwrap();
        let told = crate::program::printed(&output);
        assert!(told.contains("✓ this role has the privileges of worker\n"), "{told}");
        let stranger = db.role().await;
        let output = program.command(&["doctor"]).env("PGUSER", &stranger).output().await.unwrap();
        let told = crate::program::printed(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            told.contains("✗ this role may not call any of the extension's functions\n  hint: As the owner"),
            "{told}"
        );
        let output = program.command(&["start", "a.bc"]).env("PGUSER", &stranger).output().await.unwrap();
        let told = crate::program::told(&output);
        assert!(told.starts_with("error: permission denied") && told.contains("hint: "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn an_extension_that_is_newer_than_its_files_is_left_as_it_is() {
    with_database(async |db| {
        let program = Program::new(db, "newer");
        db.run("UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'pg_workflow'").await;
        let output = program.run(&["doctor"]).await;
        let told = printed(&output);
        assert!(
            told.contains("✗ the extension has version 99.0.0, but the server has only files of the older"),
            "{told}"
        );
        assert!(told.contains("hint: Install the files of version 99.0.0 on the server"), "{told}");
        let output = program.run(&["install"]).await;
        let told = printed(&output);
        assert!(
            told.starts_with("the extension is already installed, version 99.0.0; the server's files are older\n"),
            "{told}"
        );
        assert_eq!(output.status.code(), Some(1), "{told}");
    })
    .await;
}
