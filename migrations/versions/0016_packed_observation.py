"""Observations of days that are over, packed: a table for them, and all that reads observations reads both.

Long, because the function of 0012 and two views of 0014 stand here anew; what their columns mean is told there.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# All of an observation's but the connector.
_COLUMNS: dict[str, Any] = {
    "recorded_at": sa.DateTime(timezone=True),
    "version": sa.BigInteger(),
    "epoch_number": sa.BigInteger(),
    "received": JSONB(),
    "completed": JSONB(),
    "completed_version": sa.BigInteger(),
    "lag_records": sa.Numeric(),
    "lag_seconds": sa.Double(),
    "total_bytes": sa.BigInteger(),
    "total_records": sa.BigInteger(),
    "buffered_records": sa.BigInteger(),
    "buffered_bytes": sa.BigInteger(),
    "num_transport_errors": sa.BigInteger(),
    "num_parse_errors": sa.BigInteger(),
    "end_of_input": sa.Boolean(),
    "processing_latency_p99_micros": sa.BigInteger(),
    "fatal_error": sa.Text(),
    "health_status": sa.Text(),
    "paused": sa.Boolean(),
    "barrier": sa.Boolean(),
    "progress": sa.Text(),
    "interval_seconds": sa.Double(),
}
_UNPACKED = f"unnest({', '.join(f'k.{name}' for name in _COLUMNS)}) AS x ({', '.join(_COLUMNS)})"
_SELECTED = ", ".join(f"x.{name}" for name in _COLUMNS)

_UNPACK = f"""
INSERT INTO observation (connector_id, {", ".join(_COLUMNS)})
SELECT k.connector_id, {_SELECTED}
  FROM packed_observation AS k
 CROSS JOIN LATERAL {_UNPACKED}
"""  # noqa: S608

# Who names a time names its days, too, by first_day <= … AND last_day >= …: a condition on recorded_at leaves out no
# packed day. Of the others it leaves out days by itself, and the planner drops the conditions on those two.
_OBSERVED = f"""
CREATE VIEW observed WITH (security_invoker = true) AS
SELECT date '-infinity' AS first_day, date 'infinity' AS last_day, x.connector_id, {_SELECTED}
  FROM observation AS x
UNION ALL
SELECT k.day, k.day, k.connector_id, {_SELECTED}
  FROM packed_observation AS k
 CROSS JOIN LATERAL {_UNPACKED}
