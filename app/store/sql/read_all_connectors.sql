-- The counters of all of a tenant's connectors, for its metrics.
SELECT p.name AS pipeline_name, c.table_name, c.connector_name, c.total_records, c.total_bytes, c.buffered_records,
       c.buffered_bytes, c.num_parse_errors, c.num_transport_errors, c.end_of_input
  FROM connector AS c
  JOIN pipeline AS p ON p.id = c.pipeline_id
 WHERE p.tenant_id = :tenant_id AND c.removed_at IS NULL
 ORDER BY p.name, c.table_name, c.connector_name
