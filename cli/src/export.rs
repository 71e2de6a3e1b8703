//! `pg-workflow export`: writes the contents of a database into a directory, as `apply` reads it.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output::{self, count};
use crate::progress::Progress;
use futures::TryStreamExt;
use pg_workflow_client::model::{Action, Pack, WorkflowDefinition};
use pg_workflow_client::repository::{ActionRepository, List, PackRepository, WorkflowDefinitionRepository};
use pg_workflow_client::{Engine, Page, walk};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Write the packs, actions and workflows of a database to a directory, as `apply` reads them
///
/// Each pack becomes a directory with pack.yaml, actions.yaml, and one file for each workflow with the text that it was
/// defined with.
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory; it is created if it does not exist
    directory: PathBuf,
    /// Only this pack; repeatable
    #[arg(long, value_name = "REF")]
    pack: Vec<String>,
    /// Overwrite files that differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Writes everything, or nothing if a file would be replaced.
pub fn run(arguments: Arguments) -> crate::Ended {
    let files = wait_for(read(&arguments))??;
    let different = |path: &PathBuf, text: &String| std::fs::read_to_string(path).is_ok_and(|old| old != *text);
    let replaced: Vec<&PathBuf> =
        files.iter().filter(|(path, text)| different(path, text)).map(|(path, _)| path).collect();
    if let (Some(first), false) = (replaced.first(), arguments.force) {
        let others = replaced.len() - 1;
        let others = if others > 0 { format!(" and {}", count(others, "other")) } else { String::new() };
        return Err(Failure::unusable(format!("{}{others} would be overwritten", first.display()))
            .hint("Add --force, or name another directory."));
    }
    let mut progress = Progress::of("writing files", files.len());
    for (path, text) in &files {
        let failed = |error| Failure::unusable(error).about(path.display());
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(path, text).map_err(failed)?;
        progress.one();
    }
    drop(progress);
    output::line(&format!("{} written to {}", count(files.len(), "file"), arguments.directory.display()));
    Ok(Ending::Good)
}

/// Returns the files and their content, all from one snapshot of the database.
async fn read(arguments: &Arguments) -> Result<BTreeMap<PathBuf, String>, Failure> {
    let mut session = arguments.connection.open().await?;
    let mut transaction = session.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let session: &mut PgConnection = &mut transaction;
    let packs: Vec<Pack> =
        walk(Page::of(1000), async |page| PackRepository::list(&mut *session, page).await).try_collect().await?;
    let actions: Vec<Action> =
        walk(Page::of(1000), async |page| ActionRepository::list(&mut *session, page).await).try_collect().await?;
    let definitions: Vec<WorkflowDefinition> =
        walk(Page::of(1000), async |page| WorkflowDefinitionRepository::list(&mut *session, page).await)
            .try_collect()
            .await?;
    if let Some(unknown) = arguments.pack.iter().find(|pack| !packs.iter().any(|known| known.r#ref == **pack)) {
        return Err(Failure::refused(format!("there is no pack {unknown}")));
    }
    let wanted: Vec<&Pack> =
        packs.iter().filter(|pack| arguments.pack.is_empty() || arguments.pack.contains(&pack.r#ref)).collect();
    let total = definitions.iter().filter(|definition| wanted.iter().any(|pack| pack.id == definition.pack)).count();
    let mut progress = Progress::of("reading definitions", total);
    let mut files = BTreeMap::new();
    for pack in wanted {
        let folder = arguments.directory.join(&pack.r#ref);
        files.insert(folder.join("pack.yaml"), pack_text(pack));
        let own = |action: &&Action| action.pack == pack.id && !action.is_workflow;
        let actions: Vec<&Action> = actions.iter().filter(own).collect();
        if !actions.is_empty() {
            files.insert(folder.join("actions.yaml"), actions_text(&actions));
        }
        for definition in definitions.iter().filter(|definition| definition.pack == pack.id) {
            progress.one();
            let Some(source) = Engine::definition_source(&mut *session, &definition.r#ref).await? else {
                let why = format!("{} was not defined from text, and is left out", definition.r#ref);
                progress.aside(|| output::warning(&why));
                continue;
            };
            let name = definition.r#ref.split_once('.').map_or(definition.r#ref.as_str(), |(_, name)| name);
            files.insert(folder.join(file_name(name)), source);
        }
    }
    Ok(files)
}

/// Returns the file of a workflow. Some names are those of the pack's own files.
fn file_name(name: &str) -> String {
    match name {
        "pack" | "actions" => format!("{name}.workflow.yaml"),
        name => format!("{name}.yaml"),
    }
}

fn pack_text(pack: &Pack) -> String {
    let mut text = format!("ref: {}\nlabel: {}\nversion: {}\n", pack.r#ref, quoted(&pack.label), quoted(&pack.version));
    let mut add = |key: &str, value: Value| {
        if !value.is_null() {
            let _ = writeln!(text, "{key}: {value}");
        }
    };
    add("description", pack.description.clone().into());
    add("tags", if pack.tags.is_empty() { Value::Null } else { pack.tags.clone().into() });
    add("conf_schema", pack.conf_schema.clone().unwrap_or_default());
    add("config", pack.config.clone().unwrap_or_default());
    add("meta", if pack.meta == Value::Object(Default::default()) { Value::Null } else { pack.meta.clone() });
    text
}

fn actions_text(actions: &[&Action]) -> String {
    let mut text = String::from("actions:\n");
    for action in actions {
        let _ = writeln!(text, "  - ref: {}", action.r#ref);
        let mut add = |key: &str, value: Value| {
            if !value.is_null() && value != "" {
                let _ = writeln!(text, "    {key}: {value}");
            }
        };
        if action.label != action.r#ref {
            add("label", action.label.clone().into());
        }
        add("description", action.description.clone().into());
        add("entrypoint", action.entrypoint.clone().into());
        add("runtime", action.runtime.into());
        add("parameters", action.param_schema.clone().unwrap_or_default());
        add("output", action.out_schema.clone().unwrap_or_default());
        add("limits", action.limits.clone().unwrap_or_default());
    }
    text
}

/// Returns text as a JSON string, which is also YAML.
fn quoted(text: &str) -> Value {
    Value::from(text)
}
