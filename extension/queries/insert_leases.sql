-- What is handed over is held.
INSERT INTO workflow.lease SELECT n.* FROM rows AS n
