"""The function that rolls observations up; what its columns mean is told in docs/history.md."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Rows for the steps from `since` to `until`, of the connectors named or of all; both are multiples of the step. It is a
# function, because hours, days and a chart's minutes are all to be counted alike. How it counts:
#
# - A connector's observations and removals, in the order of their versions, are its sequence. Each is compared with the
#   one before it, however long ago that was, and counts where it was recorded, so the steps add up to the whole.
# - Nothing is compared across a removal. Positions are compared within an epoch only, and a component with what it was
#   before, never with zero. A counter that has fallen began again from zero.
# - A connector is known to be what was observed until it was observed again, but no longer than until it has missed
#   three reports (`keep_every` is how far apart observations may be anyway), or for a day if it does not say how often
#   it reports. After that it is unknown, and after its removal nothing at all.
# - A token is of the time in its id (RFC 9562 §5.7: 48 bits of milliseconds come first). Its latency ends with the
#   first observation that found it complete, and so is never told too short.
#
# Every look into the partitioned tables names the connector and is apart (OFFSET 0): it goes by the primary key,
# whatever the planner expects, for a thousand connectors as for one. An observation of more than a day before is looked
# for only where one of the span has to be compared with it.
_FUNCTION = """
CREATE FUNCTION connector_rollup(
    since timestamptz, until timestamptz, step interval, keep_every interval, connectors uuid[]
) RETURNS SETOF connector_daily LANGUAGE sql STABLE AS $$
WITH tracked AS MATERIALIZED (
    SELECT c.id FROM connector AS c WHERE connectors IS NULL
    UNION ALL
    SELECT unnest(connectors)
), inside AS MATERIALIZED (
    SELECT o.*
      FROM tracked AS t
     CROSS JOIN LATERAL (SELECT x.* FROM observation AS x
                          WHERE x.connector_id = t.id AND x.recorded_at >= since AND x.recorded_at < until
                         OFFSET 0) AS o
), day_before AS MATERIALIZED (
    SELECT o.*
      FROM tracked AS t
     CROSS JOIN LATERAL (SELECT x.* FROM observation AS x
                          WHERE x.connector_id = t.id
                            AND x.recorded_at >= since - interval '1 day' AND x.recorded_at < since
                          ORDER BY x.recorded_at DESC, x.version DESC
                          LIMIT 1) AS o
), long_before AS (
    SELECT o.*
      FROM (SELECT connector_id FROM inside EXCEPT SELECT connector_id FROM day_before) AS t
     CROSS JOIN LATERAL (SELECT x.* FROM observation AS x
                          WHERE x.connector_id = t.connector_id AND x.recorded_at < since - interval '1 day'
                          ORDER BY x.recorded_at DESC, x.version DESC
                          LIMIT 1) AS o
), sequence AS (
    SELECT o.connector_id, o.recorded_at AS at, o.version, false AS removed, o.epoch_number, o.received, o.completed,
           o.total_records, o.total_bytes, o.num_parse_errors, o.num_transport_errors, o.lag_records, o.lag_seconds,
           CASE WHEN o.fatal_error IS NOT NULL THEN 'failed'
                WHEN o.end_of_input THEN 'finished'
                WHEN o.paused THEN 'paused'
                ELSE 'running'
           END AS lifecycle, o.progress, o.health_status,
           o.recorded_at + coalesce(least(keep_every + o.interval_seconds * interval '3 seconds', interval '1 day'),
                                    interval '1 day') AS known_until
      FROM (TABLE inside UNION ALL TABLE day_before UNION ALL TABLE long_before) AS o
    UNION ALL
    SELECT e.connector_id, e.at, e.version, true, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, e.at
      FROM tracked AS t
      JOIN connector_event AS e ON e.connector_id = t.id AND e.kind = 'removed' AND e.at < until
), pairs AS MATERIALIZED (
    SELECT s.*, lag(s.version) OVER w AS version_before, lag(s.epoch_number) OVER w AS epoch_before,
           lag(s.received) OVER w AS received_before, lag(s.completed) OVER w AS completed_before,
           lag(s.total_records) OVER w AS records_before, lag(s.total_bytes) OVER w AS bytes_before,
           lag(s.num_parse_errors) OVER w AS parse_errors_before,
           lag(s.num_transport_errors) OVER w AS transport_errors_before,
           lag(s.lifecycle) OVER w AS lifecycle_before, lead(s.at) OVER w AS next_at
      FROM sequence AS s
    WINDOW w AS (PARTITION BY s.connector_id ORDER BY s.version, s.removed)
), counted AS (
    SELECT p.connector_id, date_bin(step, p.at, timestamptz '2000-01-01 00:00Z') AS starts_at,
           count(*) AS observations,
           CAST(sum(p.version - coalesce(p.version_before, p.version - 1)) AS bigint) AS reports,
           sum(r.moved) AS received_delta, sum(c.moved) AS completed_delta,
           sum(p.total_records - CASE WHEN p.total_records < p.records_before THEN 0 ELSE p.records_before END)
               AS records_delta,
           sum(p.total_bytes - CASE WHEN p.total_bytes < p.bytes_before THEN 0 ELSE p.bytes_before END) AS bytes_delta,
           sum(p.num_parse_errors - CASE WHEN p.num_parse_errors < p.parse_errors_before THEN 0
                                         ELSE p.parse_errors_before END) AS parse_errors,
           sum(p.num_transport_errors - CASE WHEN p.num_transport_errors < p.transport_errors_before THEN 0
                                             ELSE p.transport_errors_before END) AS transport_errors,
           count(*) FILTER (WHERE p.lifecycle = 'failed' AND p.lifecycle_before IS DISTINCT FROM 'failed' AND b.known)
               AS failures,
           count(*) FILTER (WHERE p.epoch_number > 0 AND p.epoch_number IS DISTINCT FROM p.epoch_before AND b.known)
               AS epochs,
           min(p.lag_records) AS lag_records_min, CAST(avg(p.lag_records) AS float8) AS lag_records_avg,
           max(p.lag_records) AS lag_records_max,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY p.lag_records) AS lag_records_p95,
           min(p.lag_seconds) AS lag_seconds_min, avg(p.lag_seconds) AS lag_seconds_avg,
           max(p.lag_seconds) AS lag_seconds_max,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY p.lag_seconds) AS lag_seconds_p95
      FROM pairs AS p
     CROSS JOIN LATERAL (SELECT p.version_before IS NOT NULL OR p.version = 1 AS known) AS b
     CROSS JOIN LATERAL (SELECT CASE
           WHEN p.epoch_number IS DISTINCT FROM p.epoch_before THEN NULL
           WHEN p.received = p.received_before THEN 0
           WHEN jsonb_typeof(p.received) = 'number' AND jsonb_typeof(p.received_before) = 'number'
           THEN greatest(0, CAST(p.received AS numeric) - CAST(p.received_before AS numeric))
           WHEN jsonb_typeof(p.received) = 'object' AND jsonb_typeof(p.received_before) = 'object'
           THEN (SELECT sum(greatest(0, CAST(a.value AS numeric) - CAST(p.received_before -> a.key AS numeric)))
                   FROM jsonb_each(p.received) AS a
                  WHERE p.received_before ? a.key)
           END AS moved) AS r
     CROSS JOIN LATERAL (SELECT CASE
           WHEN p.epoch_number IS DISTINCT FROM p.epoch_before THEN NULL
           WHEN p.completed = p.completed_before THEN 0
           WHEN jsonb_typeof(p.completed) = 'number' AND jsonb_typeof(p.completed_before) = 'number'
           THEN greatest(0, CAST(p.completed AS numeric) - CAST(p.completed_before AS numeric))
           WHEN jsonb_typeof(p.completed) = 'object' AND jsonb_typeof(p.completed_before) = 'object'
           THEN (SELECT sum(greatest(0, CAST(a.value AS numeric) - CAST(p.completed_before -> a.key AS numeric)))
                   FROM jsonb_each(p.completed) AS a
                  WHERE p.completed_before ? a.key)
           END AS moved) AS c
     WHERE NOT p.removed AND p.at >= since
     GROUP BY 1, 2
), spans AS (
    SELECT s.connector_id, s.lifecycle, s.progress, s.health_status,
           greatest(s.low, since) AS low, least(s.high, until, now()) AS high
      FROM (SELECT connector_id, lifecycle, progress, health_status, at AS low, least(known_until, next_at) AS high
              FROM pairs
             WHERE NOT removed
            UNION ALL
            SELECT connector_id, 'unknown', NULL, NULL, known_until, coalesce(next_at, until)
              FROM pairs
             WHERE NOT removed AND known_until < coalesce(next_at, until)
            UNION ALL
            SELECT connector_id, 'unknown', NULL, NULL, since, at
              FROM pairs
             WHERE NOT removed AND version_before IS NULL AND version > 1) AS s
     WHERE s.low < s.high AND s.high > since AND s.low < least(until, now())
), pieces AS (
    SELECT *, date_bin(step, low, timestamptz '2000-01-01 00:00Z') AS starts_at
      FROM spans
     WHERE high <= date_bin(step, low, timestamptz '2000-01-01 00:00Z') + step
    UNION ALL
    SELECT s.connector_id, s.lifecycle, s.progress, s.health_status,
           greatest(s.low, b.starts_at), least(s.high, b.starts_at + step), b.starts_at
      FROM spans AS s
     CROSS JOIN LATERAL generate_series(
           date_bin(step, s.low, timestamptz '2000-01-01 00:00Z'), s.high - interval '1 microsecond', step
           ) AS b (starts_at)
     WHERE s.high > date_bin(step, s.low, timestamptz '2000-01-01 00:00Z') + step
), timed AS (
    SELECT connector_id, starts_at,
           coalesce(sum(t.seconds) FILTER (WHERE lifecycle = 'running'), 0) AS running_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE lifecycle = 'paused'), 0) AS paused_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE lifecycle = 'finished'), 0) AS finished_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE lifecycle = 'failed'), 0) AS failed_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE lifecycle = 'unknown'), 0) AS unknown_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE progress = 'idle'), 0) AS idle_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE progress = 'moving'), 0) AS moving_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE progress = 'stalled'), 0) AS stalled_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE progress = 'rewound'), 0) AS rewound_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE health_status = 'Healthy'), 0) AS healthy_seconds,
           coalesce(sum(t.seconds) FILTER (WHERE health_status = 'Unhealthy'), 0) AS unhealthy_seconds
      FROM pieces
     CROSS JOIN LATERAL (SELECT date_part('epoch', high - low) AS seconds) AS t
     GROUP BY 1, 2
), ids AS MATERIALIZED (
    SELECT array_agg(CAST(encode(overlay(decode(repeat('00', 16), 'hex') PLACING substring(int8send(
                     CAST(extract(epoch FROM at) * 1000 AS bigint)) FROM 3) FROM 1 FOR 6), 'hex') AS uuid)
                     ORDER BY at) AS id
      FROM (VALUES (since), (until)) AS bounds (at)
), issued AS (
    SELECT k.connector_id, k.epoch_number, k.binding, k.issued_at
      FROM tracked AS t
     CROSS JOIN ids
     CROSS JOIN LATERAL (SELECT x.* FROM completion_token AS x
                          WHERE x.connector_id = t.id AND x.id >= ids.id[1] AND x.id < ids.id[2]
                         OFFSET 0) AS k
), bindings AS MATERIALIZED (
    SELECT i.connector_id, i.epoch_number, i.binding, s.completed, e.ended_at IS NOT NULL AND NOT s.completed AS lost,
           CASE WHEN s.completed
                THEN coalesce((SELECT x.recorded_at FROM observation AS x
                                WHERE x.connector_id = i.connector_id AND x.epoch_number = i.epoch_number
                                  AND x.completed_version >= i.binding AND x.recorded_at >= i.first_issued_at
                                ORDER BY x.recorded_at
                                LIMIT 1), e.ended_at, c.recorded_at)
           END AS completed_by
      FROM (SELECT connector_id, epoch_number, binding, min(issued_at) AS first_issued_at
              FROM issued GROUP BY 1, 2, 3) AS i
      JOIN connector AS c ON c.id = i.connector_id
      JOIN connector_epoch AS e ON e.connector_id = i.connector_id AND e.number = i.epoch_number
     CROSS JOIN LATERAL (
           SELECT i.binding <= CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END
                  AS completed
           ) AS s
), tokens AS (
    SELECT i.connector_id, date_bin(step, greatest(i.issued_at, since), timestamptz '2000-01-01 00:00Z') AS starts_at,
           count(*) AS issued, count(*) FILTER (WHERE b.completed) AS completed, count(*) FILTER (WHERE b.lost) AS lost,
           avg(l.latency) AS latency_avg, max(l.latency) AS latency_max,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY l.latency) AS latency_p50,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY l.latency) AS latency_p95
      FROM issued AS i
      JOIN bindings AS b USING (connector_id, epoch_number, binding)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN b.completed_by IS NOT NULL
                       THEN greatest(0, date_part('epoch', b.completed_by - i.issued_at)) END AS latency
           ) AS l
     GROUP BY 1, 2
)
SELECT connector_id, starts_at, now(), coalesce(c.observations, 0), coalesce(c.reports, 0),
       c.received_delta, c.completed_delta, c.records_delta, c.bytes_delta, c.parse_errors, c.transport_errors,
       coalesce(c.failures, 0), coalesce(c.epochs, 0),
       c.lag_records_min, c.lag_records_avg, c.lag_records_max, c.lag_records_p95,
       c.lag_seconds_min, c.lag_seconds_avg, c.lag_seconds_max, c.lag_seconds_p95,
       coalesce(t.running_seconds, 0), coalesce(t.paused_seconds, 0), coalesce(t.finished_seconds, 0),
       coalesce(t.failed_seconds, 0), coalesce(t.unknown_seconds, 0), coalesce(t.idle_seconds, 0),
       coalesce(t.moving_seconds, 0), coalesce(t.stalled_seconds, 0), coalesce(t.rewound_seconds, 0),
       coalesce(t.healthy_seconds, 0), coalesce(t.unhealthy_seconds, 0),
       coalesce(k.issued, 0), coalesce(k.completed, 0), coalesce(k.lost, 0),
       k.latency_avg, k.latency_p50, k.latency_p95, k.latency_max
  FROM counted AS c
  FULL JOIN timed AS t USING (connector_id, starts_at)
  FULL JOIN tokens AS k USING (connector_id, starts_at)
 WHERE c.observations > 0 OR k.issued > 0
    OR t.running_seconds + t.paused_seconds + t.finished_seconds + t.failed_seconds > 0
$$
"""


def upgrade() -> None:
    op.execute(_FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION connector_rollup")
