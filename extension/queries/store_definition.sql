-- Stores a validated definition.
SELECT workflow.store_definition($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8, $9, $10, $11::jsonb,
  pg_catalog.sha256(pg_catalog.convert_to($10, 'UTF8')), $12)
