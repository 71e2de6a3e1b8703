-- Moves a part to another server while work continues.
--
-- `pg-workflow move-part` calls these functions in order, each in a transaction of its own. S is the source, T the target:
--
--   S workflow_offer_part     publishes the part's rows
--     (a replication slot)    created by the program: PostgreSQL creates none in a transaction that has written
--   T workflow_receive_part   arriving: subscribes to them; the copy begins, and S continues to work
--   T workflow_find_arriving  says when the initial copy is complete
--   S workflow_fence_part     leaving: once committed, calls about the part are refused at both ends
--   S workflow_close_part     waits for calls that began before
--   S workflow_export_part    returns what is not replicated, and the log position that T has to reach
--   T workflow_accept_part    once committed, the part belongs to T
--   S workflow_release_part   elsewhere
--   S workflow_clear_part     deletes the rows, step by step
--
-- At no time do both servers do the work of the part: S gives it up before T accepts it. The two states show where an interrupted
-- move stopped: `leaving` at S and no state at T means that T has accepted. Before that point, a move is undone by
-- workflow_refuse_part at T, which makes accepting impossible, followed by workflow_keep_part at S.

CREATE FUNCTION workflow.require_move(part int, wanted text, otherwise text) RETURNS workflow.foreign_part
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found workflow.foreign_part;
BEGIN
  PERFORM workflow.require('part', part);
  PERFORM workflow.check_parts(ARRAY[part]);
  SELECT f.* INTO found FROM workflow.foreign_part f WHERE f.part = require_move.part FOR UPDATE;
  IF coalesce(found.status, 'here') <> wanted THEN
    PERFORM workflow.raise_error('WF611', format('part %s is %s, not %s', part, coalesce(found.status, 'here'), wanted), 'The other server is ' || found.server || '.', otherwise);
  END IF;
  RETURN found;
END $$;
COMMENT ON FUNCTION workflow.require_move(int, text, text) IS
  'Locks the state of a part and returns it. Raises WF611, with the given hint, unless it is the expected one: here, leaving, arriving or elsewhere.';
REVOKE ALL ON FUNCTION workflow.require_move(int, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.definitions_state() RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN jsonb_build_object(
    'versions', (SELECT max(v.id) FROM workflow.workflow_definition_version v),
    'actions', (SELECT max(a.id) FROM workflow.action a),
    'hash', (SELECT md5(string_agg(v.id || encode(v.sha256, 'hex'), ',' ORDER BY v.id)) FROM workflow.workflow_definition_version v));
END $$;
COMMENT ON FUNCTION workflow.definitions_state() IS
  'Returns the last ids and a hash of all versions, by which two servers determine whether they have the same definitions.';
REVOKE ALL ON FUNCTION workflow.definitions_state() FROM PUBLIC;

CREATE FUNCTION workflow.drop_publication(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := format('pg_workflow_part_%s', part);
BEGIN
  IF EXISTS (SELECT FROM pg_publication p WHERE p.pubname = name AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid)) THEN
    -- A session that writes to a table first lists its publications and then looks each of them up, with an error if one has gone.
    -- Those that have this one on their list are in transactions that began before it was emptied.
    PERFORM workflow.await_calls();
    EXECUTE format('DROP PUBLICATION %I', name);
  END IF;
EXCEPTION WHEN lock_not_available THEN
  -- Empty as it is, it does no harm. The part's next move uses it.
END $$;
COMMENT ON FUNCTION workflow.drop_publication(int) IS
  'Drops the publication of a part, if it exists and an earlier transaction has emptied it (workflow.stop_offer). Waits for calls in progress, but no longer than lock_timeout: then the publication stays. Raises WF611 in a transaction with an old snapshot.';
REVOKE ALL ON FUNCTION workflow.drop_publication(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_offer_part(part int) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text;
BEGIN
  PERFORM workflow.require_move(part, 'here', 'Call this on the server that has the part.');
  IF current_setting('wal_level') <> 'logical' THEN
    PERFORM workflow.raise_error('WF611', 'this server cannot publish rows', format('wal_level is %s.', current_setting('wal_level')),
      'Set wal_level = logical in postgresql.conf and restart the server.');
  END IF;
  name := format('pg_workflow_part_%s', part);
  IF NOT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = name) THEN
    EXECUTE format('CREATE PUBLICATION %I', name);
  END IF;
  -- It may also have been left empty by an earlier move.
  IF NOT EXISTS (SELECT FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = name) THEN
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE ', name) || (
      SELECT string_agg(format('workflow.%I WHERE (part = %s)', t.name, part), ', ')
      FROM unnest('{execution,workflow_execution,workflow_task_execution,branch_change,pending_report,signal,event,lease}'::text[]) AS t(name));
  END IF;
  RETURN workflow.definitions_state() || jsonb_build_object('node', (workflow.make_id(0, 0) >> 40), 'publication', name);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_offer_part(int) IS
  'Publishes the rows of a part of this server, so that another server can copy them (see workflow_receive_part); work in the part continues. Returns what that function needs to know about this server. Errors: WF611 if the part is not here, or wal_level is not logical; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_offer_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_receive_part(part int, source text, connection text, offer jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  name text := format('pg_workflow_part_%s', part);
