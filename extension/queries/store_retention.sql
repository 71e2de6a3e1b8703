-- Stores how far the executions of a workflow with this final status have been examined. The next check is due
-- immediately if there may be more ($9); otherwise when the next execution may have been kept long enough, but not
-- before $10, or when the next round begins.
UPDATE workflow.retention r
SET seen_created = $4, seen_id = $5, round_at = $6, last_error = $7, updated = $3,
    next_at = CASE WHEN $9 THEN $3 ELSE greatest($10, least($6, coalesce(
      (SELECT x.created + $8 * interval '1 second' FROM workflow.workflow_execution x
       WHERE x.workflow_def = $1 AND (x.created, x.id) > (coalesce($4, '-infinity'::timestamptz), coalesce($5, 0::bigint))
       ORDER BY x.created, x.id LIMIT 1), $11))) END
WHERE r.workflow_def = $1 AND r.status = $2::workflow.execution_status
