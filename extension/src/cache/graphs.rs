//! Compiled graphs, cached by version until the table of versions changes.
//!
//! A version never changes, but its id can be reused: after a TRUNCATE or a DELETE and a restart of the sequence, or in
//! a restored dump. Whoever writes to the table therefore notifies all sessions at commit
//! (`workflow.forget_definitions` in `sql/definition.sql`), with PostgreSQL's own relcache invalidation message, which
//! TRUNCATE sends anyway.

use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use crate::settings;
use conductor::code::Code;
use conductor::graph::Graph;
use conductor::language::definition::Definition;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::cell::RefCell;
use std::rc::Rc;

/// Maximum number of cached graphs per backend; the least recently used are evicted first.
const KEPT_GRAPHS: usize = 128;

const DEFINITION: &str = "SELECT v.definition::text FROM workflow.workflow_definition_version v WHERE v.id = $1";

struct Entry {
    version: i64,
    graph: Rc<Graph>,
}

#[derive(Default)]
struct Kept {
    /// OID of the table of versions, which changes if the extension is dropped and recreated.
    table: Option<Oid>,
    /// Graphs, the most recently used last.
    graphs: Vec<Entry>,
    /// Number of times the cache has been cleared.
    changes: u64,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| {
        KEPT.with_borrow_mut(|kept| {
            if table == Oid::INVALID || kept.table == Some(table) {
                kept.graphs.clear();
                kept.changes += 1;
            }
        });
    });
}

/// Returns the graph of a version.
pub fn graph(client: &SpiClient, version: i64) -> Result<Rc<Graph>, Error> {
    let table = Some(relation::find(c"workflow_definition_version"));
    let (known, changes) = KEPT.with_borrow_mut(|kept| {
        if kept.table != table {
            *kept = Kept { table, graphs: Vec::new(), changes: kept.changes };
        }
        (kept.find(version), kept.changes)
    });
    if let Some(graph) = known {
        return Ok(graph);
    }
    let graph = Rc::new(load(client, version)?);
    KEPT.with_borrow_mut(|kept| {
        // Changes made in the meantime may not have been seen.
        if kept.changes == changes {
            kept.add(Entry { version, graph: graph.clone() });
        }
    });
    Ok(graph)
}

impl Kept {
    fn find(&mut self, version: i64) -> Option<Rc<Graph>> {
        let position = self.graphs.iter().rposition(|entry| entry.version == version)?;
        if position + 1 < self.graphs.len() {
            let entry = self.graphs.remove(position);
            self.graphs.push(entry);
        }
        self.graphs.last().map(|entry| entry.graph.clone())
    }

    fn add(&mut self, entry: Entry) {
        if self.graphs.len() >= KEPT_GRAPHS {
            self.graphs.remove(0);
        }
        self.graphs.push(entry);
    }
}

fn load(client: &SpiClient, version: i64) -> Result<Graph, Error> {
    let rows = statements::run(client, DEFINITION, &[DatumWithOid::from(version)])?.first();
    let text = if rows.is_empty() { None } else { rows.get::<String>(1)? };
    let text = text.ok_or_else(|| {
        Error::refused(
            Code::NOT_FOUND,
            format!("there is no definition version {version}"),
            "Define the workflow again.",
        )
    })?;
    let broken = |message: String| {
        Error::refused(
            Code::UNUSABLE,
            format!("definition version {version} cannot be run"),
            "Define the workflow again.",
        )
        .with_detail(message)
    };
    let definition: Definition = conductor::json::from_text(&text).map_err(|error| broken(error.to_string()))?;
    Graph::compile(&definition, settings::bounds()).map_err(|error| broken(error.to_string()))
}