BEGIN
  PERFORM workflow.require('source', source), workflow.require('connection', connection), workflow.require('offer', offer);
  PERFORM workflow.require_move(part, 'elsewhere', 'Set the parts of this server with workflow_set_parts.');
  IF workflow.has_rows(part) THEN
    PERFORM workflow.raise_error('WF611', format('part %s has rows here', part), NULL,
      format('Call workflow_clear_part(%s) until it returns 0.', part));
  ELSIF (offer ->> 'node')::int = (workflow.make_id(0, 0) >> 40) THEN
    PERFORM workflow.raise_error('WF611', 'both servers have the same pg_workflow.node', format('It is %s on both.', offer ->> 'node'),
      'Set pg_workflow.node to a different number on each server in postgresql.conf, so that their ids differ.');
  ELSIF workflow.definitions_state() ->> 'hash' IS DISTINCT FROM offer ->> 'hash' THEN
    PERFORM workflow.raise_error('WF611', 'the servers do not have the same definitions', NULL,
      'Replicate them with workflow_publish_definitions and workflow_subscribe_definitions, and wait until all of them have arrived.');
  END IF;
  UPDATE workflow.foreign_part f SET status = 'arriving', server = source, updated = workflow.now() WHERE f.part = part;
  -- The program manages the slot: PostgreSQL cannot create or drop one in a function.
  EXECUTE format('CREATE SUBSCRIPTION %I CONNECTION %L PUBLICATION %I WITH (create_slot = false, slot_name = %L)',
    name, connection, offer ->> 'publication', name);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_receive_part(int, text, text, jsonb) IS
  'Begins to copy a part from the server named source, which connection, a libpq connection string, leads to. offer is the result of workflow_offer_part on that server. The part must be elsewhere and have no rows here, and the source must have a replication slot named pg_workflow_part_N. Errors: WF611 if any of this is not the case, or if both servers have the same pg_workflow.node or different definitions; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_receive_part(int, text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_arriving(part int) RETURNS TABLE (tables int, copied int)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
  SELECT count(*)::int, (count(*) FILTER (WHERE r.srsubstate = 'r'))::int
  FROM pg_subscription s JOIN pg_subscription_rel r ON r.srsubid = s.oid
  WHERE s.subname = format('pg_workflow_part_%s', part) AND s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_arriving(int) IS
  'Returns the number of tables of an arriving part, and how many of them have been copied and now follow the source.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_arriving(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_fence_part(part int, target text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('target', target);
  PERFORM workflow.require_move(part, 'here', 'Call this on the server that has the part.');
  INSERT INTO workflow.foreign_part (part, status, server, created, updated) VALUES (part, 'leaving', target, now, now);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_fence_part(int, text) IS
  'Makes this server refuse all calls about one of its parts once the transaction has committed, because the server named target is about to take the part over. workflow_keep_part undoes this. Errors: WF611 if the part is not here; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_fence_part(int, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_close_part(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require_move(part, 'leaving', 'Fence it first with workflow_fence_part.');
  PERFORM workflow.await_calls();
  -- Limits belong to a server. A call about another part may still release a task that waits for one; the row is
  -- then locked, and this statement sees the change.
  UPDATE workflow.workflow_task_execution t
  SET limit_key = NULL, queue_at = CASE WHEN NOT t.calls THEN t.limit_place END, due_at = CASE WHEN t.calls THEN now END, updated = now
  WHERE t.limit_key IS NOT NULL AND t.part = part;
  UPDATE workflow.workflow_execution w SET limit_key = NULL, due_at = now, updated = now WHERE w.limit_key IS NOT NULL AND w.part = part;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_close_part(int) IS
  'Waits for all transactions that began to write to a part before it was fenced. Tasks that wait for limits of this server return to the queue, and executions that wait to begin will ask the target server instead. Nothing writes to the part after this. Errors: WF611 if the part is not leaving, or in a transaction with an old snapshot; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_close_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_export_part(part int) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require_move(part, 'leaving', 'Fence it first with workflow_fence_part.');
  RETURN workflow.definitions_state() || jsonb_build_object(
    'lsn', pg_current_wal_insert_lsn(),
    'schedules', coalesce((SELECT jsonb_agg(to_jsonb(s) - 'id' ORDER BY s.id) FROM workflow.schedule s WHERE s.part = part), '[]'));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_export_part(int) IS
  'Returns what workflow_accept_part needs about a closed part: its schedules, which are not replicated, the last ids of definitions, and lsn, the log position that the replication slot must confirm first. Errors: WF611 if the part is not leaving; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_export_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_leaving(part int, lsn pg_lsn) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN (SELECT greatest(lsn - s.confirmed_flush_lsn, 0)::bigint FROM pg_replication_slots AS s
          WHERE s.slot_name = format('pg_workflow_part_%s', part) AND s.database = current_database());
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_leaving(int, pg_lsn) IS
  'Returns how many bytes of this server''s WAL up to lsn the target of a move has yet to confirm: 0 if it has everything, null if the part is not offered.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_leaving(int, pg_lsn) FROM PUBLIC;

