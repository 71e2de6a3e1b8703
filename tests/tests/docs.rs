//! The documentation is correct: its SQL runs, and its lists match the catalogs.

use pg_workflow_client::worker::{self, Failure, Worker};
use pg_workflow_client::{Engine, StartInput};
use pg_workflow_tests::{Database, with_database};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use std::time::Duration;

/// Roles to which documents grant privileges.
const ROLES: [&str; 5] = ["shop_worker", "north_worker", "south_worker", "north_operator", "monitor"];

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Returns the fenced blocks of SQL: the line, the mark after `sql`, and the text.
fn blocks(document: &str) -> Vec<(usize, &str, String)> {
    let mut blocks = Vec::new();
    let mut fence: Option<Option<usize>> = None;
    for (number, line) in document.lines().enumerate() {
        fence = match (fence, line.strip_prefix("```")) {
            (None, Some(info)) => Some(info.strip_prefix("sql").map(|mark| {
                blocks.push((number + 1, mark.trim(), String::new()));
                blocks.len() - 1
            })),
            (Some(_), Some(_)) => None,
            (Some(Some(block)), None) => {
                blocks[block].2 += line;
                blocks[block].2 += "\n";
                fence
            }
            (other, None) => other,
        };
    }
    assert!(fence.is_none(), "a fence is not closed");
    blocks
}

