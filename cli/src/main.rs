//! `pg-workflow`: checks, tests and applies workflows, watches their executions, and runs commands as workers.
//!
//! Contains no rules of the engine: commands that need no database call the crate `conductor`, all others the client.

mod apply;
mod bulk;
mod check;
mod connect;
mod console;
mod control;
mod doctor;
mod exit_status;
mod explore;
mod export;
mod files;
mod import;
mod inspect;
mod jobs;
mod manual;
mod mcp;
mod move_part;
mod output;
mod pack;
mod picture;
mod progress;
mod router;
mod screen;
mod stop;
mod table;
mod test;
mod top;
mod watch;
mod work;

use clap::{ColorChoice, Parser, Subcommand};
use exit_status::Ending;
use std::process::ExitCode;

/// Check, test and apply pg_workflow workflows, watch their executions, and run commands as workers.
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
    Apply(apply::Arguments),
    Export(export::Arguments),
    Start(control::Start),
    List(inspect::List),
    Status(inspect::Status),
    Why(inspect::Why),
    Events(inspect::Events),
    Tasks(inspect::Tasks),
    Tree(inspect::Tree),
    Graph(inspect::Graph),
    Timeline(inspect::Timeline),
    Watch(watch::Arguments),
    Top(top::Arguments),
    Signal(control::Signal),
    Pause(control::Pause),
    Resume(control::Resume),
    Cancel(control::Cancel),
    Rerun(control::Rerun),
    Bulk(bulk::Arguments),
    Jobs(jobs::Arguments),
    Console(console::Arguments),
    Work(work::Arguments),
    Import(import::Arguments),
    Mcp(mcp::Arguments),
    MovePart(move_part::Arguments),
    Router(router::Arguments),
    Doctor(doctor::Arguments),
    Install(doctor::Install),
    Completions(manual::Completions),
    Man(manual::Man),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    output::choose_color(arguments.color);
    let ended = match arguments.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Explore(arguments) => explore::run(arguments),
        Command::Apply(arguments) => apply::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Start(arguments) => control::start(arguments),
        Command::List(arguments) => inspect::list(arguments),
        Command::Status(arguments) => inspect::status(arguments),
        Command::Why(arguments) => inspect::why(arguments),
        Command::Events(arguments) => inspect::events(arguments),
        Command::Tasks(arguments) => inspect::tasks(arguments),
        Command::Tree(arguments) => inspect::tree(arguments),
        Command::Graph(arguments) => inspect::graph(arguments),
        Command::Timeline(arguments) => inspect::timeline(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Signal(arguments) => control::signal(arguments),
        Command::Pause(arguments) => control::pause(arguments),
        Command::Resume(arguments) => control::resume(arguments),
        Command::Cancel(arguments) => control::cancel(arguments),
        Command::Rerun(arguments) => control::rerun(arguments),
        Command::Bulk(arguments) => bulk::run(arguments),
        Command::Jobs(arguments) => jobs::run(arguments),
        Command::Console(arguments) => console::run(arguments),
        Command::Work(arguments) => work::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Mcp(arguments) => mcp::run(arguments),
        Command::MovePart(arguments) => move_part::run(arguments),
        Command::Router(arguments) => router::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Install(arguments) => doctor::install(arguments),
        Command::Completions(arguments) => manual::completions(arguments),
        Command::Man(arguments) => manual::man(arguments),
    };
    let status = match ended {
        Ok(ending) => ending.into(),
        Err(failure) => failure.report(),
    };
    output::queue::close();
    status
}

/// Returns the result of a command: how it ended, or why it could not be carried out.
type Ended = Result<Ending, exit_status::Failure>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
