-- What each execution must come to: so many tasks; `last` once, with the number of items as its input where there are any.
CREATE TABLE IF NOT EXISTS expected (ref text PRIMARY KEY, steps int NOT NULL, last text NOT NULL, items int);