/// Defines the workflows that a document shows as files, with the actions that they call and the limits that they name.
async fn define(db: &Database, document: &str) {
    for block in document.split("```yaml file=").skip(1) {
        let (file, rest) = block.split_once('\n').unwrap();
        if file.ends_with(".test.yaml") || file.ends_with(" fails") {
            continue;
        }
        let source = rest.split("```").next().unwrap();
        for rest in source.split("action: ").skip(1).filter(|rest| !rest.starts_with('"')) {
            let action = rest.split([',', '}', '\n']).next().unwrap();
            let registered = sqlx::query(
                "SELECT workflow_register_action($1) WHERE NOT EXISTS (SELECT FROM workflow_find_action_by_ref($1) AS a WHERE a.is_workflow)",
            )
            .bind(action)
            .execute(&db.pool)
            .await;
            registered.unwrap_or_else(|error| panic!("{file}: {action}: {error}"));
        }
        for rest in source.split("limit: {name: ").skip(1) {
            let limit = rest.split([',', '}']).next().unwrap();
            sqlx::query("SELECT workflow_set_limit($1, max_running => 1)").bind(limit).execute(&db.pool).await.unwrap();
        }
        let defined = sqlx::query("SELECT workflow_define($1)").bind(source).execute(&db.pool).await;
        defined.unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// Runs a document from top to bottom in one session, with the lease tokens that it shows. A block marked `error=WF615`
/// must fail with that error.
async fn run(db: &Database, path: &str) {
    let text = read(path);
    define(db, &text).await;
    let mut roles = Vec::new();
    for name in ROLES.into_iter().filter(|name| text.contains(name)) {
        roles.push((name, db.role().await));
    }
    let mut session = db.connect().await;
    // The tokens that the documents show.
    session.execute("SET pg_workflow.test_seed = 1").await.unwrap();
    // Blocks for a router are run by the router's tests.
    for (line, mark, sql) in blocks(&text).into_iter().filter(|(_, mark, _)| *mark != "router") {
        let sql = roles.iter().fold(sql, |sql, (name, role)| sql.replace(name, role));
        if sql.contains("CREATE EXTENSION pg_workflow;") {
            db.run("DROP EXTENSION pg_workflow CASCADE").await;
        }
        let answer = session.execute(AssertSqlSafe(sql)).await;
        match (mark.strip_prefix("error="), answer) {
            (None, Ok(_)) => assert_eq!(mark, "", "{path}:{line}"),
            (None, Err(error)) => panic!("{path}:{line}: {error}"),
            (Some(code), Ok(_)) => panic!("{path}:{line} went well, not {code}"),
            (Some(code), Err(error)) => {
                let database = error.as_database_error().unwrap_or_else(|| panic!("{path}:{line}: {error}"));
                let refused = database.message().starts_with(code) || database.code().as_deref() == Some(code);
                assert!(refused, "{path}:{line}: {error}");
            }
        }
    }
}

// README: begin
#[derive(Deserialize)]
struct Charge {
    amount: f64,
}

#[derive(Serialize)]
struct Charged {
    receipt: String,
}

async fn work(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
    Worker::builder(pool)
        .concurrency(8)
        .handler("shop.charge", |charge: Charge, context| async move {
            if charge.amount > 1000.0 {
                return Err(Failure::new("limit", "too much for one card").do_not_retry());
            }
            Ok(Charged { receipt: format!("R-{}", context.task().task) })
        })
        .handler("shop.ship", |_: Value, _| async { Ok(json!({"parcel": 7})) })
        .handler("shop.mail", |_: Value, _| async { Ok(()) })
        .build()?
        .run(worker::shutdown_signal()?)
        .await?;
    Ok(())
}
// README: next
async fn order(pool: &PgPool, id: i32) -> Result<Option<i64>, Box<dyn std::error::Error>> {
    let mut transaction = pool.begin().await?;
    let input = StartInput {
        r#ref: "shop.order".into(),
        parameters: json!({"order": id, "amount": 9.9}),
        idempotency_key: Some(format!("order {id}")),
        ..Default::default()
    };
    let execution = Engine::start(&mut *transaction, input).await?;
    sqlx::query("INSERT INTO orders VALUES ($1, $2)").bind(id).bind(execution).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(execution)
}
// README: end

#[tokio::test]
async fn the_readme_runs_in_sql_and_in_rust() {
    let (readme, source) = (read("README.md"), include_str!("docs.rs"));
    for (begin, end) in [("begin", "next"), ("next", "end")] {
        let code = source
            .split(&format!("// README: {begin}\n"))
            .nth(1)
            .and_then(|rest| rest.split(&format!("// README: {end}\n")).next());
        assert!(readme.contains(code.unwrap().trim()), "README.md shows other Rust than tests/tests/docs.rs");
    }
    with_database(async |db| {
        run(db, "README.md").await;
        let execution = order(&db.pool, 43).await.unwrap().unwrap();
        let ended = async {
            while !Engine::status(&db.pool, execution).await.unwrap().ended {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            worked = work(db.pool.clone()) => worked.unwrap(),
            ended = tokio::time::timeout(Duration::from_secs(60), ended) => ended.unwrap(),
        }
        let status = Engine::status(&db.pool, execution).await.unwrap();
        assert_eq!(status.output, Some(json!({"receipt": "R-5"})), "{:?}", status.error_message);
    })
    .await;
}

#[tokio::test]
async fn the_documents_sql_runs() {
    for path in markdown("docs").into_iter().filter(|path| read(path).contains("\n```sql")) {
        with_database(async |db| run(db, &path).await).await;
    }
}

/// Returns the Markdown files below a folder of the repository, as paths from its root.
fn markdown(folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            true => paths.extend(markdown(&path)),
            false if path.ends_with(".md") => paths.push(path),
            false => {}
        }
    }
    paths.sort();
    paths
}

/// Returns the anchors of a document's headings.
fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut paths = markdown("docs");
    let pages = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "RELEASING.md",
        "SECURITY.md",
        "SUPPORT.md",
        "bench/README.md",
    ];
    paths.extend(pages.map(str::to_owned));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut dead = Vec::new();
    for path in paths {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains(':') {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => root.join(&path),
                file => root.join(&path).parent().unwrap().join(file),
            };
            let found = match anchor {
                "" => file.exists(),
                anchor => std::fs::read_to_string(&file).is_ok_and(|text| anchors(&text).iter().any(|a| a == anchor)),
            };
            if !found {
                dead.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

/// Returns a signature in the document's notation: types by their short names, and `= …` for an argument with a
/// default.
fn signature(line: &str) -> Option<String> {
    let signature = line.trim_start_matches(['#', '*', ' ']).strip_prefix('`')?;
    let (signature, _) = signature.split_once('`')?;
    let (call, result) = signature.split_once(" → ")?;
    let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
    let arguments = arguments.split(", ").map(|argument| match argument.split_once(" = ") {
        Some((declared, _)) => format!("{declared} = …"),
        None => argument.to_owned(),
    });
    Some(format!("{name}({}) → {result}", arguments.collect::<Vec<_>>().join(", ")))
}

#[tokio::test]
async fn the_functions_are_those_of_the_catalog() {
    let document = read("docs/functions.md");
    let mut written: Vec<String> = document.lines().filter_map(signature).collect();
    written.sort();
    with_database(async |db| {
        let mut found: Vec<String> = sqlx::query_scalar(
            r#"SELECT regexp_replace(regexp_replace(regexp_replace(format('%s(%s) → %s', p.proname,
                 (SELECT string_agg(a.name || ' ' || format_type(a.type, NULL)
                    || CASE WHEN a.place > p.pronargs - p.pronargdefaults THEN ' = …' ELSE '' END, ', ' ORDER BY a.place)
                  FROM unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, place)),
                 CASE WHEN 't' = ANY (p.proargmodes) THEN format('table(%s)',
                   (SELECT string_agg(c.name, ', ' ORDER BY c.place)
                    FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS c (name, mode, place) WHERE c.mode = 't'))
                 ELSE lower(pg_get_function_result(p.oid)) END),
                 'timestamp with time zone', 'timestamptz', 'g'), '\minteger\M', 'int', 'g'), '\mboolean\M', 'bool', 'g')
               FROM pg_proc AS p
               JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
               JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_workflow'
               WHERE p.pronamespace = 'pg_catalog'::regnamespace"#,
        )
        .fetch_all(&db.pool)
        .await
        .unwrap();
        found.sort();
        same("docs/functions.md", &written, &found);
    })
    .await;
}

