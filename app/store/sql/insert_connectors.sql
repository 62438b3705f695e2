-- First reports. A connector that another report has created meanwhile is not returned. Nobody can wait for one of which
-- nothing was known, but many may follow what happens: the notification says no more than that something has.
WITH written AS (
    INSERT INTO connector (
               tenant_id, pipeline_id,
               id, table_name, connector_name, version, recorded_at, observed_at, recording, interval_seconds, last_epoch,
               epoch_number, epoch_label, position_version, received, completed, completed_version, frontier, progress,
               unmoved, lag_records, total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,
               num_parse_errors, end_of_input, processing_latency_p99_micros, fatal_error, health_status,
               health_description, paused, barrier, completed_frontier
           )
    SELECT r.*
      FROM json_to_recordset(CAST(:rows AS json)) AS r (
               tenant_id uuid, pipeline_id uuid,
               id uuid, table_name text, connector_name text, version bigint, recorded_at timestamptz,
               observed_at timestamptz, recording text, interval_seconds float8, last_epoch bigint, epoch_number bigint,
               epoch_label text, position_version bigint, received jsonb, completed jsonb, completed_version bigint,
               frontier jsonb, progress text, unmoved bigint, lag_records numeric,
               total_bytes bigint, total_records bigint, buffered_records bigint, buffered_bytes bigint,
               num_transport_errors bigint, num_parse_errors bigint, end_of_input bool,
               processing_latency_p99_micros bigint, fatal_error text, health_status text, health_description text,
               paused bool, barrier bool, completed_frontier jsonb
           )
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), told AS (
    SELECT pg_notify('tidemark_moved', '')
     WHERE EXISTS (SELECT FROM written)
)
SELECT id
  FROM written
  LEFT JOIN told ON true
