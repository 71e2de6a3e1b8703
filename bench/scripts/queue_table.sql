-- The yardstick's table: the columns that any queue needs, half-empty pages so that updates can stay in their page, and
-- one index of nothing but ready tasks.
CREATE TABLE IF NOT EXISTS q (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state smallint NOT NULL DEFAULT 0,
  attempts smallint NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  done_at timestamptz,
  payload jsonb,
  result jsonb
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS q_ready ON q (id) WHERE state = 0;
