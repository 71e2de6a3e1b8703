-- Schedules retention checks for workflows that have none scheduled yet.
INSERT INTO workflow.retention (workflow_def, status, next_at, created, updated)
SELECT d.id, s.status, $1, $1, $1
FROM workflow.workflow_definition d
CROSS JOIN pg_catalog.unnest('{completed,failed,cancelled,timeout,abandoned}'::workflow.execution_status[]) AS s(status)
WHERE d.current_version IS NOT NULL
  AND NOT EXISTS (SELECT FROM workflow.retention r WHERE r.workflow_def = d.id AND r.status = s.status)
  AND NOT coalesce(d.definition -> 'keep', '{}') ? s.status::text
ON CONFLICT (workflow_def, status) DO NOTHING
