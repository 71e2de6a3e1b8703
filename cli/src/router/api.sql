-- The part of the API that a router reproduces, as one JSON document: functions in pg_catalog, and types and views in schema workflow.
WITH member AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_extension AS e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
  WHERE e.extname = 'pg_workflow' AND d.deptype = 'e'),
attribute AS (
  SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
      'type', pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) AS columns
  FROM pg_catalog.pg_attribute AS a WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid),
function AS (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', p.proname,
      'inputs', coalesce((
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', p.proargnames[i.place], 'type', pg_catalog.format_type(i.type, NULL))
          ORDER BY i.place)
        FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY AS i (type, place)), '[]'),
      'arguments', pg_catalog.pg_get_function_arguments(p.oid),
      'result', pg_catalog.pg_get_function_result(p.oid),
      'is_set', p.proretset,
      'columns', CASE WHEN t.typtype = 'c' THEN a.columns ELSE (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.name, 'type', pg_catalog.format_type(c.type, NULL)) ORDER BY c.place)
        FROM ROWS FROM (pg_catalog.unnest(p.proargnames), pg_catalog.unnest(p.proargmodes), pg_catalog.unnest(p.proallargtypes))
          WITH ORDINALITY AS c (name, mode, type, place)
        WHERE c.mode IN ('t', 'o', 'b')) END,
      'level', workflow.level_of(p.proname),
      'comment', pg_catalog.obj_description(p.oid, 'pg_proc'))
    ORDER BY p.proname COLLATE "C", pg_catalog.pg_get_function_identity_arguments(p.oid) COLLATE "C") AS list
  FROM pg_catalog.pg_proc AS p
  JOIN member AS m ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid
  JOIN pg_catalog.pg_type AS t ON t.oid = p.prorettype
  LEFT JOIN attribute AS a ON a.attrelid = t.typrelid
  WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace),
enumeration AS (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', t.typname, 'labels', (
      SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid))
    ORDER BY t.typname COLLATE "C") AS list
  FROM pg_catalog.pg_type AS t JOIN member AS m ON m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid
  WHERE t.typtype = 'e'),
composite AS (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.relname, 'columns', a.columns) ORDER BY c.relname COLLATE "C") AS list
  FROM pg_catalog.pg_class AS c JOIN attribute AS a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'workflow'::pg_catalog.regnamespace AND (c.relkind = 'c' OR c.relkind = 'r' AND EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p JOIN member AS m ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid
    WHERE p.prorettype = c.reltype AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace))),
view AS (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.relname, 'columns', a.columns,
      'comment', pg_catalog.obj_description(c.oid, 'pg_class')) ORDER BY c.relname COLLATE "C") AS list
  FROM pg_catalog.pg_class AS c JOIN attribute AS a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'workflow'::pg_catalog.regnamespace AND c.relkind = 'v')
SELECT pg_catalog.json_build_object('functions', f.list, 'enumerations', e.list, 'composites', c.list, 'views', v.list)::text
FROM function AS f, enumeration AS e, composite AS c, view AS v
