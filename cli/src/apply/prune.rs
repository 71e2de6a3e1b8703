//! Removes objects of a pack that are in the database but not in any file.

use super::change::{Change, Kind};
use super::plan::Plan;
use crate::exit_status::Failure;
use futures::TryStreamExt;
use pg_workflow_client::model::{Action, UpdateWorkflowDefinitionInput, WorkflowDefinition};
use pg_workflow_client::repository::{
    ActionRepository, Delete, FindByRef, List, PackRepository, Update, WorkflowDefinitionRepository,
};
use pg_workflow_client::{Error, Page, walk};
use sqlx::{Connection, PgConnection};

/// Removes workflows, then actions, of the plan's packs that are not in the plan.
pub async fn prune(session: &mut PgConnection, plan: &Plan) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for pack in plan.pack_refs() {
        let Some(found) = PackRepository::find_by_ref(&mut *session, pack).await? else { continue };
        let definitions: Vec<WorkflowDefinition> = walk(Page::of(1000), async |page| {
            WorkflowDefinitionRepository::find_by_pack(&mut *session, found.id, page).await
        })
        .try_collect()
        .await?;
        for definition in definitions.iter().filter(|definition| !plan.has(&definition.r#ref)) {
            if let Some(caller) = plan.caller_of(&definition.r#ref) {
                return Err(Failure::refused(format!("{caller} calls {}, which is not in any file", definition.r#ref))
                    .hint("Keep its file, or remove the call."));
            }
            changes.extend(remove(session, definition).await?);
        }
        let actions: Vec<Action> =
            walk(Page::of(1000), async |page| ActionRepository::list(&mut *session, page).await).try_collect().await?;
        for action in actions.iter().filter(|action| action.pack_ref == pack && !plan.has(&action.r#ref)) {
            // A disabled workflow remains an action, because its executions may be rerun.
            if action.workflow_def.is_some() {
                continue;
            }
            ActionRepository::delete(&mut *session, action.id).await?;
            // The action of a deleted workflow has been reported together with it.
            if !changes.iter().any(|change: &Change| change.reference == action.r#ref) {
                changes.push(Change::new("action", &action.r#ref, Kind::Deleted));
            }
        }
    }
    Ok(changes)
}

/// Deletes a workflow, or disables it if it has executions.
async fn remove(session: &mut PgConnection, definition: &WorkflowDefinition) -> Result<Option<Change>, Failure> {
    let change = |kind| Some(Change::new("workflow", &definition.r#ref, kind));
    // A refused delete ends only this part of the transaction.
    let mut part = session.begin().await?;
    match WorkflowDefinitionRepository::delete(&mut *part, definition.id).await {
        Ok(_) => {
            part.commit().await?;
            Ok(change(Kind::Deleted))
        }
        Err(Error::WrongState(_)) => {
            part.rollback().await?;
            if !definition.enabled {
                return Ok(None);
            }
            let input = UpdateWorkflowDefinitionInput { enabled: Some(false), ..Default::default() };
            WorkflowDefinitionRepository::update(&mut *session, definition.id, input).await?;
            Ok(change(Kind::Disabled))
        }
        Err(error) => Err(error.into()),
    }
}
