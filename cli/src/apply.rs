//! `pg-workflow apply`: makes a database match a directory.

mod change;
mod plan;
mod prune;

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output::{self, Style, count};
use crate::progress::Progress;
use change::{Change, Kind};
use pg_workflow_client::Engine;
use pg_workflow_client::model::{UpdatePackInput, UpdateWorkflowDefinitionInput};
use pg_workflow_client::repository::{
    ActionRepository, Create, FindByRef, PackRepository, Update, WorkflowDefinitionRepository,
};
use plan::{Definition, Plan};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;

/// Define the workflows and register the actions of a directory, in one transaction
///
/// A directory stands for all definitions, pack.yaml and actions.yaml files below it. Objects that already match the
/// files are not touched, so applying twice changes nothing. Exit status: 0 if it was applied, 1 if a file has errors
/// or the server refuses, 2 if a file can't be read, 3 if the database can't be used.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files and directories
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Also remove workflows and actions of these packs that are not in any file; workflows with executions are
    /// disabled
    #[arg(long)]
    prune: bool,
    /// Exit with status 1 if anything changes or would change
    #[arg(long)]
    exit_code: bool,
    /// Print changes as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Applies a directory.
pub fn run(arguments: Arguments) -> crate::Ended {
    let Some(plan) = Plan::read(&arguments.paths)? else { return Ok(Ending::Bad) };
    let changes = wait_for(apply(&arguments, &plan))??;
    let changed = changes.iter().filter(|change| change.kind != Kind::Unchanged).count();
    if arguments.json {
        output::print(&format!("{:#}\n", change::json(&changes, arguments.dry_run)));
    } else {
        changes.iter().for_each(|change| change.print(arguments.dry_run));
        let done = if arguments.dry_run { "would change" } else { "changed" };
        let unchanged = changes.len() - changed;
        output::styled_line(
            Style::Bold,
            &format!("{}: {changed} {done}, {unchanged} unchanged", count(changes.len(), "object")),
        );
    }
    Ok(if arguments.exit_code && changed > 0 { Ending::Bad } else { Ending::Good })
}

/// Applies everything in one transaction, and rolls it back if the changes are only to be shown. Whatever interrupts
/// it, the database has all changes or none.
async fn apply(arguments: &Arguments, plan: &Plan) -> Result<Vec<Change>, Failure> {
    let mut session = arguments.connection.open().await?;
    let mut transaction = session.begin().await?;
    let mut changes = Vec::new();
    let mut progress = Progress::of("applying", plan.packs.len() + plan.actions.len() + plan.definitions.len());
    for pack in &plan.packs {
        let change = apply_pack(&mut transaction, pack).await;
        changes.push(change.map_err(|error| error.about(format!("pack {}", pack.r#ref)))?);
        progress.one();
    }
    for action in &plan.actions {
        let change = apply_action(&mut transaction, action).await;
        changes.push(change.map_err(|error| error.about(format!("action {}", action.r#ref)))?);
        progress.one();
    }
    for definition in &plan.definitions {
        changes.push(apply_definition(&mut transaction, definition, &progress).await?);
        progress.one();
    }
    if arguments.prune {
        changes.extend(prune::prune(&mut transaction, plan).await?);
    }
    match arguments.dry_run {
        true => transaction.rollback().await?,
        false => transaction.commit().await?,
    }
    Ok(changes)
}

async fn apply_pack(session: &mut PgConnection, input: &plan::PackInput) -> Result<Change, Failure> {
    let change = |kind| Change::new("pack", &input.r#ref, kind);
    let Some(found) = PackRepository::find_by_ref(&mut *session, &input.r#ref).await? else {
        PackRepository::create(&mut *session, input.clone()).await?;
        return Ok(change(Kind::Created));
    };
    let same = found.label == input.label
        && found.version == input.version
        && found.description == input.description
        && found.conf_schema == input.conf_schema
        && found.config == input.config
        && found.meta == input.meta
        && found.tags == input.tags;
    if same {
        return Ok(change(Kind::Unchanged));
    }
    let patch = UpdatePackInput {
        label: Some(input.label.clone()),
        version: Some(input.version.clone()),
        description: input.description.clone().into(),
        conf_schema: input.conf_schema.clone().into(),
        config: input.config.clone().into(),
        meta: Some(input.meta.clone()),
        tags: Some(input.tags.clone()),
        is_standard: None,
    };
    PackRepository::update(&mut *session, found.id, patch).await?;
    Ok(change(Kind::Changed))
}

/// Returns the limits of an action as the server stores them.
fn normal(limits: &Option<Value>) -> Option<Value> {
    let normal = |limit: &Value| if limit.is_string() { json!({"name": limit}) } else { limit.clone() };
    match limits {
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::Array(list)) => Some(list.iter().map(normal).collect()),
        other => other.clone(),
    }
}

async fn apply_action(session: &mut PgConnection, input: &plan::ActionInput) -> Result<Change, Failure> {
    let found = ActionRepository::find_by_ref(&mut *session, &input.r#ref).await?;
    let kind = match &found {
        None => Kind::Created,
        Some(found) => {
            let same = !found.is_workflow
                && found.label == *input.label.as_ref().unwrap_or(&input.r#ref)
                && found.description == input.description.as_deref().unwrap_or_default()
                && found.entrypoint == input.entrypoint.as_deref().unwrap_or_default()
                && found.runtime == input.runtime
                && found.param_schema == input.param_schema
                && found.out_schema == input.out_schema
                && normal(&found.limits) == normal(&input.limits);
            if same { Kind::Unchanged } else { Kind::Changed }
        }
    };
    if kind != Kind::Unchanged {
        Engine::register_action(&mut *session, input.clone()).await?;
    }
    Ok(Change::new("action", &input.r#ref, kind))
}

async fn apply_definition(
    session: &mut PgConnection,
    definition: &Definition,
    progress: &Progress,
) -> Result<Change, Failure> {
    let file = definition.path.display();
    let before = WorkflowDefinitionRepository::find_by_ref(&mut *session, &definition.reference).await?;
    let source = Engine::definition_source(&mut *session, &definition.reference).await?;
    let now = Engine::define(&mut *session, &definition.source).await.map_err(|error| {
        progress.aside(|| definition.show_findings(&error));
        Failure::from(error).about(&file).without_json()
    })?;
    let mut kind = match &before {
        None => Kind::Created,
        Some(before) if before.current_version == now.current_version => Kind::Unchanged,
        Some(_) => Kind::Changed,
    };
    // Applying an unchanged text does not enable a workflow that has been disabled.
    if now.enabled != definition.enabled {
        let input = UpdateWorkflowDefinitionInput { enabled: Some(definition.enabled), ..Default::default() };
        WorkflowDefinitionRepository::update(&mut *session, now.id, input).await?;
        kind = if kind == Kind::Unchanged { Kind::Enabled } else { kind };
    }
    let mut change = Change::new("workflow", &definition.reference, kind);
    change.versions = (before.map(|before| before.version), Some(now.version));
    change.texts = source.filter(|_| kind == Kind::Changed).map(|source| (source, definition.source.clone()));
    Ok(change)
}
