-- Stores a definition that was checked.
SELECT workflow.store_definition($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8, $9, $10, $11::jsonb, $12, $13)
