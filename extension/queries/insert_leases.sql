-- What was handed over or claimed is held.
INSERT INTO workflow.lease SELECT n.* FROM rows AS n
