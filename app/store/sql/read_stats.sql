-- Connectors' presents, one row for each one asked for. The pipeline is outer-joined so that one statement tells an
-- unknown pipeline (pipeline_status is null) from an unknown connector (id is null); the errors come along as JSON to
-- save a second round trip. Of a version that the caller knows already only that much is told: a version's record never
-- changes. (The condition stands twice, or the errors would be looked up before the row is left out.)
SELECT p.status AS pipeline_status,
       clock_timestamp() AS now,
       c.id, c.version, d.*
  FROM unnest(CAST(:connectors AS uuid[]), CAST(:pipelines AS uuid[]), CAST(:known AS bigint[])) WITH ORDINALITY
       AS r (connector_id, pipeline_id, known, place)
  LEFT JOIN pipeline AS p ON p.id = r.pipeline_id
  LEFT JOIN connector AS c ON c.id = r.connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
  LEFT JOIN LATERAL (
       SELECT c.table_name, c.connector_name, c.recorded_at, c.recording, c.interval_seconds,
              c.epoch_number, c.epoch_label, c.received, c.completed, c.completed_version,
              c.frontier -> 0 ->> 1 AS waiting_since,
              c.total_bytes, c.total_records, c.buffered_records, c.buffered_bytes, c.num_transport_errors,
              c.num_parse_errors, c.end_of_input, c.processing_latency_p99_micros, c.fatal_error, c.health_status,
              c.health_description, c.paused, c.barrier, c.completed_frontier,
              (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'timestamp', e.occurred_at, 'index', e.index,
                                                   'tag', nullif(e.tag, ''), 'message', e.message)
                                ORDER BY e.index, e.tag)
                 FROM connector_error AS e
                WHERE e.connector_id = c.id AND c.version <> r.known) AS errors
        WHERE c.version <> r.known) AS d ON true
 ORDER BY r.place
