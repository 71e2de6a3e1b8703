-- The actions that have something in the queue of a part.
SELECT workflow.ready_actions($1, NULL)
