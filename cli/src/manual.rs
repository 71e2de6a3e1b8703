//! `pg-workflow completions` and `man`: what shells and `man` read.

use crate::exit_status::{Ending, Failure};
use crate::output;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

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

/// Writes manual pages: one for the program, and one for each command and each of its own commands.
pub fn man(arguments: Man) -> crate::Ended {
    let mut program = crate::Arguments::command();
    program.build();
    let Some(directory) = arguments.directory else {
        output::print(&String::from_utf8_lossy(&page(&program)?));
        return Ok(Ending::Good);
    };
    std::fs::create_dir_all(&directory).map_err(|error| Failure::unusable(error).about(directory.display()))?;
    write(&directory, &program, "pg-workflow".to_owned())?;
    Ok(Ending::Good)
}

fn write(directory: &Path, command: &Command, name: String) -> Result<(), Failure> {
    let file = directory.join(format!("{name}.1"));
    std::fs::write(&file, page(&command.clone().name(name.clone()))?)
        .map_err(|error| Failure::unusable(error).about(file.display()))?;
    for inner in command.get_subcommands() {
        write(directory, inner, format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(Failure::unusable)?;
    Ok(page)
}
