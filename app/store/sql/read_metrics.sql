-- A tenant's pipelines, or one of them, and all their connectors, for metrics; a pipeline without any has one row.
--
-- What counts tokens must never go back but to zero, or Prometheus would count some twice, and it may not look through
-- all the tokens that are kept. So it is counted since the last full quarter of an hour, when it was zero. A token counts as
-- complete from the first observation that shows it, which stays: what was counted once is found again, with the same
-- time. Those issued before the quarter before are not found. Of a connector no more than the first :most are counted.
--
-- That first observation is the earliest of those whose completed_version is not less than the token's binding. In an
-- epoch that never decreases, so one pass over both, sorted by version, finds it for all tokens. Where a synchronous
-- connector's token was complete when it was issued, it is earlier than that.
WITH quarter AS MATERIALIZED (
    SELECT q.start, q.previous, q.until,
           CAST(encode(substring(int8send(CAST(extract(epoch FROM q.start) * 1000 AS bigint)) FROM 3)
                       || CAST(repeat('\000', 10) AS bytea), 'hex') AS uuid) AS start_id,
           CAST(encode(substring(int8send(CAST(extract(epoch FROM q.previous) * 1000 AS bigint)) FROM 3)
                       || CAST(repeat('\000', 10) AS bytea), 'hex') AS uuid) AS previous_id,
           CAST(encode(substring(int8send(CAST(extract(epoch FROM q.until) * 1000 AS bigint)) FROM 3)
                       || CAST(repeat('\000', 10) AS bytea), 'hex') AS uuid) AS until_id
      FROM (SELECT b.start, b.start - interval '15 minutes' AS previous, b.start + interval '15 minutes' AS until
              FROM (SELECT date_bin('15 minutes', now(), '2000-01-01 00:00:00+00') AS start) AS b) AS q
)
SELECT p.id AS pipeline_id, p.name AS pipeline, p.status AS pipeline_status, p.started_at,
       a.connector_id, a.table_name, a.connector_name, a.lifecycle, a.progress, a.health_status,
       CAST(a.lag_records AS float8) AS lag_records, a.lag_seconds, a.report_age_seconds,
       a.not_reporting_since IS NOT NULL AS not_reporting, a.version, a.total_records, a.total_bytes,
       a.buffered_records, a.buffered_bytes, a.num_parse_errors, a.num_transport_errors, a.end_of_input,
       c.last_epoch, c.processing_latency_p99_micros, c.epoch_number = 0 OR c.frontier = '[]' AS nothing_waits,
       issued.tokens AS tokens_issued, completed.tokens AS tokens_completed, completed.seconds AS token_seconds,
       completed.within AS tokens_within
  FROM pipeline AS p
  LEFT JOIN (connector_activity AS a JOIN connector AS c ON c.id = a.connector_id)
    ON a.pipeline_id = p.id AND a.removed_at IS NULL
  LEFT JOIN LATERAL (
       SELECT EXISTS (
                  SELECT FROM completion_token AS t
                   WHERE t.connector_id = c.id
                     AND t.id >= (SELECT previous_id FROM quarter) AND t.id < (SELECT until_id FROM quarter)) AS any
       ) AS recent ON true
  LEFT JOIN LATERAL (
       SELECT count(*) AS tokens
         FROM (SELECT FROM completion_token AS t
                WHERE recent.any AND t.connector_id = c.id
                  AND t.id >= (SELECT start_id FROM quarter) AND t.id < (SELECT until_id FROM quarter)
                LIMIT :most) AS t
       ) AS issued ON true
  LEFT JOIN LATERAL (
       SELECT o.completed_version AS version
         FROM observation AS o
        WHERE recent.any AND o.connector_id = c.id AND o.epoch_number = c.epoch_number
          AND o.recorded_at >= (SELECT previous FROM quarter) AND o.recorded_at < (SELECT start FROM quarter)
        ORDER BY o.recorded_at DESC
        LIMIT 1
       ) AS before ON true
  LEFT JOIN LATERAL (
       SELECT count(*) AS tokens, coalesce(sum(m.seconds), 0) AS seconds,
              ARRAY[count(*) FILTER (WHERE m.seconds <= 1), count(*) FILTER (WHERE m.seconds <= 2.5),
                    count(*) FILTER (WHERE m.seconds <= 5), count(*) FILTER (WHERE m.seconds <= 10),
                    count(*) FILTER (WHERE m.seconds <= 30), count(*) FILTER (WHERE m.seconds <= 60),
                    count(*) FILTER (WHERE m.seconds <= 300), count(*) FILTER (WHERE m.seconds <= 900)] AS within
         FROM (SELECT s.issued_at,
                      min(s.seen_at) OVER (ORDER BY s.version DESC, s.issued_at NULLS FIRST
                                           ROWS UNBOUNDED PRECEDING) AS seen_at
                 FROM ((SELECT t.binding AS version, t.issued_at, CAST(NULL AS timestamptz) AS seen_at
                          FROM completion_token AS t
                         WHERE recent.any AND t.connector_id = c.id AND t.epoch_number = c.epoch_number
                           AND t.id >= (SELECT previous_id FROM quarter) AND t.id < (SELECT until_id FROM quarter)
                           AND (t.binding > coalesce(before.version, 0) OR t.id >= (SELECT start_id FROM quarter))
                         ORDER BY t.id
                         LIMIT :most)
                       UNION ALL
                       (SELECT o.completed_version, NULL, o.recorded_at
                          FROM observation AS o
                         WHERE recent.any AND o.connector_id = c.id AND o.epoch_number = c.epoch_number
                           AND o.recorded_at >= (SELECT start FROM quarter)
                           AND o.recorded_at < (SELECT until FROM quarter)
                         ORDER BY o.recorded_at
                         LIMIT :most)) AS s) AS s
        CROSS JOIN LATERAL (SELECT greatest(0, date_part('epoch', s.seen_at - s.issued_at)) AS seconds) AS m
        WHERE s.issued_at IS NOT NULL AND s.seen_at IS NOT NULL
       ) AS completed ON true
 WHERE p.tenant_id = :tenant_id AND (CAST(:pipeline AS text) IS NULL OR p.name = :pipeline)
 ORDER BY p.name COLLATE "C", a.table_name COLLATE "C", a.connector_name COLLATE "C"
