-- What each execution must result in: this many tasks; `last` once, with the number of items as its input if there are
-- any.
CREATE TABLE IF NOT EXISTS expected (ref text PRIMARY KEY, steps int NOT NULL, last text NOT NULL, items int);
