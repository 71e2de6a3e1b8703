CREATE EXTENSION IF NOT EXISTS plproxy;

-- Creates a cluster of PL/Proxy, or changes its options; user mappings are kept.
CREATE OR REPLACE FUNCTION pg_temp.set_cluster(cluster name, connections text[], settings jsonb) RETURNS void LANGUAGE plpgsql AS $do$
DECLARE
  wanted jsonb := settings || (SELECT jsonb_object_agg(format('p%s', c.place - 1), c.connection) FROM unnest(connections) WITH ORDINALITY AS c (connection, place));
  changes text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_foreign_server AS s WHERE s.srvname = cluster) THEN
    EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER plproxy OPTIONS (%s)', cluster,
      (SELECT string_agg(format('%I %L', o.key, o.value), ', ') FROM jsonb_each_text(wanted) AS o));
  ELSE
    SELECT string_agg(CASE WHEN o.option_name IS NULL THEN format('ADD %I %L', w.key, w.value)
        WHEN w.key IS NULL THEN format('DROP %I', o.option_name) ELSE format('SET %I %L', w.key, w.value) END, ', ') INTO changes
    FROM jsonb_each_text(wanted) AS w
    FULL JOIN (SELECT o.* FROM pg_foreign_server AS s, pg_options_to_table(s.srvoptions) AS o WHERE s.srvname = cluster) AS o
      ON o.option_name = w.key
    WHERE w.value IS DISTINCT FROM o.option_value;
    IF changes IS NOT NULL THEN
      EXECUTE format('ALTER SERVER %I OPTIONS (%s)', cluster, changes);
    END IF;
  END IF;
  -- Users connect to the servers as themselves: the servers, and EXECUTE privileges here, decide what they may do.
  IF NOT EXISTS (SELECT FROM pg_user_mappings AS m WHERE m.srvname = cluster AND m.umuser = 0) THEN
    EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER %I', cluster);
  END IF;
  EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO PUBLIC', cluster);
END $do$;
