-- Inserts tasks. Those for the worker that asks are born leased: one write where a queue takes two. Priority moves a task
-- ahead in the queue by as many minutes: one that waits overtakes in time, so none starves. What no worker can do is not
-- queued: the engine goes on with it.
WITH token AS MATERIALIZED (SELECT nextval('workflow.lease_id_seq') AS sequence),
wanted AS MATERIALIZED (
  SELECT n.*, CASE WHEN n.start = 'leased' AND a.calls THEN 'ready' ELSE n.start END AS begins, a.calls,
         n.action_ref IS NOT NULL AND NOT a.calls AS for_workers
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::text[],
              $9::float8[], $10::int[], $11::int[], $12::int[], $13::text[], $14::text[], $15::text[], $16::bool[], $21::text[])
         AS n(run, task_name, action_ref, route, visit, task_index, task_batch, start, delay, priority, max_retries,
              timeout_seconds, context, input, result, paused, signal)
  CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM workflow.action a WHERE a.ref = n.action_ref AND a.is_workflow) AS calls) AS a),
new AS (
  INSERT INTO workflow.workflow_task_execution AS t
    (part, id, workflow_execution, task_name, action_ref, signal, route, visit, task_index, task_batch, status, skipped,
     held, calls, priority, max_retries, timeout_seconds, context, input, result, created, updated,
     queue_at, due_at, lease, attempt, started_at, completed_at, duration_ms)
  SELECT (n.run >> 48)::int, (n.run >> 48) << 48 | $19 | nextval('workflow.workflow_task_execution_id_seq'),
         n.run, n.task_name, n.action_ref, n.signal, n.route, n.visit, n.task_index, n.task_batch,
         CASE n.begins WHEN 'ready' THEN 'scheduled' WHEN 'leased' THEN 'running' WHEN 'skipped' THEN 'completed'
                       WHEN 'delayed' THEN 'requested' WHEN 'held' THEN 'requested' ELSE n.begins
         END::workflow.execution_status,
         n.begins = 'skipped', n.begins = 'held', n.calls, n.priority, n.max_retries, n.timeout_seconds, n.context::int[],
         n.input::jsonb, n.result::jsonb, $20, $20,
         CASE WHEN n.begins = 'ready' AND n.for_workers AND NOT n.paused THEN $20 - n.priority * interval '1 minute' END,
         CASE n.begins WHEN 'delayed' THEN $20 + n.delay * interval '1 second'
                       WHEN 'leased' THEN $20 + n.timeout_seconds * interval '1 second' END,
         CASE WHEN n.begins = 'leased' THEN (n.run >> 48) << 48 | $19 | (SELECT token.sequence FROM token) END,
         CASE WHEN n.begins = 'leased' THEN 1 ELSE 0 END,
         CASE WHEN n.begins = 'leased' THEN $20 END,
         CASE WHEN n.begins IN ('ready', 'leased', 'delayed', 'held') THEN NULL ELSE $20 END,
         CASE WHEN n.begins IN ('ready', 'leased', 'delayed', 'held') THEN NULL ELSE 0 END
  FROM wanted n
  RETURNING t.part, t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt,
    t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL) AS own),
held AS (
  INSERT INTO workflow.lease (part, id, token, worker, until, tasks, created, updated)
  SELECT new.part, new.lease, new.lease, $17, $18, array_agg(new.id), $20, $20
  FROM new WHERE new.lease IS NOT NULL GROUP BY new.part, new.lease)
SELECT new.id, new.lease, new.workflow_execution, new.task_name, new.task_index, new.action_ref, new.input, new.attempt
FROM new WHERE new.lease IS NOT NULL OR new.own
