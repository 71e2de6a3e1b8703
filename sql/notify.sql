-- Waking workers: a hint by NOTIFY where an empty queue is so no more. Off unless pg_workflow.notify is on.
--
-- NOTIFY takes one lock for all databases at the commit, so there is never one a task: only where an action of a part had
-- nothing in the queue. Whether it had is looked up before and after, with an index probe for each action that has. A hint
-- may be missing, where others are claiming the last task at that moment, and means nothing by itself: workers look
-- for work anyway.

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
  'What has something in the queue, each as its part and action, "0 demo.a": in these parts, or in all. An index probe each.';
REVOKE ALL ON FUNCTION workflow.queued_actions(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.notify_queued(before text[], parts int[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('pg_workflow', q.queued) FROM unnest(workflow.queued_actions(parts)) AS q(queued) WHERE q.queued <> ALL (before);
END $$;
COMMENT ON FUNCTION workflow.notify_queued(text[], int[]) IS
  'Tells the listeners of the channel pg_workflow, at the commit, what has something in the queue that had nothing before.';
REVOKE ALL ON FUNCTION workflow.notify_queued(text[], int[]) FROM PUBLIC;
