//! The program as a whole.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(arguments).output().unwrap()
}

/// Returns the names of all commands. Their descriptions may take several lines.
fn commands() -> Vec<String> {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("man");
    assert_eq!(run(&["man", &folder.to_string_lossy()]).status.code(), Some(0));
    for inner in ["import-orquesta", "router-plproxy", "jobs-stop"] {
        let page = std::fs::read_to_string(folder.join(format!("pg-workflow-{inner}.1"))).unwrap();
        assert!(page.contains(&inner.replace('-', "\\-")), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let completions = String::from_utf8(run(&["completions", shell]).stdout).unwrap();
        for command in &commands {
            assert!(completions.contains(command.as_str()), "{shell}: {command}");
            assert!(folder.join(format!("pg-workflow-{command}.1")).exists(), "{command}");
        }
    }
    assert_eq!(run(&["completions", "none"]).status.code(), Some(2));
}

#[test]
fn every_command_is_on_the_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/program.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in commands() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn it_starts_at_once() {
    let fastest = (0..20).map(|_| {
        let begun = Instant::now();
        assert_eq!(run(&["--version"]).status.code(), Some(0));
        begun.elapsed()
    });
    // The fastest run, because other processes use this machine, too.
    let fastest = fastest.min().unwrap();
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}

#[test]
fn a_misspelt_command_is_corrected() {
    let output = run(&["chek"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'check'"));
    let help = run(&[]);
    assert_eq!(help.status.code(), Some(2));
}

#[test]
fn a_definition_is_drawn_without_a_database() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/deploy.yaml");
    let printed = |arguments: &[&str]| {
        let output = run(&[&["graph", example], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed(&[]).starts_with("  ○ build\n"), "{}", printed(&[]));
    assert!(printed(&["--format", "dot"]).starts_with("digraph workflow {"));
    let svg = printed(&["--svg"]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<g>").count(), svg.matches("</g>").count());
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("drawn.svg");
    assert_eq!(printed(&["--svg", "--output", &file.to_string_lossy()]), "");
    assert_eq!(std::fs::read_to_string(file).unwrap(), svg);
    let png = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("drawn.png");
    assert_eq!(printed(&["--png", "--output", &png.to_string_lossy()]), "");
    let drawn = std::fs::read(png).unwrap();
    assert!(drawn.starts_with(b"\x89PNG\r\n") && drawn.len() > 10_000, "{}", drawn.len());
    assert_eq!(run(&["graph", example, "--format", "png"]).stdout, drawn, "without --output it is printed");
}

#[test]
fn arguments_without_a_name_and_urls_of_other_kinds_are_refused() {
    for (arguments, why) in [
        (&["start", "shop.order", "-p", "=1"][..], "there is no name before the =: write it as name=value"),
        (&["start", "shop.order", "--attribute", " =1"], "there is no name before the =: write it as name=value"),
        (
            &["list", "--url", "garbage://x:secret@y"],
            "the database's URL can't be used: it does not begin with postgres:// or postgresql://\n  hint: Write postgres://",
        ),
        (&["list", "--url", "postgres://a/b", "--service", "c"], "cannot be used with"),
        (&["list", "--url", "postgres://a/b?ssl=true"], "ssl is not supported; TLS is configured by sslmode"),
        (&["start", "shop.order", "--at", "tomorrow"], "write it with its time zone, such as 2030-01-31T08:00:00Z"),
        (&["start", "shop.order", "--parameters", "[1]"], "hint: Pass the parameters as a map, such as {a: 1}"),
        (&["console", "--listen", "localhost:1"], "write an IP address and a port, such as 127.0.0.1:7788"),
        (&["top", "--interval", "0"], "it must be at least 10 ms"),
        (&["bulk", "cancel"], "required"),
        (&["bulk", "signal", "--workflow", "a.b"], "--name"),
        (&["bulk", "explode", "--workflow", "a.b"], "[possible values: pause, resume, cancel, rerun, signal, prune]"),
    ] {
        let output = run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(why) && !told.contains("secret"), "{arguments:?}: {told}");
    }
}

#[test]
fn variables_that_cannot_be_used_are_refused() {
    for (name, value) in [("PGSSLMODE", "verifyfull"), ("PGPORT", "5432,5433"), ("PGCONNECT_TIMEOUT", "soon")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-workflow"));
        let output = command.args(["list", "--url", "postgres://a/b"]).env(name, value).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with(&format!("error: {name} is {value}, which can't be used\n  hint: Use ")), "{told}");
    }
}

#[test]
fn options_of_a_command_are_not_listed_as_those_of_the_connection() {
    for command in commands() {
        let help = String::from_utf8(run(&[&command, "--help"]).stdout).unwrap();
        let Some((_, connection)) = help.split_once("\nConnection:\n") else { continue };
        let options = connection.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let options: Vec<&str> = options.filter_map(|line| line.split_whitespace().next()).collect();
        assert!(options.iter().all(|option| ["--url", "--service"].contains(option)), "{command}: {options:?}");
    }
}

#[test]
fn the_usage_names_only_what_is_required() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-workflow"));
    let output = command.arg("start").env("DATABASE_URL", "postgres://a/b").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("Usage: pg-workflow start <REF>\n"), "{told}");
}

#[test]
fn a_file_to_draw_that_does_not_exist_is_not_looked_up_in_a_database() {
    for name in ["nowhere.yaml", "./x", "/x/y"] {
        let output = run(&["graph", name]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told), (Some(2), format!("error: the file {name} does not exist\n")));
    }
}
