-- Processes what a run has left: a worker receives the successors of its own tasks only while it has room for them.
DO $$
DECLARE
  reports workflow.outcome[] := '{}';
BEGIN
  LOOP
    SELECT coalesce(array_agg(ROW(c.task, c.lease_token, 'completed', c.input, NULL, NULL, NULL, NULL, NULL)::workflow.outcome), '{}')
    INTO reports
    FROM workflow_finish_and_claim('drain', reports, 1000) AS c WHERE c.state = 'claimed';
    COMMIT;
    EXIT WHEN reports = '{}';
  END LOOP;
END $$;
