-- A lease whose tasks have all been reported is of no more use. One that is being looked at is left to whoever looks.
DELETE FROM workflow.lease l
USING (SELECT n.part, n.id FROM workflow.lease n
       JOIN (SELECT DISTINCT d.lease FROM unnest($1::bigint[]) AS d(lease)) AS used
         ON n.part = (used.lease >> 48)::int AND n.id = used.lease
       WHERE n.tasks <@ $2::bigint[]
       FOR UPDATE OF n SKIP LOCKED) AS done
WHERE l.part = done.part AND l.id = done.id
