-- What a batch of reports starts from, in the order of the batch. closed: whether the report names the
-- label of an epoch that was closed since the connector was first seen or last removed.
-- In a hurry the transaction waits for a lock only so long; to say so here costs no statement more.
-- Every column is named: with c.* a prepared statement would fail as soon as a migration adds a column.
SELECT clock_timestamp() AS now, p.id IS NOT NULL AS pipeline_known,
       c.version, c.removed_at, c.recorded_at, c.observed_at, c.recording, c.interval_seconds, c.last_epoch, c.epoch_number,
       c.epoch_label, c.position_version, c.received, c.completed, c.completed_version, c.frontier, c.progress, c.unmoved,
       c.total_bytes, c.total_records, c.buffered_records, c.buffered_bytes, c.num_transport_errors, c.num_parse_errors, c.end_of_input,
       c.processing_latency_p99_micros, c.fatal_error, c.health_status, c.health_description, c.paused, c.barrier,
       c.completed_frontier, CASE WHEN :hurry THEN set_config('lock_timeout', '250ms', true) END AS hurried,
       (c.epoch_number > 0 AND r.label IS DISTINCT FROM c.epoch_label AND EXISTS (
            SELECT FROM connector_epoch AS e
             WHERE e.connector_id = c.id AND e.ended_at IS NOT NULL AND e.label IS NOT DISTINCT FROM r.label
               AND e.number > (SELECT coalesce(max(number), 0) FROM connector_epoch AS x
                                WHERE x.connector_id = c.id AND x.removed))) AS closed
  FROM unnest(CAST(:ids AS uuid[]), CAST(:pipelines AS uuid[]), CAST(:labels AS text[])) WITH ORDINALITY
       AS r (id, pipeline_id, label, place)
  LEFT JOIN connector AS c ON c.id = r.id
  LEFT JOIN pipeline AS p ON p.id = r.pipeline_id
 ORDER BY r.place
