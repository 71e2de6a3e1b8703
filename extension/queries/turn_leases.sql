-- A lease whose tasks have been reported all at once is of no more use. What was handed over instead is held by new ones.
WITH gone AS (
  DELETE FROM workflow.lease l USING unnest($1) AS d
  WHERE l.part = d.part AND l.id = d.id AND l.tasks = d.tasks)
INSERT INTO workflow.lease (part, id, token, worker, until, tasks, created, updated)
SELECT n.part, n.id, n.id, n.worker, n.until, n.tasks, n.created, n.created FROM unnest($2) AS n
