-- Measures the cost of deleting executions of ten steps, relative to the cost of their steps: psql -f, in an empty database.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_workflow CASCADE; CREATE EXTENSION pg_workflow;
SELECT workflow_register_action('demo.a') IS NOT NULL;
SELECT ref FROM workflow_define($$
ref: demo.linear
label: L
version: 1
tasks:
  - {name: t0, action: demo.a, on_success: t1}
  - {name: t1, action: demo.a, on_success: t2}
  - {name: t2, action: demo.a, on_success: t3}
  - {name: t3, action: demo.a, on_success: t4}
  - {name: t4, action: demo.a, on_success: t5}
  - {name: t5, action: demo.a, on_success: t6}
  - {name: t6, action: demo.a, on_success: t7}
  - {name: t7, action: demo.a, on_success: t8}
  - {name: t8, action: demo.a, on_success: t9}
  - {name: t9, action: demo.a}
$$);
CREATE OR REPLACE PROCEDURE public.drain(n int) LANGUAGE plpgsql AS $$
DECLARE o workflow.outcome[] := '{}'; t0 timestamptz := clock_timestamp(); t1 timestamptz; c int; w0 pg_lsn := pg_current_wal_insert_lsn(); w1 pg_lsn;
BEGIN
  FOR i IN 1..n/1000 LOOP PERFORM workflow_start_many('demo.linear', array_fill('{}'::jsonb, ARRAY[1000])); COMMIT; END LOOP;
  LOOP
    SELECT array_agg(ROW(f.task, f.lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome) INTO o
    FROM workflow_finish_and_claim('w', coalesce(o, '{}'), 100) f WHERE f.state = 'claimed';
    COMMIT;
    EXIT WHEN o IS NULL;
  END LOOP;
  t1 := clock_timestamp(); w1 := pg_current_wal_insert_lsn();
  RAISE WARNING 'work: % us per step, % bytes of log', round((extract(epoch FROM t1 - t0) * 1e6 / n / 10)::numeric, 1), round((w1 - w0) / n / 10);
  COMMIT;
  LOOP
    c := workflow_prune('0', 1000); COMMIT;
    EXIT WHEN c = 0;
  END LOOP;
  RAISE WARNING 'prune: % us per step, ratio %, % bytes of log', round((extract(epoch FROM clock_timestamp() - t1) * 1e6 / n / 10)::numeric, 1),
    round((extract(epoch FROM clock_timestamp() - t1) / extract(epoch FROM t1 - t0))::numeric, 3), round((pg_current_wal_insert_lsn() - w1) / n / 10);
END $$;
CALL public.drain(5000);
CALL public.drain(5000);
CALL public.drain(5000);
