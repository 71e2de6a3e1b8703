//! The members of the extension, read from the catalogs: their list, and the rules that all of them follow.

use pg_workflow_tests::{Database, with_database};

/// The members of the extension, one per line: the API. `UPDATE_API=1` rewrites the file.
#[tokio::test]
async fn the_members_are_those_of_api_txt() {
    with_database(async |db| {
        let members: Vec<String> = list(
            db,
            "SELECT line FROM (
               SELECT 1 AS kind, p.oid::regprocedure::text AS name, format('function %s.%s(%s) returns %s',
                   p.pronamespace::regnamespace, p.proname, pg_get_function_arguments(p.oid),
                   pg_get_function_result(p.oid)) AS line
               FROM pg_proc AS p JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
               UNION ALL
               SELECT 2, r.name, format('%s %s', r.kind, r.name) FROM relations AS r WHERE r.kind <> 'composite'
               UNION ALL
               SELECT 2, format('%s.%s', r.name, a.attname), format('column %s.%s %s%s', r.name, a.attname,
                   format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' END)
               FROM relations AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE r.kind IN ('table', 'view')
               UNION ALL
               -- Values of a composite type are written in the order of its columns.
               SELECT 3, r.name, format('type %s (%s)', r.name,
                   (SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                    FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
               FROM relations AS r WHERE r.kind = 'composite'
               UNION ALL
               SELECT 3, t.oid::regtype::text, format('type %s (%s)', t.oid::regtype,
                   (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid))
               FROM pg_type AS t JOIN members AS m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
               WHERE t.typtype = 'e'
             ) AS member ORDER BY kind, name COLLATE \"C\", line COLLATE \"C\"",
        )
        .await;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/api.txt");
        let found = members.join("\n") + "\n";
        if std::env::var_os("UPDATE_API").is_some_and(|value| value == "1") {
            std::fs::write(path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(path).unwrap();
        let missing: Vec<&str> = expected.lines().filter(|line| !members.iter().any(|member| member == line)).collect();
        let new: Vec<&String> = members.iter().filter(|member| !expected.lines().any(|line| line == *member)).collect();
        assert!(missing.is_empty() && new.is_empty(), "gone from the API: {missing:#?}\nnew in it: {new:#?}");
        assert_eq!(expected, found, "tests/api.txt is in another order: write it with UPDATE_API=1");
    })
    .await;
}

#[tokio::test]
async fn every_member_and_column_says_what_it_is() {
    with_database(async |db| {
        nothing(
            db,
            "SELECT pg_describe_object(m.classid, m.objid, 0) FROM members AS m
             WHERE m.classid IN ('pg_proc'::regclass, 'pg_namespace'::regclass)
               AND coalesce(obj_description(m.objid, m.classid::regclass::name), '') = ''
             UNION ALL
             SELECT t.oid::regtype::text FROM pg_type AS t
             JOIN members AS m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
             WHERE coalesce(obj_description(t.oid, 'pg_type'), '') = ''
             UNION ALL
             SELECT r.name FROM relations AS r
             WHERE r.kind IN ('table', 'view') AND coalesce(obj_description(r.oid, 'pg_class'), '') = ''
             UNION ALL
             SELECT format('%s.%s', r.name, a.attname) FROM relations AS r
             JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE r.kind <> 'sequence' AND coalesce(col_description(a.attrelid, a.attnum), '') = ''",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_granted_to_everybody() {
    with_database(async |db| {
        nothing(
            db,
            "SELECT format('%s on %s', privilege_type, subject) FROM (
               SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
               FROM pg_proc AS p JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
               UNION ALL
               SELECT c.oid::regclass::text, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))
               FROM pg_class AS c JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
               UNION ALL
               SELECT n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner))
               FROM pg_namespace AS n JOIN members AS m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
               UNION ALL
               -- The columns of all tables have none of their own.
               SELECT format('%s.%s', a.attrelid::regclass, a.attname), a.attacl
               FROM pg_attribute AS a JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = a.attrelid
             ) AS object (subject, acl), aclexplode(acl) AS entry
             WHERE entry.grantee = 0",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_table_and_sequence_is_dumped() {
    with_database(async |db| {
        nothing(
            db,
            "SELECT c.oid::regclass::text FROM pg_class AS c
             JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
             WHERE c.relkind IN ('r', 'S', 'p')
               AND c.oid <> ALL (SELECT unnest(e.extconfig) FROM pg_extension AS e WHERE e.extname = 'pg_workflow')",
        )
        .await;
        nothing(
            db,
            "SELECT e.extname || ' dumps only some rows: ' || condition FROM pg_extension AS e, unnest(e.extcondition) AS condition
             WHERE e.extname = 'pg_workflow' AND condition <> ''",
        )
        .await;
    })
    .await;
}

/// A function whose body was parsed at creation means the same whatever the search_path is. All others set theirs,
/// except for functions in C that run no statement: the library refuses to run one if the path is open.
#[tokio::test]
async fn no_function_depends_on_its_callers_search_path() {
    with_database(async |db| {
        nothing(
            db,
            "SELECT p.oid::regprocedure::text FROM pg_proc AS p
             JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
             JOIN pg_language AS l ON l.oid = p.prolang
             WHERE NOT (l.lanname = 'c' AND p.pronamespace = 'workflow'::regnamespace AND p.proname IN ('raise_error', 'now', 'make_id',
                 'diagram', 'gantt', 'check_key', 'check_limits', 'check_parts', 'check_start', 'draw_token', 'is_in_progress_elsewhere',
                 'next_due', 'latest_due'))
               AND NOT (l.lanname = 'sql' AND p.prosqlbody IS NOT NULL)
               AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))",
        )
        .await;
        nothing(
            db,
            "SELECT p.oid::regprocedure::text || ' runs with its owner''s rights and names no search_path' FROM pg_proc AS p
             JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
             WHERE p.prosecdef AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))",
        )
        .await;
    })
    .await;
}

/// Words that look like a call in a statement, but are part of the grammar.
const GRAMMAR: [&str; 10] =
    ["coalesce", "nullif", "greatest", "least", "array", "row", "exists", "in", "any", "values"];

/// Whether the list in parentheses at the beginning of the text has a comma at its top level.
fn has_several_arguments(text: &str) -> bool {
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' if depth == 1 => return false,
            ')' | ']' => depth -= 1,
            ',' if depth == 1 => return true,
            _ => {}
        }
    }
    false
}

