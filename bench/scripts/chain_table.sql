-- The tables of a hand-written chain of steps: executions, and a queue that records which step of which execution a
-- task is.
CREATE TABLE IF NOT EXISTS ex (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  status smallint NOT NULL DEFAULT 0,
  input jsonb,
  output jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  done_at timestamptz
) WITH (fillfactor = 70);
CREATE TABLE IF NOT EXISTS tk (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ex bigint NOT NULL,
  step smallint NOT NULL,
  state smallint NOT NULL DEFAULT 0,
  attempts smallint NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  done_at timestamptz,
  payload jsonb,
  result jsonb
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS tk_ready ON tk (id) WHERE state = 0;
