//! `pg-workflow completions` and `man`: what shells and `man` read.

use crate::ending::{Ending, Failure};
use crate::output;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

/// Print the completions for a shell
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Prints completions.
pub fn completions(arguments: Completions) -> crate::Ended {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Arguments::command(), "pg-workflow", &mut text);
    output::print(&String::from_utf8_lossy(&text));
    Ok(Ending::Good)
}

/// Write the manual pages to a directory, or print the program's own
#[derive(clap::Args)]
pub struct Man {
    /// The directory; it is created if it does not exist
    directory: Option<PathBuf>,
}

/// Writes manual pages: one for the program, and one for each command.
pub fn man(arguments: Man) -> crate::Ended {
    let mut program = crate::Arguments::command();
    program.build();
    let render = |command: &Command| {
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page).map_err(Failure::unusable)?;
        Ok::<_, Failure>(page)
    };
    let Some(directory) = arguments.directory else {
        output::print(&String::from_utf8_lossy(&render(&program)?));
        return Ok(Ending::Good);
    };
    let failed = |error| Failure::unusable(error).about(directory.display());
    std::fs::create_dir_all(&directory).map_err(failed)?;
    std::fs::write(directory.join("pg-workflow.1"), render(&program)?).map_err(failed)?;
    for command in program.get_subcommands() {
        let name = format!("pg-workflow-{}", command.get_name());
        let page = render(&command.clone().name(name.clone()))?;
        std::fs::write(directory.join(format!("{name}.1")), page).map_err(failed)?;
    }
    Ok(Ending::Good)
}
