//! Commands that run until they are told to stop: by a signal, or because their reader or terminal has gone.

use crate::program::Program;
use pg_workflow_tests::with_database;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

fn signal(child: &Child, signal: &str) {
    let kill =
        std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id().unwrap())]).status();
    assert!(kill.unwrap().success());
}

/// Waits for the end of a program. Each line on its standard error must begin with one of these texts.
async fn ends(mut child: Child, may_say: &[&str]) -> ExitStatus {
    let mut stderr = child.stderr.take().unwrap();
    let mut told = String::new();
    let ended = async {
        stderr.read_to_string(&mut told).await.unwrap();
        child.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends");
    let unexpected: Vec<&str> =
        told.lines().filter(|line| !may_say.iter().any(|start| line.starts_with(start))).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    status
}

/// Returns a program's command as the arguments of another one.
fn by(first: &[&str], plain: Command) -> Command {
    let mut command = Command::new(first[0]);
    command.args(&first[1..]).arg(plain.as_std().get_program()).args(plain.as_std().get_args()).kill_on_drop(true);
    for (name, value) in plain.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads standard output until it has a line with this text.
async fn line_with(child: &mut Child, text: &str) -> BufReader<tokio::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let read = async {
        while !line.contains(text) {
            line.clear();
            assert!(reader.read_line(&mut line).await.unwrap() > 0, "it ends before it says {text}");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.unwrap_or_else(|_| panic!("it never says {text}"));
    reader
}

/// Starts a command on a terminal of its own. The terminal goes when this process does.
///
/// The shell that `script` starts is replaced: some shells would stay, and end by the ^C that is meant for the program.
fn on_terminal(program: &Program<'_>, arguments: &[&str]) -> Child {
    on_kind_of_terminal("xterm", program, arguments)
}

fn on_kind_of_terminal(kind: &str, program: &Program<'_>, arguments: &[&str]) -> Child {
    let plain = program.command(arguments);
    let words: Vec<&str> = plain.as_std().get_args().map(|word| word.to_str().unwrap()).collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &format!("exec env {}", words.join(" ")), "/dev/null"]);
    for (name, value) in plain.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TERM", kind).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until something appears on the screen.
async fn appears(child: &mut Child, text: &str) -> tokio::process::ChildStdout {
    let mut stdout = child.stdout.take().unwrap();
    let mut screen = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&screen).contains(text) {
            assert!(stdout.read_buf(&mut screen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&screen));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.unwrap_or_else(|_| panic!("{text} does not appear"));
    stdout
}

#[tokio::test]
async fn watch_ends_when_nobody_reads_its_lines() {
    with_database(async |db| {
        let program = crate::control::defined(db, "live_pipe").await;
        let id = program.good(&["start", "shop.order", "-p", "order=1"]).await;
        program.good(&["pause", id.trim()]).await;
        let mut child = piped(&mut program.command(&["watch", "--interval", "20ms", id.trim()]));
        drop(line_with(&mut child, "pause").await);
        // Nothing happens any more, so there is nothing to print.
        assert_eq!(ends(child, &[]).await.code(), Some(0));
        let file = program.file("tests/a.yaml", "ref: shop.b\nlabel: A\nversion: 1.0.0\ntasks: [{name: a}]\n");
        program.file("tests/a.test.yaml", "workflow: a.yaml\ntests: [{name: it, expect: {status: completed}}]\n");
        let folder = file.trim_end_matches("/a.yaml");
        let mut child = piped(&mut program.command(&["test", "--watch", folder]));
        drop(line_with(&mut child, "waiting for changes").await);
        assert_eq!(ends(child, &[]).await.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn signals_end_what_runs_for_ever() {
    with_database(async |db| {
        let program = crate::control::defined(db, "live_signals").await;
        let id = program.good(&["start", "shop.order", "-p", "order=1"]).await;
        program.good(&["pause", id.trim()]).await;
        // The tests themselves may run under nohup.
        let command = |arguments: &[&str]| by(&["env", "--default-signal=HUP"], program.command(arguments));
        for name in ["INT", "TERM", "HUP"] {
            let mut child = piped(&mut command(&["console", "--listen", "127.0.0.1:0"]));
            let _output = line_with(&mut child, "http://").await;
            signal(&child, name);
            assert_eq!(ends(child, &[]).await.code(), Some(0), "console, {name}");

            let mut child = piped(&mut command(&["watch", "--interval", "20ms", id.trim()]));
            let _output = line_with(&mut child, "pause").await;
            signal(&child, name);
            let number = match name {
                "INT" => 2,
                "TERM" => 15,
                _ => 1,
            };
            assert_eq!(ends(child, &[]).await.signal(), Some(number), "watch, {name}");

            let mut child = piped(&mut command(&["work", "--action", "shop.charge=cat"]));
            let mut told = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            told.read_line(&mut line).await.unwrap();
            assert!(line.starts_with("working: "), "{line}");
            signal(&child, name);
            let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await.expect("it ends").unwrap();
            assert_eq!(status.code(), Some(0), "work, {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_hangup_that_is_ignored_stays_ignored() {
    with_database(async |db| {
        let program = Program::new(db, "live_nohup");
        let plain = program.command(&["console", "--listen", "127.0.0.1:0"]);
        let mut child = piped(&mut by(&["nohup"], plain));
        let _output = line_with(&mut child, "http://").await;
        signal(&child, "HUP");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{ignored}");
        assert!(child.try_wait().unwrap().is_none(), "it still serves");
        signal(&child, "TERM");
        assert_eq!(ends(child, &["nohup: "]).await.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn screens_restore_the_terminal_or_go_with_it() {
    with_database(async |db| {
        let program = crate::control::defined(db, "live_screens").await;
        let id = program.good(&["start", "shop.order", "-p", "order=1"]).await;
        let id = id.trim();
        for (arguments, shown, status) in
            [(&["top", "--interval", "50ms"][..], "claimed,", 0), (&["watch", "--interval", "50ms", id], "charge", 130)]
        {
            let mut child = on_terminal(&program, arguments);
            let mut screen = appears(&mut child, shown).await;
            // ^C at the terminal.
            let mut keys = child.stdin.take().unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut keys, b"\x03").await.unwrap();
            let mut rest = String::new();
            let read = tokio::time::timeout(Duration::from_secs(60), screen.read_to_string(&mut rest)).await;
            read.expect("it ends").unwrap();
            assert!(rest.contains("\x1b[?25h\x1b[?1049l"), "{rest:?}");
            assert_eq!(ends(child, &[]).await.code(), Some(status), "{arguments:?}");

            let mut child = on_terminal(&program, arguments);
            let _screen = appears(&mut child, shown).await;
            let (mark, name) = (format!("PGDATABASE={}", db.name), arguments[0].to_owned());
            assert_eq!(screens(&mark, &name), 1, "{arguments:?}");
            child.kill().await.unwrap();
            let gone = async {
                while screens(&mark, &name) > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it goes with its terminal");
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_exploration_shows_its_progress_and_can_be_interrupted() {
    with_database(async |db| {
        let program = Program::new(db, "live_explore");
        let file =
            program.file("a.yaml", "ref: shop.b\nlabel: A\nversion: 1.0.0\ntasks: [{name: a, action: shop.c}]\n");
        let mut child = on_terminal(&program, &["explore", "--runs", "1000000000", &file]);
        let _screen = appears(&mut child, "exploring ").await;
        let mut keys = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut keys, b"\x03").await.unwrap();
        assert_eq!(ends(child, &[]).await.code(), Some(130));
    })
    .await;
}

/// Returns how many programs with this first argument run on a test's database.
fn screens(database: &str, argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let has = |file: &str, word: &str| {
            let text = std::fs::read(process.path().join(file)).unwrap_or_default();
            text.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
        };
        let is_program = std::fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe.ends_with("pg-workflow"));
        is_program && has("cmdline", argument) && has("environ", database)
    });
    processes.count()
}

#[tokio::test]
async fn a_terminal_that_can_not_be_redrawn_gets_the_text_once() {
    with_database(async |db| {
        let program = Program::new(db, "live_dumb");
        let mut child = on_kind_of_terminal("dumb", &program, &["top"]);
        let mut printed = String::new();
        let read = async { child.stdout.take().unwrap().read_to_string(&mut printed).await.unwrap() };
        tokio::time::timeout(Duration::from_secs(60), read).await.expect("it ends");
        assert!(printed.contains("0 ready, 0 claimed, 0 workers") && !printed.contains('\x1b'), "{printed:?}");
    })
    .await;
}
