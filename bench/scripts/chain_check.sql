-- Lists problems, one per row: executions that are not closed, or that have not done each step exactly once.
SELECT format('%s executions are in status %s, %s tasks each, %s of them completed, up to step %s', count(*), status, tasks, completed, last)
FROM (
  SELECT ex.status, ex.output IS NOT NULL AS output, count(*) AS tasks, max(tk.step) AS last,
    count(*) FILTER (WHERE tk.state = 2 AND tk.result IS NOT NULL) AS completed
  FROM ex LEFT JOIN tk ON tk.ex = ex.id GROUP BY ex.id) AS run
WHERE status <> 2 OR NOT output OR tasks <> last OR completed <> last
GROUP BY status, tasks, completed, last;