CREATE FUNCTION workflow.drop_subscription(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := format('pg_workflow_part_%s', part);
BEGIN
  IF EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE s.subname = name AND d.datname = current_database()) THEN
    -- Without a slot, the subscription can be dropped in a transaction and without contacting the source.
    EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', name);
    EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', name);
    EXECUTE format('DROP SUBSCRIPTION %I', name);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.drop_subscription(int) IS 'Stops the copying of a part, if it is in progress; the replication slot remains at the source.';
REVOKE ALL ON FUNCTION workflow.drop_subscription(int) FROM PUBLIC;

CREATE FUNCTION workflow.take_slots_of_part(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  wanted record;
  limit_key bigint;
  first bigint;
BEGIN
  FOR wanted IN
    SELECT h.name, h.key, array_agg(h.holder ORDER BY h.holder) AS tasks
    FROM (
      SELECT r.name, o.pair ->> 1 AS key, t.id AS holder
      FROM workflow.workflow_task_execution t
      CROSS JOIN LATERAL jsonb_array_elements(t.limits) AS o(pair)
      JOIN workflow.limit_rule r ON r.name = o.pair ->> 0 AND r.max_running IS NOT NULL
      WHERE t.part = part AND t.limits IS NOT NULL AND t.status = 'running'
      UNION ALL
      SELECT r.name, w.concurrency_key, -w.id
      FROM workflow.workflow_execution w
      JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
      JOIN workflow.workflow_definition d ON d.id = w.workflow_def
      JOIN workflow.limit_rule r ON r.name = '@' || d.ref
      WHERE w.part = part AND w.concurrency_key IS NOT NULL AND w.limit_place IS NULL AND NOT workflow.is_end(e.status)) AS h
    GROUP BY h.name, h.key ORDER BY h.name, h.key
  LOOP
    INSERT INTO workflow.limit_key (id, limit_name, key)
    VALUES (workflow.make_id(0, nextval('workflow.limit_key_id_seq')), wanted.name, wanted.key)
    ON CONFLICT ON CONSTRAINT limit_key_limit_name_key DO NOTHING;
    UPDATE workflow.limit_key k SET slots = k.slots + cardinality(wanted.tasks), next_slot = k.next_slot + cardinality(wanted.tasks)
    WHERE k.limit_name = wanted.name AND k.key = wanted.key
    RETURNING k.id, k.next_slot - cardinality(wanted.tasks) INTO limit_key, first;
    INSERT INTO workflow.limit_slot (key, number, task)
    SELECT limit_key, first + w.place - 1, w.task FROM unnest(wanted.tasks) WITH ORDINALITY AS w(task, place);
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.take_slots_of_part(int) IS
  'Gives the running tasks and executions of a part that has arrived slots of this server''s limits, beyond the maximum if necessary, because they are already running.';
REVOKE ALL ON FUNCTION workflow.take_slots_of_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_accept_part(part int, export jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  now timestamptz := workflow.now();
  first bigint := workflow.make_id(part, 0);
  own jsonb := workflow.definitions_state();
  taken text;
BEGIN
  PERFORM workflow.require('export', export);
  PERFORM workflow.require_move(part, 'arriving', 'Begin with workflow_receive_part.');
  IF NOT EXISTS (SELECT FROM pg_catalog.workflow_find_arriving(part) AS a WHERE a.tables > 0 AND a.tables = a.copied) THEN
    PERFORM workflow.raise_error('WF611', format('part %s has not been copied yet', part), NULL, 'Wait until workflow_find_arriving says that the copy is complete.');
  ELSIF (own ->> 'versions')::bigint < (export ->> 'versions')::bigint OR (own ->> 'actions')::bigint < (export ->> 'actions')::bigint THEN
    PERFORM workflow.raise_error('WF611', 'definitions of the source have not arrived yet', NULL, 'Wait until they have been replicated, and try again.');
  END IF;
  SELECT s.name INTO taken FROM jsonb_to_recordset(export -> 'schedules') AS e(name text) JOIN workflow.schedule s ON s.name = e.name LIMIT 1;
  IF FOUND THEN
    PERFORM workflow.raise_error('WF617', format('both servers have a schedule %s', quote_literal(left(taken, 200))), NULL,
      'Abort the move, and remove or rename one of them.');
  END IF;
  IF EXISTS (SELECT FROM workflow.execution e, pg_sequences s WHERE s.schemaname = 'workflow' AND s.sequencename = 'execution_id_seq'
             AND e.id > first + coalesce(s.last_value, 0) AND e.id <= first | 1099511627775) THEN
    PERFORM workflow.raise_error('WF611', format('part %s contains ids with this server''s node number that this server has not generated', part),
      format('pg_workflow.node is %s.', workflow.make_id(0, 0) >> 40), 'Set pg_workflow.node to a number that no server has ever had.');
  END IF;
  PERFORM workflow.drop_subscription(part);
  PERFORM workflow.take_slots_of_part(part);
  INSERT INTO workflow.schedule
  SELECT (jsonb_populate_record(NULL::workflow.schedule, s.schedule || jsonb_build_object('id', nextval('workflow.schedule_id_seq')))).*
  FROM jsonb_array_elements(export -> 'schedules') AS s(schedule);
  DELETE FROM workflow.foreign_part f WHERE f.part = part;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_accept_part(int, jsonb) IS
  'Takes over a part that has been copied; it belongs to this server once the transaction has committed. export is the result of workflow_export_part at the source, whose slot must have confirmed its lsn first. Errors: WF611 if the part is not arriving or not completely copied, if definitions are missing, or if the part has ids with this server''s node number that another server generated; WF613; WF617 if both servers have a schedule of the same name.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_accept_part(int, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.stop_offer(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := format('pg_workflow_part_%s', part);
  tables text;
BEGIN
  SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid) INTO tables
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = name;
  IF tables IS NOT NULL THEN
    EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', name, tables);
  END IF;
  PERFORM pg_drop_replication_slot(s.slot_name) FROM pg_replication_slots s WHERE s.slot_name = name AND s.database = current_database();
END $$;
COMMENT ON FUNCTION workflow.stop_offer(int) IS
  'Empties the publication of a part, and drops its replication slot, if they exist. Raises an error if the slot is in use. A later transaction may drop the publication (workflow.drop_publication).';
REVOKE ALL ON FUNCTION workflow.stop_offer(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_release_part(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require_move(part, 'leaving', 'Only a part that has been fenced can be released.');
  UPDATE workflow.foreign_part f SET status = 'elsewhere', updated = workflow.now() WHERE f.part = part;
  DELETE FROM workflow.schedule s WHERE s.part = part;
  WITH freed AS (
    UPDATE workflow.limit_slot s SET task = NULL WHERE abs(s.task) >> 48 = part RETURNING s.key)
  UPDATE workflow.limit_key k SET check_at = least(k.check_at, workflow.now()) FROM freed WHERE k.id = freed.key AND k.check_at IS NOT NULL;
  -- Before rows are deleted, because the deletions must not be replicated.
  PERFORM workflow.stop_offer(part);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_release_part(int) IS
  'Gives up a part for good after another server has accepted it: deletes its schedules, frees the limit slots of its tasks and executions, and drops its replication slot. workflow_clear_part deletes the rest. Never call this before the other server has accepted the part. Errors: WF611 if the part is not leaving; 55006 if the slot is still in use: try again; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_release_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_clear_part(part int, max_rows int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  first bigint := part::bigint << 48;
  deleted int;
BEGIN
  PERFORM workflow.page_size(max_rows);
  PERFORM workflow.require_move(part, 'elsewhere', 'Only rows of parts that another server has can be deleted.');
  IF NOT EXISTS (SELECT FROM workflow.execution x WHERE x.id BETWEEN first AND first | 281474976710655) THEN
    PERFORM workflow.drop_publication(part);
  END IF;
  -- As calls do: other moves wait for these deletions, too, before they drop their publications.
  PERFORM workflow.foreign_parts();
  -- Last ones first: called executions come after their callers, so each step stays small.
  DELETE FROM workflow.execution e USING (
    SELECT x.id FROM workflow.execution x WHERE x.id BETWEEN first AND first | 281474976710655 ORDER BY x.id DESC LIMIT max_rows) AS c
  WHERE e.part = part AND e.id = c.id;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  IF deleted = 0 THEN
    -- These rows have no execution to be deleted with. In an incomplete copy, other rows may lack theirs, too.
    DELETE FROM workflow.lease l WHERE l.part = part;
    DELETE FROM workflow.schedule s WHERE s.part = part;
    DELETE FROM workflow.event v WHERE v.id BETWEEN first AND first | 281474976710655;
    DELETE FROM workflow.signal s WHERE s.id BETWEEN first AND first | 281474976710655;
    DELETE FROM workflow.pending_report p WHERE p.part = part;
    DELETE FROM workflow.branch_change c WHERE c.part = part;
    DELETE FROM workflow.workflow_task_execution t WHERE t.id BETWEEN first AND first | 281474976710655;
    DELETE FROM workflow.workflow_execution w WHERE w.id BETWEEN first AND first | 281474976710655;
  END IF;
  RETURN deleted;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_clear_part(int, int) IS
  'Deletes rows of a part that belongs to another server: up to max_rows (1 to 10000) executions with everything that belongs to them. Returns the number of executions deleted; call again until it is 0. The last call drops the publication of the move, after all calls in progress have ended; if they take longer than lock_timeout, the publication stays, and the part''s next move uses it. Errors: WF611 if the part is not elsewhere, or in a transaction with an old snapshot; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_clear_part(int, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_refuse_part(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require_move(part, 'arriving', 'A part that has been accepted can only be moved back.');
  PERFORM workflow.drop_subscription(part);
  UPDATE workflow.foreign_part f SET status = 'elsewhere', updated = workflow.now() WHERE f.part = part;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_refuse_part(int) IS
  'Stops the copying of a part that has not been accepted, after which it can no longer be accepted. workflow_clear_part deletes the rows copied so far. Errors: WF611 if the part is not arriving; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_refuse_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_keep_part(part int) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  state text;
BEGIN
  SELECT f.status INTO state FROM workflow.foreign_part f WHERE f.part = part;
  PERFORM workflow.require_move(part, CASE WHEN state IS NULL THEN 'here' ELSE 'leaving' END, 'Only a part that has not moved can be kept.');
  -- By the second call: the first one empties it.
  PERFORM workflow.drop_publication(part);
  DELETE FROM workflow.foreign_part f WHERE f.part = part;
  PERFORM workflow.stop_offer(part);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_keep_part(int) IS
  'Undoes workflow_offer_part and workflow_fence_part: this server keeps the part. Call workflow_refuse_part at the target first: if two servers do the work of the same part, the results can never be reconciled. A second call drops the publication, which the first one only empties, in the same way as workflow_clear_part; without it, the part''s next move uses it. Errors: WF611 if the part is elsewhere or arriving, or in a transaction with an old snapshot; 55006 if the slot is still in use: try again; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_keep_part(int) FROM PUBLIC;
