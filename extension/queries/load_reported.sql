-- What was reported, beside the rows it is about, in the order reported.
SELECT o.task, o.lease, o.status::text, o.result, o.error, o.may_retry, extract(epoch FROM o.retry_in)::float8,
       greatest(pg_column_size(o.result), pg_column_size(o.error)),
       t.workflow_execution, t.status::text, t.skipped, t.lease, t.task_name, t.task_index, t.route, t.visit,
       t.retry_count, t.max_retries, t.context::text, extract(epoch FROM $2 - t.created)::float8, t.execution
FROM unnest($1) WITH ORDINALITY AS o(task, lease, status, result, error, may_retry, retry_in, place)
LEFT JOIN workflow.workflow_task_execution t ON t.part = (o.task >> 48)::int AND t.id = o.task
ORDER BY o.place
