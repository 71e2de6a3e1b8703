-- Extends the leases of tasks until $3 if they are named with the token of a valid lease. The first row of a claim
-- takes all the tasks named here. Other tasks of that row that are still running move to a row of their own, which
-- keeps its expiry; tasks named here are removed from the other rows, which earlier heartbeats have split off.
WITH named AS MATERIALIZED (
  SELECT t.part, n.token, pg_catalog.array_agg(DISTINCT n.task) AS tasks
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS n(task, token)
  -- OFFSET forces one lookup per task: running tasks look rare enough to be searched for first.
  CROSS JOIN LATERAL (
    SELECT t.part, t.status, t.lease FROM workflow.workflow_task_execution t
    WHERE t.part = (n.task >> 48)::int AND t.id = n.task OFFSET 0) AS t
  WHERE t.status = 'running' AND t.lease = n.token GROUP BY t.part, n.token),
found AS MATERIALIZED (
  SELECT l.part, l.id, l.token, l.worker, l.role, l.until, named.tasks AS named, rest.tasks AS rest,
    pg_catalog.row_number() OVER (PARTITION BY l.part, l.token ORDER BY l.id) = 1 AS is_first
  FROM named
  JOIN workflow.lease l ON l.part = named.part AND (l.id = named.token OR (l.token = named.token AND l.id <> l.token))
  CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(t.id ORDER BY t.id) AS tasks FROM pg_catalog.unnest(l.tasks) AS o(id)
    CROSS JOIN LATERAL (
      SELECT t.id, t.status, t.lease FROM workflow.workflow_task_execution t WHERE t.part = l.part AND t.id = o.id OFFSET 0) AS t
    WHERE t.status = 'running' AND t.lease = l.token AND t.id <> ALL (named.tasks)) AS rest),
left_behind AS (
  INSERT INTO workflow.lease (part, id, token, worker, role, created, expires_from, until, updated, tasks)
  SELECT f.part, workflow.draw_token(), f.token, f.worker, f.role, $4, workflow.expires_from(f.until),
    f.until, $4, f.rest
  FROM found f WHERE f.is_first AND f.rest IS NOT NULL),
emptied AS (
  DELETE FROM workflow.lease l USING found f WHERE l.part = f.part AND l.id = f.id AND NOT f.is_first AND f.rest IS NULL)
UPDATE workflow.lease l
SET tasks = CASE WHEN f.is_first THEN f.named ELSE f.rest END,
    until = CASE WHEN f.is_first THEN $3 ELSE l.until END,
    expires_from = CASE WHEN f.is_first THEN workflow.expires_from($3) ELSE l.expires_from END, updated = $4
FROM found f WHERE l.part = f.part AND l.id = f.id AND (f.is_first OR f.rest IS NOT NULL)
