//! The queries of the files under `monitoring/`.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// A query of one of the files.
pub struct MonitoringQuery {
    /// The file's name.
    pub file: &'static str,
    /// Its key in the file.
    pub name: String,
    /// Its text.
    pub sql: String,
}

/// Returns the folder of these files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

/// Returns the text of one of these files.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns every query of every file.
pub fn queries() -> Vec<MonitoringQuery> {
    let mut queries = Vec::new();
    for (file, starts) in [
        ("sql_exporter.collector.yml", ["query: |", "query_name: "]),
        ("pgwatch.yaml", ["15: |", "description: "]),
        ("keda.yaml", ["query: >-", "name: "]),
    ] {
        queries.extend(blocks(&read(file), starts).into_iter().map(|(name, sql)| MonitoringQuery { file, name, sql }));
    }
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("grafana.json is JSON");
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            if let Some(sql) = target["rawSql"].as_str() {
                let name = panel["title"].as_str().unwrap_or_default().to_owned();
                queries.push(MonitoringQuery { file: "grafana.json", name, sql: sql.to_owned() });
            }
        }
    }
    queries
}

/// Returns the block scalars of YAML that begin with a line, each with the value of the last preceding line of the
/// other kind.
fn blocks(text: &str, [start, name]: [&str; 2]) -> Vec<(String, String)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut found, mut last) = (Vec::new(), String::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let said = line.trim_start().trim_start_matches("- ");
        if let Some(named) = said.strip_prefix(name) {
            last = named.to_owned();
        }
        if said == start {
            let mut sql = String::new();
            while let Some(next) = lines.next_if(|next| next.trim().is_empty() || indent(next) > indent(line)) {
                sql += next.trim();
                sql += "\n";
            }
            found.push((last.clone(), sql));
        }
    }
    found
}
