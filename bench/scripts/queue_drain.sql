-- Completes what nobody has claimed. Tasks that were claimed but not completed stay, and are an error.
UPDATE q SET state = 2, attempts = attempts + 1, done_at = now(), result = payload WHERE state = 0;
