-- Waking workers: NOTIFY as a hint that a queue is no longer empty. Off unless pg_workflow.notify is on.
--
-- At commit, NOTIFY takes a lock that all databases share, so it is not sent for each task, but only if an action in a part had
-- nothing queued before. That is checked before and after, with one index probe per action that has queued tasks. A hint may
-- be missing, if others are claiming the last task at that moment, and is never required: workers poll for work anyway.

CREATE FUNCTION workflow.queued_actions(parts int[]) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  this int := -1;
BEGIN
  IF parts IS NULL THEN
    LOOP
      this := workflow.next_part(this);
      EXIT WHEN this IS NULL;
      parts := parts || this;
    END LOOP;
  END IF;
  RETURN ARRAY(
    WITH RECURSIVE queued AS (
      SELECT p.part, first.action_ref FROM (SELECT DISTINCT u.part FROM unnest(parts) AS u(part)) AS p
      CROSS JOIN LATERAL (
        SELECT t.action_ref FROM workflow.workflow_task_execution t
        WHERE t.part = p.part AND t.queue_at IS NOT NULL ORDER BY t.action_ref LIMIT 1) AS first
      UNION ALL
      SELECT q.part, next.action_ref FROM queued q
      CROSS JOIN LATERAL (
        SELECT t.action_ref FROM workflow.workflow_task_execution t
        WHERE t.part = q.part AND t.queue_at IS NOT NULL AND t.action_ref > q.action_ref ORDER BY t.action_ref LIMIT 1) AS next)
    SELECT format('%s %s', q.part, q.action_ref) FROM queued q);
END $$;
COMMENT ON FUNCTION workflow.queued_actions(int[]) IS
  'Returns the actions that have queued tasks, each with its part, as in "0 demo.a": in the given parts, or in all. One index probe each.';
REVOKE ALL ON FUNCTION workflow.queued_actions(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.notify_queued(before text[], parts int[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('pg_workflow', q.queued) FROM unnest(workflow.queued_actions(parts)) AS q(queued) WHERE q.queued <> ALL (before);
END $$;
COMMENT ON FUNCTION workflow.notify_queued(text[], int[]) IS
  'Notifies the listeners of channel pg_workflow, at commit, of each part and action that has queued tasks and had none before.';
REVOKE ALL ON FUNCTION workflow.notify_queued(text[], int[]) FROM PUBLIC;
