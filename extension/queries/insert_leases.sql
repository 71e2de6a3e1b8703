-- What is handed over is held.
INSERT INTO workflow.lease SELECT n.* FROM unnest($1) AS n
