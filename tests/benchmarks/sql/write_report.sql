-- A conditional report, by hand: the connector is read and written back where nobody else has, in one transaction. The
-- values are given: nothing is parsed, validated or computed, no observation is kept, and nobody is told.
BEGIN;
SELECT c.version, c.removed_at, c.recorded_at, c.observed_at, c.recording, c.interval_seconds, c.last_epoch,
       c.epoch_number, c.epoch_label, c.position_version, c.received, c.completed, c.completed_version, c.frontier,
       c.progress, c.unmoved, c.total_bytes, c.total_records, c.buffered_records, c.buffered_bytes,
       c.num_transport_errors, c.num_parse_errors, c.end_of_input, c.processing_latency_p99_micros, c.fatal_error,
       c.health_status, c.health_description, c.paused, c.barrier, c.completed_frontier
  FROM pipeline AS p
  JOIN connector AS c ON c.id = :connector_id AND c.pipeline_id = p.id
 WHERE p.id = :pipeline_id
\gset
UPDATE connector
   SET removed_at = NULL, version = CAST(:version AS bigint) + 1, recorded_at = clock_timestamp(),
       observed_at = clock_timestamp(), recording = 'sampled', interval_seconds = 3600, last_epoch = 1,
       epoch_number = 1, epoch_label = 'run-1', position_version = CAST(:version AS bigint) + 1,
       received = '{"0": 3001001, "1": 3001008, "2": 3001012}', completed = '{"0": 3000501, "1": 3000501, "2": 3000501}',
       completed_version = CAST(:version AS bigint),
       frontier = '[[3001, "2026-01-31T12:00:00.000000+00:00", {"0": 3001001, "1": 3001008, "2": 3001012}]]',
       progress = 'moving', unmoved = 0, lag_records = 1518, total_bytes = 1236412412, total_records = 9003003,
       buffered_records = 1518, buffered_bytes = 625416, num_transport_errors = 0, num_parse_errors = 0,
       end_of_input = false, processing_latency_p99_micros = 48211, fatal_error = NULL, health_status = 'Healthy',
       health_description = NULL, paused = false, barrier = false, completed_frontier = NULL
 WHERE id = :connector_id AND version = CAST(:version AS bigint) AND removed_at IS NULL;
COMMIT
