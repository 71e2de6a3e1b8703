//! Databases that can't be used.

use crate::program::{Program, command, printed, told};
use pg_workflow_tests::with_database;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn a_server_that_is_not_there_is_status_3() {
    let output = command(&["list"]).env("PGHOST", "127.0.0.1").env("PGPORT", "1").output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = told(&output);
    assert!(told.starts_with("error: database ") && told.contains("127.0.0.1, port 1: could not connect"), "{told}");
    assert!(told.contains("\n  hint: Is the server running?"), "{told}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let mut command = command(&["list"]);
    command.env("PGHOST", "127.0.0.1").env("PGPORT", &port).env("PGCONNECT_TIMEOUT", "1");
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(told(&output).contains("the server did not respond"), "{}", told(&output));
}

#[tokio::test]
async fn a_missing_database_and_an_invalid_url_are_refused() {
    with_database(async |db| {
        let program = Program::new(db, "no_database");
        let output = program.command(&["list"]).env("PGDATABASE", "no_such_database").output().await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        let told = told(&output);
        assert!(told.contains("database \"no_such_database\" does not exist"), "{told}");
        assert!(told.contains("hint: Name the database with PGDATABASE"), "{told}");
        let told = program.bad(2, &["list", "--url", "host=localhost"]).await;
        assert!(told.starts_with("error: the database's URL can't be used: "), "{told}");
        let told = program.bad(2, &["list", "--service", "none"]).await;
        assert!(told.starts_with("error: there is no service none\n"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn an_older_extension_is_reported() {
    with_database(async |db| {
        let program = Program::new(db, "older");
        db.run("UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'pg_workflow'").await;
        db.run("ALTER EXTENSION pg_workflow DROP FUNCTION workflow_list_limits").await;
        db.run("DROP FUNCTION workflow_list_limits").await;
        let told = program.bad(3, &["top", "--once"]).await;
        assert!(
            told.contains("does not exist\n  hint: Is the extension installed in this database, and as new"),
            "{told}"
        );
        let output = program.run(&["doctor"]).await;
        assert!(printed(&output).contains("✗ this program is version "), "{}", printed(&output));
        let mut worker = program.command(&["work", "--action", "shop.charge=cat"]);
        let mut worker = worker.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(worker.stderr.take().unwrap()).lines();
        let first = tokio::time::timeout(Duration::from_secs(30), told.next_line()).await.unwrap().unwrap().unwrap();
        assert!(
            first.starts_with("warning: this program is version ") && first.contains("the extension is version 0.0.9"),
            "{first}"
        );
        worker.kill().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_program_quietly() {
    with_database(async |db| {
        let program = crate::control::defined(db, "pipes").await;
        let id = program.good(&["start", "shop.order", "-p", "order=1"]).await;
        let id = id.trim();
        // So that there is an event to print.
        program.good(&["pause", id]).await;
        for arguments in [
            &["list"][..],
            &["list", "--json"],
            &["events", id],
            &["tasks", id],
            &["tree", id],
            &["timeline", id],
            &["status", id],
            &["why", id],
            &["graph", id],
            &["graph", "--png", id],
            &["top", "--once"],
            &["jobs"],
            &["doctor"],
            &["watch", "--events", id],
            &["cancel", id, id],
        ] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = program.command(arguments);
            let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
            let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
            let output = output.unwrap_or_else(|_| panic!("it goes on: {arguments:?}")).unwrap();
            assert_eq!((output.status.code(), told(&output)), (Some(0), String::new()), "{arguments:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn all_executions_are_processed_even_if_nobody_reads_the_answers() {
    with_database(async |db| {
        let program = crate::control::defined(db, "unread").await;
        let start = async || program.good(&["start", "shop.order", "-p", "order=1"]).await.trim().to_owned();
        let (one, other) = (start().await, start().await);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = program.command(&["pause", &one, &other]).stdout(writer).status().await.unwrap();
        assert!(status.success());
        for id in [one, other] {
            assert_eq!(program.json(&["status", "--json", &id]).await["paused"], true, "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_service_file_names_the_database() {
    with_database(async |db| {
        let program = Program::new(db, "service");
        let options = db.options();
        let (host, port, user) = (options.get_host(), options.get_port(), options.get_username());
        let text = format!("[shop]\nhost={host}\nport={port}\nuser={user}\ndbname={}\n", db.name);
        let file = program.file("service.conf", &text);
        let output = command(&["doctor"]).env("PGSERVICEFILE", &file).env("PGSERVICE", "shop").output().await.unwrap();
        let printed = printed(&output);
        assert!(printed.contains(&format!("database {}", db.name)), "{printed}{}", told(&output));
    })
    .await;
}

#[tokio::test]
async fn a_service_file_is_not_half_understood() {
    with_database(async |db| {
        let program = Program::new(db, "service_wrong");
        for (text, told) in [
            (&b"[shop]\nhost=localhost\nsslmod=verify-full\n"[..], ", line 3: sslmod is not supported\n"),
            (b"[shop]\nrequire_auth=scram-sha-256\n", ", line 2: require_auth is not supported\n"),
            (b"[shop]\nport=many\n", ", line 2: port is many, which can't be used\n"),
            (b"[shop]\nuser=\xff\n", " is not UTF-8\n"),
        ] {
            let file = program.file("service.conf", "");
            std::fs::write(&file, text).unwrap();
            let output = command(&["list", "--service", "shop"]).env("PGSERVICEFILE", &file).output().await.unwrap();
            let said = crate::program::told(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("{file}{told}")), "{said}");
        }
        let folder = program.folder.to_string_lossy().into_owned();
        let output = command(&["list", "--service", "shop"]).env("PGSERVICEFILE", &folder).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(crate::program::told(&output).contains(&format!("{folder}: ")), "{output:?}");
    })
    .await;
}

#[tokio::test]
async fn a_database_that_lets_nobody_in_says_why_at_once() {
    with_database(async |db| {
        let program = Program::new(db, "not_let_in");
        let role = db.role().await;
        let quick = async |arguments: &[&str]| {
            let mut command = program.command(arguments);
            let output = command.env("PGUSER", &role).env("PGCONNECT_TIMEOUT", "3600").output();
            let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").unwrap();
            (output.status.code(), crate::program::told(&output))
        };
        db.run(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
        for arguments in [&["list"][..], &["work", "--action", "shop.it=cat"]] {
            let (status, told) = quick(arguments).await;
            assert_eq!(status, Some(3), "{told}");
            assert!(
                told.contains("too many connections for role") && told.contains("hint: Close connections"),
                "{told}"
            );
        }
        db.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
        db.run(&format!("REVOKE CONNECT ON DATABASE \"{}\" FROM PUBLIC", db.name)).await;
        let (status, told) = quick(&["list"]).await;
        assert_eq!(status, Some(3), "{told}");
        assert!(told.contains("hint: Run GRANT CONNECT ON DATABASE ") && told.contains(&role), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_password_file_that_is_ignored_is_mentioned_once() {
    use std::os::unix::fs::PermissionsExt;
    with_database(async |db| {
        let program = Program::new(db, "password_file");
        let said = async |file: &str| {
            let output = program.command(&["list"]).env("PGPASSFILE", file).output();
            let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").unwrap();
            (output.status.code(), told(&output))
        };
        let file = program.file("passwords", "*:*:*:*:secret\n");
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert_eq!(said(&file).await, (Some(0), String::new()));
        assert_eq!(said("/dev/null").await, (Some(0), String::new()));
        mode(0o644);
        let why = "is ignored: others may use it, too (chmod 600 makes it yours alone)";
        assert_eq!(said(&file).await, (Some(0), format!("warning: the password file {file} {why}\n")));
        mode(0o600);
        std::fs::write(&file, b"# mine\n\xff:*:*:*:secret\n").unwrap();
        let why = "is ignored from line 2 on: it is not UTF-8";
        assert_eq!(said(&file).await, (Some(0), format!("warning: the password file {file} {why}\n")));
        let folder = program.folder.to_string_lossy().into_owned();
        assert!(said(&folder).await.1.contains("is ignored: it is not a plain file"));
        let pipe = format!("{file}.pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (status, told) = said(&pipe).await;
        assert_eq!((status, told.contains("is not a plain file")), (Some(2), true), "{told}");
    })
    .await;
}
