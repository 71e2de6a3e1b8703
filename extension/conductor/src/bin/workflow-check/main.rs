//! `workflow-check`: validates workflow definitions without a database, tests them, and explores them.
//!
//! Does not look up actions or packs.

mod check;
mod explore;
mod junit;
mod load;
mod show;
mod test;

use std::io::Read;
use std::process::ExitCode;

use conductor::language::limits::Limits;

const USAGE: &str = "\
Usage: workflow-check [--strict] FILE...
       workflow-check test [--junit FILE] [--coverage] [--coverage-threshold PERCENT] FILE...
       workflow-check explore [--parameters MAP|FILE] [--tests FILE] [--runs N] [--seed N] FILE
       workflow-check --schema

workflow-check FILE... validates workflow definitions (YAML or JSON) without a database.
  --strict                      makes warnings count as errors for the exit status
Exit status: 0 if there are no errors, 1 if there are, 2 if a file can't be read.

workflow-check test FILE... runs test files: each test plays a definition with scripted answers.
  --junit FILE                  also writes the results as JUnit XML
  --coverage                    lists the tasks and transitions that no test reached
  --coverage-threshold PERCENT  fails if fewer of them were reached in any definition
Exit status: 0 if all tests passed, 1 if some failed, 2 if a file can't be read or is invalid.

workflow-check explore FILE plays a definition with random answers, and prints what looks wrong as a test file.
  --parameters MAP|FILE         the parameters, as YAML or JSON; default: those of the tests, or none
  --tests FILE                  a test file with parameters, and with results that tasks may answer
  --runs N                      how many executions are played; default: 1000
  --seed N                      the same seed gives the same executions; default: 0
Exit status: 0 if nothing looks wrong, 1 if something does, 2 if a file can't be read or is invalid.

FILE - reads standard input. --schema prints the JSON Schema of the language, for editors.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        show::print(USAGE);
        return ExitCode::SUCCESS;
    }
    match arguments.as_slice() {
        [] => usage(),
        [schema] if schema == "--schema" => {
            show::print(&format!("{:#}\n", conductor::language::editor_schema::schema()));
            ExitCode::SUCCESS
        }
        [command, rest @ ..] if command == "test" => test::Options::parse(rest).map_or_else(usage_of, test::run),
        [command, rest @ ..] if command == "explore" => {
            explore::Options::parse(rest).map_or_else(usage_of, explore::run)
        }
        arguments => {
            let files = || arguments.iter().filter(|argument| *argument != "--strict");
            let strict = files().count() < arguments.len();
            files().map(|file| check::run(file, strict)).max().map_or_else(usage, ExitCode::from)
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

/// Says what is wrong with the arguments.
fn usage_of(message: String) -> ExitCode {
    eprintln!("workflow-check: {message}");
    usage()
}

/// Reads a file, or standard input, as far as is needed to notice that it is too large.
fn read(file: &str) -> std::io::Result<Vec<u8>> {
    let most = Limits::default().source_bytes as u64 + 1;
    let mut source = Vec::new();
    match file {
        "-" => std::io::stdin().take(most).read_to_end(&mut source)?,
        _ => std::fs::File::open(file)?.take(most).read_to_end(&mut source)?,
    };
    Ok(source)
}
