-- The yardstick, three statements and three commits: :rows tasks are put in,
INSERT INTO q (payload) SELECT :payload::jsonb FROM generate_series(1, :rows::int);
