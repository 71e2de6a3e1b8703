-- Lists limits whose running tasks have yet to be counted, and whether all transactions that may not have seen the
-- limit have ended.
SELECT r.name, r.count_from > '0' AND r.count_from <= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
FROM workflow.limit_rule r WHERE r.count_from IS NOT NULL ORDER BY r.name
