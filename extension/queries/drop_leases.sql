-- A lease whose tasks have all been reported is of no more use. One that is being looked at is left to whoever looks.
DELETE FROM workflow.lease l
USING (SELECT n.part, n.id
       FROM unnest($1::bigint[]) AS d(lease)
       JOIN workflow.lease n ON n.part = (d.lease >> 48)::int AND n.id = d.lease
       WHERE n.tasks <@ $2::bigint[]
       FOR UPDATE OF n SKIP LOCKED) AS done
WHERE l.part = done.part AND l.id = done.id
