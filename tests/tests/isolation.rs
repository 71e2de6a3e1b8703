//! Races, step by step: each spec in tests/isolation/specs is a test that PostgreSQL's isolationtester runs on a
//! separate database. Its output must equal the file in tests/isolation/expected.

use libtest_mimic::{Arguments, Failed, Trial};
use pg_workflow_tests::Database;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Setup shared by the specs.
const FIXTURE: &str = include_str!("../isolation/fixture.sql");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("isolation").join(name)
}

/// Returns the program in the server's tree, if it has one.
fn isolationtester() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--pgxs").output().ok()?;
    let makefile = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let program = makefile.parent()?.parent()?.join("test/isolation/isolationtester");
    program.exists().then_some(program)
}

fn specs() -> Vec<String> {
    let files = folder("specs").read_dir().expect("there are specs").map(|file| file.unwrap().path());
    let specs = files.filter(|path| path.extension().is_some_and(|extension| extension == "spec"));
    let mut names: Vec<String> = specs.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn database() -> Database {
    let db = Database::create().await;
    // For all sessions of the spec. A deadlock must show immediately.
    db.run(format!(
        "ALTER DATABASE {name} SET pg_workflow.test_now = '2026-01-01 00:00:00+00';
         ALTER DATABASE {name} SET timezone = 'UTC';
         ALTER DATABASE {name} SET deadlock_timeout = '10ms'",
        name = db.name
    ))
    .await;
    db.run(FIXTURE).await;
    db
}

/// Runs a spec and compares its output.
fn play(isolationtester: &Path, name: &str) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let db = runtime.block_on(database());
    let spec = std::fs::File::open(folder("specs").join(format!("{name}.spec")))?;
    let options = db.options();
    let connection = format!(
        "host={} port={} user={} dbname={}",
        options.get_host(),
        options.get_port(),
        options.get_username(),
        db.name
    );
    let output = Command::new(isolationtester).arg(connection).stdin(spec).output()?;
    runtime.block_on(db.check());
    runtime.block_on(db.pool.close());
    let major = pg_workflow_tests::major();
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/isolation/{major}"));
    std::fs::create_dir_all(&results)?;
    let results = results.join(format!("{name}.out"));
    std::fs::write(&results, [&output.stdout[..], &output.stderr].concat())?;
    let expected = folder("expected").join(format!("{name}.out"));
    let diff = Command::new("diff").arg("--unified").arg(&expected).arg(&results).output()?;
    if diff.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&diff.stdout), String::from_utf8_lossy(&diff.stderr)).into())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let isolationtester = isolationtester();
    if isolationtester.is_none() {
        eprintln!("this PostgreSQL tree is without isolationtester: its specs are skipped");
    }
    // Debian's tree always has it.
    let may_be_missing = pg_workflow_tests::major() != 15;
    let trials = specs().into_iter().map(|name| {
        let ignored = isolationtester.is_none() && may_be_missing;
        let program = isolationtester.clone();
        let trial = Trial::test(name.clone(), move || match program {
            Some(program) => play(&program, &name),
            None => Err("isolationtester is missing".into()),
        });
        trial.with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    conclusion.exit_code()
}
