//! The console: where it listens. Everything else is tested in a browser (`tests/console`).

use crate::program::Program;
use pg_workflow_tests::with_database;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const TOKEN: &str = "a token of the tests";

#[tokio::test]
async fn a_console_that_others_can_reach_needs_to_know_who_they_are() {
    with_database(async |db| {
        let program = Program::new(db, "console_access");
        let output = program.run(&["console", "--listen", "0.0.0.0:0"]).await;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("nobody would have to sign in") && message.contains("--token-file"), "{message}");

        let short = program.file("short", "secret\n");
        let output = program.run(&["console", "--listen", "0.0.0.0:0", "--token-file", &short]).await;
        assert_eq!(output.status.code(), Some(2));
        let token = program.file("token", TOKEN);
        for known in [["--token-file", &token], ["--person-header", "X-Forwarded-User"]] {
            let arguments = [&["console", "--listen", "0.0.0.0:0"], &known[..]].concat();
            assert!(Console::start(program.command(&arguments)).await.address.starts_with("http://0.0.0.0:"));
        }
    })
    .await;
}

/// A console that runs until the test ends.
struct Console {
    address: String,
    _process: Child,
}

impl Console {
    async fn start(mut command: Command) -> Console {
        let mut process = command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().expect("it says where it listens");
        Console { address: address.trim_end_matches('/').to_owned(), _process: process }
    }
}

/// Returns what `scripts/prepare browser` has installed, if there is a browser.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let browser = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.exists())?;
    assert!(
        folder.join(".stamp").exists(),
        "the tests of the console lack their packages: run scripts/prepare browser"
    );
    Some((folder, browser))
}

#[tokio::test]
async fn each_screen_and_button_works_in_a_browser() {
    if std::env::var("PG_WORKFLOW_MAJOR").is_ok_and(|major| major != "15") {
        println!("skipped: the console is tested in a browser on PostgreSQL 15");
        return;
    }
    let Some((folder, browser)) = installed() else {
        println!("skipped: there is no Chromium here, so the console is not tested in a browser");
        return;
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    // Node looks for packages next to the module that imports them.
    for name in ["console.mjs", "scene.mjs"] {
        std::fs::copy(sources.join(name), folder.join(name)).unwrap();
    }
    with_database(async |db| {
        let program = Program::new(db, "console");
        let listen = ["console", "--listen", "127.0.0.1:0", "--refresh", "500ms"];
        let masks = ["--person", "Maria", "--mask", "number", "--mask", "pin"];
        let console = Console::start(program.command(&[&listen[..], &masks].concat())).await;
        let reader = Console::start(program.command(&[&listen[..], &["--read-only"]].concat())).await;
        let role = db.role().await;
        db.run(format!("SELECT workflow_grant('{role}', 'reader')")).await;
        let mut limited = program.command(&listen);
        limited.env("PGUSER", &role);
        let limited = Console::start(limited).await;
        let mut guarded = program.command(&listen);
        guarded.env("PG_WORKFLOW_CONSOLE_TOKEN", TOKEN);
        let guarded = Console::start(guarded).await;

        let options = db.options();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        let mut command = Command::new("node");
        command.arg(folder.join("console.mjs")).env("CHROMIUM", browser).env("PICTURES", folder.join("pictures"));
        command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/{}", db.name));
        command.env("CONSOLE", &console.address).env("READER", &reader.address);
        command.env("ROLE", &limited.address);
        command.env("GUARDED", &guarded.address).env("TOKEN", TOKEN);
        let output = command.kill_on_drop(true).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    })
    .await;
}
