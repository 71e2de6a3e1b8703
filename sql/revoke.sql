-- Only the owner has any privilege on a member of the extension until workflow_grant grants one: privileges that ALTER DEFAULT
-- PRIVILEGES has granted, to PUBLIC or to other roles, are revoked. This is the last step of the script, so it covers all members.
--
-- On types, PUBLIC keeps the USAGE that PostgreSQL grants by default: users' own functions may take a workflow.outcome.

DO $$
DECLARE
  entry record;
BEGIN
  FOR entry IN
    WITH member AS (
      SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
      WHERE e.extname = 'pg_workflow' AND d.deptype = 'e'),
    object (class, name, owner, acl) AS (
      SELECT 'FUNCTION', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
      FROM pg_catalog.pg_proc p JOIN member m ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid
      UNION ALL
      SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner, c.relacl
      FROM pg_catalog.pg_class c JOIN member m ON m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid
      WHERE c.relkind IN ('r', 'p', 'v', 'S')
      UNION ALL
      SELECT 'SCHEMA', quote_ident(n.nspname), n.nspowner, n.nspacl
      FROM pg_catalog.pg_namespace n JOIN member m ON m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = n.oid
      UNION ALL
      SELECT 'TYPE', t.oid::regtype::text, t.typowner, t.typacl
      FROM pg_catalog.pg_type t JOIN member m ON m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid)
    SELECT DISTINCT o.class, o.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee
    FROM object o CROSS JOIN LATERAL aclexplode(o.acl) AS x
    WHERE x.grantee <> o.owner AND (x.grantee, o.class) <> (0, 'TYPE')
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s CASCADE', entry.class, entry.name, entry.grantee);
  END LOOP;
END $$;
