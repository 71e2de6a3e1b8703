-- Completes what nobody has claimed. What was claimed and not completed stays, and is a mistake.
UPDATE q SET state = 2, attempts = attempts + 1, done_at = now(), result = payload WHERE state = 0;
