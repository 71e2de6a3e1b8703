//! Compiled graphs, kept by version: a version never changes.

use crate::error::Error;
use crate::{plans, settings};
use conductor::definition::Definition;
use conductor::graph::Graph;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::SpiClient;
use std::cell::RefCell;
use std::rc::Rc;

/// So many graphs a backend keeps; those used longest ago go first.
const KEPT_GRAPHS: usize = 128;

const DEFINITION: &str = "SELECT v.definition::text FROM workflow.workflow_definition_version v WHERE v.id = $1";

/// The schema's own number goes into the key: versions count anew when the extension is dropped and made again.
type Key = (Oid, i64);

thread_local! {
    // Newest use last.
    static KEPT: RefCell<Vec<(Key, Rc<Graph>)>> = const { RefCell::new(Vec::new()) };
}

/// The graph of a version.
pub fn graph(client: &SpiClient, version: i64) -> Result<Rc<Graph>, Error> {
    let key = (schema(), version);
    let kept = KEPT.with_borrow_mut(|kept| {
        let position = kept.iter().rposition(|(known, _)| *known == key)?;
        if position + 1 < kept.len() {
            let entry = kept.remove(position);
            kept.push(entry);
        }
        kept.last().map(|(_, graph)| graph.clone())
    });
    if let Some(graph) = kept {
        return Ok(graph);
    }
    let graph = Rc::new(load(client, version)?);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_GRAPHS {
            kept.remove(0);
        }
        kept.push((key, graph.clone()));
    });
    Ok(graph)
}

#[allow(unsafe_code)]
fn schema() -> Oid {
    // SAFETY: a look-up by a constant name; none is answered with an invalid number.
    unsafe { pg_sys::get_namespace_oid(c"workflow".as_ptr(), true) }
}

fn load(client: &SpiClient, version: i64) -> Result<Graph, Error> {
    let rows = plans::run(client, DEFINITION, &[DatumWithOid::from(version)])?.first();
    let text = if rows.is_empty() { None } else { rows.get::<String>(1)? };
    let text = text.ok_or_else(|| {
        Error::refused("WF616", format!("there is no definition version {version}"), "define the workflow again")
    })?;
    let broken = |message: String| {
        Error::refused("WF619", format!("definition version {version} cannot be run"), "define the workflow again")
            .with_detail(message)
    };
    let definition: Definition = conductor::json::from_text(&text).map_err(|error| broken(error.to_string()))?;
    Graph::compile(&definition, settings::limits()).map_err(|error| broken(error.to_string()))
}
