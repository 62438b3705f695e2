-- What a batch of reports writes, by hand: rows computed beforehand go in by arrays, in one statement.
WITH r AS (
    SELECT *
      FROM unnest(
               CAST(%(id)s AS uuid[]), CAST(%(expected_version)s AS bigint[]), CAST(%(version)s AS bigint[]),
               CAST(%(recorded_at)s AS timestamptz[]), CAST(%(observed_at)s AS timestamptz[]),
               CAST(%(recording)s AS text[]), CAST(%(interval_seconds)s AS float8[]), CAST(%(last_epoch)s AS bigint[]),
               CAST(%(epoch_number)s AS bigint[]), CAST(%(epoch_label)s AS text[]),
               CAST(%(position_version)s AS bigint[]), CAST(%(received)s AS jsonb[]), CAST(%(completed)s AS jsonb[]),
               CAST(%(completed_version)s AS bigint[]), CAST(%(frontier)s AS jsonb[]),
               CAST(%(total_bytes)s AS bigint[]), CAST(%(total_records)s AS bigint[]),
               CAST(%(buffered_records)s AS bigint[]), CAST(%(buffered_bytes)s AS bigint[]),
               CAST(%(num_transport_errors)s AS bigint[]), CAST(%(num_parse_errors)s AS bigint[]),
               CAST(%(end_of_input)s AS bool[]), CAST(%(processing_latency_p99_micros)s AS bigint[]),
               CAST(%(fatal_error)s AS text[]), CAST(%(health_status)s AS text[]),
               CAST(%(health_description)s AS text[]), CAST(%(paused)s AS bool[]), CAST(%(barrier)s AS bool[]),
               CAST(%(completed_frontier)s AS jsonb[]), CAST(%(progress)s AS text[]),
               CAST(%(unmoved)s AS bigint[]), CAST(%(lag_records)s AS numeric[]),
               CAST(%(lag_seconds)s AS float8[])
           ) AS r (
               id, expected_version, version, recorded_at, observed_at, recording, interval_seconds, last_epoch,
               epoch_number, epoch_label, position_version, received, completed, completed_version, frontier,
               total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors, num_parse_errors,
               end_of_input, processing_latency_p99_micros, fatal_error, health_status, health_description, paused,
               barrier, completed_frontier, progress, unmoved, lag_records, lag_seconds
           )
), written AS (
    UPDATE connector AS c
       SET removed_at = NULL,
           version = r.version, recorded_at = r.recorded_at, observed_at = r.observed_at, recording = r.recording,
           interval_seconds = r.interval_seconds, last_epoch = r.last_epoch, epoch_number = r.epoch_number,
           epoch_label = r.epoch_label, position_version = r.position_version, received = r.received,
           completed = r.completed, completed_version = r.completed_version, frontier = r.frontier,
           total_bytes = r.total_bytes, total_records = r.total_records, buffered_records = r.buffered_records,
           buffered_bytes = r.buffered_bytes, num_transport_errors = r.num_transport_errors,
           num_parse_errors = r.num_parse_errors, end_of_input = r.end_of_input,
           processing_latency_p99_micros = r.processing_latency_p99_micros, fatal_error = r.fatal_error,
           health_status = r.health_status, health_description = r.health_description, paused = r.paused,
           barrier = r.barrier, completed_frontier = r.completed_frontier, progress = r.progress, unmoved = r.unmoved,
           lag_records = r.lag_records
      FROM r
     WHERE c.id = r.id AND c.version = r.expected_version AND c.removed_at IS NULL
    RETURNING c.id
), observed AS (
    INSERT INTO observation (
               connector_id, recorded_at, version, epoch_number, received, completed, completed_version, lag_records,
               lag_seconds, total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,
               num_parse_errors, end_of_input, processing_latency_p99_micros, fatal_error, health_status, paused,
               barrier
           )
    SELECT r.id, r.recorded_at, r.version, r.epoch_number, r.received, r.completed, r.completed_version, r.lag_records,
           r.lag_seconds, r.total_bytes, r.total_records, r.buffered_records, r.buffered_bytes, r.num_transport_errors,
           r.num_parse_errors, r.end_of_input, r.processing_latency_p99_micros, r.fatal_error, r.health_status,
           r.paused, r.barrier
      FROM r
      JOIN written USING (id)
     WHERE r.observed_at = r.recorded_at
)
SELECT count(*) FROM written
