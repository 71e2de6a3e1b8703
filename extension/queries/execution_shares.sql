-- The most common combinations of workflow and status, and how frequent each of them is.
SELECT s.most_common_vals[n][1], s.most_common_vals[n][2], s.most_common_freqs[n]
FROM pg_catalog.pg_stats_ext s, pg_catalog.generate_subscripts(s.most_common_vals, 1) AS n
WHERE s.statistics_schemaname = 'workflow' AND s.statistics_name = 'execution_statistics'
