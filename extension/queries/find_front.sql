-- By how many seconds the first place in the queue is ahead of now, for each of these parts, among tasks of these actions.
SELECT p.part, extract(epoch FROM $3 - workflow.head_of_queue(p.part, $2))::float8
FROM unnest($1::int[]) AS p(part)
