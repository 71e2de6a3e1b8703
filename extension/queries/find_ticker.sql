-- This database, and whether a ticker is in it.
SELECT current_database()::text,
  EXISTS (SELECT FROM pg_stat_activity a WHERE a.backend_type = 'pg_workflow ticker' AND a.datname = current_database())