/// Returns the names of functions that a statement calls without their schema.
fn unqualified(statement: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    let calls = statement.match_indices('(').filter_map(|(end, _)| {
        let start = statement[..end].rfind(|c| !is_name(c)).map_or(0, |before| before + 1);
        let (before, name) = (statement[..start].trim_end(), &statement[start..end]);
        let names_columns = ["AS", "as"].iter().any(|word| before.ends_with(word));
        let is_call = name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains('.') && !names_columns;
        // With several arguments it is grammar, too, and refers to the server's own function only without a schema.
        let is_grammar = name == "unnest" && has_several_arguments(&statement[end..]);
        (is_call && !is_grammar && !GRAMMAR.contains(&name.to_ascii_lowercase().as_str())).then_some(name)
    });
    calls.collect()
}

/// The library's statements run with a search_path of only pg_catalog, but still name the schemas of functions and
/// tables.
#[test]
fn every_statement_of_the_library_names_schemas() {
    assert_eq!(
        unqualified("SELECT count(*), a.b(1) FROM unnest($1) AS d(id) WHERE x IN (1) AND (y)"),
        ["count", "unnest"]
    );
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("extension");
    let texts = |folder: &str| std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut statements: Vec<(std::path::PathBuf, String)> = Vec::new();
    for path in texts("queries") {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>();
        statements.push((path, lines.join("\n")));
    }
    let folders = ["src", "src/api", "src/background", "src/cache", "src/engine", "src/pg", "src/queue", "src/store"];
    let sources = folders.into_iter().flat_map(texts);
    for path in sources.filter(|path| path.extension().is_some_and(|kind| kind == "rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let literals = text.split('"').skip(1).step_by(2);
        let begins = |literal: &&str| {
            ["SELECT ", "WITH ", "UPDATE ", "INSERT ", "DELETE "].iter().any(|word| literal.starts_with(word))
        };
        statements.extend(literals.filter(begins).map(|literal| (path.clone(), literal.to_owned())));
    }
    assert!(statements.len() > 60, "{}", statements.len());
    let mut found = Vec::new();
    for (path, statement) in &statements {
        let name = path.file_name().unwrap().to_string_lossy();
        found.extend(unqualified(statement).into_iter().map(|function| format!("{name}: {function}")));
        let relations =
            statement.split(['\n', '(', ')', ',']).flat_map(|part| part.split_whitespace()).collect::<Vec<_>>();
        for pair in relations.windows(2).filter(|pair| ["FROM", "JOIN", "UPDATE", "INTO"].contains(&pair[0])) {
            let is_catalog = pair[1].starts_with("pg_") && !pair[1].contains('.');
            found.extend(is_catalog.then(|| format!("{name}: {}", pair[1])));
        }
    }
    assert!(found.is_empty(), "without their schema: {found:#?}");
}

#[tokio::test]
async fn members_are_where_they_belong() {
    with_database(async |db| {
        nothing(
            db,
            "SELECT p.oid::regprocedure::text FROM pg_proc AS p
             JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
             WHERE NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^workflow_')
               AND p.pronamespace <> 'workflow'::regnamespace
             UNION ALL
             SELECT c.oid::regclass::text FROM pg_class AS c
             JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
             WHERE c.relnamespace <> 'workflow'::regnamespace
             UNION ALL
             -- A trigger on a table that is dumped fires again at the restore: it must not write.
             SELECT format('trigger %s', t.tgname) FROM pg_trigger AS t
             JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid
             -- Those that fire for replicated rows only don't, nor do those that fire for deletions only (8).
             WHERE NOT t.tgisinternal AND t.tgenabled <> 'R' AND t.tgtype & (4 | 8 | 16 | 32) <> 8 AND t.tgfoid <> ALL ('{workflow.forget_actions, workflow.forget_definitions,
               workflow.forget_hooks, workflow.forget_worker_parts, workflow.forget_foreign_parts, workflow.refuse_definition}'::regproc[])
             UNION ALL
             -- part is in every key of what grows with work.
             SELECT format('%s of %s', i.indexrelid::regclass, i.indrelid::regclass) FROM pg_index AS i
             JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid
             JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attname = 'part'
             -- A schedule's part is where its executions go.
             WHERE i.indisunique AND a.attnum <> ALL (i.indkey) AND i.indrelid <> 'workflow.schedule'::regclass",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_loaded_library_has_a_name_and_a_version() {
    with_database(async |db| {
        let mut session = db.connect().await;
        let major: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
            .fetch_one(&mut session)
            .await
            .unwrap();
        // Only PostgreSQL 18 and later report this.
        if major >= 18 {
            sqlx::query("SELECT workflow_tick()").execute(&mut session).await.unwrap();
            let loaded: Vec<(String, String)> = sqlx::query_as(
                "SELECT module_name, version FROM pg_get_loaded_modules() WHERE file_name LIKE 'pg_workflow%'",
            )
            .fetch_all(&mut session)
            .await
            .unwrap();
            assert_eq!(loaded, [("pg_workflow".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
        }
    })
    .await;
}

/// Returns the rows of a query over `members`, all members of the extension, and `relations`, those that have columns.
async fn list(db: &Database, query: &'static str) -> Vec<String> {
    let mut session = db.connect().await;
    sqlx::query(
        "CREATE TEMPORARY VIEW members AS
         SELECT d.classid, d.objid FROM pg_depend AS d
         JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
         WHERE e.extname = 'pg_workflow' AND d.deptype = 'e'
           -- PostgreSQL 18 also lists the types that come with a table or a type by themselves.
           AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (
             SELECT FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
             WHERE t.oid = d.objid AND (t.typcategory = 'A' OR c.relkind <> 'c')))",
    )
    .execute(&mut session)
    .await
    .unwrap();
    sqlx::query(
        "CREATE TEMPORARY VIEW relations AS
         SELECT c.oid, c.oid::regclass::text AS name,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'composite'
             WHEN 'i' THEN 'index' ELSE c.relkind::text END AS kind
         FROM pg_class AS c JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
         UNION ALL
         SELECT c.oid, c.oid::regclass::text, 'composite' FROM pg_class AS c
         JOIN pg_type AS t ON t.oid = c.reltype JOIN members AS m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
         WHERE c.relkind = 'c'",
    )
    .execute(&mut session)
    .await
    .unwrap();
    sqlx::query_scalar(query).fetch_all(&mut session).await.unwrap()
}

/// Checks that a query for violations of a rule finds none.
async fn nothing(db: &Database, query: &'static str) {
    let found = list(db, query).await;
    assert!(found.is_empty(), "{found:#?}");
}
