-- By how many seconds the first place in the queue of a part is ahead of now, among tasks of these actions.
SELECT extract(epoch FROM $3 - workflow.head_of_queue($1, $2))::float8