"""  # noqa: S608

# When it was first observed that `binding` is completed, from `since` on. A connector's completed_version never
# decreases, for versions count on across epochs: so the first packed row that ends with as much has it, or none has.
# Days that are packed come before all others.
_FOUND_COMPLETE = """
                (SELECT u.recorded_at
                   FROM (SELECT p.recorded_at, p.epoch_number, p.completed_version
                           FROM public.packed_observation AS p
                          WHERE p.connector_id = {row}.connector_id AND p.last_completed_version >= {row}.binding
                            AND p.day >= CAST({since} AT TIME ZONE 'UTC' AS date) AND p.last_at >= {since}
                          ORDER BY p.day, p.number
                          LIMIT 1) AS p
                  CROSS JOIN LATERAL unnest(p.recorded_at, p.epoch_number, p.completed_version)
                          AS u (recorded_at, epoch_number, completed_version)
                  WHERE u.epoch_number = {row}.epoch_number AND u.completed_version >= {row}.binding
                    AND u.recorded_at >= {since}
                  ORDER BY u.recorded_at
                  LIMIT 1),
                (SELECT o.recorded_at
                   FROM public.observation AS o
                  WHERE o.connector_id = {row}.connector_id AND o.epoch_number = {row}.epoch_number
                    AND o.completed_version >= {row}.binding AND o.recorded_at >= {since}
                  ORDER BY o.recorded_at
                  LIMIT 1)"""

# As in 0012, of `observed`; the newest observation of before is looked for by its day.
_FUNCTION = """
CREATE OR REPLACE FUNCTION connector_rollup(
    since timestamptz, until timestamptz, step interval, keep_every interval, connectors uuid[]
) RETURNS SETOF connector_daily LANGUAGE sql STABLE AS $$
WITH tracked AS MATERIALIZED (
    SELECT c.id FROM connector AS c WHERE connectors IS NULL
    UNION ALL
    SELECT unnest(connectors)
), inside AS MATERIALIZED (
    SELECT o.*
      FROM tracked AS t
     CROSS JOIN LATERAL (SELECT x.* FROM observed AS x
                          WHERE x.connector_id = t.id AND x.recorded_at >= since AND x.recorded_at < until
                            AND x.last_day >= CAST(since AT TIME ZONE 'UTC' AS date)
                            AND x.first_day <= CAST((until - interval '1 microsecond') AT TIME ZONE 'UTC' AS date)
                         OFFSET 0) AS o
), day_before AS MATERIALIZED (
    SELECT o.*
      FROM tracked AS t
     CROSS JOIN LATERAL (SELECT x.* FROM observed AS x
                          WHERE x.connector_id = t.id
                            AND x.recorded_at >= since - interval '1 day' AND x.recorded_at < since
                            AND x.last_day >= CAST(since AT TIME ZONE 'UTC' AS date) - 1
                            AND x.first_day <= CAST((since - interval '1 microsecond') AT TIME ZONE 'UTC' AS date)
                          ORDER BY x.recorded_at DESC, x.version DESC
                          LIMIT 1) AS o
), long_before AS (
    SELECT o.*
      FROM (SELECT connector_id FROM inside EXCEPT SELECT connector_id FROM day_before) AS t
     CROSS JOIN LATERAL (
           SELECT greatest((SELECT max(p.day) FROM packed_observation AS p
                             WHERE p.connector_id = t.connector_id
                               AND p.day < CAST(since AT TIME ZONE 'UTC' AS date)),
                           (SELECT CAST(x.recorded_at AT TIME ZONE 'UTC' AS date) FROM observation AS x
                             WHERE x.connector_id = t.connector_id AND x.recorded_at < since - interval '1 day'
                             ORDER BY x.recorded_at DESC
                             LIMIT 1)) AS day
           ) AS newest
     CROSS JOIN LATERAL (SELECT x.* FROM observed AS x
                          WHERE x.connector_id = t.connector_id
                            AND x.last_day >= newest.day AND x.first_day <= newest.day
                            AND x.recorded_at >= CAST(newest.day AS timestamp) AT TIME ZONE 'UTC'
                            AND x.recorded_at < since - interval '1 day'
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
           CASE WHEN s.completed THEN coalesce({found_complete}, e.ended_at, c.recorded_at) END AS completed_by
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

_NAMES = "t.name AS tenant, p.name AS pipeline, c.table_name, c.connector_name, c.id AS connector_id"
_OWNERS = """
  JOIN public.connector AS c ON c.id = {connector_id}
  JOIN public.pipeline AS p ON p.id = c.pipeline_id
  JOIN public.tenant AS t ON t.id = p.tenant_id"""

_HISTORY = f"""
SELECT {_NAMES},
       x.recorded_at, x.version,
       CASE WHEN x.fatal_error IS NOT NULL THEN 'failed' WHEN x.end_of_input THEN 'finished'
            WHEN x.paused THEN 'paused' ELSE 'running' END AS lifecycle,
       x.progress, x.health_status, x.fatal_error, x.received, x.completed, x.lag_records, x.lag_seconds,
       x.completed_version, x.epoch_number, x.total_records, x.total_bytes, x.buffered_records, x.buffered_bytes,
       x.num_parse_errors, x.num_transport_errors, x.processing_latency_p99_micros, x.interval_seconds, x.end_of_input,
       x.paused, x.barrier"""

# The names stand in both halves, so that a condition on them finds a connector before anything is unpacked.
_BOTH_HISTORIES = f"""{_HISTORY}, CAST(x.recorded_at AT TIME ZONE 'UTC' AS date) AS day
  FROM public.observation AS x{_OWNERS.format(connector_id="x.connector_id")}
UNION ALL{_HISTORY}, k.day
  FROM public.packed_observation AS k{_OWNERS.format(connector_id="k.connector_id")}
 CROSS JOIN LATERAL {_UNPACKED}
"""

_TOKEN = f"""
SELECT {_NAMES}, x.id AS token_id, x.issued_at, x.issued_by, x.epoch_number, x.binding, s.status, d.completed_by,
       CASE WHEN d.completed_by IS NOT NULL THEN greatest(0, date_part('epoch', d.completed_by - x.issued_at)) END
           AS latency_seconds
  FROM public.completion_token AS x{_OWNERS.format(connector_id="x.connector_id")}
  JOIN public.connector_epoch AS e ON e.connector_id = x.connector_id AND e.number = x.epoch_number
 CROSS JOIN LATERAL (
       SELECT CASE WHEN c.removed_at IS NOT NULL THEN 'removed'
                   WHEN x.binding <= CASE WHEN e.ended_at IS NULL THEN c.completed_version
                                          ELSE e.completed_version END THEN 'complete'
                   WHEN e.ended_at IS NOT NULL THEN 'lost'
                   ELSE 'inprogress'
              END AS status
       ) AS s
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.status = 'complete' THEN coalesce({{found_complete}}, e.ended_at, c.recorded_at) END
              AS completed_by
       ) AS d
"""  # noqa: S608

# All else is granted a moment later (`tidemark db upgrade`). But the release that serves meanwhile draws charts by the
# function.
_LET_THE_APP_READ = """
DO $$
DECLARE app name;
BEGIN
    FOR app IN SELECT r.rolname FROM pg_policy AS p JOIN pg_roles AS r ON r.oid = ANY(p.polroles)
                WHERE p.polrelid = 'observation'::regclass AND p.polname = 'app'
    LOOP
        EXECUTE format('GRANT SELECT ON packed_observation, observed TO %I', app);
    END LOOP;
END $$
"""

_DAY_COMMENT = "The day (UTC) of recorded_at. Name it, too, where you name a range: most days are read as a whole."


def upgrade() -> None:
    op.create_table(
        "packed_observation",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_completed_version", sa.BigInteger(), nullable=False),
        *(sa.Column(name, ARRAY(kind), nullable=False) for name, kind in _COLUMNS.items()),
        sa.PrimaryKeyConstraint("connector_id", "day", "number", name="pk_packed_observation"),
        postgresql_partition_by="RANGE (day)",
    )
    # ANALYZE is not to look through all that is packed for frequent values: of one column it tells how many a row has.
    unanalyzed = ", ".join(f"ALTER {name} SET STATISTICS 0" for name in _COLUMNS if name != "version")
    op.execute(f"ALTER TABLE packed_observation {unanalyzed}")
    op.execute(_OBSERVED)
    op.execute(_LET_THE_APP_READ)
    by = _FOUND_COMPLETE.format(row="i", since="i.first_issued_at")
    op.execute(_FUNCTION.format(found_complete=by))
    _replace_view("connector_history", _BOTH_HISTORIES)
    op.execute(f"COMMENT ON COLUMN reporting.connector_history.day IS '{_DAY_COMMENT}'")
    by = _FOUND_COMPLETE.format(row="x", since="x.issued_at")
    _replace_view("token", _TOKEN.format(found_complete=by))


def downgrade() -> None:
    """Unpacks them all. They come into the default partition, and expire there."""
    op.execute(_UNPACK)
    views, function = _migration("0014"), _migration("0012")
    views.downgrade()
    function.downgrade()
    op.execute("DROP VIEW observed")
    op.drop_table("packed_observation")
    function.upgrade()
    views.upgrade()


def _migration(revision: str) -> ModuleType:
    script = ScriptDirectory(str(Path(__file__).parents[1]))
    return script.get_revision(revision).module


def _replace_view(name: str, query: str) -> None:
    op.execute(
        f"CREATE OR REPLACE VIEW reporting.{name} WITH (security_invoker = true, security_barrier = true) AS{query}"
    )
