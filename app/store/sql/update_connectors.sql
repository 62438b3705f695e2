-- The optimistic write: a row that another report or a removal has changed since it was loaded does not match, and is
-- not returned. The rows come in id order, so that two batches meet in the same order; whoever deadlocks all the
-- same is tried again. One JSON parameter, because thirty array parameters cost the client more than the server saves.
-- The notification, one for all rows, leaves with the COMMIT. It wakes those who wait for the connectors marked to be told
-- of; more of them than its payload could name are told of by an empty one (app/store/standings.py).
WITH written AS (
    UPDATE connector AS c
       SET removed_at = NULL,
           version = r.version, recorded_at = r.recorded_at, observed_at = r.observed_at, recording = r.recording,
           interval_seconds = r.interval_seconds, last_epoch = r.last_epoch, epoch_number = r.epoch_number,
           epoch_label = r.epoch_label, position_version = r.position_version, received = r.received, completed = r.completed,
           completed_version = r.completed_version, frontier = r.frontier, progress = r.progress, unmoved = r.unmoved,
           lag_records = r.lag_records, total_bytes = r.total_bytes,
           total_records = r.total_records, buffered_records = r.buffered_records, buffered_bytes = r.buffered_bytes,
           num_transport_errors = r.num_transport_errors, num_parse_errors = r.num_parse_errors,
           end_of_input = r.end_of_input, processing_latency_p99_micros = r.processing_latency_p99_micros,
           fatal_error = r.fatal_error, health_status = r.health_status, health_description = r.health_description,
           paused = r.paused, barrier = r.barrier, completed_frontier = r.completed_frontier
      FROM json_to_recordset(CAST(:rows AS json)) AS r (
               id uuid, expected_version bigint, expected_removed bool, version bigint, recorded_at timestamptz,
               observed_at timestamptz, recording text, interval_seconds float8, last_epoch bigint, epoch_number bigint,
               epoch_label text, position_version bigint, received jsonb, completed jsonb, completed_version bigint,
               frontier jsonb, progress text, unmoved bigint, lag_records numeric,
               total_bytes bigint, total_records bigint, buffered_records bigint, buffered_bytes bigint,
               num_transport_errors bigint, num_parse_errors bigint, end_of_input bool,
               processing_latency_p99_micros bigint, fatal_error text, health_status text, health_description text,
               paused bool, barrier bool, completed_frontier jsonb, tell bool
           )
     WHERE c.id = r.id AND c.version = r.expected_version AND (c.removed_at IS NOT NULL) = r.expected_removed
    RETURNING c.id, c.epoch_number, c.completed_version, r.tell
), told AS (
    SELECT pg_notify('tidemark_moved', CASE WHEN octet_length(standings) < 8000 THEN standings ELSE '' END)
      FROM (SELECT string_agg(concat_ws(' ', id, epoch_number, completed_version), ',') AS standings
              FROM written
             WHERE tell) AS all_of_them
     WHERE standings IS NOT NULL
)
SELECT id
  FROM written
  LEFT JOIN told ON true
