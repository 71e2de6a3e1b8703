//! The console: where it listens. Everything else is tested in a browser (`tests/console`).

use crate::program::Program;
use pg_workflow_tests::{Database, with_database};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub const TOKEN: &str = "a token of the tests";

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
            assert!(Console::start(&mut program.command(&arguments)).await.address.starts_with("http://0.0.0.0:"));
        }
    })
    .await;
}

/// A console that runs until the test ends.
pub struct Console {
    pub address: String,
    _process: Child,
}

impl Console {
    pub async fn start(command: &mut Command) -> Console {
        let mut process = command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().expect("it says where it listens");
        Console { address: address.trim_end_matches('/').to_owned(), _process: process }
    }
}

/// Returns what `scripts/prepare browser` has installed, with the tests next to it; prints what is missing if there is
/// no browser.
fn installed() -> Option<(PathBuf, PathBuf)> {
    if pg_workflow_tests::major() != 15 {
        println!("skipped: the console is tested in a browser on PostgreSQL 15");
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let browser = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.exists());
    let Some(browser) = browser else {
        println!("skipped: there is no Chromium here, so the console is not tested in a browser");
        return None;
    };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, sources) = (tests.join("../target/console"), tests.join("console"));
    assert!(
        folder.join(".stamp").exists(),
        "the tests of the console lack their packages: run scripts/prepare browser"
    );
    // Node looks for packages beside the module that imports them. Two tests may do this at once.
    for name in ["console.mjs", "night.mjs", "scene.mjs", "worker.mjs"] {
        let copy = folder.join(format!("{name}.{:?}", std::thread::current().id()));
        std::fs::copy(sources.join(name), &copy).unwrap();
        std::fs::rename(copy, folder.join(name)).unwrap();
    }
    Some((folder, browser))
}

/// Returns a command that drives a browser.
fn drive(db: &Database, folder: &Path, browser: &Path, script: &str) -> Command {
    let options = db.options();
    let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
    let mut command = Command::new("node");
    command.arg(folder.join(script)).env("CHROMIUM", browser).env("PICTURES", folder.join("pictures"));
    command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/{}", db.name)).kill_on_drop(true);
    command
}

async fn succeed(mut command: Command) {
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_nights_failures_are_fixed_with_the_console_alone() {
    let Some((folder, browser)) = installed() else { return };
    with_database(async |db| {
        let program = Program::new(db, "console_night");
        let console = Console::start(&mut program.command(&["console", "--listen", "127.0.0.1:0"])).await;
        let mut command = drive(db, &folder, &browser, "night.mjs");
        command.env("CONSOLE", &console.address);
        command.env("COUNT", std::env::var("NIGHT").unwrap_or_else(|_| "300".to_owned()));
        succeed(command).await;
    })
    .await;
}

#[tokio::test]
async fn each_screen_and_button_works_in_a_browser() {
    let Some((folder, browser)) = installed() else { return };
    with_database(async |db| {
        let program = Program::new(db, "console");
        let listen = ["console", "--listen", "127.0.0.1:0", "--refresh", "500ms"];
        let masks = ["--person", "Maria", "--mask", "number", "--mask", "pin"];
        let console = Console::start(&mut program.command(&[&listen[..], &masks].concat())).await;
        let reader = Console::start(&mut program.command(&[&listen[..], &["--read-only"]].concat())).await;
        let role = db.role().await;
        db.run(format!("SELECT workflow_grant('{role}', 'reader')")).await;
        let mut limited = program.command(&listen);
        limited.env("PGUSER", &role);
        let limited = Console::start(&mut limited).await;
        let mut guarded = program.command(&listen);
        guarded.env("PG_WORKFLOW_CONSOLE_TOKEN", TOKEN);
        let guarded = Console::start(&mut guarded).await;

        let mut command = drive(db, &folder, &browser, "console.mjs");
        command.env("CONSOLE", &console.address).env("READER", &reader.address).env("ROLE", &limited.address);
        command.env("GUARDED", &guarded.address).env("TOKEN", TOKEN);
        succeed(command).await;
    })
    .await;
}
