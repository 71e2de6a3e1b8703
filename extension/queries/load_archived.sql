-- Returns executions in the form that archives receive.
SELECT c.id, workflow.archived_form(c.id) FROM pg_catalog.unnest($1::bigint[]) AS c(id)
