//! Installs the peers from their registries into target/peers and nowhere else.

use crate::contender::Language;
use crate::{Error, Result};
use pg_workflow_bench::server::output;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runtimes of the drivers.
pub struct Tools {
    /// Folder where the drivers are next to their dependencies: Node resolves modules relative to the importing one.
    folder: PathBuf,
    /// Why a language is left out.
    missing: Vec<(Language, String)>,
}

impl Tools {
    pub fn install(root: &Path) -> Result<Tools> {
        let (from, folder) = (root.join("bench/peers"), root.join("target/peers"));
        copy(&from, &folder).map_err(|source| Error::Io { what: folder.display().to_string(), source })?;
        let mut missing = Vec::new();
        for (language, installed) in [(Language::Node, node(&folder)), (Language::Python, python(&folder))] {
            if let Err(reason) = installed {
                eprintln!("bench-peers: {language} is left out: {reason}");
                missing.push((language, reason));
            }
        }
        Ok(Tools { folder, missing })
    }

    pub fn missing(&self) -> &[(Language, String)] {
        &self.missing
    }

    pub fn has(&self, language: Language) -> bool {
        self.missing.iter().all(|(missing, _)| *missing != language)
    }

    /// Returns the command that runs a driver.
    pub fn command(&self, language: Language, driver: &str) -> Result<Command> {
        Ok(match language {
            Language::Rust => {
                let own =
                    std::env::current_exe().map_err(|source| Error::Io { what: "this program".into(), source })?;
                Command::new(own.with_file_name("pg_workflow_worker"))
            }
            Language::Node => {
                let mut command = Command::new(self.folder.join("node_modules/.bin/node"));
                command.arg(self.folder.join(driver));
                command
            }
            Language::Python => {
                let mut command = Command::new(self.folder.join("venv/bin/python"));
                command.arg(self.folder.join(driver));
                command
            }
        })
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Installs the packages of package-lock.json, which include the required Node.
fn node(folder: &Path) -> std::result::Result<(), String> {
    once(folder, "package-lock.json", || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache"])
            .arg(folder.join("npm-cache"))
            .current_dir(folder);
        run(npm, "npm")
    })
}

/// Installs the packages of requirements.txt in an environment of their own.
fn python(folder: &Path) -> std::result::Result<(), String> {
    once(folder, "requirements.txt", || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(folder.join("venv"));
        run(venv, "python3-venv")?;
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "-r",
        ]);
        pip.arg(folder.join("requirements.txt"));
        run(pip, "python3-venv")
    })
}

/// Installs the packages listed in a file, unless they are already installed.
fn once(
    folder: &Path,
    list: &str,
    install: impl FnOnce() -> std::result::Result<(), String>,
) -> std::result::Result<(), String> {
    let (list, installed) = (folder.join(list), folder.join(format!("{list}.installed")));
    let wanted = fs::read(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    if fs::read(&installed).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))
}

fn run(mut command: Command, package: &str) -> std::result::Result<(), String> {
    let reason = match output(&mut command, "") {
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    // A single line of the output.
    let line = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{line} (is Debian's {package} installed, and can the registry be reached?)"))
}
