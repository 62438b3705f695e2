-- A connector's present: what app/store/sql/read_stats.sql reads, for one connector.
SELECT p.status AS pipeline_status,
       clock_timestamp() AS now,
       c.id, c.table_name, c.connector_name, c.version, c.recorded_at, c.recording, c.interval_seconds,
       c.epoch_number, c.epoch_label, c.received, c.completed, c.completed_version,
       c.frontier -> 0 ->> 1 AS waiting_since,
       c.total_bytes, c.total_records, c.buffered_records, c.buffered_bytes, c.num_transport_errors,
       c.num_parse_errors, c.end_of_input, c.processing_latency_p99_micros, c.fatal_error, c.health_status,
       c.health_description, c.paused, c.barrier, c.completed_frontier,
       (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'timestamp', e.occurred_at, 'index', e.index,
                                            'tag', nullif(e.tag, ''), 'message', e.message)
                         ORDER BY e.index, e.tag)
          FROM connector_error AS e
         WHERE e.connector_id = c.id) AS errors
  FROM pipeline AS p
  LEFT JOIN connector AS c ON c.id = :connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
 WHERE p.id = :pipeline_id