#[tokio::test]
async fn the_settings_are_those_of_the_server() {
    let document = read("docs/operations.md");
    let mut written: Vec<String> = rows(&document, "`pg_workflow.").map(|cells| cells[..4].join(" | ")).collect();
    written.sort();
    with_database(async |db| {
        let mut session = db.connect().await;
        session.execute("SELECT workflow_tick()").await.unwrap();
        let mut found: Vec<String> = sqlx::query_scalar(
            "SELECT format('`%s` | %s | %s | %s', name, boot_val, min_val || ' to ' || max_val, context) FROM pg_settings
             WHERE name LIKE 'pg\\_workflow.%'",
        )
        .fetch_all(&mut session)
        .await
        .unwrap();
        found.sort();
        same("docs/operations.md", &written, &found);
    })
    .await;
}

#[tokio::test]
async fn the_errors_have_the_sqlstates_that_are_written() {
    let document = read("docs/functions.md");
    let codes: Vec<Vec<&str>> = rows(&document, "WF6").collect();
    assert_eq!(codes.len(), 23);
    with_database(async |db| {
        for cells in codes {
            let raised =
                sqlx::query("SELECT workflow.raise_error($1, 'a test')").bind(cells[0]).fetch_one(&db.pool).await;
            let error = raised.map(|row| row.len()).unwrap_err();
            let sqlstate = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            assert_eq!(sqlstate, cells[1], "{}", cells[0]);
        }
    })
    .await;
}

/// Returns the cells of table rows whose first cell begins with this text.
fn rows<'d>(document: &'d str, first: &'d str) -> impl Iterator<Item = Vec<&'d str>> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter(move |row| row.starts_with(first)).map(|row| row.split('|').map(str::trim).collect())
}

fn same(path: &str, written: &[String], found: &[String]) {
    let gone: Vec<&String> = written.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<&String> = found.iter().filter(|line| !written.contains(line)).collect();
    assert!(
        gone.is_empty() && new.is_empty() && written.len() == found.len(),
        "{path} has {gone:#?}, the catalog {new:#?}"
    );
}
