//! `pg-workflow`: checks, tests and applies workflows, and watches and works on their executions.
//!
//! No rule of the engine is here. What needs no database is asked of the crate `conductor`, everything else of the client.

mod check;
mod ending;
mod explore;
mod files;
mod output;
mod pack;
mod picture;
mod test;

use clap::{ColorChoice, Parser, Subcommand};
use ending::Ending;
use std::process::ExitCode;

/// Check, test and apply workflows of pg_workflow, and watch and work on their executions.
#[derive(Parser)]
#[command(name = "pg-workflow", version, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colors
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = false)]
    color: ColorChoice,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Test(test::Arguments),
    Explore(explore::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    output::choose_color(arguments.color);
    let ended = match arguments.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Explore(arguments) => explore::run(arguments),
    };
    match ended {
        Ok(ending) => ending.into(),
        Err(failure) => failure.report(),
    }
}

/// Returns the result of a command: how it ended, or why it could not be carried out.
type Ended = Result<Ending, ending::Failure>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
