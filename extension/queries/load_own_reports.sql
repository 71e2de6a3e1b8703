-- What the engine itself reports of tasks, beside their rows, as load_reported gives it.
SELECT o.task, NULL::bigint, o.status, o.result::jsonb, o.error::jsonb, NULL::bool, NULL::float8, 0,
       t.workflow_execution, t.status::text, t.skipped, t.lease, t.task_name, t.task_index, t.route, t.visit,
       t.retry_count, t.max_retries, t.context::text, extract(epoch FROM $5 - t.created)::float8, t.execution
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS o(task, status, result, error, place)
JOIN workflow.workflow_task_execution t ON t.part = (o.task >> 48)::int AND t.id = o.task
ORDER BY o.place
