-- The yardstick, three statements and three commits: inserts :rows tasks,
INSERT INTO q (payload) SELECT :payload::jsonb FROM generate_series(1, :rows::int);
